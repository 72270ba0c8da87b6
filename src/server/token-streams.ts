/**
 * Who gets a token when a batch ends. The engine reports stretches of batches, not tokens; this keeps the requests
 * whose client reads every token, per engine, and tells each of them at each end.
 */
import type {EngineListener} from '../engine/engine-config.js'
import type {Ns} from '../latency/step-time.js'

/** One reader of tokens. */
export interface TokenReader {
  token(at: Ns): void
}

/** Batches of a lane, from…until (inclusive), that give `tokens` each. */
interface Stretch {
  readonly lane: number
  readonly from: number
  until: number
  readonly tokens: number
}

interface Reading {
  readonly reader: TokenReader
  /** Oldest first. */
  readonly stretches: Stretch[]
  /** Its place among those that may get a token; −1: none now. */
  place: number
}

export class TokenStreams {
  /** By slot. */
  readonly #readings: (Reading | undefined)[] = []
  readonly #active: Reading[] = []

  readonly listener: EngineListener = {
    tokensFrom: (slot, batch, lane = 0) => {
      this.#expect(slot, {lane, from: batch, until: Number.POSITIVE_INFINITY, tokens: 1})
    },
    tokensAt: (slot, batch, tokens) => {
      this.#expect(slot, {lane: 0, from: batch, until: batch, tokens})
    },
    tokensUntil: (slot, batch) => {
      const last = this.#readings[slot]?.stretches.at(-1)
      if (last) last.until = Math.min(last.until, batch)
    },
    batchEnded: (batch, now, lane = 0) => this.#deliver(batch, now, lane),
  }

  #expect(slot: number, stretch: Stretch): void {
    const reading = this.#readings[slot]
    if (reading === undefined) return
    reading.stretches.push(stretch)
    if (reading.place < 0) reading.place = this.#active.push(reading) - 1
  }

  add(slot: number, reader: TokenReader): void {
    this.#readings[slot] = {reader, stretches: [], place: -1}
  }

  remove(slot: number): void {
    const reading = this.#readings[slot]
    this.#readings[slot] = undefined
    if (reading !== undefined) this.#rest(reading)
  }

  /** From the back: whoever leaves is replaced by one that had its turn. */
  #deliver(batch: number, now: Ns, lane: number): void {
    for (let i = this.#active.length - 1; i >= 0; i--) {
      const reading = this.#active[i]!
      const {stretches, reader} = reading
      while (stretches.length > 0 && stretches[0]!.until < batch) stretches.shift()
      const stretch = stretches[0]
      if (stretch === undefined) this.#rest(reading)
      else if (stretch.from <= batch && stretch.lane === lane)
        for (let k = 0; k < stretch.tokens; k++) reader.token(now)
    }
  }

  #rest(reading: Reading): void {
    const {place} = reading
    if (place < 0) return
    reading.place = -1
    const last = this.#active.pop()!
    if (last === reading) return
    this.#active[place] = last
    last.place = place
  }
}
