import {expect} from 'chai'
import {defaultWeights} from '#llmsim/cluster/router.js'
import {readClusterYaml} from '#llmsim/study/cluster-file.js'
import {deploy} from '#llmsim/study/deployment.js'
import {placeInstances} from '#llmsim/study/instance.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {memoriesOf} from '#llmsim/study/weights/memory-schema.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'
import {temporaryFiles} from '../support/temporary-files.js'

const {fileOf} = temporaryFiles('cluster')

const whole = `model: meta-llama/Llama-3.1-8B-Instruct
hardware: H100
engine: {max_num_seqs: 256}
instances:
  - {role: prefill, count: 2, tp: 2}
  - role: decode
    count: 3
    hardware: A100
    engine:
      block_size: 32
router: prefix-affinity
decode_router: {name: weighted, weights: {prefix: 1, queue: 2, kv: 3}}
router_view_age_ms: 100
hand_off: {stream: by layer, stay_below: 64}
network: {bandwidth_gb_s: 25}
memory: {cpu: {capacity_gb: 512}, cxl: {capacity_gb: 256, bandwidth_gb_s: 28, devices: 4}}
admission:
  - {name: urgent, up_to_priority: 0, requests_per_s: 100}
  - {name: others, up_to_priority: 9, max_waiting: 50}
`

const faultIn = async (text: string): Promise<string> => {
  const path = fileOf(text)
  const {code, message} = await problemOf(() => readClusterYaml(path))
  expect(code).equal('CLUSTER_BAD_FILE')
  return message.replace(`${path}:`, '')
}

