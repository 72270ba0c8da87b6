/**
 * When each token of each request came, for `--itl`: the ends of all batches of an engine, and per request the
 * stretches of batches that each gave it one token. Kept only when somebody asks; a join or leave costs O(1).
 */
import type {EngineListener} from '../engine/engine-config.js'
import type {Ns} from '../latency/step-time.js'

/** Batches from…until (inclusive, numbered from 1), `tokens` each. */
interface Stretch {
  readonly from: number
  until: number
  readonly tokens: number
}

export class TokenTimeline {
  readonly #ends: Ns[] = []
  readonly #stretches: Stretch[][] = []

  /** What the engine must call. */
  readonly listener: EngineListener = {
    tokensFrom: (slot, batch) => {
      this.#add(slot, {from: batch, until: Number.POSITIVE_INFINITY, tokens: 1})
    },
    tokensAt: (slot, batch, tokens) => {
      this.#add(slot, {from: batch, until: batch, tokens})
    },
    tokensUntil: (slot, batch) => {
      const last = this.#stretches[slot]?.at(-1)
      if (last) last.until = Math.min(last.until, batch)
    },
    batchEnded: (batch, now) => {
      this.#ends[batch - 1] = now
    },
  }

  #add(slot: number, stretch: Stretch): void {
    this.#stretches[slot] ??= []
    this.#stretches[slot]!.push(stretch)
  }

  /** Gaps between the tokens of a request that leaves, in ns; its slot is then forgotten. */
  takeGaps(slot: number): number[] {
    const gaps: number[] = []
    let previous = Number.NaN
    for (const {from, until, tokens} of this.#stretches[slot] ?? []) {
      for (let batch = from; batch <= Math.min(until, this.#ends.length); batch++) {
        const end = this.#ends[batch - 1]!
        if (!Number.isNaN(previous)) gaps.push(end - previous)
        for (let more = 1; more < tokens; more++) gaps.push(0)
        previous = end
      }
    }
    this.#stretches[slot] = []
    return gaps
  }
}
