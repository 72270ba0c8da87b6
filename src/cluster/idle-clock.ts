/** When an idle engine looks for work, and what it can see of the cluster around it. */
import type {Ns} from '../latency/step-time.js'

/** When an idle engine looks for work; the default is at once. */
export interface ClockHooks {
  /** Time at which an engine notices, in a cluster that idles since `idleSince`, a request that arrives `at`. */
  noticeAt(idleSince: Ns, at: Ns): Ns
  /** Since when a cluster idles that never ran, given the first arrival. */
  firstIdle(firstArrival: Ns): Ns
}

export const realClock: ClockHooks = {noticeAt: (_idleSince, at) => at, firstIdle: (first) => first}

/** What an idle engine can see of the cluster around it. */
export interface Surroundings {
  /** When the last batch of any engine ended; NaN before the first. */
  lastEventAt(): Ns
  /** The first moment from `at` on at which something ends in a step of another engine; +Infinity: none shows. */
  nextNodeEnd(at: Ns): Ns
}

/** What those see of it that it can see of others. */
interface Neighbour {
  readonly instance: number
  /** End of its last batch; NaN before the first. */
  readonly idleSince: Ns
  nextNodeEnd(at: Ns): Ns
}

/** What an idle replica sees of the others. */
export const surroundingsOf = (
  instance: number,
  replicas: () => readonly Neighbour[],
): Surroundings => ({
  lastEventAt: () =>
    replicas().reduce(
      (last, {idleSince}) => (Number.isNaN(idleSince) || idleSince < last ? last : idleSince),
      Number.NaN,
    ),
  nextNodeEnd: (at) =>
    replicas().reduce(
      (next, other) => (other.instance === instance ? next : Math.min(next, other.nextNodeEnd(at))),
      Number.POSITIVE_INFINITY,
    ),
})
