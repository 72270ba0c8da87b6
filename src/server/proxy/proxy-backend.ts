/** Behind a proxy nothing is modelled: requests are counted, and that is all. */
import type {Backend, BackendStatus, Ticket} from '../backend.js'
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
    return {
      running: this.inFlight,
      waiting: 0,
      usedBlocks: 0,
      totalBlocks: 0,
      blockSize: 0,
      lookedUpTokens: 0,
      hitTokens: 0,
      preemptions: 0,
      steps: 0,
      outputTokens: this.outputTokens,
    }
  }

  submit(): Ticket {
    throw new Error('a proxy has no engines')
  }
}
