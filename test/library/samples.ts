/** A call of every function in which every field is given: the compiler refuses a sample that lacks one. */
import {join} from 'node:path'
import * as library from '#llmsim/index.js'
import type {Call, calls} from '#llmsim/library/calls.js'
import type {Kind} from '#llmsim/library/kinds.js'
import {root} from '../support/cli.js'

/** All optional fields there, at all depths, but for what functions and classes hold. */
type Full<Of> = Of extends (...given: never[]) => unknown
  ? Of
  : Of extends readonly (infer Entry)[]
    ? readonly Full<Entry>[]
    : Of extends
          | Float64Array
          | Int32Array
          | Date
          | ReadonlyMap<unknown, unknown>
          | library.Deployment
      ? Of
      : Of extends object
        ? {readonly [Key in keyof Of]-?: Full<Exclude<Of[Key], undefined>>}
        : Of

type Samples = {
  readonly [Name in Call]: {
    readonly [Argument in keyof (typeof calls)[Name]]: (typeof calls)[Name][Argument] extends Kind<
      infer Value
    >
      ? Full<Exclude<Value, undefined>>
      : never
  }
}

export const code = join(root, 'traces/code.csv')
const trace = await library.readTrace(code, {limit: 20})
export const deployment = await library.deploy({hardware: 'RTX4090'})

const ints = () => new Int32Array(trace.length)
const none = () => new Float64Array(trace.length).fill(Number.NaN)
const labels = {codes: ints(), names: ['one']}

const fullTrace: Samples['traceInfo']['trace'] = {
  length: trace.length,
  arrivedAt: trace.arrivedAt,
  inputTokens: trace.inputTokens,
  outputTokens: trace.outputTokens,
  requestId: Array.from({length: trace.length}, (_, i) => `${i}`),
  model: labels,
  adapter: labels,
  session: labels,
  turn: ints(),
  thinkTime: none(),
  priority: ints(),
  predictedOutputTokens: ints(),
  cancelledAt: none(),
  prefix: {
    spanTokens: 16,
    offsets: new Float64Array(trace.length + 1),
    ids: new Float64Array(0),
    knownTokens: ints(),
  },
  prefixGroup: labels,
  prefixTokens: labels,
  extra: new Map(),
  notes: ['a note'],
  format: 'llmsim-csv',
}

const sampler = {stepNs: 1, perEntryNs: 1, perSequenceEntryNs: 1}
const limits = {maxNumSeqs: 256, maxNumBatchedTokens: 2048}

const request: Samples['deploy']['request'] = {
  model: 'meta-llama/Llama-3.1-8B-Instruct',
  engineProfile: {
    id: 'mine',
    name: 'mine',
    releases: ['0.19'],
    defaults: {
      largeDevice: limits,
      smallDevice: limits,
      gpuMemoryUtilization: 0.9,
      blockSize: 16,
      asyncScheduling: true,
      enablePrefixCaching: true,
      enableChunkedPrefill: true,
      hybridKvCache: {window: true, chunk: false},
    },
    frontEnd: {httpNs: 1, inProcessNs: 1, perTokenNs: 1, chatTokenNs: 1},
    host: {
      stepNs: 1,
      layerNs: 1,
      sequenceNs: 1,
      synchronousStepNs: 1,
      eagerLayerNs: 1,
      launchGapNs: 1,
    },
    sampler: {plain: sampler, filtered: sampler},
    penalty: sampler,
    memory: {samplerBytesPerLogit: 1, runtimeBytes: {single: 1, parallel: 1}, source: 'a test'},
    marlinMxfp4: ['hopper'],
    source: 'a test',
  },
  efficiencyScale: {compute: 1, memory: 1},
  sampling: 'model',
  hardware: 'RTX4090',
  link: 'pcie',
  layout: {npu: 1, tp: 1, pp: 1, dp: 1, ep: 1, instances: 1, prefill: 1, decode: 1},
  engine: {
    maxNumSeqs: 8,
    maxNumBatchedTokens: 512,
    longPrefillTokenThreshold: 0,
    blockSize: 16,
    maxModelLen: 4096,
    numGpuBlocksOverride: 1000,
    gpuMemoryUtilization: 0.9,
    enablePrefixCaching: true,
    enableChunkedPrefill: true,
    reserveFullPrompt: true,
    asyncScheduling: true,
    enforceEager: false,
    dtype: 'fp8',
    kvCacheDtype: 'auto',
    all2allBackend: 'allgather_reducescatter',
    disableHybridKvCacheManager: false,
  },
  latency: 'auto',
  profiles: '/nowhere',
  cluster: '/nowhere.yaml',
  compat: 'llmservingsim',
  policy: {name: 'mine', key: () => 0, victim: 'last-admitted'},
  expertLoad: {kind: 'power law', exponent: 0.5},
  traffic: {
    decodeRouter: 'round-robin',
    viewAgeMs: 1,
    stream: 'at the end',
    stayBelow: 1,
    network: {bandwidthGbS: 50, latencyUs: 1, behindHostLink: true},
    weights: {prefix: 1, tiers: 1, queue: 1, kv: 1},
    admission: [
      {
        name: 'all',
        upToPriority: 9,
        rate: {of: 'requests', perSecond: 1, burst: 1},
        maxWaiting: 1,
      },
    ],
  },
  router: 'round-robin',
  frontEnd: 'http',
  seed: 1,
  autoscale: {
    signal: 'queue',
    target: 4,
    windowNs: 1e9,
    provisionNs: 0,
    coldStartNs: 0,
    stabilisationNs: 1e9,
    minInstances: 1,
  },
  lora: {maxLoras: 2, rank: 8, loadMs: 1, overhead: 0.01, adapters: 4},
  speculation: {tokens: 2, rates: [0.7], draftModel: 'meta-llama/Llama-3.2-1B-Instruct'},
  weights: {
    place: {rules: [{blocks: '0-3', parts: ['mlp'], layers: ['lm_head'], on: 'cpu'}]},
    prefetch: 1,
    gbPerS: 32,
  },
  kvOffload: {
    tiers: [
      {
        kind: 'cpu',
        bytes: 2 ** 32,
        write: 'through',
        isShared: false,
        readGbPerS: 32,
        writeGbPerS: 32,
        latencyUs: 1,
        pendingBytes: 2 ** 30,
      },
    ],
    hostGbPerS: 32,
    from: 'file',
  },
  pim: {spec: 'DDR4_8GB_3200_pim', channels: 64, gbPerS: 32, latencyUs: 1, subBatches: false},
  pricePerHour: 1,
}

