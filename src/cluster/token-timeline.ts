/**
 * When each token of each request came, for `--itl`: the ends of all batches of an engine, and per request the
 * stretches of batches that each gave it one token. Kept only when somebody asks; a join or leave costs O(1).
 */
import type {EngineListener} from '../engine/engine-config.js'
import type {Ns} from '../latency/step-time.js'

/** Batches of a lane from…until (inclusive, numbered from 1), `tokens` each. */
interface Stretch {
  readonly lane: number
  readonly from: number
  until: number
  readonly tokens: number
}

export class TokenTimeline {
  readonly #ends: Ns[] = []
  readonly #lanes: number[] = []
  readonly #stretches: Stretch[][] = []

  /** What the engine must call. */
  readonly listener: EngineListener = {
    tokensFrom: (slot, batch, lane = 0) => {
      this.#add(slot, {lane, from: batch, until: Number.POSITIVE_INFINITY, tokens: 1})
    },
    tokensAt: (slot, batch, tokens) => {
      this.#add(slot, {lane: 0, from: batch, until: batch, tokens})
    },
    tokensUntil: (slot, batch) => {
      const last = this.#stretches[slot]?.at(-1)
      if (last) last.until = Math.min(last.until, batch)
    },
    forgotten: (slot) => {
      this.#stretches[slot] = []
    },
    batchEnded: (batch, now, lane = 0) => {
      this.#lanes[batch - 1] = lane
      this.#ends[batch - 1] = now
    },
  }

  #add(slot: number, stretch: Stretch): void {
    this.#stretches[slot] ??= []
    this.#stretches[slot]!.push(stretch)
  }

  /**
   * Gaps between the tokens of a request that leaves, in ns; its slot is then forgotten. `firstTokenAt`: when the
   * first one came, if another engine made it.
   */
  takeGaps(slot: number, firstTokenAt = Number.NaN): number[] {
    const gaps: number[] = []
    let previous = firstTokenAt
    for (const {lane, from, until, tokens} of this.#stretches[slot] ?? []) {
      for (let batch = from; batch <= Math.min(until, this.#ends.length); batch++) {
        if (this.#lanes[batch - 1] !== lane) continue
        const end = this.#ends[batch - 1]!
        if (end > previous) gaps.push(end - previous)
        for (let more = 1; more < tokens; more++) gaps.push(0)
        previous = end
      }
    }
    this.#stretches[slot] = []
    return gaps
  }
}
