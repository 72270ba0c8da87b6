/** Random clusters as plain data: topologies, roles, ranks that are tied together, sessions, clients that leave. */
import fc from 'fast-check'
import type {BatchShape, StepTime} from '#llmsim/latency/step-time.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {
  engineConfigs,
  mostly,
  noPipeline,
  pipelines,
  request,
  speculations,
  stepTimeSpecs,
} from './arbitraries.js'
import {
  type CaseSpec,
  type RequestSpec,
  type StepTimeSpec,
  speculationOf,
  stepTimeOf,
  traceOf,
} from './case-spec.js'
import type {ReferenceClusterCase, ReferenceMember} from './reference-cluster.js'
import type {ReferenceConfig} from './reference-config.js'
import type {ReferenceLinksCase} from './reference-links.js'
import type {PoolOf, ReferenceTiersCase, TierOf} from './reference-tiers.js'

interface MemberSpec {
  readonly config: Omit<ReferenceConfig, 'policy'>
  readonly policy: 'fcfs' | 'priority' | 'sjf'
  readonly stepTime: StepTimeSpec
  readonly pipeline: CaseSpec['pipeline']
  /** Of engines without stages. */
  readonly speculation: CaseSpec['speculation']
}

interface ClientSpec {
  readonly request: RequestSpec
  /** −1: none. */
  readonly session: number
  /** −1: its own arrival. */
  readonly think: number
  /** ns after its arrival at which it leaves; −1: never. */
  readonly leaves: number
}

export interface ClusterSpec {
  readonly clients: readonly ClientSpec[]
  readonly spanTokens: number
  readonly members: readonly MemberSpec[]
  readonly topology: 'alike' | 'prefill and decode' | 'ranks' | 'ranks and others'
  /** Which of the members prefill, where they share the work. */
  readonly prefills: number
  readonly router: ReferenceClusterCase['router']
  readonly firstToken: ReferenceClusterCase['firstToken']
  readonly stayBelow: number
  readonly link: {readonly latency: number; readonly perToken: number}
  readonly tiers?: TiersSpec
  readonly wires?: WiresSpec
}

/** Links that all transfers share, in bytes per ns. */
interface WiresSpec {
  readonly port: number
  readonly host: number
  /** What comes to a device, where weights take the rest; 0: all. */
  readonly toDevice: number
  /** Of each tier. */
  readonly read: readonly number[]
  readonly write: readonly number[]
  readonly latencies: {readonly port: number; readonly tier: number}
  /** ns that a step takes longer while KV comes; 0: it does not. */
  readonly slower: number
  /** Whether the port of each member is behind its host link. */
  readonly behind: readonly boolean[]
}

interface TierSpec extends PoolOf {
  readonly maxPending: number
}

interface TimeSpec {
  readonly latency: number
  readonly perBlock: number
}

interface TiersSpec {
  /** The nearest first. */
  readonly tiers: readonly TierSpec[]
  /** From this place on all members share the pools. */
  readonly sharedFrom: number
  /** Of each member: whether it has tiers at all, and blocks of its pools more than the specs say. */
  readonly members: readonly {readonly has: boolean; readonly more: number}[]
  /** Most tokens that a device may hold, so that blocks are soon taken for others. */
  readonly deviceTokens: number
  readonly read: TimeSpec
  readonly write: TimeSpec
}

const members: fc.Arbitrary<MemberSpec> = fc.record({
  config: engineConfigs,
  policy: fc.constantFrom('fcfs', 'priority', 'sjf'),
  stepTime: stepTimeSpecs,
  pipeline: mostly(3, fc.constant(noPipeline), pipelines),
  speculation: mostly(3, fc.constant(undefined), speculations),
})

/** `patient` to two stay and leave. */
const clients = (patient: number): fc.Arbitrary<ClientSpec> =>
  fc.record({
    request: request(false),
    session: mostly(2, fc.constant(-1), fc.integer({min: 0, max: 3})),
    think: fc.constantFrom(-1, 0, 0, 5, 60, 400),
    leaves: mostly(patient, fc.constant(-1), fc.nat(400), fc.nat(40)),
  })

interface Size {
  readonly clients: {readonly minLength: number; readonly maxLength: number}
  readonly patient: number
  readonly members: {readonly minLength: number; readonly maxLength: number}
}

const specsOf = (size: Size): fc.Arbitrary<ClusterSpec> =>
  fc.record({
    clients: fc.array(clients(size.patient), {...size.clients, size: 'max'}),
    spanTokens: fc.constantFrom(2, 4, 8),
    members: fc.array(members, {...size.members, size: 'max'}),
    topology: fc.constantFrom(
      'alike',
      'prefill and decode',
      'prefill and decode',
      'ranks',
      'ranks and others',
    ),
    prefills: fc.integer({min: 1, max: 4}),
    router: fc.constantFrom('round-robin', 'least-requests'),
    firstToken: mostly(3, fc.constant('decode' as const), fc.constant('prefill' as const)),
    stayBelow: mostly(2, fc.constant(0), fc.integer({min: 1, max: 20})),
    link: fc.record({latency: fc.constantFrom(1, 10, 50), perToken: fc.constantFrom(0, 1, 10)}),
  })

