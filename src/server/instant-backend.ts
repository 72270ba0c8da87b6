/** `--respond instant`: answers at once and models nothing; for capturing traffic only. */
import {
  type Backend,
  type BackendStatus,
  type EngineStatus,
  idleStatus,
  type LiveObserver,
  type LiveRequest,
  type ServedTimes,
  type Ticket,
} from './backend.js'
import type {FairQueue} from './fair-queue.js'
import type {ModelClock} from './model-clock.js'

export class InstantBackend implements Backend {
  readonly #clock: ModelClock
  readonly #queue: FairQueue
  #past = -1
  #inFlight = 0
  #outputTokens = 0

  constructor(clock: ModelClock, queue: FairQueue) {
    this.#clock = clock
    this.#queue = queue
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    return 0
  }

  status(): BackendStatus {
    return {...idleStatus, running: this.#inFlight, outputTokens: this.#outputTokens}
  }

  engines(): EngineStatus[] {
    return [this.status()]
  }

  now(): number {
    return this.#clock.now()
  }

  submit(request: LiveRequest, observer: LiveObserver, receivedAt: number): Ticket {
    const arrivedAt = this.#next(receivedAt)
    const times = timesOf(arrivedAt, request.outputTokens)
    this.#inFlight++
    let isOpen = true
    this.#queue.goOn(() => {
      if (!isOpen) return
      isOpen = false
      this.#inFlight--
      this.#outputTokens += request.outputTokens
      if (observer.token) {
        for (let i = 0; i < request.outputTokens; i++) observer.token(arrivedAt)
      }
      observer.finished(times)
    })
    return {
      arrivedAt,
      cancel: () => {
        if (!isOpen) return undefined
        isOpen = false
        this.#inFlight--
        return {at: this.#next(this.#clock.now()), times: timesOf(arrivedAt, 0)}
      },
    }
  }

  /** A time of its own for each arrival and cancel. */
  #next(at: number): number {
    this.#past = Math.max(at, this.#past + 1)
    return this.#past
  }
}

const timesOf = (arrivedAt: number, producedTokens: number): ServedTimes => ({
  arrivedAt,
  scheduledAt: Number.NaN,
  firstTokenAt: Number.NaN,
  finishedAt: Number.NaN,
  producedTokens,
  cachedTokens: 0,
  preemptions: 0,
  engine: 0,
})
