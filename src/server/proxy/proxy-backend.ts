/** Behind a proxy nothing is modelled: requests are counted, and that is all. */
import {type Backend, type BackendStatus, idleStatus, type Ticket} from '../backend.js'
import type {ModelClock} from '../model-clock.js'

export class ProxyBackend implements Backend {
  inFlight = 0
  /** Output tokens so far. */
  outputTokens = 0
  readonly waiting = 0
  readonly #clock: ModelClock

  constructor(clock: ModelClock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  status(): BackendStatus {
    return {...idleStatus, running: this.inFlight, outputTokens: this.outputTokens}
  }

  engines(): [] {
    return []
  }

  submit(): Ticket {
    throw new Error('a proxy has no engines')
  }
}
