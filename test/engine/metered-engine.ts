/** An engine run step by step, with an account of what happened in each and what it cost. */
import {Engine} from '#llmsim/engine/engine.js'
import type {BatchClock, EngineConfig} from '#llmsim/engine/engine-config.js'
import {policies} from '#llmsim/engine/policy.js'
import type {PrefixIdentity} from '#llmsim/engine/prefix-identity.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'

export interface Request {
  readonly input: number
  readonly output: number
  readonly priority?: number
}

export interface StepCost {
  /** Decodes in the batch. */
  readonly decodes: number
  readonly running: number
  /** Joins, leaves, chunks, preemptions, and spans with a shared identity of which blocks were filled or sought. */
  readonly events: number
  /** By the engine's own count. */
  readonly operations: number
  /** Reads and writes of columns of requests, counted by the columns. */
  readonly touches: number
}

/** Of all steps that were skipped together. */
export interface SkipCost {
  readonly steps: number
  readonly operations: number
  readonly touches: number
}

const stepNs = 10

export const roomy: EngineConfig = {
  numGpuBlocks: 1_000_000,
  blockSize: 16,
  maxNumSeqs: 8192,
  maxNumBatchedTokens: 16_384,
  longPrefillTokenThreshold: 0,
  enableChunkedPrefill: true,
  enablePrefixCaching: true,
  reserveFullPrompt: true,
  ownBlocks: true,
  maxModelLen: 1_000_000,
  depth: 1,
  policy: policies[0]!,
}

export interface Metering {
  readonly config?: Partial<EngineConfig>
  readonly identity?: PrefixIdentity
  /** Most requests at any time: columns must not grow once they count. */
  readonly slots: number
  readonly make?: typeof Engine
}

/** Every element read or written is one touch. */
const counted = <T extends object>(column: T, touch: () => void): T =>
  new Proxy(column, {
    get(target, field) {
      if (typeof field === 'string' && field >= '0' && field <= '9~') touch()
      const value: unknown = Reflect.get(target, field)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set(target, field, value) {
      touch()
      return Reflect.set(target, field, value)
    },
  })

export class MeteredEngine {
  readonly engine: Engine
  readonly requests = new RequestPool()
  now = 0
  /** Batches one after the other, all of one length. */
  readonly #clock: BatchClock = {
    add: (batch, now) => {
      batch.start = Math.max(now, this.#freeAt)
      batch.end = this.#freeAt = batch.start + stepNs
    },
  }
  #freeAt = 0
  #events = 0
  #touches = 0
  #rows = 0

  constructor({config, identity, slots, make = Engine}: Metering) {
    // Grown once, to all slots that will be needed.
    const taken = Array.from({length: slots}, () => this.requests.take())
    for (const slot of taken) this.requests.give(slot)
    const columns = this.requests as unknown as Record<string, unknown>
    for (const [name, column] of Object.entries(columns))
      if (ArrayBuffer.isView(column)) columns[name] = counted(column, () => this.#touches++)
    this.engine = new make({...roomy, ...config}, this.requests, {
      ...(identity && {
        identity: {
          ...identity,
          spanId: (row, span) => {
            this.#events++
            return identity.spanId(row, span)
          },
        },
      }),
      listener: {
        chunkPlanned: () => this.#events++,
        tokensFrom: () => this.#events++,
        tokensUntil: () => this.#events++,
      },
    })
  }

  /** Returns its slot. Rows are numbered in order. */
  arrive({input, output, priority = 0}: Request): number {
    const {requests} = this
    const slot = requests.take()
    requests.row[slot] = this.#rows++
    requests.input[slot] = input
    requests.total[slot] = input + output
    requests.priority[slot] = priority
    requests.arrivedAt[slot] = this.now
    const refusal = this.engine.enqueue(slot)
    if (refusal) throw new Error(refusal.message)
    return slot
  }

  /** Ends the oldest batch, if there is one, and plans until the pipeline is full. */
  step(): StepCost {
    const {engine} = this
    const before = engine.operations
    this.#events = 0
    this.#touches = 0
    this.now += stepNs
    if (engine.inFlight > 0) engine.complete(this.now)
    let decodes = 0
    let preempted = 0
    while (engine.inFlight < engine.config.depth) {
      const shape = engine.plan(this.now)
      if (shape === undefined) break
      engine.time(this.now, this.#clock)
      decodes = shape.decodes
    }
    if (engine.inFlight > 0) preempted = engine.oldest.preempted
    const cost = {
      decodes,
      running: engine.running,
      events: this.#events + preempted,
      operations: engine.operations - before,
      touches: this.#touches,
    }
    for (const slot of engine.finished) this.requests.give(slot)
    engine.finished.length = 0
    return cost
  }

  /** Skips ahead over `count` steps, as far as nothing but decodes happens. */
  skip(count: number): SkipCost {
    const {engine} = this
    const before = {steps: engine.totals.steps, operations: engine.operations}
    this.#touches = 0
    engine.runDecodes(this.now + stepNs * count, this.#clock)
    return {
      steps: engine.totals.steps - before.steps,
      operations: engine.operations - before.operations,
      touches: this.#touches,
    }
  }

  steps(count: number): StepCost[] {
    return Array.from({length: count}, () => this.step())
  }
}
