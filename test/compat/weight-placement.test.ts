/** Weights that LLMServingSim streams in every step: by hand, and what a file may not say. */
import {expect} from 'chai'
import {readClusterFile} from '#llmsim/compat/cluster-json.js'
import {hostCopies} from '#llmsim/compat/llmservingsim.js'
import {streamedStep} from '#llmsim/compat/weight-placement.js'
import {noCollectives, ProfileTimes} from '#llmsim/latency/profile/profile.js'
import {deploy} from '#llmsim/study/deployment.js'
import {defaultModel, type RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {llama8b} from '../latency/models.js'
import {decodes} from '../latency/shapes.js'
import {clusterFile, clusterOf, instance, removeClusterFiles} from './cluster-file.js'

after(removeClusterFiles)

const flat = (ns: number) => ({at: [1], timeUs: [ns / 1000]})
const dense = {
  ...{embedding: 1000, layernorm: 10, qkv_proj: 100, rotary_emb: 1, o_proj: 200},
  ...{gate_up_proj: 400, act_fn: 5, down_proj: 800, final_layernorm: 2000},
}
const bundle = {
  ...{path: 'bundle/tp1', hardware: 'TestGPU', vllmVersion: '0.19.0'},
  ...{sweptTokens: 2048, sweptSequences: 256, moe: undefined, skew: undefined},
  dense: new Map(Object.entries(dense).map(([name, ns]) => [name, flat(ns)])),
  perSequence: new Map([
    ['lm_head', flat(3000)],
    ['sampler', flat(30)],
  ]),
  attention: [{prefillChunk: 0, kvPrefill: 0, decodes: 1, kvDecode: 16, timeUs: 50}],
}
const layers = 2
const request = {bundle, layers, experts: undefined, ep: 1, skip: []}
const copies = hostCopies({bandwidthGb: 256, latencyNs: 100}, 2)
const memory = {bandwidthGb: 60, latencyNs: 250}

const stepWith = (placement: {
  default: string
  blocks?: Map<number, string>
  layers?: Map<string, string>
}) =>
  streamedStep(new ProfileTimes(request, noCollectives), copies, {
    placement: {blocks: new Map(), layers: new Map(), ...placement},
    model: llama8b,
    bytesPerElement: 2,
    host: {bandwidthGb: 100, latencyNs: 0},
    cxl: memory,
  })
const shape = decodes(1, 16)
const block = 10 + 100 + 1 + 50_000 + 200 + 10 + 400 + 5 + 800
/** Of one load of so many elements from CXL. */
const load = (elements: number) => 250 + Math.floor((elements * 2) / 60)
const h = 4096

describe('weights off the device', () => {
  it('on the device cost nothing more', () => {
    const {stepTime} = stepWith({default: 'npu'})
    expect(stepTime(shape)).equal(100 + 1000 + layers * block + 2000 + 3000 + 30 + 100)
  })

  it('of one layer by name come before its kernel; the name goes before the block', () => {
    const {stepTime} = stepWith({
      default: 'npu',
      blocks: new Map([[1, 'npu']]),
      layers: new Map([['lm_head', 'cxl:0']]),
    })
    expect(stepTime(shape)).equal(100 + load(h * 128_256) + 3000 + 30 + 100)
  })

  it('come one after the other from one memory, and side by side from two', () => {
    const blocks = (first: string, second: string) =>
      stepWith({
        default: 'npu',
        blocks: new Map([
          [0, first],
          [1, second],
        ]),
      }).stepTime(shape)
    const weights = [h, h * 6144, h * h, h, h * 2 * 14_336, h * 14_336]
    const all = weights.reduce((sum, elements) => sum + load(elements), 0)
    // Behind the last load only its own kernel and the head are left.
    const tail = 800 + 2000 + 3000 + 30 + 100
    expect(blocks('cxl:0', 'cxl:0')).equal(100 + 2 * all + tail)
    // Two memories end together: then the second block is run whole.
    expect(blocks('cxl:0', 'cxl:1')).equal(100 + all + 800 + block + 2000 + 3000 + 30 + 100)
  })

  it('show the ends of loads and kernels to others', () => {
    const {nodeEnds, stepTime} = stepWith({default: 'npu', layers: new Map([['lm_head', 'cpu']])})
    const end = 100 + Math.floor((h * 128_256 * 2) / 100)
    expect(nodeEnds(shape, 1)).equal(100)
    expect(nodeEnds(shape, 101)).equal(1100)
    expect(nodeEnds(shape, end - 1)).equal(end)
    expect(nodeEnds(shape, end + 1)).equal(end + 3000)
    expect(nodeEnds(shape, stepTime(shape))).equal(stepTime(shape))
  })
})

describe('a placement in a cluster file', () => {
  const fileWith = (placement: unknown) =>
    clusterFile({
      ...clusterOf({...instance(), placement}),
      cxl_mem: {mem_size: 1024, mem_latency: 250, mem_bw: 60, num_devices: 2},
    })
  const read = (placement: unknown) => readClusterFile(fileWith(placement)).instances[0]!.placement

  it('is read with its ranges', () => {
    const blocks = [{blocks: '0-2, 5', weights: 'cxl:1'}]
    const placement = read({
      default: {weights: 'cpu'},
      blocks,
      layers: {lm_head: {weights: 'npu'}},
    })!
    expect(placement.default).equal('cpu')
    expect([...placement.blocks.keys()]).deep.equal([0, 1, 2, 5])
    expect(placement.layers.get('lm_head')).equal('npu')
  })

  it('that leaves everything on the device is none', () => {
    expect(read({default: {weights: 'npu'}})).equal(undefined)
    expect(read(null)).equal(undefined)
  })

  const wrong: readonly (readonly [unknown, string])[] = [
    [{default: {weights: 'disk'}}, 'default.weights must be npu, cpu or cxl:N, got "disk"'],
    [{default: {weights: 'cxl:2'}}, 'default.weights is cxl:2, but cxl_mem has 2 devices'],
    [{blocks: [{blocks: '3-1', weights: 'cpu'}]}, 'blocks[0].blocks must be numbers and ranges'],
    [{blocks: [{blocks: 'all', weights: 'cpu'}]}, 'blocks[0].blocks must be numbers and ranges'],
    [{layers: {lm_head: 'cpu'}}, 'layers.lm_head must be an object'],
  ]
  for (const [placement, rule] of wrong) {
    it(rule, async () => {
      const {code, message} = await problemOf(() => read(placement))
      expect(code).equal('CLUSTER_BAD_FILE')
      expect(message).contain(`placement.${rule}`)
    })
  }

  it('without cxl_mem names no device', async () => {
    const placed = {...instance(), placement: {default: {weights: 'cxl:0'}}}
    const {message} = await problemOf(() => readClusterFile(clusterFile(clusterOf(placed))))
    expect(message).contain('is cxl:0, but cxl_mem has 0 devices')
  })

  const given = (placement: unknown): RunRequest => ({
    ...{model: defaultModel, layout: {}, engine: {}, latency: 'roofline', policy: 'fcfs'},
    ...{frontEnd: 'none', seed: 0, cluster: fileWith(placement)},
  })

  it('is refused under its clock without a profile', async () => {
    const placed = {...given({default: {weights: 'cpu'}}), compat: 'llmservingsim' as const}
    const {code, message} = await problemOf(() => deploy(placed))
    expect(code).equal('NOT_BUILT')
    expect(message).match(/placement: weights off the device: that clock .* a profile only/)
  })

  it('holds on our own clock, where weights are fetched ahead over the link of the device', async () => {
    const blocks = [{blocks: '0-7, 40', weights: 'cpu'}]
    const head = {lm_head: {weights: 'cxl:1'}}
    const {weights, settled} = (await deploy(given({blocks, layers: head}))).engines[0]!
    const blockBytes = 2 * (2 * h * h + h * 2048 + 3 * h * 14_336 + 2 * h)
    const tableBytes = 2 * h * 128_256
    expect(settled.memory!.offloadedBytes).equal(8 * blockBytes + tableBytes)
    // PCIe 4 of the device is slower than both memories: 50 and 60 GB/s, 7 and 250 ns.
    expect(weights!.shares).deep.equal([
      {cpu: {gbPerS: 32, latencyNs: 7}, cxl: {gbPerS: 32, latencyNs: 250}},
    ])
    expect(weights!.streams[0]!.blocks.map(({loadNs}) => loadNs)).deep.equal([
      ...Array.from({length: 8}, () => 7 + blockBytes / 32),
      ...Array.from({length: 24}, () => 0),
    ])
    expect(weights!.streams[0]!.head.loadNs).equal(250 + tableBytes / 32)
  })

  it('that tears a part of a block apart is refused on our own clock', async () => {
    const torn = {layers: {o_proj: {weights: 'cpu'}}}
    const {code, message} = await problemOf(() => deploy(given(torn)))
    expect(code).equal('NOT_BUILT')
    expect(message).include('placement: qkv_proj and o_proj lie in different places')
  })
})