describe('a cluster file of ours', () => {
  it('is read whole, with defaults', async () => {
    const file = await readClusterYaml(fileOf(whole))
    expect(file.instances.map(({count, tp, dp, role}) => [count, tp, dp, role])).deep.equal([
      [2, 2, 1, 'prefill'],
      [3, 1, 1, 'decode'],
    ])
    expect(file.network).deep.equal({bandwidth_gb_s: 25})
    expect(file.router).deep.equal({name: 'prefix-affinity', weights: undefined})
    expect(memoriesOf(file.memory)).deep.equal({
      cpu: {capacityBytes: 512e9, gbPerS: undefined, latencyNs: 1000, devices: undefined},
      cxl: {capacityBytes: 256e9, gbPerS: 28, latencyNs: 1000, devices: 4},
    })
  })

  const faults: readonly (readonly [change: string, to: string, says: string])[] = [
    ['tp: 2', 'tpp: 2', '5:31: instances[0].tpp is not a known key.'],
    ['tp: 2', 'tp: two', '5:35: instances[0].tp must be a number.'],
    ['count: 3', 'count: 0', '7:12: instances[1].count must be at least 1.'],
    ['role: decode', 'role: dekode', '6:11: instances[1].role must be one of prefill, decode.'],
    [
      'block_size: 32',
      'block_size: 1.5',
      '10:19: instances[1].engine.block_size must be a whole number.',
    ],
    [
      'router: prefix-affinity',
      'router: nearest',
      '11:9: router must be the name of a router, or a map with its name.',
    ],
    ['stream: by layer', 'stream: slowly', '14:20: hand_off.stream must be one of end, layer.'],
    [
      'weights: {prefix: 1',
      'weights: {prefx: 1',
      '12:43: decode_router.weights.prefx is not a known key.',
    ],
    [
      'bandwidth_gb_s: 25',
      'bandwidth_gb_s: 0',
      '15:27: network.bandwidth_gb_s must be at least 0.001.',
    ],
    [
      'bandwidth_gb_s: 25',
      'bandwidth_gb_s: 1e-300',
      '15:27: network.bandwidth_gb_s must be at least 0.001.',
    ],
    [
      'bandwidth_gb_s: 25',
      'latency_us: 1e300',
      '15:23: network.latency_us must be at most 10000000.',
    ],
    [
      'bandwidth_gb_s: 28',
      'bandwidth_gb_s: 1e-9',
      '16:75: memory.cxl.bandwidth_gb_s must be at least 0.001.',
    ],
    [
      'count: 3',
      'count: 100000',
      '7:12: instances[1].count makes 100002 engines, and a run holds at most 4096: simulate a part of them with a part of the requests.',
    ],
    [
      'count: 3',
      'count: 3000\n    dp: 2',
      '7:12: instances[1].count makes 6002 engines, and a run holds at most 4096: simulate a part of them with a part of the requests.',
    ],
    ['cpu: {', 'ram: {', '16:10: memory.ram is not a known key.'],
    ['capacity_gb: 512', 'capacity: 512', '16:16: memory.cpu.capacity is not a known key.'],
    ['capacity_gb: 512', 'capacity_gb: 0', '16:29: memory.cpu.capacity_gb must be above 0.'],
    ['capacity_gb: 256, ', '', '16:40: memory.cxl.capacity_gb is missing; it must be a number.'],
    [
      'requests_per_s: 100',
      'burst: 5',
      '18:46: admission[0].burst needs requests_per_s or tokens_per_s.',
    ],
    [
      'hardware: H100\n',
      '',
      '4:5: instances[0] lacks the key hardware, here or at the top of the file.',
    ],
    ['instances:', 'instances', '4:1: not valid YAML: Implicit keys need to be on a single line.'],
  ]
  for (const [change, to, says] of faults)
    it(`says where it is wrong: ${to || 'no hardware'}`, async () => {
      expect(whole.includes(change)).equal(true)
      expect(await faultIn(whole.replace(change, to))).equal(says)
    })

  it('names the key that an unknown one probably is, and all where none is near', async () => {
    const triesOf = async (text: string) =>
      (await problemOf(() => readClusterYaml(fileOf(text)))).suggestions!
    const [first, second] = await triesOf('hardware: H100\ninstancs: [{}]\n')
    expect(first).equal('did you mean instances?')
    expect(second).match(/^Known: model, hardware,/)
    expect(await triesOf('instances: [{hardware: H100, engine: {max_num_seq: 3}}]\n')).include(
      'did you mean max_num_seqs?',
    )
    expect((await triesOf('xyzzy: 1\ninstances: [{hardware: H100}]\n')).length).equal(1)
  })

  it('takes words as flags spell them, and in words', async () => {
    const read = async (stream: string, prefetch: string, write: string) => {
      const file = await readClusterYaml(
        fileOf(`hardware: H100
hand_off: {stream: ${stream}}
kv_offload: {tiers: [{tier: cpu, capacity_gb: 8, write: ${write}}]}
instances: [{role: decode, weight_prefetch: ${prefetch}, weights: [{blocks: 0, on: cpu}]}, {role: prefill}]
`),
      )
      const {hand_off, kv_offload, instances} = file
      return [hand_off!.stream, instances[0]!.weight_prefetch, kv_offload!.tiers[0]!.write]
    }
    const meant = ['by layer', 'in place', 'on eviction']
    expect(await read('layer', 'in-place', 'on-eviction')).deep.equal(meant)
    expect(await read('by layer', 'in place', 'on eviction')).deep.equal(meant)
    expect(
      await faultIn(
        'hardware: H100\nkv_offload: {tiers: [{tier: cpu, capacity_gb: 8, write: later}]}\ninstances: [{}]\n',
      ),
    ).equal('2:57: kv_offload.tiers[0].write must be one of through, on-eviction.')
  })

  it('refuses what nothing in the file would read', async () => {
    const alone = (line: string) => faultIn(`hardware: H100\n${line}\ninstances: [{}]\n`)
    const rule = 'needs instances with role: decode, which get KV from others.'
    expect(await alone('network: {bandwidth_gb_s: 25}')).equal(`2:10: network ${rule}`)
    expect(await alone('hand_off: {stay_below: 64}')).equal(`2:11: hand_off ${rule}`)
    expect(await alone('decode_router: random')).equal(`2:16: decode_router ${rule}`)
    expect(
      await alone('router: {name: least-requests, weights: {prefix: 1, queue: 1, kv: 1}}'),
    ).equal('2:41: router.weights is read by the router weighted, not by least-requests.')
  })

  it('says of a network only what differs', async () => {
    const networkOf = async (line: string) => {
      const roles = 'instances: [{role: prefill}, {role: decode}]'
      const {traffic} = await placeInstances(
        runRequest({cluster: fileOf(`hardware: H100\n${line}\n${roles}\n`)}),
      )
      return traffic!.network
    }
    expect(await networkOf('network: {behind_host_link: false}')).deep.equal({
      behindHostLink: false,
    })
    expect(await networkOf('network: {bandwidth_gb_s: 12.5, latency_us: 5}')).deep.equal({
      bandwidthGbS: 12.5,
      latencyUs: 5,
      behindHostLink: 'where slower',
    })
    const topology = 'topology: [{kind: infiniband, degree: 2, bandwidth_gb_s: 40}]'
    expect(await networkOf(`network: {latency_us: 5}\n${topology}`)).deep.equal({
      bandwidthGbS: 40,
      latencyUs: 5,
      behindHostLink: 'where slower',
    })
  })

  it('takes the block sizes that --block-size takes, wherever they stand', async () => {
    const refused = async (text: string) => {
      const path = fileOf(text)
      const {message, suggestions} = await problemOf(() =>
        placeInstances(runRequest({cluster: path})),
      )
      return [message.replace(`${path}:`, ''), ...suggestions]
    }
    const rule = 'and vLLM takes multiples of 16 only.'
    expect(await refused('hardware: H100\nengine: {block_size: 17}\ninstances: [{}]\n')).deep.equal(
      [`2:22: engine.block_size is 17, ${rule}`, 'block_size: 16'],
    )
    expect(
      await refused('hardware: H100\ninstances:\n  - {}\n  - {engine: {block_size: 41}}\n'),
    ).deep.equal([`4:27: instances[1].engine.block_size is 41, ${rule}`, 'block_size: 48'])
  })

  it('needs both roles, or none', async () => {
    const [prefill, decode] = ['prefill', 'decode'].map(
      (role) => `hardware: H100\ninstances:\n  - role: ${role}\n`,
    )
    expect(await faultIn(prefill!)).include(
      'instances has prefill instances and none with role: decode',
    )
    expect(await faultIn(decode!)).include('has decode instances only: nobody runs the prompts')
  })

  it('runs, is checked, and says what it was', async () => {
    const argv = ['traces/chat.csv', '--cluster', fileOf(whole), '--no-save', '--check', '--json']
    const {stdout, exitCode, error} = await llmsim('simulate', ...argv)
    expect(exitCode, error?.message ?? stdout).equal(0)
    const {config, summary} = JSON.parse(stdout)
    expect(config.engines).length(5)
    expect(config.traffic).include({router: 'prefix-affinity', viewAgeMs: 100, stayBelow: 64})
    expect(summary.requests.completed).equal(300)
  }).timeout(60_000)

  it('tells what fails of an instance at the key of the instance, in words of the file', async () => {
    const refused = async (text: string, given: Partial<RunRequest> = {}) => {
      const path = fileOf(text)
      const found = await problemOf(() => deploy(runRequest({...given, cluster: path})))
      return [found.message.replace(`${path}:`, ''), ...found.suggestions]
    }
    const llama = 'hardware: H100\ninstances:\n  - {}\n'
    expect(await refused(`${llama}  - {count: 2, tp: 3}\n`)).deep.equal([
      '4:20: instances[1]: tp 3 does not divide meta-llama/Llama-3.1-8B-Instruct: 32 query heads, 8 KV heads, an MLP of 14336.',
      'tp may be 1, 2, 4, 8, 16, 32 for this model.',
    ])
    expect(await refused(`${llama}  - {engine: {max_model_len: 999999}}\n`)).deep.equal([
      '4:30: instances[1]: max_model_len 999999 is more than the 131072 positions of the model.',
      'max_model_len: 131072',
    ])
    expect(
      await refused(
        `${llama}  - {engine: {enable_chunked_prefill: false, max_num_batched_tokens: 2048}}\n`,
      ),
    ).deep.equal([
      '4:39: instances[1]: enable_chunked_prefill: false needs max_num_batched_tokens of at least max_model_len 131072, got 2048.',
      'max_num_batched_tokens: 131072',
      'max_model_len: 2048',
    ])
    expect(await refused(`engine: {max_model_len: 999999}\n${llama}`)).deep.equal([
      '1:25: instances[0]: max_model_len 999999 is more than the 131072 positions of the model.',
      'max_model_len: 131072',
    ])
    const [large] = await refused(`${llama}  - {model: meta-llama/Llama-3.1-70B}\n`)
    expect(large).match(/^4:5: instances\[1\]: meta-llama\/Llama-3.1-70B does not fit/)
    const fourteen = (gb: number) =>
      refused(
        `hardware: RTX4090\nmodel: Qwen/Qwen3-14B\nmemory: {cpu: {capacity_gb: ${gb}}}\ninstances: [{count: 2}]\n`,
      )
    expect((await fourteen(18)).join()).match(/--cpu-offload-gb 8 would fit/)
    expect((await fourteen(16)).join()).not.match(/--cpu-offload-gb/)
    // What a flag said is told as a flag.
    const [long] = await refused(llama, {engine: {maxModelLen: 999999}})
    expect(long).match(/^3:5: instances\[0\]: --max-model-len 999999 is more than/)
  })

  it('refuses a flag that it overrules for every instance', async () => {
    const refused = async (text: string, given: Partial<RunRequest>) => {
      const cluster = fileOf(text)
      const {code, message, suggestions} = await problemOf(() =>
        placeInstances(runRequest({...given, cluster})),
      )
      expect([code, suggestions]).deep.equal([
        'FLAG_CONFLICT',
        [`Leave ${message.split(' ')[0]} out, or change ${cluster}.`],
      ])
      return message
    }
    const rule =
      'and --cluster: the cluster file says it for every instance, so nothing would read the flag.'
    const all =
      'hardware: H100\nengine: {max_num_seqs: 9, all2all_backend: deepep_high_throughput}\ninstances: [{}, {}]\n'
    expect(await refused(all, {engine: {maxNumSeqs: 4}})).equal(`--max-num-seqs ${rule}`)
    expect(await refused(all, {engine: {all2allBackend: 'allgather_reducescatter'}})).equal(
      `--all2all-backend ${rule}`,
    )
    const each = 'hardware: H100\ninstances: [{engine: {scheduler_reserve_full_isl: true}}]\n'
    expect(await refused(each, {engine: {reserveFullPrompt: false}})).equal(
      `--scheduler-reserve-full-isl ${rule}`,
    )
    const model = 'Qwen/Qwen3-8B'
    expect(await refused(`model: ${model}\n${each}`, {model: 'Qwen/Qwen3-14B'})).equal(
      `--model ${rule}`,
    )
    // One that an instance leaves open is read.
    const open = fileOf(
      'hardware: H100\ninstances: [{engine: {max_num_seqs: 9}, model: Qwen/Qwen3-8B}, {}]\n',
    )
    const {instances} = await placeInstances(
      runRequest({cluster: open, model: 'Qwen/Qwen3-14B', engine: {maxNumSeqs: 4}}),
    )
    expect(
      instances.map(({instance}) => [instance.model.id, instance.settings.maxNumSeqs]),
    ).deep.equal([
      ['Qwen/Qwen3-8B', 9],
      ['Qwen/Qwen3-14B', 4],
    ])
  })

  it('takes the default of each weight of a router that it does not name', async () => {
    const {traffic} = await placeInstances(
      runRequest({
        cluster: fileOf(
          'hardware: H100\ninstances: [{count: 2}]\nrouter: {name: weighted, weights: {prefix: 1}}\n',
        ),
      }),
    )
    expect(traffic?.weights).deep.equal({...defaultWeights, prefix: 1})
  })

  it('says which memory of the file nothing lies in', async () => {
    const notesOf = async (more: string, given: Partial<RunRequest> = {}) => {
      const memory = 'memory: {cpu: {capacity_gb: 512}, cxl: {capacity_gb: 99, bandwidth_gb_s: 28}}'
      const cluster = fileOf(`hardware: H100\n${memory}\n${more}\n`)
      const {notes} = await placeInstances(runRequest({...given, cluster}))
      return notes.map((note) => note.replace(`${cluster}: `, ''))
    }
    const empty = (name: string) =>
      `memory.${name} changes nothing: no weights and no KV tier of an instance lie there.`
    expect(await notesOf('instances: [{}]')).deep.equal([empty('cpu'), empty('cxl')])
    expect(await notesOf('instances: [{}, {weights: [{blocks: 0-3, on: cxl}]}]')).deep.equal([
      empty('cpu'),
    ])
    expect(
      await notesOf('instances: [{}]\nkv_offload: {tiers: [{tier: cpu, capacity_gb: 8}]}'),
    ).deep.equal([empty('cxl')])
    expect(
      await notesOf('instances: [{}]', {weights: {place: {gib: 4}, prefetch: 'in place'}}),
    ).deep.equal([empty('cxl')])
  })

  it('names the instance whose hardware does not exist', async () => {
    const path = fileOf(whole.replace('A100', 'A1000'))
    const {error} = await llmsim('simulate', 'traces/chat.csv', '--cluster', path, '--no-save')
    expect(error?.message).include(
      `${path}:8:15: instances[1]: hardware: there is no accelerator "A1000"`,
    )
  })
})

