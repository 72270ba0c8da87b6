/** A clock that a test moves by hand; a wake-up may come late. */
import type {ModelClock} from '#llmsim/server/model-clock.js'

export class ManualClock implements ModelClock {
  #now = 0
  #at = Number.POSITIVE_INFINITY
  #task: (() => void) | undefined

  now(): number {
    return this.#now
  }

  wakeAt(at: number, task: () => void): void {
    this.#at = at
    this.#task = task
  }

  /** Moves to `to`; everybody who wanted to be woken on the way is, each time `late` ns after. */
  moveTo(to: number, late: number): void {
    while (this.#at + late <= to) {
      this.#now = Math.max(this.#now, this.#at + late)
      this.#at = Number.POSITIVE_INFINITY
      this.#task!()
    }
    this.#now = Math.max(this.#now, to)
  }
}
