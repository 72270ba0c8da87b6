/**
 * When each token of each request came, for `--itl`: the ends of all batches of an engine, and per request the
 * stretches of batches that each gave it one token. Kept only when somebody asks; a join or leave costs O(1).
 */
import type {EngineListener} from '../engine/engine-config.js'
import type {Ns} from '../latency/step-time.js'

/** Batches of a lane from…until (inclusive, numbered from 1), one token each. */
interface Stretch {
  readonly lane: number
  readonly from: number
  until: number
}

export class TokenTimeline {
  readonly #ends: Ns[] = []
  readonly #lanes: number[] = []
  readonly #stretches: Stretch[][] = []

  /** What the engine must call. */
  readonly listener: EngineListener = {
    tokensFrom: (slot, batch, lane = 0) => {
      this.#stretches[slot] ??= []
      this.#stretches[slot]!.push({lane, from: batch, until: Number.POSITIVE_INFINITY})
    },
    tokensUntil: (slot, batch) => {
      const last = this.#stretches[slot]?.at(-1)
      if (last) last.until = Math.min(last.until, batch)
    },
    batchEnded: (batch, now, lane = 0) => {
      this.#lanes[batch - 1] = lane
      this.#ends[batch - 1] = now
    },
  }

  /** Gaps between the tokens of a request that leaves, in ns; its slot is then forgotten. */
  takeGaps(slot: number): number[] {
    const gaps: number[] = []
    let previous = Number.NaN
    for (const {lane, from, until} of this.#stretches[slot] ?? []) {
      for (let batch = from; batch <= Math.min(until, this.#ends.length); batch++) {
        if (this.#lanes[batch - 1] !== lane) continue
        const end = this.#ends[batch - 1]!
        if (!Number.isNaN(previous)) gaps.push(end - previous)
        previous = end
      }
    }
    this.#stretches[slot] = []
    return gaps
  }
}