const bounds = {slo: {ttft: '500ms', tpot: '50ms', itl: 500e6, e2e: '10s'}, warmup: '5'} as const
const files = {steps: '/nowhere/a.csv', itl: '/nowhere/b.csv', timeline: '/nowhere/c.json'}
const store = {out: '/nowhere', startedAt: new Date(0)}
const readOptions: Samples['readTrace']['options'] = {
  format: 'llmsim',
  columns: new Map(),
  failed: 'error',
  torn: 'error',
  csvWay: 'fastest',
  from: 0,
  to: 1000,
  limit: 9,
  timeScale: 1,
  rate: 1,
}
const spec: Samples['parseGenerateSpec']['spec'] = {
  requests: 9,
  seed: 1,
  rate: 1,
  arrivals: 'poisson',
  input: 'fixed:9',
  output: 'fixed:9',
  prefixes: {groups: 2, tokens: 16, skew: 1},
  turns: 'fixed:2',
  thinkTime: 'fixed:1',
}

const stepTimes = {
  stepTime: () => 1e6,
  pipeline: {
    stages: [() => 1e6],
    hop: () => 1,
    outsideLayers: [() => 1],
    style: 'polled',
    nodeEnds: [() => 1],
  },
} as const
const nobody: never = undefined as never
const simulation: Samples['buildSimulation']['config'] = {
  replicas: [
    {
      ...stepTimes,
      engine: {
        numGpuBlocks: 1000,
        blockSize: 16,
        maxNumSeqs: 8,
        maxNumBatchedTokens: 512,
        longPrefillTokenThreshold: 0,
        enableChunkedPrefill: true,
        enablePrefixCaching: true,
        reserveFullPrompt: true,
        ownBlocks: true,
        maxModelLen: 4096,
        depth: 1,
        stages: 1,
        kvGroups: [{sees: 'everything', window: 0, pages: 1}],
        policy: {name: 'mine', key: () => 0, victim: 'last-admitted'},
        speculation: {tokens: 1, accepts: () => true},
      },
      whileLoading: stepTimes,
      nodeEnds: () => 1,
      frontEnd: {delayNs: 0, perTokenNs: 0, afterNs: 0},
      adapters: {slots: 1, loadNs: 1, overhead: 0},
      role: 'prefill',
      group: 0,
      ranks: {stages: 1, ranks: 1, node: 1, hasExperts: false, plan: () => nobody},
      tiers: {
        group: 'all',
        tiers: [{name: 'cpu', pool: '0', blocks: 9, write: 'through', maxPending: 9}],
        blockBytes: 1,
        links: () => nobody,
      },
      kv: {bytesPerToken: 1, layers: 1},
    },
  ],
  router: {name: 'first', pick: () => 0, reads: () => 'nothing', readsTiers: false},
  decodeRouter: {name: 'first', pick: () => 0, reads: () => 'nothing', readsTiers: false},
  handOff: {
    firstToken: 'decode',
    stream: 'at the end',
    transfer: 'over the network',
    stayBelow: 0,
  },
  network: {
    startTransfer: () => 0,
    nextEventAt: () => 0,
    advanceTo: () => [],
    cancel() {},
    aloneNs: () => 0,
  },
  kvLinks: () => nobody,
  autoscale: request.autoscale,
  adapterOf: () => 0,
  gate: {check: () => 'no'},
  viewAgeNs: 0,
  clock: {noticeAt: () => 0, firstIdle: () => 0},
  prefixes: () => nobody,
  listener: () => ({}),
  onStep() {},
  onHandOff() {},
  onTierTransfer() {},
  coupling: 'independent',
}
const {coupling: _, ...replayed} = simulation
const distribution = {quantile: () => 9}

