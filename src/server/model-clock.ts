/** The wall clock as the model sees it: whole nanoseconds since the start, faster or slower than real time. */
import type {Ns} from '../latency/step-time.js'

export interface ModelClock {
  now(): Ns
  /** Calls `task` once, not before `at`; a new call takes the place of the one before. +Infinity: never. */
  wakeAt(at: Ns, task: () => void): void
}

/** Longest delay that Node's timers take. */
const longestMs = 2 ** 31 - 1

/** Node's timers count milliseconds: what is left of one is spent looking, as long as that is seldom. */
const fastestLooked = 2

export class WallClock implements ModelClock {
  readonly #speed: number
  readonly #origin = process.hrtime.bigint()
  #at: Ns = Number.POSITIVE_INFINITY
  #task: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #look: NodeJS.Immediate | undefined

  /** `speed` nanoseconds of the model pass in one nanosecond. */
  constructor(speed = 1) {
    this.#speed = speed
  }

  now(): Ns {
    return Math.floor(Number(process.hrtime.bigint() - this.#origin) * this.#speed)
  }

  wakeAt(at: Ns, task: () => void): void {
    this.#at = at
    this.#task = task
    this.#wait()
  }

  #wait(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#look)
    if (this.#at === Number.POSITIVE_INFINITY) return
    const delayMs = (this.#at - this.now()) / this.#speed / 1e6
    if (delayMs < 1 && this.#speed <= fastestLooked) this.#look = setImmediate(this.#check)
    else this.#timer = setTimeout(this.#check, Math.min(longestMs, Math.max(1, delayMs)))
  }

  readonly #check = (): void => {
    if (this.now() < this.#at) this.#wait()
    else this.#task!()
  }
}
