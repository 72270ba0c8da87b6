/** LLMServingSim's PIM: by hand, whom the engine says to decode, and what a file may not say. */
import {expect} from 'chai'
import {readClusterFile} from '#llmsim/compat/cluster-json.js'
import {hostCopies} from '#llmsim/compat/llmservingsim.js'
import {DecodingPrompts, pimStep, slowestChannel} from '#llmsim/compat/pim-attention.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'
import {noCollectives, ProfileTimes} from '#llmsim/latency/profile/profile.js'
import {deploy} from '#llmsim/study/deployment.js'
import {together} from '#llmsim/study/listeners.js'
import {defaultModel, type RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {llama8b} from '../latency/models.js'
import {decodes, shapeOf} from '../latency/shapes.js'
import {clusterFile, clusterOf, instance, type Json, removeClusterFiles} from './cluster-file.js'

after(removeClusterFiles)

const flat = (ns: number) => ({at: [1], timeUs: [ns / 1000]})
const bundle = {
  ...{path: 'bundle/tp1', hardware: 'TestGPU', vllmVersion: '0.19.0'},
  ...{sweptTokens: 2048, sweptSequences: 256, moe: undefined, skew: undefined},
  dense: new Map([['embedding', flat(1000)]]),
  perSequence: new Map([['sampler', flat(30)]]),
  attention: [{prefillChunk: 16, kvPrefill: 0, decodes: 0, kvDecode: 0, timeUs: 0.05}],
}
const layers = 3

const stepWith = (prompts: DecodingPrompts, channels = 64) => {
  const times = new ProfileTimes(
    {bundle, layers, experts: undefined, ep: 1, skip: []},
    noCollectives,
  )
  const request = {
    host: {...hostOf(), channels},
    model: llama8b,
    layers,
    bytesPerElement: 2,
    times,
    copies: hostCopies({bandwidthGb: 1638.4, latencyNs: 200}, 2),
    prompts,
  }
  return {request, step: pimStep(request)}
}

const fileWith = (change: (file: Json) => void): string => {
  const file: Json = clusterOf({...instance(), enable_attn_offloading: true})
  file.nodes[0].cpu_mem = {
    ...{mem_size: 512, mem_bw: 256, mem_latency: 0},
    pim_config: 'DDR4_8GB_3200_pim',
  }
  change(file)
  return clusterFile(file)
}
const hostOf = () => readClusterFile(fileWith(() => undefined)).instances[0]!.pim!

/** Slots 0, 1, … with prompts of these lengths decode since the batch before. */
const decoding = (...lengths: number[]): DecodingPrompts => {
  const prompts = new DecodingPrompts()
  const requests = new RequestPool()
  requests.input = Int32Array.from(lengths)
  const listener = prompts.listen(requests)
  for (const slot of lengths.keys()) listener.tokensFrom!(slot, 1)
  listener.batchEnded!(1, 0)
  return prompts
}

describe("LLMServingSim's attention in PIM memory", () => {
  it('makes the host memory of all its channels', () => {
    expect(readClusterFile(fileWith(() => undefined)).instances[0]!.hostMemory).deep.equal({
      bandwidthGb: 64 * 25.6,
      latencyNs: 22 * 0.63,
    })
  })

  it('takes 4,250 + 13 + 1 ns for a prompt of 10', () => {
    const {request} = stepWith(decoding(10))
    expect(slowestChannel(request, [10])).equal(4264)
  })

  it('lays pieces on the channel with the fewest prompt tokens, the longest prompt first', () => {
    const {request} = stepWith(decoding(), 8)
    const alone = (prompt: number, of = request) => slowestChannel(of, [prompt])
    // Each prompt is cut over all 8 channels.
    expect(slowestChannel(request, [900, 20, 10])).equal(alone(900) + alone(20) + alone(10))
    const two = stepWith(decoding(), 16).request
    expect(slowestChannel(two, [900, 20, 10])).equal(alone(900, two))
    expect(slowestChannel(two, [30, 20, 15])).equal(alone(20, two) + alone(15, two))
  })

  it('adds to the kernels of a step with decodes, and never grows', () => {
    const {step} = stepWith(decoding(10))
    const attention = 333.2538 * 10 + 30_675.2739
    const piece = Math.trunc(attention / 8) + 13 + 1
    const expected = 200 + 1000 + layers * piece + 30 + 200
    expect(step(decodes(1, 10))).equal(expected)
    expect(step(decodes(1, 5000))).equal(expected)
  })

  it('lets prompts attend while token ids are copied, if nobody decodes', () => {
    const {step} = stepWith(new DecodingPrompts())
    // 3 layers of 50 ns lie beside the copy of 200.
    const prompt = shapeOf({chunks: [[16, 0]]})
    expect(step(prompt)).equal(200 - 150 + 1000 + 150 + 30 + 200)
  })

  it('knows who decodes from the engine', () => {
    const prompts = new DecodingPrompts()
    const requests = new RequestPool()
    requests.input = Int32Array.from([7, 5, 9])
    const {tokensFrom, tokensUntil, batchEnded} = prompts.listen(requests)
    tokensFrom!(0, 1)
    batchEnded!(1, 0)
    tokensFrom!(1, 2)
    // Of two, the one that joined in this batch must have had a chunk of one token.
    expect(prompts.of(1)).deep.equal([7])
    expect(prompts.of(2)).deep.equal([7, 5])
    batchEnded!(2, 0)
    tokensUntil!(0, 2)
    tokensFrom!(2, 3)
    expect(prompts.of(1)).deep.equal([5])
    batchEnded!(3, 0)
    expect(prompts.of(2)).deep.equal([9, 5])
  })

  it('does not take the word of the engine from others who listen', () => {
    const heard: string[] = []
    const one = {tokensFrom: () => void heard.push('one'), batchEnded: () => void heard.push('end')}
    const all = together([one, {}, {tokensFrom: (slot: number) => void heard.push(`two ${slot}`)}])
    all.tokensFrom!(3, 1)
    all.batchEnded!(1, 0)
    expect(heard).deep.equal(['one', 'two 3', 'end'])
    expect(all.chunkPlanned).equal(undefined)
  })
})

describe('PIM in a cluster file', () => {
  const wrong: readonly (readonly [string, (file: Json) => void, string])[] = [
    [
      'an unknown device',
      (file) => (file.nodes[0].cpu_mem.pim_config = 'DDR4'),
      'nodes[0].cpu_mem.pim_config must be one of DDR4_8GB_3200_pim',
    ],
    [
      'a memory smaller than a channel',
      (file) => (file.nodes[0].cpu_mem.mem_size = 4),
      'nodes[0].cpu_mem.mem_size is less than a channel of DDR4_8GB_3200_pim',
    ],
    [
      'attention in memory that does not compute',
      (file) => delete file.nodes[0].cpu_mem.pim_config,
      'enable_attn_offloading needs pim_config in the cpu_mem of its node',
    ],
  ]
  for (const [title, change, rule] of wrong) {
    it(title, async () => {
      const {code, message} = await problemOf(() => readClusterFile(fileWith(change)))
      expect(code).equal('CLUSTER_BAD_FILE')
      expect(message).contain(rule)
    })
  }

  it('is not used unless an instance asks for it', () => {
    const path = fileWith((file) => delete file.nodes[0].instances[0].enable_attn_offloading)
    expect(readClusterFile(path).instances[0]!.pim).equal(undefined)
  })

  const run: RunRequest = {
    ...{model: defaultModel, layout: {}, engine: {}, latency: 'roofline', policy: 'fcfs'},
    ...{frontEnd: 'none', seed: 0},
  }

  it('without --compat is PIM as it is modelled here, its channels shared out', async () => {
    const two = fileWith((file) =>
      Object.assign(file.nodes[0].instances[0], {num_npus: 2, tp_size: 2}),
    )
    const {engines} = await deploy({...run, cluster: two})
    expect(engines[0]!.instance.pim?.channels).equal(32)
    expect(engines[0]!.latency.provenance.map(({term}) => term)).contain('attention of decodes')
  })

  it('with --compat needs a profile', async () => {
    const cluster = fileWith(() => undefined)
    const {code, message} = await problemOf(() =>
      deploy({...run, cluster, compat: 'llmservingsim'}),
    )
    expect(code).equal('NOT_BUILT')
    expect(message).contain('enable_attn_offloading')
  })
})
