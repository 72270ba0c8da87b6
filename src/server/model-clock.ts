/** The wall clock as the model sees it: whole nanoseconds since the start, faster or slower than real time. */
import type {Ns} from '../latency/step-time.js'

export interface ModelClock {
  now(): Ns
  /** Calls `task` once, not before `at`; a new call takes the place of the one before. +Infinity: never. */
  wakeAt(at: Ns, task: () => void): void
}

/** Longest delay that Node's timers take. */
const longestMs = 2 ** 31 - 1

export class WallClock implements ModelClock {
  readonly #speed: number
  readonly #origin = process.hrtime.bigint()
  #timer: NodeJS.Timeout | undefined

  /** `speed` nanoseconds of the model pass in one nanosecond. */
  constructor(speed = 1) {
    this.#speed = speed
  }

  now(): Ns {
    return Math.floor(Number(process.hrtime.bigint() - this.#origin) * this.#speed)
  }

  wakeAt(at: Ns, task: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (at === Number.POSITIVE_INFINITY) return
    const delayMs = (at - this.now()) / this.#speed / 1e6
    this.#timer = setTimeout(task, Math.min(longestMs, Math.max(1, Math.ceil(delayMs))))
  }
}
