/**
 * Data-parallel ranks of a model with experts: every pass runs on all of them together. A rank without work runs a
 * pass over one token of nothing, all pad to the largest, and the slowest decides when they end.
 */
import {type BatchShape, emptyShape, type Ns, type StepTime} from '../latency/step-time.js'
import type {Replica} from './replica.js'

/** What a rank without work computes. */
const dummy: Readonly<BatchShape> = {
  ...emptyShape(),
  tokens: 1,
  sequences: 1,
  decodes: 1,
  decodeContext: 1,
  decodeContextMin: 1,
  decodeContextMax: 1,
}

/**
 * `together`: the slowest rank decides. `own`: ranks start together and end one by one, and the next pass waits for
 * all; padded rows count as sequences too (LLMServingSim).
 */
export type PassEnds = 'together' | 'own'

export class DpGroup {
  readonly #members: readonly Replica[]
  readonly #times: readonly StepTime[]
  readonly #ends: PassEnds
  /** When all ranks are done with the pass that runs. */
  #freeAt: Ns = Number.NEGATIVE_INFINITY

  constructor(members: readonly Replica[], times: readonly StepTime[], ends: PassEnds) {
    this.#members = members
    this.#times = times
    this.#ends = ends
  }

  /** When the next pass can start that some rank waits for; +Infinity: nobody waits. */
  get nextAt(): Ns {
    return this.#members.some(({pending}) => pending) ? this.#freeAt : Number.POSITIVE_INFINITY
  }

  /** Starts the next pass at `now`, if none runs and some rank has work. Returns whether. */
  start(now: Ns): boolean {
    if (now < this.#freeAt) return false
    let padded = 0
    for (const {pending} of this.#members) {
      if (pending) padded = Math.max(padded, pending.shape.tokens)
    }
    if (padded === 0) return false
    const lengths = this.#members.map(({pending}, rank) => {
      const shape = pending?.shape ?? {...dummy}
      if (this.#ends === 'own') shape.sequences += padded - shape.tokens
      shape.paddedTokens = padded
      return this.#times[rank]!(shape)
    })
    const longest = Math.max(...lengths)
    this.#freeAt = now + longest
    for (const [rank, member] of this.#members.entries()) {
      member.join(now, now + (this.#ends === 'own' ? lengths[rank]! : longest))
    }
    return true
  }
}
