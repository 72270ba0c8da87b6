/**
 * Data-parallel ranks of a model with experts: every pass runs on all of them together. A rank without work runs a
 * pass over one token of nothing, all pad to the largest, and the slowest decides when a stage is done.
 */
import {
  type BatchShape,
  emptyShape,
  type Ns,
  type PipelineTime,
  type StepTime,
} from '../latency/step-time.js'
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
  readonly #ends: PassEnds
  /** When all ranks have left each stage, the first one first. */
  readonly #freeAt: Ns[]

  constructor(members: readonly Replica[], ends: PassEnds) {
    this.#members = members
    this.#ends = ends
    this.#freeAt = members[0]!.times.stages.map(() => Number.NEGATIVE_INFINITY)
  }

  /** When the next pass can start that some rank waits for; +Infinity: nobody waits. */
  get nextAt(): Ns {
    return this.#members.some(({pending}) => pending) ? this.#freeAt[0]! : Number.POSITIVE_INFINITY
  }

  /** Starts the next pass at `now`, if the first stage is free and some rank has work. Returns whether. */
  start(now: Ns): boolean {
    if (now < this.#freeAt[0]!) return false
    const pending = this.#members.map((member) => member.pending)
    const padded = pending.reduce((most, batch) => Math.max(most, batch?.shape.tokens ?? 0), 0)
    if (padded === 0) return false
    const shapes = pending.map((batch) => {
      const shape = batch?.shape ?? {...dummy}
      if (this.#ends === 'own') shape.sequences += padded - shape.tokens
      shape.paddedTokens = padded
      return shape
    })
    const end = this.#enter(shapes, now)
    for (const [rank, member] of this.#members.entries()) {
      const own = this.#ends === 'own' ? now + member.times.stages[0]!(shapes[rank]!) : end
      member.join(now, own)
    }
    return true
  }

  /** Ranks enter and leave each stage side by side, for its experts take part in every layer. Returns the end. */
  #enter(shapes: readonly BatchShape[], now: Ns): Ns {
    const longest = (timeOf: (times: PipelineTime) => StepTime) =>
      this.#members.reduce((ns, {times}, rank) => Math.max(ns, timeOf(times)(shapes[rank]!)), 0)
    let end = now
    for (let stage = 0; stage < this.#freeAt.length; stage++) {
      if (stage > 0) end = Math.max(end + longest(({hop}) => hop), this.#freeAt[stage]!)
      end += longest(({stages}) => stages[stage]!)
      this.#freeAt[stage] = end
    }
    return end
  }
}
