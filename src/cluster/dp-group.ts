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
export const dummy: Readonly<BatchShape> = {
  ...emptyShape(),
  tokens: 1,
  sequences: 1,
  decodes: 1,
  decodeContext: 1,
  decodeContextMin: 1,
  decodeContextMax: 1,
}

/** Engines that go on together, as the event loop sees them. */
export interface RankGroup {
  /** When it has something to do next; +Infinity: nothing. */
  readonly nextAt: Ns
  /** What ends at `now` does, before completions. Returns whether a batch has. */
  advance?(now: Ns): boolean
  /** Goes on at `now`, once all engines have planned. Returns whether it did. */
  start(now: Ns): boolean
  /** Goes on as far as no engine can notice, up to and including `until`. Returns whether it did. */
  skip?(until: Ns): boolean
}

export class DpGroup implements RankGroup {
  readonly #members: readonly Replica[]
  /** When all ranks have left each stage, the first one first. */
  readonly #freeAt: Ns[]

  constructor(members: readonly Replica[]) {
    this.#members = members
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
      shape.paddedTokens = padded
      return shape
    })
    const end = this.#enter(shapes, now)
    for (const member of this.#members) member.join(now, end)
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
