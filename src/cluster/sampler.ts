/** Looks at all engines whenever an interval of the time series ends. Looking changes nothing. */
import type {Ns} from '../latency/step-time.js'
import {type EngineMoment, Series} from '../stats/series.js'
import type {Cluster} from './cluster.js'

const never = Number.POSITIVE_INFINITY

export class Sampler {
  readonly series = new Series()
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /**
   * Looks if an interval ends before `next`, the next thing that comes from outside, and there is still something to
   * come. Returns whether: then ask again, since events may have been let happen.
   */
  looked(next: Ns): boolean {
    const at = this.series.nextAt()
    if (at >= next || (next === never && this.#cluster.nextEventAt() === never)) return false
    // Interrupted: something that ended released an arrival, which comes first.
    if (this.#cluster.advanceTo(at)) this.series.add(this.#look())
    return true
  }

  /** When it looks next. */
  nextAt(): Ns {
    return this.series.nextAt()
  }

  /** Nothing happens any more. */
  finish(): Series {
    const ends = this.#cluster.replicas.map(({idleSince}) => idleSince)
    const last = ends.reduce((latest, end) => (end > latest ? end : latest), 0)
    this.series.close(last, this.#look())
    return this.series
  }

  #look(): EngineMoment[] {
    return this.#cluster.replicas.map((replica) => {
      const {running, waiting, freeBlocks, totalBlocks, engine} = replica
      const {prefillTokens, decodeTokens, lookedUpTokens, hitTokens, preemptions} = engine.totals
      const totals = {prefillTokens, decodeTokens, lookedUpTokens, hitTokens, preemptions}
      return {running, waiting, usedBlocks: totalBlocks - freeBlocks, totals}
    })
  }
}
