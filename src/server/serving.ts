/** The state of the port: what stands behind it, what it records, and whether it takes requests now. */
import type {RecordedRow} from '../trace/recording.js'
import {ApiError} from './api-error.js'
import type {Backend} from './backend.js'
import type {Faults} from './faults.js'
import type {TokenGaps} from './live-engine.js'
import type {Plan} from './plan.js'
import type {Recorder} from './recorder.js'
import {Sessions} from './sessions.js'

/** An answer that an engine gave: number `index` of its plan. */
export interface EngineAnswer {
  readonly plan: Plan
  readonly index: number
  /** Place of the engine in `Backend.engines()`. */
  readonly engine: number
}

/** Told of every request; for metrics and pages. */
export interface ServingObserver {
  /** An answer has ended, and its row is written. Undefined: a real server gave it. */
  ended(row: RecordedRow, answer: EngineAnswer | undefined): void
  gaps?(gaps: TokenGaps): void
}

export interface ServingParts {
  readonly backend: Backend
  readonly recorder: Recorder
  /** Starts the chains of block ids; a whole number below 2^53. */
  readonly salt: number
  readonly keepsText: boolean
  /** Requests that may wait for an engine; further ones are turned away. */
  readonly maxWaiting: number
  /** Until then (performance.now()) the model is being loaded. */
  readonly readyAt: number
  readonly faults: Faults | undefined
}

export class Serving {
  readonly backend: Backend
  readonly recorder: Recorder
  readonly salt: number
  readonly keepsText: boolean
  readonly sessions = new Sessions()
  readonly observers: ServingObserver[] = []
  /** Requests that got no answer: by HTTP status, or by what became of them. */
  readonly unanswered = new Map<string, number>()
  readonly #parts: ServingParts
  #isDraining = false
  #open = 0
  #emptied: (() => void) | undefined

  constructor(parts: ServingParts) {
    this.#parts = parts
    this.backend = parts.backend
    this.recorder = parts.recorder
    this.salt = parts.salt
    this.keepsText = parts.keepsText
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Requests that were taken and not yet answered to the last byte. */
  get open(): number {
    return this.#open
  }

  /** ms until the model is loaded; 0: it is. */
  get warmingMs(): number {
    return Math.max(0, this.#parts.readyAt - performance.now())
  }

  /** @throws ApiError when no request is taken now */
  admit(): void {
    if (this.#isDraining) throw new ApiError(503, 'The server is shutting down.', retryAfter(1))
    const {trouble} = this.recorder
    if (trouble !== undefined) {
      throw new ApiError(503, `Requests cannot be recorded: ${trouble}.`, retryAfter(1))
    }
    const warming = this.warmingMs
    if (warming > 0) {
      const seconds = Math.ceil(warming / 1000)
      throw new ApiError(503, `The model is being loaded: ${seconds} s to go.`, retryAfter(seconds))
    }
    const {maxWaiting} = this.#parts
    if (this.backend.waiting >= maxWaiting) {
      const message = `The queue is full: ${maxWaiting} requests wait (--max-queue).`
      throw new ApiError(429, message, {...retryAfter(1), code: 'rate_limit_exceeded'})
    }
    const fault = this.#parts.faults?.next()
    if (fault !== undefined) throw fault
  }

  /** Counts a request that gets no answer. */
  turnAway(why: string): void {
    this.unanswered.set(why, (this.unanswered.get(why) ?? 0) + 1)
  }

  /** Counts a request in; call `leave` once it has been answered to the last byte, or its client is gone. */
  enter(): void {
    this.#open++
  }

  leave(): void {
    this.#open--
    if (this.#open === 0) this.#emptied?.()
  }

  /** Takes no more requests; resolves when those in the house have been answered. */
  drain(): Promise<void> {
    this.#isDraining = true
    return new Promise((resolve) => {
      this.#emptied = resolve
      if (this.#open === 0) resolve()
    })
  }
}

const retryAfter = (seconds: number) => ({headers: {'retry-after': String(seconds)}})
