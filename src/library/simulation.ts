/** The event loop with parts of one's own, as `buildSimulation` and `replay` take it. */

import type {ReplicaConfig, RequestSink, SimulationConfig} from '../cluster/cluster.js'
import type {StepTimes} from '../cluster/loading-times.js'
import type {Network} from '../cluster/network.js'
import type {ReplayRequest} from '../cluster/replay.js'
import type {Router} from '../cluster/router.js'
import type {Workload} from '../cluster/workload.js'
import type {RankWork} from '../compat/rank-work.js'
import type {EngineConfig} from '../engine/engine-config.js'
import type {SchedulingPolicy} from '../engine/policy.js'
import type {PipelineTime} from '../latency/step-time.js'
import type {TieredKv} from '../tiers/tier-groups.js'
import {
  behaviour,
  call,
  choice,
  type Fields,
  flag,
  type Kind,
  list,
  made,
  maybe,
  number,
  shape,
  text,
  whole,
} from './kinds.js'
import type {Place} from './place.js'
import {autoscale, count, duration} from './run-request.js'
import {traceKind} from './trace.js'

const policy = behaviour<SchedulingPolicy>(
  {
    name: text('a name', 'mine'),
    key: call<SchedulingPolicy['key']>(),
    victim: choice(['last-admitted', 'largest-key']),
  },
  {what: 'a policy', example: "{name: 'mine', key: () => 0, victim: 'last-admitted'}"},
)

type KvGroup = NonNullable<EngineConfig['kvGroups']>[number]
const kvGroupFields = shape<KvGroup>({
  sees: choice(['everything', 'window', 'chunk']),
  window: whole({least: 0, unit: 'tokens'}),
  pages: count,
})
const kvGroup: Kind<KvGroup> = {
  ...kvGroupFields,
  check(value, at) {
    kvGroupFields.check(value, at)
    const {sees, window} = value as KvGroup
    if ((sees === 'everything') === (window === 0)) return
    const rule = sees === 'everything' ? '0 where it sees everything' : 'at least 1, what it sees'
    throw at.field('window').wrong(rule, window, [sees === 'everything' ? '0' : '128'])
  },
}
type SpeculationOf = NonNullable<EngineConfig['speculation']>
const engine = shape<EngineConfig>(
  {
    numGpuBlocks: count,
    blockSize: count,
    maxNumSeqs: count,
    maxNumBatchedTokens: count,
    longPrefillTokenThreshold: whole({least: 0}),
    enableChunkedPrefill: flag,
    enablePrefixCaching: flag,
    reserveFullPrompt: flag,
    ownBlocks: flag,
    maxModelLen: count,
    depth: count,
    stages: maybe(count),
    kvGroups: maybe(list(kvGroup, {least: 1})),
    policy,
    speculation: maybe(
      behaviour<SpeculationOf>({tokens: count, accepts: call<SpeculationOf['accepts']>()}),
    ),
  },
  {what: 'the settings of an engine', example: 'deployment.replicas[0].engine'},
)

type Step = StepTimes['stepTime']
const step = call<Step>()
const pipeline = shape<PipelineTime>({
  stages: list(step, {least: 1}),
  hop: step,
  outsideLayers: maybe(list(step)),
  style: maybe(choice(['polled'])),
  nodeEnds: maybe(list(call<NonNullable<PipelineTime['nodeEnds']>[number]>())),
})
const stepTimes: Fields<StepTimes> = {stepTime: step, pipeline: maybe(pipeline)}

type TierOf = TieredKv['tiers'][number]
const tiers = shape<TieredKv>({
  group: text('a name', 'all'),
  tiers: list(
    shape<TierOf>({
      name: text('a name', 'cpu'),
      pool: text('a name', '0'),
      blocks: count,
      write: choice(['through', 'on eviction']),
      maxPending: number({least: 0}),
    }),
  ),
  blockBytes: number({above: 0, unit: 'bytes'}),
  links: call<TieredKv['links']>(),
})

const replica = shape<ReplicaConfig>(
  {
    ...stepTimes,
    engine,
    whileLoading: maybe(shape<StepTimes>(stepTimes)),
    nodeEnds: maybe(call<NonNullable<ReplicaConfig['nodeEnds']>>()),
    frontEnd: maybe(
      shape<NonNullable<ReplicaConfig['frontEnd']>>({
        delayNs: duration,
        perTokenNs: number({least: 0, unit: 'ns'}),
        afterNs: duration,
      }),
    ),
    adapters: maybe(
      shape<NonNullable<ReplicaConfig['adapters']>>({
        slots: count,
        loadNs: duration,
        overhead: number({least: 0}),
      }),
    ),
    role: maybe(choice(['prefill', 'decode'])),
    group: maybe(whole({least: 0})),
    ranks: maybe(
      behaviour<RankWork>({
        stages: count,
        ranks: count,
        node: count,
        hasExperts: flag,
        plan: call<RankWork['plan']>(),
      }),
    ),
    tiers: maybe(tiers),
    kv: maybe(
      shape<NonNullable<ReplicaConfig['kv']>>({
        bytesPerToken: number({above: 0, unit: 'bytes'}),
        layers: count,
      }),
    ),
  },
  {what: 'a replica', example: '...deployment.replicas'},
)

