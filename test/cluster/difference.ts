/** One random cluster through src/ and through the reference: the first difference as a sentence. */

import {type EngineLinks, KvLinks} from '#llmsim/cluster/kv-links.js'
import {replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import {TokenTimeline} from '#llmsim/cluster/token-timeline.js'
import {policies} from '#llmsim/engine/policy.js'
import {prefixIdentity} from '#llmsim/engine/prefix-identity.js'
import type {StepTime} from '#llmsim/latency/step-time.js'
import {statusNames} from '#llmsim/stats/outcomes.js'
import type {TieredKv} from '#llmsim/tiers/tier-groups.js'
import {
  type ClusterRow,
  type ReferenceClusterCase,
  type ReferenceMember,
  runReferenceCluster,
} from '../reference/reference-cluster.js'
import type {ReferenceLinksCase} from '../reference/reference-links.js'
import {OwnLinks} from '../support/own-links.js'
import {PlainTierLinks} from '../support/plain-tier-links.js'

const atLeastOne =
  (time: StepTime): StepTime =>
  (shape) =>
    Math.max(1, time(shape))

type Tiers = NonNullable<ReferenceClusterCase['tiers']>

/** Pools that several engines name make one group of all of them. */
const tiersOf = ({of, pools, transfer}: Tiers, instance: number): TieredKv | undefined => {
  const tiers = of[instance] ?? []
  if (tiers.length === 0) return undefined
  const named = of.flatMap((all) => all.map(({pool}) => pool))
  const isShared = new Set(named).size < named.length
  return {
    group: isShared ? 'all' : `${instance}`,
    blockBytes: 1,
    tiers: tiers.map(({pool, maxPending}) => ({
      ...{name: `${pool}`, pool: `${pool}`, maxPending},
      ...pools[pool]!,
    })),
    links: () =>
      new PlainTierLinks(({tier, direction}, blocks) => transfer({tier, direction, blocks})),
  }
}

const replicaOf = ({config, stepTime, pipeline, whileLoading, role, group}: ReferenceMember) => ({
  engine: {
    ...config,
    numGpuBlocks: config.blocks,
    policy: policies.find(({name}) => name === config.policy)!,
  },
  stepTime: atLeastOne(stepTime),
  ...(pipeline && {pipeline: {...pipeline, stages: pipeline.stages.map(atLeastOne)}}),
  role,
  group,
  ...(whileLoading && {
    whileLoading: {
      stepTime: atLeastOne(whileLoading.stepTime),
      ...(whileLoading.pipeline && {
        pipeline: {
          ...whileLoading.pipeline,
          stages: whileLoading.pipeline.stages.map(atLeastOne),
        },
      }),
    },
  }),
})

/** The links of a case as src/ takes them. */
const kvLinksOf = (
  {port, tierLatency, blockBytes, members}: ReferenceLinksCase,
  modules: Modules,
) => {
  const engines = members.map(
    ({host, toDevice, isBehind, tiers}, instance): EngineLinks => ({
      instance,
      hostGbPerS: host,
      toDeviceGbPerS: toDevice,
      blockBytes,
      port: isBehind ? 'behind the host link' : undefined,
      tiers: tiers.map(({pool, read, write}) => ({
        pool: `${pool}`,
        readGbPerS: read,
        writeGbPerS: write,
        latencyNs: tierLatency,
      })),
    }),
  )
  return () => new modules.KvLinks(engines, {gbPerS: port.rate, latencyNs: port.latency})
}

export type Detail = 'every step' | 'skipping'

/** What is compared; faulty ones bring their own. */
export type Modules = Pick<typeof own, 'replay' | 'TokenTimeline' | 'prefixIdentity' | 'KvLinks'>

const own = {replay, KvLinks, TokenTimeline, prefixIdentity}

const runFast = (given: ReferenceClusterCase, detail: Detail, modules: Modules) => {
  const {trace, members, router, firstToken, stayBelow, transfer} = given
  const gaps: number[][] = []
  const timelines = members.map(() => new modules.TokenTimeline())
  const result = modules.replay({
    trace,
    simulation: {
      replicas: members.map((member, at) => ({
        ...replicaOf(member),
        kv: {bytesPerToken: given.links?.tokenBytes ?? 1, layers: 1},
        tiers: given.tiers && tiersOf(given.tiers, at),
      })),
      router: routers[router]!(),
      decodeRouter: routers[router]!(),
      handOff: {firstToken, stream: 'at the end', stayBelow},
      network: new OwnLinks((_from, _to, bytes) => transfer(bytes)),
      kvLinks: given.links && kvLinksOf(given.links, modules),
      listener: (instance) => timelines[instance]!.listener,
      prefixes: (size) => modules.prefixIdentity(trace.prefix!, size),
      ...(detail === 'every step' ? {onStep: () => {}} : {}),
    },
    onLeave: (row, slot, {outcomes: {instance}, at}) => {
      gaps[row] = timelines[instance[at]!]!.takeGaps(slot)
    },
  })
  return {...result, gaps}
}

const compared = ['scheduledAt', 'firstTokenAt', 'finishedAt', 'producedTokens'] as const

/** The first difference, or undefined. */
export const differenceIn = (
  given: ReferenceClusterCase,
  detail: Detail,
  modules: Modules = own,
) => {
  const reference = runReferenceCluster(given)
  const {outcomes, engines, gaps} = runFast(given, detail, modules)
  const tell = (place: string, got: unknown, wanted: unknown) =>
    Object.is(got, wanted) ? undefined : `${place}: ${got}, the reference says ${wanted}`
  const inRow = (wanted: ClusterRow | undefined, row: number) => {
    if (wanted === undefined) return `row ${row} never ends in the reference`
    const place = (name: string) => `row ${row} ${name}`
    const shown = given.firstToken === 'prefill' ? wanted.gaps.slice(1) : wanted.gaps
    return (
      tell(place('status'), statusNames[outcomes.status[row]!], wanted.status) ??
      tell(place('instance'), outcomes.instance[row], wanted.instance) ??
      compared
        .map((name) => tell(place(name), outcomes[name][row], wanted[name]))
        .find((difference) => difference !== undefined) ??
      tell(place('cached'), outcomes.cachedTokens[row], wanted.cachedTokens) ??
      tell(place('preemptions'), outcomes.preemptions[row], wanted.preemptions) ??
      tell(place('gaps'), gaps[row]?.join(), shown.join())
    )
  }
  return (
    reference.rows.map(inRow).find((difference) => difference !== undefined) ??
    engines
      .map(
        ({steps, freeBlocksAtEnd, blocks, tiers, lookedUpTokens, hitTokens}, i) =>
          tell(`tokens looked up by ${i}`, lookedUpTokens, reference.lookedUpTokens[i]) ??
          tell(`hits in the device of ${i}`, hitTokens, reference.hitTokens[i]) ??
          tell(
            `hits in tiers of ${i}`,
            tiers?.tiers.map(({hitTokens}) => hitTokens).join() ?? '',
            reference.tierHitTokens[i]!.join(),
          ) ??
          tell(
            `blocks dropped by ${i}`,
            tiers?.tiers.map(({droppedBlocks}) => droppedBlocks).join() ?? '',
            reference.dropped[i]?.join() ?? '',
          ) ??
          tell(
            `blocks in pools of ${i} at the end`,
            tiers?.tiers.map(({usedBlocks}) => usedBlocks).join() ?? '',
            given.tiers?.of[i]?.map(({pool}) => reference.pools[pool]!.length).join() ?? '',
          ) ??
          tell(`steps of ${i}`, steps, reference.steps[i]) ??
          tell(`free blocks of ${i}`, freeBlocksAtEnd, blocks),
      )
      .find((difference) => difference !== undefined) ??
    reference.freeBlocksAtEnd
      .map((free, i) =>
        tell(`reference: free blocks of ${i}`, free, given.members[i]!.config.blocks),
      )
      .find((difference) => difference !== undefined)
  )
}
