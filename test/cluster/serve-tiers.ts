/** A few prompts through engines with memory tiers: blocks of 4 tokens, steps of 10 ns, a block written in 2 ns and read in 5. */
import {replay as ownReplay, type Replay} from '#llmsim/cluster/replay.js'
import type {Router} from '#llmsim/cluster/router.js'
import {prefixIdentity} from '#llmsim/engine/prefix-identity.js'
import type {TierConfig} from '#llmsim/tiers/tier-groups.js'
import {PlainTierLinks} from '../support/plain-tier-links.js'
import {type Row, replicaOf, simulationOf, traceOf} from './serve.js'

export interface Prompt extends Row {
  /** Of blocks of 4 tokens. */
  readonly ids?: readonly number[]
}

export interface Given {
  readonly rows: readonly Prompt[]
  readonly tiers?: readonly Partial<TierConfig>[]
  readonly blocks?: number
  readonly instances?: number
  readonly pool?: 'own' | 'shared'
  readonly router?: Router
  readonly delayNs?: number
}

const time = ({direction}: {direction: 'read' | 'write'}, blocks: number) =>
  (direction === 'read' ? 5 : 2) * blocks

const tierOf = (tier: Partial<TierConfig>, at: number, pool: string): TierConfig => ({
  ...{name: `tier ${at}`, blocks: 100, write: 'through', maxPending: 100},
  ...{pool: `${at} ${pool}`},
  ...tier,
})

/** `replay`: of modules with a fault. */
export const serve = (
  {rows, tiers = [{}], blocks = 6, instances = 1, pool = 'own', router, delayNs = 0}: Given,
  replay = ownReplay,
): Replay => {
  const ids = rows.map((row) => row.ids ?? [])
  const offsets = [0]
  for (const list of ids) offsets.push(offsets.at(-1)! + list.length)
  const prefix = {
    spanTokens: 4,
    offsets: Float64Array.from(offsets),
    ids: Float64Array.from(ids.flat()),
    knownTokens: Int32Array.from(ids, (list) => 4 * list.length),
  }
  const engine = {enablePrefixCaching: true, numGpuBlocks: blocks}
  return replay({
    trace: {...traceOf(rows), prefix},
    simulation: {
      ...simulationOf({instances, engine}),
      ...(router && {router}),
      replicas: Array.from({length: instances}, (_, at) => ({
        ...replicaOf({engine}),
        frontEnd: {delayNs, perTokenNs: 0, afterNs: 0},
        tiers: {
          group: pool === 'shared' ? 'all' : `${at}`,
          blockBytes: 10,
          tiers: tiers.map((tier, i) => tierOf(tier, i, pool === 'shared' ? 'all' : `${at}`)),
          links: () => new PlainTierLinks(time),
        },
      })),
      prefixes: (size) => prefixIdentity(prefix, size),
    },
  })
}

export const first = {at: 0, input: 13, ids: [1, 2, 3]}
/** Takes all blocks of the device. */
export const large = {at: 100, input: 21, output: 1}
export const again = {...first, at: 200}

export const useOf = ({engines}: Replay, tier = 0) => engines[0]!.tiers!.tiers[tier]!
