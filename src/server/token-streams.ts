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

interface Reading {
  readonly reader: TokenReader
  /** First and last batch of each stretch that gives it one token a batch, oldest first. */
  readonly stretches: number[]
  /** Its place among those that may get a token; −1: none now. */
  place: number
}

const open = Number.POSITIVE_INFINITY

export class TokenStreams {
  /** By slot. */
  readonly #readings: (Reading | undefined)[] = []
  readonly #active: Reading[] = []

  readonly listener: EngineListener = {
    tokensFrom: (slot, batch) => {
      const reading = this.#readings[slot]
      if (reading === undefined) return
      reading.stretches.push(batch, open)
      if (reading.place < 0) reading.place = this.#active.push(reading) - 1
    },
    tokensUntil: (slot, batch) => {
      const stretches = this.#readings[slot]?.stretches
      const last = (stretches?.length ?? 0) - 1
      if (last > 0) stretches![last] = Math.min(stretches![last]!, batch)
    },
    batchEnded: (batch, now) => this.#deliver(batch, now),
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
  #deliver(batch: number, now: Ns): void {
    for (let i = this.#active.length - 1; i >= 0; i--) {
      const reading = this.#active[i]!
      const {stretches} = reading
      while (stretches.length > 0 && stretches[1]! < batch) stretches.splice(0, 2)
      if (stretches.length === 0) this.#rest(reading)
      else if (stretches[0]! <= batch) reading.reader.token(now)
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
