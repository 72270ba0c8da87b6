/** Memory tiers as flags and files ask for them: sizes by hand, what cannot be, and a run that finds what it lost. */
import {expect} from 'chai'
import {kvOffloadOf} from '#llmsim/command-flags/kv-offload-flag.js'
import {readClusterYaml} from '#llmsim/study/cluster-file.js'
import {deploy} from '#llmsim/study/deployment.js'
import {describeEngines} from '#llmsim/study/describe.js'
import type {KvOffloadRequest} from '#llmsim/study/kv-tiers.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'
import {temporaryFiles} from '../support/temporary-files.js'

const {fileOf} = temporaryFiles('tiers')

const request = runRequest({hardware: 'A6000', frontEnd: 'none'})
const asked = (list: string): KvOffloadRequest => kvOffloadOf({'kv-offload': list})!
/** Llama-3.1-8B: 32 layers, 8 heads of 128 keys and values, 2 bytes, 16 tokens. */
const blockBytes = 32 * 8 * 128 * 2 * 2 * 16

describe('--kv-offload', () => {
  it('reads tiers with their sizes and how they are written', () => {
    expect(asked('cpu:64GiB,nvme:1.5TB:on-eviction').tiers).deep.equal([
      {kind: 'cpu', bytes: 64 * 2 ** 30, write: 'through', isShared: false},
      {kind: 'nvme', bytes: 1.5e12, write: 'on eviction', isShared: false},
    ])
    expect(kvOffloadOf({'kv-offloading-size': '8'})).deep.equal(asked('cpu:8GiB'))
    expect(kvOffloadOf({})).equal(undefined)
    expect(kvOffloadOf({'kv-offload': 'cpu:1GB', 'kv-offload-bandwidth': '55'})!.hostGbPerS).equal(
      55,
    )
  })

  const wrong: readonly (readonly [flags: Parameters<typeof kvOffloadOf>[0], says: RegExp])[] = [
    [{'kv-offload': 'disk:64GiB'}, /disk:64GiB: "disk" is none of cpu, cxl, nvme\./],
    [{'kv-offload': 'cpu'}, /cpu: "cpu" is not TIER:SIZE or TIER:SIZE:on-eviction\./],
    [{'kv-offload': 'cpu:64'}, /"64" is not a size above 0 with one of MB, GB, .*TiB\./],
    [{'kv-offload': 'cpu:0GB'}, /"0GB" is not a size above 0/],
    [{'kv-offload': 'cpu:-4GB'}, /"-4GB" is not a size above 0/],
    [{'kv-offload': 'cpu:4GB:later'}, /"later" is neither through nor on-eviction\./],
    [{'kv-offload': 'cpu:4GB,cpu:8GB'}, /cpu stands there twice\./],
    [{'kv-offload': 'nvme:4GB,cpu:8GB'}, /cpu is nearer to the device than the tier before it\./],
    [{'kv-offload': ''}, /"" is none of cpu, cxl, nvme/],
    [{'kv-offload': 'cpu:4GB', 'kv-offloading-size': '4'}, /both say what host memory is for/],
    [{'kv-offloading-size': 'lots'}, /--kv-offloading-size lots: it must be a number above 0\./],
    [{'kv-offload-bandwidth': '64'}, /--kv-offload-bandwidth without --kv-offload\./],
    [{'kv-offload': 'cpu:4GB', 'kv-offload-bandwidth': '0'}, /must be a number above 0\./],
  ]
  for (const [flags, says] of wrong)
    it(`refuses ${JSON.stringify(flags)}`, async () => {
      const {message} = await problemOf(() => kvOffloadOf(flags))
      expect(message).match(says)
    })
})

