/** Who is turned away at the door: rates and queue limits by class of priority, so that less urgent work is shed first. */
import type {Ns} from '../latency/step-time.js'

export interface GateRequest {
  readonly priority: number
  readonly inputTokens: number
  /** Prompt and output. */
  readonly tokens: number
}

interface Load {
  readonly waiting: number
}

/** Says why a request is turned away; undefined lets it in. */
export interface Gate {
  check(request: GateRequest, engines: readonly Load[], now: Ns): string | undefined
}

export interface GateClass {
  readonly name: string
  /** Requests with this priority or a lower number (more urgent), unless an earlier class took them. */
  readonly upToPriority: number
  /** A bucket that fills at this rate: requests, or prompt tokens, per second; and how much it holds. */
  readonly rate?: {
    readonly of: 'requests' | 'tokens'
    readonly perSecond: number
    readonly burst: number
  }
  /** Turned away while at least so many requests wait in all engines. */
  readonly maxWaiting?: number
}

class Bucket {
  readonly #rate: NonNullable<GateClass['rate']>
  #level: number
  #filledAt: Ns = 0

  constructor(rate: NonNullable<GateClass['rate']>) {
    this.#rate = rate
    this.#level = rate.burst
  }

  /** Takes what a request costs, if it is there. */
  takes({inputTokens}: GateRequest, now: Ns): boolean {
    const {of, perSecond, burst} = this.#rate
    this.#level = Math.min(burst, this.#level + ((now - this.#filledAt) * perSecond) / 1e9)
    this.#filledAt = now
    const cost = of === 'requests' ? 1 : inputTokens
    if (this.#level < cost) return false
    this.#level -= cost
    return true
  }
}

/** A gate with classes in order; a request that none of them takes goes through. */
export function gateOf(classes: readonly GateClass[]): Gate {
  const buckets = classes.map(({rate}) => rate && new Bucket(rate))
  return {
    check(request, engines, now) {
      const at = classes.findIndex(({upToPriority}) => request.priority <= upToPriority)
      const found = classes[at]
      if (found === undefined) return undefined
      const {name, maxWaiting, rate} = found
      if (maxWaiting !== undefined) {
        let waiting = 0
        for (const engine of engines) waiting += engine.waiting
        if (waiting >= maxWaiting)
          return `shed: ${waiting} requests wait, class ${name} allows ${maxWaiting}`
      }
      if (rate && !buckets[at]!.takes(request, now)) {
        return `shed: class ${name} is over its rate of ${rate.perSecond} ${rate.of} per second`
      }
      return undefined
    },
  }
}