export const clusterSpecs = specsOf({
  clients: {minLength: 1, maxLength: 30},
  patient: 6,
  members: {minLength: 2, maxLength: 5},
})

const tierTimes: fc.Arbitrary<TimeSpec> = fc.record({
  latency: fc.oneof(fc.integer({min: 1, max: 8}), fc.integer({min: 1, max: 60})),
  perBlock: fc.integer({min: 0, max: 5}),
})

const tiers: fc.Arbitrary<TiersSpec> = fc.record({
  tiers: fc.array(
    fc.record({
      blocks: mostly(2, fc.integer({min: 10, max: 40}), fc.integer({min: 1, max: 9})),
      write: fc.constantFrom('through', 'on eviction'),
      maxPending: mostly(2, fc.integer({min: 8, max: 20}), fc.integer({min: 1, max: 7})),
    }),
    {minLength: 1, maxLength: 3, size: 'max'},
  ),
  sharedFrom: fc.integer({min: 0, max: 3}),
  members: fc.array(
    fc.record({
      has: mostly(7, fc.constant(true), fc.constant(false)),
      more: fc.constantFrom(0, 0, 3),
    }),
    {minLength: 3, maxLength: 3},
  ),
  deviceTokens: fc.constantFrom(28, 36, 48, 64, 100),
  read: tierTimes,
  write: tierTimes,
})

/** Clusters with memory below their devices; on their own, so that the others stay what they are. */
export const tieredClusterSpecs: fc.Arbitrary<ClusterSpec> = fc
  .record({
    spec: specsOf({
      clients: {minLength: 8, maxLength: 40},
      patient: 4,
      members: {minLength: 2, maxLength: 3},
    }),
    tiers,
  })
  .map(({spec, tiers: below}) => ({
    ...spec,
    clients: spec.clients.map(comingAgain),
    members: spec.members.map(above(spec, below)),
    tiers: below,
  }))

const rates = fc.constantFrom(6, 12, 30, 60)

/** The same where transfers between engines and below them go over the same links. */
export const wiredClusterSpecs: fc.Arbitrary<ClusterSpec> = fc
  .record({
    spec: tieredClusterSpecs,
    wires: fc.record({
      port: rates,
      host: rates,
      toDevice: fc.constantFrom(0, 0, 6, 12),
      read: fc.array(rates, {minLength: 3, maxLength: 3}),
      write: fc.array(rates, {minLength: 3, maxLength: 3}),
      latencies: fc.record({port: fc.constantFrom(1, 5, 20), tier: fc.constantFrom(1, 3, 10)}),
      slower: fc.constantFrom(0, 3, 10),
      behind: fc.array(mostly(3, fc.constant(true), fc.constant(false)), {
        minLength: 3,
        maxLength: 3,
      }),
    }),
  })
  .map(({spec, wires}) => ({...spec, topology: handsOn(spec), wires}))

/** Engines that do not hand on have nothing to share but tiers. */
const handsOn = ({topology}: ClusterSpec): ClusterSpec['topology'] =>
  topology === 'alike' || topology === 'ranks' ? 'prefill and decode' : topology

/** Most prompts were seen before, so that tiers are of use. */
const comingAgain = (client: ClientSpec, row: number): ClientSpec => {
  const {content, known} = client.request
  const request: RequestSpec = {
    ...client.request,
    content: content.kind === 'fresh' && row % 3 > 0 ? {kind: 'identical', of: row * 5} : content,
    known: known === 'none' && row % 4 > 0 ? 'prompt' : known,
  }
  return {...client, request}
}

/** What members need for their tiers: prefix caching, small blocks, of one size where they share pools. */
const above =
  (spec: ClusterSpec, below: TiersSpec) =>
  (member: MemberSpec, i: number): MemberSpec => {
    const {config} = member
    const isShared = below.sharedFrom < below.tiers.length
    const blockSize = Math.min(4, isShared ? spec.members[0]!.config.blockSize : config.blockSize)
    const tokens = Math.min(config.blocks * config.blockSize, below.deviceTokens)
    const blocks = Math.ceil(tokens / blockSize)
    const {has} = below.members[i]!
    const enablePrefixCaching = config.enablePrefixCaching || has
    const reserveFullPrompt = config.reserveFullPrompt || has
    const needs = {blockSize, blocks, enablePrefixCaching, reserveFullPrompt}
    return {...member, config: {...config, ...needs}}
  }

