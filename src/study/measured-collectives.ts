/** What joins the ranks of an engine whose kernels were measured: the curves of their link or topology. */
import {allReduceOf, joinedBy} from '../latency/collective.js'
import {exchangeNs} from '../latency/exchange.js'
import type {Collectives} from '../latency/profile/profile.js'
import type {StepTimeModel} from '../latency/step-time.js'
import type {Instance} from './instance.js'
import {joinedBy as joinedByTopology} from './wiring.js'

export interface JoinedRanks {
  readonly collectives: Collectives
  readonly provenance: StepTimeModel['provenance']
}

/** @throws Problem PARALLELISM_INVALID where nothing joins so many devices */
export function measuredCollectives(instance: Instance): JoinedRanks {
  const {tp, ep, link, model, wired, settings} = instance
  const {experts} = model.groups[0]!.mlp
  const known = wired && joinedByTopology(wired, link, 'measured')
  const tensor = tp > 1 ? (known?.tensor ?? joinedBy(link, tp, 'measured')) : undefined
  const reduce = tensor && allReduceOf(tensor).coefficients
  const allReduce = (tokens: number) =>
    reduce === undefined ? 0 : Math.round(reduce(tokens * model.hiddenSize * 2))
  const provenance = tensor ? [{term: 'all-reduce', from: tensor.from, detail: tensor.detail}] : []
  // Experts within a tensor-parallel group add up over it.
  if (experts === null || ep <= tp)
    return {collectives: {allReduce, dispatch: () => 0, combine: allReduce}, provenance}
  const joined = known?.experts ?? joinedBy(link, ep, 'measured')
  const exchange = settings.all2allBackend === 'deepep_high_throughput' ? 'all-to-all' : 'gather'
  const time = exchangeNs({
    ...{joined, exchange, ranks: ep, hiddenSize: model.hiddenSize},
    ...{experts: experts.count, perToken: experts.perToken},
  })
  const there = (tokens: number) => Math.round(time((tokens * ep) / tp))
  return {
    // There and back are one figure.
    collectives: {allReduce, dispatch: there, combine: () => 0},
    provenance: [...provenance, {term: `experts by ${exchange}`, ...joined.library}],
  }
}
