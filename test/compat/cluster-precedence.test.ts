/** What an engine of a cluster file becomes: its own fields before flags, flags before LLMServingSim's defaults. */
import {cpSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {defaultModel, type EngineSettings, type RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {decodes} from '../latency/shapes.js'
import {root} from '../support/cli.js'
import {clusterFile, clusterOf, instance, removeClusterFiles} from './cluster-file.js'

const requestOf = (cluster: string, engine: EngineSettings = {}): RunRequest => ({
  model: defaultModel,
  layout: {},
  engine,
  latency: 'roofline',
  cluster,
  compat: 'llmservingsim',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
})

/** The engine of a file with one instance, with these fields of its own. */
const engineOf = async (
  own: object,
  engine: EngineSettings = {},
  over: Partial<RunRequest> = {},
) => {
  const file = clusterFile(clusterOf({...instance(), ...own}))
  return (await deploy({...requestOf(file, engine), ...over})).engines[0]!
}

/** What the cases below look at. */
const flatOf = ({settled, instance: placed}: Awaited<ReturnType<typeof engineOf>>) => ({
  ...settled.config,
  utilization: settled.gpuMemoryUtilization,
  weights: placed.model.quantization?.dtype ?? placed.model.dtype,
})

type Case = readonly [
  own: object,
  flags: EngineSettings,
  field: keyof ReturnType<typeof flatOf>,
  value: unknown,
]

const memory = (mem_util: number) => ({npu_mem: {...instance().npu_mem, mem_util}})

const cases: readonly Case[] = [
  [{}, {}, 'maxNumSeqs', 128],
  [{}, {maxNumSeqs: 7}, 'maxNumSeqs', 7],
  [{max_num_seqs: 5}, {maxNumSeqs: 7}, 'maxNumSeqs', 5],
  [{max_num_seqs: 0}, {maxNumSeqs: 7}, 'maxNumSeqs', Number.MAX_SAFE_INTEGER],
  [{}, {}, 'maxNumBatchedTokens', 2048],
  [{}, {maxNumBatchedTokens: 700}, 'maxNumBatchedTokens', 700],
  [{max_num_batched_tokens: 500}, {maxNumBatchedTokens: 700}, 'maxNumBatchedTokens', 500],
  // No limit is the model's longest context.
  [{max_num_batched_tokens: 0}, {}, 'maxNumBatchedTokens', 131_072],
  [{}, {}, 'longPrefillTokenThreshold', 0],
  [{}, {longPrefillTokenThreshold: 70}, 'longPrefillTokenThreshold', 70],
  [
    {long_prefill_token_threshold: 5},
    {longPrefillTokenThreshold: 70},
    'longPrefillTokenThreshold',
    5,
  ],
  [{}, {}, 'blockSize', 16],
  [{}, {blockSize: 32}, 'blockSize', 32],
  [{block_size: 64}, {blockSize: 32}, 'blockSize', 64],
  [{}, {}, 'enableChunkedPrefill', true],
  [{}, {enableChunkedPrefill: false}, 'enableChunkedPrefill', false],
  [{enable_chunked_prefill: true}, {enableChunkedPrefill: false}, 'enableChunkedPrefill', true],
  [{}, {}, 'enablePrefixCaching', true],
  [{}, {enablePrefixCaching: false}, 'enablePrefixCaching', false],
  [{enable_prefix_caching: true}, {enablePrefixCaching: false}, 'enablePrefixCaching', true],
  [{}, {}, 'reserveFullPrompt', true],
  [{}, {reserveFullPrompt: false}, 'reserveFullPrompt', false],
  [{reserve_full_isl: true}, {reserveFullPrompt: false}, 'reserveFullPrompt', true],
  [{}, {}, 'utilization', 0.9],
  [{}, {gpuMemoryUtilization: 0.95}, 'utilization', 0.95],
  [memory(0.833919), {gpuMemoryUtilization: 0.95}, 'utilization', 0.833919],
  [{}, {}, 'weights', 'bf16'],
  [{}, {dtype: 'fp8'}, 'weights', 'fp8'],
  [{dtype: 'bfloat16'}, {dtype: 'fp8'}, 'weights', 'bf16'],
]

describe('an engine of a cluster file', () => {
  after(removeClusterFiles)

  for (const [own, flags, field, value] of cases) {
    it(`file ${JSON.stringify(own)}, flags ${JSON.stringify(flags)}: ${field}`, async () => {
      expect(flatOf(await engineOf(own, flags))[field]).equal(value)
    })
  }

  it('has its own model and hardware, not those of the flags', async () => {
    const {instance: placed} = await engineOf({})
    expect(placed.model.id).include('Llama-3.1-8B')
    expect(placed.hardwareName).equal('RTX4090')
  })

  it('has KV blocks as LLMServingSim counts them, unless a flag sets them', async () => {
    const own = memory(0.833919)
    expect((await engineOf(own)).settled.config.numGpuBlocks).equal(2588)
    expect((await engineOf(own, {numGpuBlocksOverride: 99})).settled.config.numGpuBlocks).equal(99)
  })

  it('without --compat counts blocks as vLLM does, in the memory that the file gives', async () => {
    const blocks = async (mem_size: number) =>
      (await engineOf({npu_mem: {mem_size, mem_bw: 1008}}, {}, {compat: undefined})).settled.config
        .numGpuBlocks
    const [small, large] = [await blocks(20), await blocks(24)]
    expect(small).lessThan(large)
    // Activations and the runtime take their part.
    expect(large).lessThan((await engineOf({})).settled.config.numGpuBlocks)
  })

  it('runs synchronously, without a front end and without host terms', async () => {
    const file = clusterFile(clusterOf(instance()))
    const {replicas} = await deploy(requestOf(file))
    expect(replicas[0]!.engine.depth).equal(1)
    expect(replicas[0]!.frontEnd).deep.equal({delayNs: 0, perTokenNs: 0, afterNs: 0})
    const plain = await deploy({...requestOf(file), compat: undefined})
    expect(plain.replicas[0]!.engine.depth).equal(2)
    expect(plain.replicas[0]!.frontEnd!.delayNs).greaterThan(0)
    const [compat, real] = [replicas, plain.replicas].map((all) =>
      all[0]!.stepTime(decodes(8, 500)),
    )
    expect(compat).lessThan(real!)
  })

  it('spreads experts over its tensor-parallel ranks unless the file says otherwise', async () => {
    const moe = {
      model_name: 'Qwen/Qwen3-30B-A3B-Instruct-2507',
      npu_mem: {mem_size: 96, mem_bw: 1597, mem_latency: 0},
      num_npus: 2,
      tp_size: 2,
    }
    expect((await engineOf(moe)).instance.ep).equal(2)
    expect((await engineOf({...moe, ep_size: 1})).instance.ep).equal(1)
    expect((await engineOf({tp_size: 2, num_npus: 2})).instance.ep).equal(1)
  })

  it('may be on a device that only a profile knows', async () => {
    const profiles = mkdtempSync(join(tmpdir(), 'llmsim-profiles-'))
    const from = join(root, 'test/fixtures/profiles/TestGPU/Acme/Tiny-1B')
    cpSync(from, join(profiles, 'TestGPU/meta-llama/Llama-3.1-8B'), {recursive: true})
    const own = {hardware: 'TestGPU'}
    const {instance: placed, latency} = await engineOf(own, {}, {latency: 'profile', profiles})
    expect(placed.hardware).equal(undefined)
    // 2 + 32·(2·1.5 + 10 + 1 + 8 + 30 + 2 + 15 + 5) + 1.25 + 100 + 20 µs, and two copies of 7 ns latency.
    expect(latency.stepTime(decodes(1, 16))).equal(2000 + 32 * 74_000 + 1250 + 120_000 + 14)
    const problem = await problemOf(() => engineOf(own, {}, {latency: 'roofline'}))
    expect(problem.code).equal('LATENCY_UNAVAILABLE')
    const unknown = await problemOf(() => engineOf(own, {}, {compat: undefined}))
    expect(unknown.code).equal('HARDWARE_UNKNOWN')
    rmSync(profiles, {recursive: true})
  })

  it('takes the collectives of the first instance: one network, one memory bandwidth', async () => {
    const two = {num_npus: 2, tp_size: 2}
    const slow = {...instance(), ...two, npu_mem: {mem_size: 24, mem_bw: 1}}
    const fast = {...instance(), ...two}
    const times = async (...instances: object[]) => {
      const profiles = mkdtempSync(join(tmpdir(), 'llmsim-profiles-'))
      const from = join(root, 'test/fixtures/profiles/TestGPU/Acme/Tiny-1B')
      cpSync(from, join(profiles, 'RTX4090/meta-llama/Llama-3.1-8B'), {recursive: true})
      const request = requestOf(clusterFile(clusterOf(...instances)))
      const {engines} = await deploy({...request, latency: 'profile', profiles})
      rmSync(profiles, {recursive: true})
      return engines.map(({latency}) => latency.stepTime(decodes(1, 16)))
    }
    // 3 · 4,096 B a reduction at 1 GB/s, two of them in 32 layers; at 1,008 GB/s 3 · 4.
    const [first, second] = await times(fast, slow)
    expect(second).equal(first)
    expect((await times(slow, fast))[1]! - first!).equal(64 * (3 * 4096 - 3 * 4))
  })
})

describe('an engine of a cluster file that cannot be', () => {
  after(removeClusterFiles)

  it('names file and place of a format that does not exist', async () => {
    for (const [key, says] of [
      ['dtype', 'must be one of bfloat16, float16, fp8, int8, got "fp7"'],
      ['kv_cache_dtype', 'must be auto or fp8, got "fp7"'],
    ] as const) {
      const problem = await problemOf(() => engineOf({[key]: 'fp7'}))
      expect(problem.code).equal('CLUSTER_BAD_FILE')
      expect(problem.message).include(`cluster.json: nodes[0].instances[0].${key} ${says}`)
    }
  })

  it('does not go with flags that say the same, or the opposite', async () => {
    for (const over of [{layout: {tp: 2}}, {hardware: 'H100'}]) {
      const problem = await problemOf(() => engineOf({}, {}, over))
      expect(problem.code).equal('FLAG_CONFLICT')
    }
    const problem = await problemOf(() => engineOf({}, {asyncScheduling: true}))
    expect(problem.code).equal('FLAG_CONFLICT')
  })

  it('has a model that its memory does not hold', async () => {
    const problem = await problemOf(() => engineOf({model_name: 'Qwen/Qwen3-32B'}))
    expect(problem.code).equal('MODEL_TOO_LARGE')
  })
})

describe('a model beside a file whose instances name theirs', () => {
  it('is refused if it is another one', async () => {
    const file = clusterFile(clusterOf(instance()))
    const request = {...requestOf(file), model: 'Qwen/Qwen3-8B'}
    const {code, message} = await problemOf(() => deploy(request))
    expect(code).equal('FLAG_CONFLICT')
    expect(message).match(/^--model and --cluster: the cluster file says it for every instance/)
  })
})