describe('short forms of a cluster', () => {
  const summaryOf = async (...flags: string[]) => {
    const argv = [
      'traces/chat.csv',
      '--hardware',
      'H100',
      ...flags,
      '--no-save',
      '--check',
      '--json',
    ]
    const {stdout, exitCode, error} = await llmsim('simulate', ...argv)
    expect(exitCode, error?.message ?? stdout).equal(0)
    return JSON.parse(stdout)
  }

  it('--prefill 1 --decode 2: KV arrives later over a slower network', async () => {
    const fast = await summaryOf('--prefill', '1', '--decode', '2')
    const slow = await summaryOf('--prefill', '1', '--decode', '2', '--network-bandwidth', '1')
    const half = await summaryOf('--prefill', '1', '--decode', '2', '--network-bandwidth', '0.5')
    expect(half.summary.ttft_ms.mean).above(slow.summary.ttft_ms.mean)
    expect(fast.config.layout).include({npu: 3, instances: 3})
    expect(slow.summary.ttft_ms.mean).above(fast.summary.ttft_ms.mean + 10)
    const layered = await summaryOf(
      ...['--prefill', '1', '--decode', '2', '--network-bandwidth', '1', '--kv-stream', 'layer'],
    )
    expect(layered.summary.ttft_ms.mean).below(slow.summary.ttft_ms.mean)
  }).timeout(60_000)

  it('--decode-stay-below a longer prompt than any: nothing moves', async () => {
    const stays = await summaryOf(
      '--prefill',
      '1',
      '--decode',
      '1',
      '--decode-stay-below',
      '100000',
    )
    const alone = await summaryOf('--npu', '1')
    expect(stays.summary.ttft_ms).deep.equal(alone.summary.ttft_ms)
  }).timeout(60_000)

  it('--dp: ranks of a model with experts make their passes together', async () => {
    const {config, summary} = await summaryOf(
      '--model',
      'Qwen/Qwen3-30B-A3B',
      '--dp',
      '2',
      '--npu',
      '2',
    )
    expect(config.engines.map(({ep}: {ep: number}) => ep)).deep.equal([2, 2])
    expect(summary.requests.completed).equal(300)
  }).timeout(60_000)

  it('--dp and --pp: ranks of a model with experts have stages', async () => {
    const layout = ['--model', 'Qwen/Qwen3-30B-A3B', '--dp', '2', '--pp', '2', '--npu', '4']
    const {config, summary} = await summaryOf(...layout)
    expect(config.engines.map(({ep, pp}: {ep: number; pp: number}) => [ep, pp])).deep.equal([
      [2, 2],
      [2, 2],
    ])
    expect(summary.requests.completed).equal(300)
  }).timeout(60_000)
})
