/**
 * When the batches of one engine start and end: stage s of a batch starts at
 * max(end of its stage s − 1 + hop, end of stage s of the batch before). One stage is a device, or a
 * tensor-parallel group, that runs one batch after the other.
 */
import type {Batch} from '../engine/batch.js'
import type {BatchClock} from '../engine/engine-config.js'
import type {BatchShape, Ns, PipelineTime, StepTime} from '../latency/step-time.js'

/** One stage. */
export class OneStage implements BatchClock {
  readonly #time: StepTime
  readonly #freeAt = new Float64Array(1)

  constructor(time: StepTime) {
    this.#time = time
  }

  add(batch: Batch, now: Ns): void {
    const start = Math.max(now, this.#freeAt[0]!)
    batch.start = start
    batch.end = this.#freeAt[0] = start + this.#time(batch.shape)
  }
}

const passageOf = (shape: BatchShape): Passage => ({shape: {...shape}, starts: [], ends: []})

/** A batch in a pipeline that others look into. */
interface Passage {
  readonly shape: BatchShape
  readonly starts: Ns[]
  readonly ends: Ns[]
}

export class StageClock implements BatchClock {
  readonly #time: PipelineTime
  /** When each stage is done with what it was given. */
  readonly #freeAt: Ns[]
  #passages: Passage[] = []

  constructor(time: PipelineTime) {
    this.#time = time
    this.#freeAt = time.stages.map(() => 0)
  }

  add(batch: Batch, now: Ns): void {
    const {shape} = batch
    const freeAt = this.#freeAt
    const {stages, hop, style} = this.#time
    const passage = style === 'polled' ? passageOf(shape) : undefined
    let start = Math.max(now, freeAt[0]!)
    batch.start = start
    let end = start
    for (let stage = 0; stage < stages.length; stage++) {
      if (stage > 0) start = Math.max(end + hop(shape), freeAt[stage]!)
      end = start + stages[stage]!(shape)
      const isSending = style === 'polled' && stage + 1 < stages.length
      freeAt[stage] = isSending ? end + hop(shape) : end
      passage?.starts.push(start)
      passage?.ends.push(freeAt[stage]!)
    }
    batch.end = end
    if (passage)
      this.#passages = [...this.#passages.filter(({ends}) => ends.at(-1)! > now), passage]
  }

  /** When the first stage can take a batch, if that decides when one is planned. */
  get plansAt(): Ns {
    return this.#time.style === 'polled' ? this.#freeAt[0]! : Number.NEGATIVE_INFINITY
  }

  /** The first moment from `at` on at which a kernel, copy or hop of a batch ends; +Infinity: none shows. */
  nextNodeEnd(at: Ns): Ns {
    const {nodeEnds} = this.#time
    if (nodeEnds === undefined) return Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const {shape, starts, ends} of this.#passages) {
      for (const [stage, start] of starts.entries()) {
        const end = ends[stage]!
        if (end < at) continue
        const inside =
          at <= start
            ? start + nodeEnds[stage]!(shape, 1)
            : start + nodeEnds[stage]!(shape, at - start)
        next = Math.min(next, inside >= at ? Math.min(inside, end) : end)
      }
    }
    return next
  }
}