describe('tiers of a deployment', () => {
  it('hold whole blocks, over all devices of the engine', async () => {
    const {tiers} = await deploy({...request, kvOffload: asked('cpu:1GiB')})
    expect(tiers[0]!.tiers[0]!.blocks).equal(2 ** 30 / blockBytes)
    const cut = await deploy({...request, layout: {tp: 2}, kvOffload: asked('cpu:1GiB')})
    expect(cut.tiers[0]!.tiers[0]!.blocks).equal(2 ** 30 / blockBytes)
  })

  it('load over the links of all devices, each its part', async () => {
    const read = {instance: 0, tier: 0, direction: 'read'} as const
    const timeOf = async (tp: number) => {
      const {tiers} = await deploy({...request, layout: {tp}, kvOffload: asked('cpu:1GiB')})
      const links = tiers[0]!.links()
      return links.nextOf(links.start(read, 100, 0))
    }
    // PCIe 4 of the file: 32 GB/s a device.
    expect(await timeOf(1)).equal((100 * blockBytes) / 32)
    expect(await timeOf(2)).equal((100 * blockBytes) / 64)
  })

  it('count what each rank keeps of a latent', async () => {
    const model = 'deepseek-ai/DeepSeek-V3'
    const settings = {...request, model, hardware: 'B300', latency: 'datasheet' as const}
    const link = {...asked('cpu:100GiB'), hostGbPerS: 64}
    const {tiers, engines} = await deploy({...settings, layout: {tp: 8}, kvOffload: link})
    // 61 layers, latent 512 and position 64, 2 bytes, on each of 8 ranks.
    const bytes = 8 * 61 * 576 * 2 * engines[0]!.settled.config.blockSize
    expect(tiers[0]!.tiers[0]!.blocks).equal(Math.floor((100 * 2 ** 30) / bytes))
  })

  const refused: readonly (readonly [given: Partial<typeof request>, says: RegExp])[] = [
    [{compat: 'llmservingsim'}, /--compat llmservingsim: its second tier is not repeated/],
    [{engine: {enablePrefixCaching: false}}, /--no-enable-prefix-caching: a tier is looked up/],
    [{engine: {reserveFullPrompt: false}}, /--no-scheduler-reserve-full-isl: what is loaded/],
    [{kvOffload: asked('cpu:1MB')}, /cpu has 1 MB, but one block of 16 tokens takes 2\.1 MB/],
    [{hardware: 'MI300X'}, /Missing --kv-offload-bandwidth GB\/S: the file of MI300X has no PCIe/],
    [{pim: {spec: 'DDR4_8GB_3200_pim', subBatches: false}}, /--pim: both would keep the KV/],
  ]
  for (const [given, says] of refused)
    it(`is refused: ${says.source}`, async () => {
      const {message} = await problemOf(() =>
        deploy({...request, kvOffload: asked('cpu:4GB'), ...given}),
      )
      expect(message).match(says)
    })
})

describe('kv_offload of a cluster file', () => {
  const file = (rest: string) => `hardware: A6000
instances: [{count: 2}, {tp: 2}]
${rest}`

  it('is for all instances that name none, shared or not', async () => {
    const cluster = fileOf(`hardware: A6000
kv_offload:
  host_link_gb_s: 20
  tiers:
    - {tier: cpu, capacity_gb: 8}
    - {tier: nvme, capacity_gb: 100, write: on eviction, shared: true, read_gb_s: 12, max_pending_gb: 2}
instances:
  - {count: 2}
  - {kv_offload: {tiers: []}}
`)
    const {tiers} = await deploy(runRequest({frontEnd: 'none', cluster}))
    expect(tiers.map((of) => of?.tiers.map(({pool}) => pool))).deep.equal([
      ['cpu of 0', 'nvme'],
      ['cpu of 1', 'nvme'],
      undefined,
    ])
    expect(new Set(tiers.map((of) => of?.group))).deep.equal(new Set(['all', undefined]))
    const [, nvme] = tiers[0]!.tiers
    expect([nvme!.write, nvme!.maxPending]).deep.equal([
      'on eviction',
      Math.floor(2e9 / blockBytes),
    ])
  })

  const shared = file('kv_offload: {tiers: [{tier: cpu, capacity_gb: 8, shared: true}]}')
  const own = (rest: string) =>
    `kv_offload: {tiers: [{tier: cpu, capacity_gb: 8, shared: true${rest}}]}`
  const unlike: readonly (readonly [name: string, text: string, says: RegExp])[] = [
    [
      'block sizes',
      shared.replace('{tp: 2}', '{engine: {block_size: 32}}'),
      /unlike\.yaml:2:\d+: instances\[1\]: kv_offload: a shared tier holds blocks of one kind, but there are .*blocks of 16.*32/,
    ],
    [
      'cuts',
      shared,
      /unlike\.yaml:2:\d+: instances\[1\]: .*one kind, but there are .*tp 1, pp 1.* and .*tp 2, pp 1/,
    ],
    [
      'sizes of the pool',
      `hardware: A6000\ninstances: [{${own('')}}, {${own('').replace('8', '9')}}]\n`,
      /unlike\.yaml:2:\d+: instances\[1\]: kv_offload: the shared cpu is one memory, but it is told as 8 GB, .* and as 9 GB/,
    ],
    [
      'rates of the pool',
      `hardware: A6000\ninstances: [{${own('')}}, {${own(', read_gb_s: 4')}}]\n`,
      /unlike\.yaml:2:\d+: instances\[1\]: .*told as 8 GB, 307\/307 GB\/s, 10 µs and as 8 GB, 4\/307 GB\/s, 10 µs/,
    ],
    [
      'tiers and blocks: one is larger',
      'hardware: A6000\ninstances: [{kv_offload: {tiers: [{tier: cpu, capacity_gb: 0.001}]}}]\n',
      /unlike\.yaml:2:26: instances\[0\]: kv_offload: cpu has 1 MB, but one block .* takes 2\.1 MB/,
    ],
    [
      'wishes: tiers without a prefix cache',
      `${shared.replace('{tp: 2}', '{}')}\nengine: {enable_prefix_caching: false}\n`,
      /unlike\.yaml:3:13: instances\[0\]: kv_offload and enable_prefix_caching: false/,
    ],
  ]
  for (const [name, text, says] of unlike)
    it(`tells of different ${name}`, async () => {
      const cluster = fileOf(text.endsWith('\n') ? text : `${text}\n`, 'unlike.yaml')
      const {message} = await problemOf(() => deploy(runRequest({frontEnd: 'none', cluster})))
      expect(message).match(says)
    })

  it('has a line in the head for engines that are alike', async () => {
    const cluster = fileOf(`hardware: A6000
kv_offload: {tiers: [{tier: cpu, capacity_gb: 1500}]}
instances: [{count: 2}, {kv_offload: {tiers: []}}, {kv_offload: {tiers: [{tier: nvme, capacity_gb: 8}]}}]
`)
    const lines = describeEngines(await deploy(runRequest({frontEnd: 'none', cluster})))
    expect(lines.filter((line) => line.startsWith('KV below'))).deep.equal([
      'KV below engines 0, 1: cpu 1.5 TB (715,255 blocks, 307/307 GB/s read/write, written through); host link 32 GB/s a device',
      'KV below engine 3: nvme 8 GB (3,814 blocks, 6.5/3.5 GB/s read/write, written through); host link 32 GB/s a device',
    ])
  })

  const faults: readonly (readonly [text: string, says: RegExp])[] = [
    [
      '{tiers: [{tier: disk, capacity_gb: 8}]}',
      /3:29: kv_offload\.tiers\[0\]\.tier must be one of cpu/,
    ],
    ['{tiers: [{tier: cpu}]}', /kv_offload\.tiers\[0\]\.capacity_gb is missing/],
    ['{tiers: [{tier: cpu, capacity_gb: 0}]}', /3:47: .*capacity_gb must be above 0/],
    ['{tiers: [{tier: cpu, capacity_gb: 1, size: 3}]}', /tiers\[0\]\.size is not a known key/],
    ['{tier: []}', /kv_offload\.tier is not a known key/],
    [
      '{tiers: [{tier: nvme, capacity_gb: 1}, {tier: cxl, capacity_gb: 2}]}',
      /tiers\[1\]\.tier is cxl, nearer to the device than the tier before it/,
    ],
    [
      '{tiers: [{tier: cpu, capacity_gb: 1}, {tier: cpu, capacity_gb: 2}]}',
      /tiers\[1\]\.tier stands there twice: cpu/,
    ],
  ]
  for (const [text, says] of faults)
    it(`tells where ${text} is wrong`, async () => {
      const path = fileOf(file(`kv_offload: ${text}`))
      const {code, message} = await problemOf(() => readClusterYaml(path))
      expect(code).equal('CLUSTER_BAD_FILE')
      expect(message).match(says)
    })
})