export const samples: Samples = {
  buildSimulation: {
    config: simulation,
    sink: {finished() {}, rejected() {}, cancelled() {}, settle() {}},
  },
  deploy: {request},
  findRate: {request: {trace: fullTrace, deployment, ...bounds, share: 0.9, onProbe() {}}},
  generateTrace: {
    options: {
      requests: 9,
      seed: 1,
      rate: 1,
      arrivals: {gap: () => 1, active: 1, time: (active) => active},
      input: distribution,
      output: distribution,
      paired: 'input-output',
      prefixes: spec.prefixes,
      sessions: {turns: distribution, thinkTime: distribution},
    },
  },
  listHardware: {},
  listModels: {},
  listen: {
    request: {
      host: '127.0.0.1',
      port: 0,
      respond: 'instant',
      speed: 1,
      apiKey: 'key',
      maxQueue: 9,
      run: request,
      trace: '/nowhere/capture.csv',
      keepsText: false,
      rotate: {bytes: 1e6, ms: 1e6},
      servedNames: ['mine'],
      anyModel: true,
      answering: {tokenizer: 'estimate', answer: 'filler', outputTokens: 'fixed:9'},
      warmupMs: 0,
      upstream: 'http://127.0.0.1:1',
      fail: 'rate=1%,type=429',
      version: '1',
      onLog() {},
    },
  },
  loadHardware: {name: 'H100'},
  loadModel: {name: 'meta-llama/Llama-3.1-8B-Instruct'},
  makeReport: {
    request: {runs: ['/nowhere'], root: '/nowhere', by: 'model', over: 'time', ...bounds},
  },
  parseGenerateSpec: {spec},
  parseSlo: {bounds: 'ttft=500ms'},
  readTrace: {paths: [code], options: readOptions},
  replay: {
    request: {
      simulation: replayed,
      trace: fullTrace,
      workload: {
        arrivals: {nextAt() {}, take() {}, release() {}} as never,
        coupling: 'independent',
        ended: () => false,
        more() {},
      },
      onArrive() {},
      onLeave() {},
      onProgress() {},
    },
  },
  replayServed: {files: ['/nowhere.csv'], run: request, version: '1'},
  runJob: {
    job: {
      traces: [code],
      readOptions,
      requests: [request],
      concurrency: 2,
      ...bounds,
      check: false,
      store,
      ...files,
      version: '1',
      threads: 1,
      onProgress() {},
    },
  },
  runMany: {
    tasks: [
      {
        input: {kind: 'files', paths: [code], options: readOptions},
        request,
        options: {
          traceName: 'code',
          concurrency: 2,
          ...bounds,
          check: false,
          store,
          place: 'alone',
          ...files,
          version: '1',
        },
      },
    ],
    threads: 1,
  },
  simulate: {
    request: {
      trace: fullTrace,
      deployment,
      concurrency: 2,
      ...bounds,
      check: true,
      onStep() {},
      onHandOff() {},
      onTierTransfer() {},
      onGaps() {},
      onProgress() {},
      onPart() {},
    },
  },
  traceInfo: {trace: fullTrace},
  writeTrace: {trace: fullTrace, path: '/nowhere/trace.csv', format: 'llmsim'},
}

/** Further forms of fields that may take several. */
export const forms: readonly (readonly [call: Call, path: string, value: unknown])[] = [
  ['deploy', 'engineProfile', 'vllm-0.19'],
  ['deploy', 'policy', 'fcfs'],
  ['deploy', 'expertLoad', {kind: 'even'}],
  ['deploy', 'expertLoad', {kind: 'counts', counts: [1, 2]}],
  ['deploy', 'traffic.network.behindHostLink', 'where slower'],
  ['deploy', 'weights.prefetch', 'in place'],
  ['deploy', 'weights.place', {gib: 1}],
  [
    'deploy',
    'weights.place',
    {
      map: {
        blocks: [{attention: 'npu', mlp: 'cpu', experts: 'cpu', other: 'npu'}],
        layers: {embedding: 'npu', lm_head: 'npu'},
      },
    },
  ],
  ['simulate', 'slo', 'ttft=500ms'],
  ['simulate', 'warmup', {kind: 'time', ns: 1e9}],
  ['simulate', 'warmup', {kind: 'requests', count: 5}],
  ['runMany', 'tasks.0.input', {kind: 'whole', trace}],
  [
    'runMany',
    'tasks.0.input',
    {
      kind: 'generated',
      spec: {
        requests: 9,
        seed: 0,
        rate: 1,
        arrivals: 'poisson',
        input: 'fixed:9',
        output: 'fixed:9',
      },
    },
  ],
  ['readTrace', 'paths', code],
]