export const buildCluster = (spec: ClusterSpec): ReferenceClusterCase => {
  const {topology, link, router, firstToken} = spec
  const made = spec.members.map((member, i) => memberOf(spec, member, i))
  const isShared = topology === 'prefill and decode'
  const tiers = spec.tiers && tiersOf(spec, spec.tiers)
  return {
    trace: clusterTrace(spec, isShared && firstToken === 'prefill' ? 2 : 1),
    members: made,
    router,
    firstToken: isShared ? firstToken : 'decode',
    stayBelow: isShared && firstToken === 'decode' ? spec.stayBelow : 0,
    transfer: (tokens) => link.latency + link.perToken * tokens,
    ...(tiers && {tiers}),
    ...(tiers && spec.wires && {links: linksOf(spec, spec.wires, tiers)}),
  }
}

const linksOf = (
  {members: all}: ClusterSpec,
  wires: WiresSpec,
  {of}: ReferenceTiersCase,
): ReferenceLinksCase => ({
  port: {rate: wires.port, latency: wires.latencies.port},
  tierLatency: wires.latencies.tier,
  tokenBytes: 60,
  blockBytes: 120,
  members: all.map((_, member) => ({
    host: wires.host,
    toDevice: wires.toDevice === 0 ? wires.host : Math.min(wires.toDevice, wires.host),
    isBehind: wires.behind[member]!,
    tiers: of[member]!.map(({pool}, tier) => ({
      pool,
      read: wires.read[tier]!,
      write: wires.write[tier]!,
    })),
  })),
})

const tiersOf = (spec: ClusterSpec, below: TiersSpec): ReferenceTiersCase => {
  const pools: PoolOf[] = []
  const addPool = ({blocks, write}: TierSpec, more: number) =>
    pools.push({blocks: blocks + more, write}) - 1
  const shared = below.tiers.map((tier, i) => (i < below.sharedFrom ? -1 : addPool(tier, 0)))
  const of = spec.members.map((_, member): TierOf[] => {
    const {has, more} = below.members[member]!
    if (!has) return []
    return below.tiers.map((tier, i) => ({
      pool: i < below.sharedFrom ? addPool(tier, more) : shared[i]!,
      maxPending: tier.maxPending,
    }))
  })
  return {
    of,
    pools,
    transfer: ({direction, tier, blocks}) => {
      const {latency, perBlock} = direction === 'read' ? below.read : below.write
      return latency + (perBlock + tier) * blocks
    },
  }
}

const memberOf = (spec: ClusterSpec, member: MemberSpec, i: number): ReferenceMember => {
  const {topology, members: all} = spec
  const isRank = topology === 'ranks' || (topology === 'ranks and others' && i > 0)
  // Ranks of a group have the same stages.
  const {stages, skew, hop} = isRank ? all.at(-1)!.pipeline : member.pipeline
  const stepTime = stepTimeOf(member.stepTime)
  const prefills = Math.min(spec.prefills, all.length - 1)
  const depth = stages > 1 ? stages : member.config.depth
  const stagesOf = (more: number) =>
    Array.from(
      {length: stages},
      (_, stage): StepTime =>
        (shape) =>
          stepTime(shape) + stage * skew + more,
    )
  const hopTime = (shape: BatchShape) => hop * shape.tokens
  const slower = (more: number) => ({
    stepTime: (shape: BatchShape) => stepTime(shape) + more,
    ...(stages > 1 && {pipeline: {stages: stagesOf(more), hop: hopTime}}),
  })
  return {
    config: {
      ...member.config,
      depth,
      stages,
      policy: member.policy,
      ...(stages === 1 && speculationOf(member)),
    },
    stepTime,
    ...(stages > 1 && {
      pipeline: {stages: stagesOf(0), hop: hopTime},
    }),
    ...(spec.wires && spec.wires.slower > 0 && {whileLoading: slower(spec.wires.slower)}),
    ...(isRank && {group: 0}),
    ...(topology === 'prefill and decode' && {role: i < prefills ? 'prefill' : 'decode'}),
  }
}

const clusterTrace = (spec: ClusterSpec, leastOutput: number): Trace => {
  const {clients: all, spanTokens} = spec
  const requests = all.map(({request: given}) => given)
  const config = {blockSize: spanTokens}
  const trace = traceOf({requests, spanTokens, prefixes: true, predictions: true, config})
  const hasBefore = (row: number) =>
    all.slice(0, row).some(({session}) => session >= 0 && session === all[row]!.session)
  return {
    ...trace,
    outputTokens: trace.outputTokens.map((output) => Math.max(output, leastOutput)),
    session: {
      codes: Int32Array.from(all, ({session}) => session),
      names: ['a', 'b', 'c', 'd'],
    },
    thinkTime: Float64Array.from(all, ({think}, row) =>
      think >= 0 && hasBefore(row) ? think : Number.NaN,
    ),
    cancelledAt: Float64Array.from(all, ({leaves}, row) =>
      leaves < 0 ? Number.NaN : trace.arrivedAt[row]! + leaves,
    ),
  }
}