const router = behaviour<Router>(
  {
    name: text('a name', 'mine'),
    pick: call<Router['pick']>(),
    reads: maybe(call<NonNullable<Router['reads']>>()),
    readsTiers: maybe(flag),
  },
  {what: 'a router', example: "{name: 'first', pick: () => 0}"},
)

type Gate = NonNullable<SimulationConfig['gate']>
type Clock = NonNullable<SimulationConfig['clock']>
type HandOff = NonNullable<SimulationConfig['handOff']>

const simulationFields: Fields<Omit<SimulationConfig, 'coupling'>> = {
  replicas: list(replica, {least: 1}),
  router,
  decodeRouter: maybe(router),
  handOff: maybe(
    shape<HandOff>({
      firstToken: choice(['decode', 'prefill']),
      stream: choice(['at the end', 'by layer']),
      transfer: maybe(choice(['over the network', 'in the step'])),
      stayBelow: whole({least: 0}),
    }),
  ),
  network: maybe(
    behaviour<Network>({
      startTransfer: call<Network['startTransfer']>(),
      nextEventAt: call<Network['nextEventAt']>(),
      advanceTo: call<Network['advanceTo']>(),
      cancel: call<Network['cancel']>(),
      aloneNs: call<Network['aloneNs']>(),
    }),
  ),
  kvLinks: maybe(call<NonNullable<SimulationConfig['kvLinks']>>()),
  autoscale: maybe(autoscale),
  adapterOf: maybe(call<NonNullable<SimulationConfig['adapterOf']>>()),
  gate: maybe(behaviour<Gate>({check: call<Gate['check']>()})),
  viewAgeNs: maybe(duration),
  clock: maybe(
    behaviour<Clock>({noticeAt: call<Clock['noticeAt']>(), firstIdle: call<Clock['firstIdle']>()}),
  ),
  prefixes: maybe(call<NonNullable<SimulationConfig['prefixes']>>()),
  listener: maybe(call<NonNullable<SimulationConfig['listener']>>()),
  onStep: maybe(call<NonNullable<SimulationConfig['onStep']>>()),
  onHandOff: maybe(call<NonNullable<SimulationConfig['onHandOff']>>()),
  onTierTransfer: maybe(call<NonNullable<SimulationConfig['onTierTransfer']>>()),
}

const simulationWords = {
  what: 'a simulation',
  example: "{replicas: deployment.replicas, router: {name: 'first', pick: () => 0}}",
}

export const simulation = shape<SimulationConfig>(
  {...simulationFields, coupling: choice(['independent', 'lockstep'])},
  simulationWords,
)

/**
 * KV by groups of layers stays where it is: such an engine neither hands KV on nor keeps it below its device.
 * @throws Problem FLAG_BAD_VALUE
 */
export function checkGroups({replicas}: Pick<SimulationConfig, 'replicas'>, place: Place): void {
  for (const [at, {engine: settings, role, tiers: below}] of replicas.entries()) {
    if (settings.kvGroups === undefined || (role ?? below) === undefined) continue
    const [field, what] =
      role === undefined ? ['tiers', 'no memory below it'] : ['role', 'no hand-off of KV']
    throw place
      .field('replicas')
      .entry(at)
      .field(field!)
      .fault(`goes with no engine.kvGroups: KV in groups of layers has ${what}`, [
        `leave ${field} out`,
        'leave engine.kvGroups out: KV is then one pool of blocks (deploy: disableHybridKvCacheManager: true)',
      ])
  }
}

export const sink = behaviour<RequestSink>(
  {
    finished: call<RequestSink['finished']>(),
    rejected: call<RequestSink['rejected']>(),
    cancelled: call<RequestSink['cancelled']>(),
    settle: maybe(call<NonNullable<RequestSink['settle']>>()),
  },
  {what: 'a sink', example: '{finished() {}, rejected() {}, cancelled() {}}'},
)

export const replayRequest = shape<ReplayRequest>(
  {
    simulation: shape<ReplayRequest['simulation']>(simulationFields, simulationWords),
    trace: traceKind,
    workload: maybe(
      behaviour<Workload>({
        arrivals: made('what says when rows arrive', 'openLoop(trace).arrivals', (value) =>
          ['nextAt', 'take', 'release'].every(
            (name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function',
          ),
        ),
        coupling: choice(['independent', 'lockstep']),
        ended: call<Workload['ended']>(),
        more: call<Workload['more']>(),
      }),
    ),
    onArrive: maybe(call<NonNullable<ReplayRequest['onArrive']>>()),
    onLeave: maybe(call<NonNullable<ReplayRequest['onLeave']>>()),
    onProgress: maybe(call<NonNullable<ReplayRequest['onProgress']>>()),
  },
  {what: 'what to replay', example: '{simulation, trace}'},
)
