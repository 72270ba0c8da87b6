/**
 * When the batches of one engine start and end: stage s of a batch starts at
 * max(end of its stage s − 1 + hop, end of stage s of the batch before). One stage is a device, or a
 * tensor-parallel group, that runs one batch after the other.
 */
import type {Batch} from '../engine/batch.js'
import type {BatchClock} from '../engine/engine-config.js'
import type {Ns, PipelineTime, StepTime} from '../latency/step-time.js'

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

export class StageClock implements BatchClock {
  readonly #stages: readonly StepTime[]
  readonly #hop: StepTime
  /** When each stage is done with what it was given. */
  readonly #freeAt: Ns[]

  constructor({stages, hop}: PipelineTime) {
    this.#stages = stages
    this.#hop = hop
    this.#freeAt = stages.map(() => 0)
  }

  add(batch: Batch, now: Ns): void {
    const {shape} = batch
    const freeAt = this.#freeAt
    const stages = this.#stages
    batch.start = Math.max(now, freeAt[0]!)
    let end = batch.start + stages[0]!(shape)
    freeAt[0] = end
    for (let stage = 1; stage < stages.length; stage++) {
      const start = Math.max(end + this.#hop(shape), freeAt[stage]!)
      end = start + stages[stage]!(shape)
      freeAt[stage] = end
    }
    batch.end = end
  }
}