describe('a run with tiers', () => {
  // Two long prompts take turns on a device that has room for one of them.
  const rows = Array.from({length: 6}, (_, i) =>
    JSON.stringify({
      timestamp: 20_000 * i,
      input_length: 512 * 8,
      output_length: 4,
      hash_ids: Array.from({length: 8}, (_, k) => 100 * (i % 2) + k),
    }),
  )
  const trace = fileOf(`${rows.join('\n')}\n`, 'turns.jsonl')
  const argv = ['simulate', trace, '--hardware', 'A6000', '--no-save', '--check']
  const small = ['--num-gpu-blocks-override', '300', '--max-model-len', '4600']

  it('finds in the tier what the device lost, sooner than it is computed', async () => {
    type Told = {summary: Record<string, never>}
    const without = await llmsim<Told>(...argv, ...small, '--json')
    const within = await llmsim<Told>(...argv, ...small, '--kv-offload', 'cpu:8GB', '--json')
    const read = ({result}: {result?: Told}) => result!.summary as never as RunSummary
    expect(read(without).kv_tiers).equal(undefined)
    const {kv_tiers, ttft_ms, prefix_cache} = read(within)
    // Four of six prompts come again; all but the last block of 16 tokens of each.
    expect(kv_tiers!.tiers[0]!.hit_tokens + prefix_cache.hit_rate * 6 * 4096).equal(4 * (4096 - 16))
    expect(kv_tiers!.loads).equal(4)
    expect(ttft_ms.p50).below(read(without).ttft_ms.p50 / 3)
  })

  it('shows it, and says what there is', async () => {
    const {stdout} = await llmsim(...argv, ...small, '--kv-offload', 'cpu:8GB')
    expect(stdout).match(/KV below the device: cpu 8 GB \(3,814 blocks/)
    expect(stdout).match(/KV in cpu +hits \d+ % of prompt tokens/)
    expect(stdout).match(/KV loads +4, [\d.]+ ms on average/)
  })
})

interface RunSummary {
  readonly kv_tiers?: {
    readonly loads: number
    readonly tiers: readonly {readonly hit_tokens: number}[]
  }
  readonly prefix_cache: {readonly hit_rate: number}
  readonly ttft_ms: {readonly p50: number}
}
