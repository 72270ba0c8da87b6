/** What every step leaves behind as it is planned, timed, and ends: in its batch, in the totals, and with listeners. */
import type {Ns} from '../latency/step-time.js'
import type {Admission} from './admission.js'
import type {Batch} from './batch.js'
import type {BatchClock, EngineListener} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'

export class StepAccount {
  work = 0
  readonly #parts: EngineParts
  readonly #admission: Admission
  readonly #listener: EngineListener
  /** End of the batch planned last. */
  #busyUntil: Ns = Number.NEGATIVE_INFINITY

  constructor(parts: EngineParts, admission: Admission, listener: EngineListener) {
    this.#parts = parts
    this.#admission = admission
    this.#listener = listener
  }

  /** A batch was planned: what its plan left in the engine. `RunAlone` does the same of steps that it makes itself. */
  note(batch: Batch): void {
    const {seats, queue, pool, totals} = this.#parts
    batch.shape.paddedTokens = batch.shape.tokens
    batch.running = seats.list.size
    batch.waiting = queue.size
    batch.freeBlocks = pool.free
    batch.usedBlocks = pool.used
    batch.heldBack = this.#admission.heldBack
    if (batch.usedBlocks > totals.peakBlocks) totals.peakBlocks = batch.usedBlocks
  }

  /** A batch that was just planned gets its times. Time in which it overlaps the one before counts for that one. */
  time(batch: Batch, now: Ns, clock: BatchClock): void {
    clock.add(batch, now)
    this.spend(batch)
  }

  /** A batch whose start and end are known is accounted for. */
  spend(batch: Batch): void {
    this.#parts.totals.spend(batch.end - Math.max(batch.start, this.#busyUntil), batch)
    this.#busyUntil = batch.end
  }

  /** The oldest batch ends. It may be read until the next one is opened. */
  endOldest(now: Ns): Batch {
    const {pipeline, seats} = this.#parts
    const batch = pipeline.end()
    this.account(batch, now, seats.release(batch, now))
    return batch
  }

  /** What a batch that ends adds to the totals (`RunAlone`, too); its regular tokens come `gap` after the ones before. */
  account(batch: Batch, now: Ns, gap: Ns): void {
    const {totals, below} = this.#parts
    totals.steps++
    totals.prefillTokens += batch.shape.prefillTokens
    totals.decodeTokens += batch.shape.decodes
    if (batch.verifications > 0) totals.verify(batch)
    if (batch.regular > 0) totals.gaps.add(gap, batch.regular)
    this.#listener.batchEnded?.(batch.sequence, now, batch.lane)
    below?.ended(batch.sequence, now)
  }

  /** Those whose tokens are not regular get them from a batch that ends: each has a gap of its own. */
  deliver(batch: Batch, now: Ns): void {
    const {requests, totals} = this.#parts
    const {gaps} = totals
    for (const slot of batch.stragglers) gaps.add(now - requests.lastTokenAt[slot]!, 1)
    for (const slot of batch.joiners) {
      if (Number.isNaN(requests.firstTokenAt[slot]!)) requests.firstTokenAt[slot] = now
      else gaps.add(now - requests.lastTokenAt[slot]!, 1)
      requests.lastTokenAt[slot] = now
      if (requests.promised[slot]! > 1) gaps.add(0, requests.promised[slot]! - 1)
    }
    for (const slot of batch.departing) requests.lastTokenAt[slot] = now
    this.work += batch.departing.length + batch.stragglers.length + batch.joiners.length
  }
}
