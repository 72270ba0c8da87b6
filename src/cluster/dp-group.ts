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

export class DpGroup {
  readonly #members: readonly Replica[]
  readonly #times: readonly StepTime[]
  #passEnd: Ns = Number.NEGATIVE_INFINITY

  constructor(members: readonly Replica[], times: readonly StepTime[]) {
    this.#members = members
    this.#times = times
  }

  /** Starts the next pass at `now`, if none runs and some rank has work. Returns whether. */
  start(now: Ns): boolean {
    if (now < this.#passEnd) return false
    let padded = 0
    for (const {pending} of this.#members) {
      if (pending) padded = Math.max(padded, pending.shape.tokens)
    }
    if (padded === 0) return false
    let duration = 0
    for (const [rank, {pending}] of this.#members.entries()) {
      const shape = pending?.shape ?? {...dummy}
      shape.paddedTokens = padded
      duration = Math.max(duration, this.#times[rank]!(shape))
    }
    this.#passEnd = now + duration
    for (const member of this.#members) member.join(now, this.#passEnd)
    return true
  }
}
