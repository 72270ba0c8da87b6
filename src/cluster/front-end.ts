import type {Ns} from '../latency/step-time.js'

/** What a request passes before and after the engine. */
export interface FrontEnd {
  /** Constant delay before the engine sees a request: HTTP, template, hand-over between processes. */
  readonly delayNs: Ns
  /** One request at a time, per prompt token: the tokenizer. */
  readonly perTokenNs: Ns
  /** From the end of a batch until the client has the token. */
  readonly afterNs: Ns
}

export const noFrontEnd: FrontEnd = {delayNs: 0, perTokenNs: 0, afterNs: 0}
