/**
 * The cohorts of an engine. Without stages there is one, which all batches share. In a pipeline every batch in flight
 * has the cohort of its own decodes: they cannot be planned again before it has ended.
 */
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import {Cohort, type SeatColumn} from './cohort.js'

/** Moves a member that was left out of its batch to another cohort. */
export type Move = (from: Cohort, to: Cohort) => void

export class Lanes {
  /** The cohort that may be planned now. */
  open: Cohort
  readonly #cohorts: readonly Cohort[]
  readonly #spare: Cohort[]

  constructor(blockSize: number, stages: number, column: SeatColumn) {
    const count = stages > 1 ? stages + 1 : 1
    this.#cohorts = Array.from({length: count}, (_, lane) => new Cohort(blockSize, column, lane))
    this.open = this.#cohorts[0]!
    this.#spare = this.#cohorts.slice(1).reverse()
  }

  get isPipeline(): boolean {
    return this.#cohorts.length > 1
  }

  get operations(): number {
    let sum = 0
    for (const {operations} of this.#cohorts) sum += operations
    return sum
  }

  /** Members of all cohorts. */
  get size(): number {
    if (this.#cohorts.length === 1) return this.open.size
    let sum = 0
    for (const {size} of this.#cohorts) sum += size
    return sum
  }

  at(lane: number): Cohort {
    return this.#cohorts[lane]!
  }

  /** A cohort for those whom the plan being made leaves out of a pipeline. */
  get next(): Cohort {
    return this.#spare.at(-1)!
  }

  /** The open cohort goes with `batch`. */
  depart(batch: Batch): void {
    batch.lane = this.open.lane
    if (!this.isPipeline) return
    this.open.inFlight = batch
    this.open = this.#spare.pop()!
  }

  /** `batch` ended at `now`: its decodes may be planned again. Returns how long ago their last tokens came. */
  arrive(batch: Batch, now: Ns, move: Move): Ns {
    const cohort = this.#cohorts[batch.lane]!
    const gap = now - cohort.lastEnd
    cohort.lastEnd = now
    if (this.isPipeline) this.#reopen(cohort, move)
    return gap
  }

  #reopen(cohort: Cohort, move: Move): void {
    cohort.inFlight = undefined
    if (cohort.size === 0) this.#spare.push(cohort)
    else {
      if (this.open.size > 0) move(this.open, cohort)
      this.#spare.push(this.open)
      this.open = cohort
    }
  }
}
