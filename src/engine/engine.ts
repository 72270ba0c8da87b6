/**
 * One replica of vLLM V1 as docs/scheduler.md has it: what is in the next batch, and who gets tokens when it
 * ends. It is handed the time and never asks for it; how long a batch takes is not its business.
 *
 * Work per step is O(1 + joins + leaves + chunks + preemptions + shared blocks filled): decodes live in a
 * cohort (cohort.ts) and blocks in runs (block-pool.ts). Only a plan that runs out of budget or blocks walks
 * the running requests (walk.ts), over the same state.
 */
import type {BatchShape, Ns, StepTime} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import {BlockPool} from './block-pool.js'
import type {
  EngineConfig,
  EngineListener,
  EngineSeams,
  EngineView,
  Verdict,
} from './engine-config.js'
import {Pipeline} from './pipeline.js'
import {noPrefixes} from './prefix-identity.js'
import {RequestBlocks} from './request-blocks.js'
import {none, type RequestPool, state} from './request-pool.js'
import {Seats} from './seats.js'
import {type HeldBack, Totals} from './totals.js'
import {WaitingQueue} from './waiting-queue.js'
import {Walk} from './walk.js'

export class Engine implements EngineView {
  readonly config: EngineConfig
  readonly totals = new Totals()
  /** Requests that finished in the batch that ended last, in order; read before the next `complete`. */
  readonly finished: number[] = []

  readonly #requests: RequestPool
  readonly #pool: BlockPool
  readonly #blocks: RequestBlocks
  readonly #seats: Seats
  readonly #queue = new WaitingQueue()
  readonly #pipeline = new Pipeline()
  readonly #walk: Walk
  readonly #listener: EngineListener
  readonly #enterers: number[] = []
  /** What held the head of the queue back in the latest plan. */
  #heldBack: HeldBack = 'nobody'
  /** Preemptions since the batch planned last. */
  #unreported = 0
  #work = 0

  constructor(config: EngineConfig, requests: RequestPool, seams: EngineSeams = {}) {
    this.config = config
    this.#requests = requests
    this.#listener = seams.listener ?? {}
    this.#pool = new BlockPool(config.numGpuBlocks)
    this.#blocks = new RequestBlocks(this.#pool, requests, seams.identity ?? noPrefixes, config)
    const parts = {config, requests, blocks: this.#blocks, pipeline: this.#pipeline}
    this.#seats = new Seats({...parts, listener: this.#listener})
    this.#walk = new Walk({...parts, pool: this.#pool, seats: this.#seats, queue: this.#queue})
  }

  get running(): number {
    return this.#seats.list.size
  }

  get waiting(): number {
    return this.#queue.size
  }

  get freeBlocks(): number {
    return this.#pool.free
  }

  get totalBlocks(): number {
    return this.#pool.total
  }

  get maxNumSeqs(): number {
    return this.config.maxNumSeqs
  }

  /** Batches planned and not ended. */
  get inFlight(): number {
    return this.#pipeline.size
  }

  /** The batch that executes, or starts next. There must be one. */
  get oldest(): Batch {
    return this.#pipeline.oldest
  }

  /** Elementary operations so far: what the bound on work per step is tested with. */
  get operations(): number {
    const {list: _, cohort, work} = this.#seats
    return (
      this.#work + work + cohort.operations + this.#pool.work + this.#queue.work + this.#walk.work
    )
  }

  /** Takes a request in, or says why it can never run. `row`, `input`, `total`, … of the slot must be set. */
  enqueue(slot: number): Verdict {
    const requests = this.#requests
    const refusal = this.#refusal(requests.total[slot]!)
    if (refusal !== undefined) return refusal
    const predicted = requests.predicted[slot]!
    const key = this.config.policy.key({
      arrivedAt: requests.arrivedAt[slot]!,
      inputTokens: requests.input[slot]!,
      predictedOutputTokens: predicted === none ? undefined : predicted,
      priority: requests.priority[slot]!,
    })
    requests.state[slot] = state.waiting
    requests.reached[slot] = requests.input[slot]!
    requests.key[slot] = key
    requests.shareable[slot] = this.#blocks.shareable(requests.row[slot]!)
    requests.arrival[slot] = this.#queue.arrive(slot, key)
    return undefined
  }

  #refusal(total: number): Verdict {
    const {maxModelLen, numGpuBlocks, enableChunkedPrefill, maxNumBatchedTokens} = this.config
    if (total > maxModelLen) {
      const message = `prompt and output are ${total} tokens, max_model_len is ${maxModelLen}`
      return {rule: 'model-length', message}
    }
    const needed = this.#blocks.count(total - 1)
    if (needed > numGpuBlocks) {
      return {rule: 'blocks', message: `it needs ${needed} KV blocks of ${numGpuBlocks}`}
    }
    if (!enableChunkedPrefill && total - 1 > maxNumBatchedTokens) {
      const message = `${total - 1} tokens exceed max_num_batched_tokens ${maxNumBatchedTokens} and chunked prefill is off`
      return {rule: 'batch', message}
    }
    return undefined
  }

  /** Fills the next free place of the pipeline, or returns undefined when there is nothing to compute. */
  plan(now: Ns): BatchShape | undefined {
    const batch = this.#pipeline.open()
    this.#work++
    const budget = this.#planRunning(batch, now)
    if (batch.preempted === 0) this.#admit(batch, budget, now)
    else this.#heldBack = 'blocks'
    this.#unreported += batch.preempted
    if (batch.shape.sequences === 0) {
      this.#seats.leftOut.length = 0
      this.#pipeline.discard(batch)
      // With no batch in flight nobody would wake the engine, and who was preempted made room: look again.
      return batch.preempted > 0 && this.#pipeline.size === 0 ? this.plan(now) : undefined
    }
    batch.preempted = this.#unreported
    this.#unreported = 0
    this.#note(batch)
    this.#seats.seal(batch)
    this.#pipeline.add(batch)
    return batch.shape
  }

  #note(batch: Batch): void {
    batch.shape.paddedTokens = batch.shape.tokens
    batch.running = this.#seats.list.size
    batch.waiting = this.#queue.size
    batch.freeBlocks = this.#pool.free
    batch.usedBlocks = this.#pool.used
    batch.heldBack = this.#heldBack
    if (batch.usedBlocks > this.totals.peakBlocks) this.totals.peakBlocks = batch.usedBlocks
  }

  /** The oldest batch starts and takes `duration`. */
  started(duration: Ns): void {
    this.totals.spend(duration, this.#pipeline.oldest)
  }

  /** The oldest batch ends: its tokens are delivered, `finished` holds the requests that are done. */
  complete(now: Ns): void {
    const requests = this.#requests
    const {gaps} = this.totals
    const batch = this.#endOldest(now)
    for (const slot of batch.stragglers) gaps.add(now - requests.lastTokenAt[slot]!, 1)
    for (const slot of batch.joiners) {
      if (Number.isNaN(requests.firstTokenAt[slot]!)) requests.firstTokenAt[slot] = now
      else gaps.add(now - requests.lastTokenAt[slot]!, 1)
      requests.lastTokenAt[slot] = now
    }
    for (const slot of batch.departing) requests.lastTokenAt[slot] = now
    this.#work += batch.departing.length + batch.stragglers.length + batch.joiners.length
    if (this.finished.length > 0) this.finished.length = 0
    if (batch.finishing.length === 0) return
    this.#seats.finish(batch)
    this.finished.push(...batch.finishing)
  }

  #endOldest(now: Ns): Batch {
    const {totals} = this
    const gap = now - this.#pipeline.lastEnd
    const batch = this.#pipeline.end(now)
    totals.steps++
    totals.prefillTokens += batch.shape.prefillTokens
    totals.decodeTokens += batch.shape.decodes
    if (batch.regular > 0) totals.gaps.add(gap, batch.regular)
    this.#listener.batchEnded?.(batch.sequence, now)
    return batch
  }

  /** Takes a request out at once; batches that hold it keep their length. Returns how many tokens it got. */
  cancel(slot: number): number {
    const requests = this.#requests
    const role = requests.state[slot]!
    if (role === state.waiting) this.#queue.remove(slot)
    else if (role !== state.unseated) this.#seats.unseat(slot)
    let delivered = requests.reached[slot]! - requests.input[slot]!
    const from = requests.regularFrom[slot]!
    const until = requests.regularUntil[slot]!
    for (const batch of this.#pipeline.batches) {
      if (from <= batch.sequence && batch.sequence <= until) {
        batch.regular--
        delivered--
      }
      if (batch.forget(slot)) delivered--
    }
    const hasBlocks = role !== state.waiting && role !== state.unseated
    this.#blocks.leave(slot, hasBlocks ? requests.computed[slot]! : 0)
    this.#listener.tokensUntil?.(slot, this.#pipeline.ended)
    return delivered
  }

  /**
   * Skips ahead: while every step is the one before with contexts one longer (nobody finishes, nobody can be
   * admitted, blocks suffice), ends batches, plans and starts the next. `end` is the end of the batch that executes
   * now; returns the end of the one that executes then: the first after `until`, or the first that needs the general
   * path. The arithmetic is that of `plan` and `complete`, step by step.
   */
  runDecodes(end: Ns, until: Ns, time: StepTime): Ns {
    if (!this.#isSteady()) return end
    const {cohort} = this.#seats
    const size = cohort.size
    const left = this.config.maxNumBatchedTokens - size
    const waiting = this.#queue.size
    let now = end
    while (now <= until && cohort.ending() < 0 && cohort.needBlock() <= this.#pool.free) {
      this.#endOldest(now)
      const batch = this.#pipeline.open()
      batch.addDecodes(size, cohort.contextSum(), cohort.smallestContext(), cohort.largestContext())
      batch.regular = size
      this.#takeDecodeBlocks(noChunks)
      // A block that just became full may be the one the head of the queue waited for.
      const admits = waiting > 0 && this.#pool.index.isDirty && this.#headFits(left) > 0
      if (admits) this.#admit(batch, left, now)
      this.#note(batch)
      this.#seats.seal(batch)
      this.#pipeline.add(batch)
      this.#work++
      const {oldest} = this.#pipeline
      const duration = time(oldest.shape)
      this.totals.spend(duration, oldest)
      now += duration
      if (admits) break
    }
    return now
  }

  #isSteady(): boolean {
    const {cohort, list, stragglers} = this.#seats
    if (this.#pipeline.size < this.config.depth || cohort.size === 0) return false
    // Nobody prefills or drains, nobody is owed a token, and one budget serves all.
    if (list.size !== cohort.size || stragglers.length > 0) return false
    const left = this.config.maxNumBatchedTokens - cohort.size
    if (left < 0) return false
    for (const batch of this.#pipeline.batches) if (!batch.isPlain) return false
    // A blocked head stays blocked: seats, budget and free blocks do not grow, and its look-up is watched.
    return this.#headFits(left) === 0
  }

  /** Phase A without walking: all decodes by their sums, then the chunks. Returns the budget left. */
  #planRunning(batch: Batch, now: Ns): number {
    const {cohort, stragglers, prefilling} = this.#seats
    const left = this.#pickAll()
    if (left < 0) return this.#walkRunning(batch, now)
    const members = cohort.size
    batch.addDecodes(
      members,
      cohort.contextSum(),
      cohort.smallestContext(),
      cohort.largestContext(),
    )
    batch.regular = members - stragglers.length
    for (const slot of stragglers) this.#seats.pickStraggler(slot, batch)
    if (stragglers.length > 0) stragglers.length = 0
    this.#takeDecodeBlocks(prefilling)
    if (prefilling.length > 0) {
      for (const slot of prefilling.length > 1 ? prefilling.slice() : prefilling) {
        this.#seats.commitChunk(slot, batch, now)
      }
    }
    return left
  }

  #walkRunning(batch: Batch, now: Ns): number {
    const before = this.#walk.preemptions
    const left = this.#walk.run(batch, now)
    this.totals.preemptions += this.#walk.preemptions - before
    return left
  }

  /** Picks every running request if order does not matter. Returns the budget left, −1 if it does matter. */
  #pickAll(): number {
    const requests = this.#requests
    const {cohort, list, prefilling} = this.#seats
    let left = this.config.maxNumBatchedTokens - cohort.size
    let free = this.#pool.free - cohort.needBlock()
    if (left < 0 || free < 0) return -1
    for (const slot of prefilling) {
      this.#work++
      const computed = requests.computed[slot]!
      const want = this.#seats.cut(requests.reached[slot]! - computed)
      const n = Math.min(want, left)
      // A chunk that budget cuts is the same in any order only if nobody runs behind it.
      if (n < want && slot !== list.tail) return -1
      free -= this.#blocks.needed(computed, computed + n)
      if (free < 0) return -1
      requests.picked[slot] = n
      left -= n
    }
    return left
  }

  /** Blocks for the members that need one; index entries for those that fill one, in order of admission. */
  #takeDecodeBlocks(chunks: readonly number[]): void {
    const requests = this.#requests
    const {cohort} = this.#seats
    this.#pool.take(cohort.needBlock())
    const enterers = this.#enterers
    if (enterers.length > 0) enterers.length = 0
    cohort.forEachFiller((slot) => {
      enterers.push(slot)
      const filled = (cohort.context(slot) + 1) / this.config.blockSize
      return filled < requests.shareable[slot]! ? 'more' : 'last'
    })
    for (const slot of chunks) enterers.push(slot)
    if (enterers.length > 1)
      enterers.sort((a, b) => requests.admission[a]! - requests.admission[b]!)
    for (const slot of enterers) {
      const computed = requests.computed[slot]!
      if (requests.state[slot] === state.decoding)
        this.#blocks.enterFull(slot, cohort.context(slot) + 1)
      else this.#blocks.extend(slot, computed, computed + requests.picked[slot]!)
    }
    this.#work += enterers.length
  }

  /** Phase B: admits from the head of the queue while it fits. */
  #admit(batch: Batch, budget: number, now: Ns): void {
    let left = budget
    for (let n = this.#headFits(left); n > 0; n = this.#headFits(left)) {
      const slot = this.#queue.head()
      const match = this.#blocks.match(slot)
      const cached = match.tokens
      this.#queue.shift()
      this.#account(slot, cached, now)
      this.#blocks.adopt(slot, match)
      this.#seats.admit(slot, cached)
      this.#requests.picked[slot] = n
      this.#blocks.extend(slot, cached, cached + n)
      this.#seats.commitChunk(slot, batch, now)
      left -= n
    }
  }

  /** Tokens that the head of the queue may compute in this step; 0 when nobody waits or it is held back. */
  #headFits(left: number): number {
    this.#work++
    this.#heldBack = 'nobody'
    if (this.#queue.size === 0) return 0
    if (left === 0) return this.#hold('budget')
    if (this.#seats.list.size >= this.config.maxNumSeqs) return this.#hold('seats')
    const slot = this.#queue.head()
    const match = this.#blocks.match(slot)
    const reached = this.#requests.reached[slot]!
    const want = this.#seats.cut(reached - match.tokens)
    if (!this.config.enableChunkedPrefill && want > left) return this.#hold('budget')
    const n = Math.min(want, left)
    const reserved = this.config.reserveFullPrompt ? reached : match.tokens + n
    const free = this.#pool.free - match.unheld
    return this.#blocks.needed(match.tokens, reserved) > free ? this.#hold('blocks') : n
  }

  #hold(reason: HeldBack): 0 {
    this.#heldBack = reason
    return 0
  }

  /** Statistics of an admission with `cached` tokens from the prefix cache. */
  #account(slot: number, cached: number, now: Ns): void {
    const requests = this.#requests
    const {totals} = this
    if (requests.preemptions[slot]! > 0) {
      totals.recomputedTokens += requests.reached[slot]! - cached
    }
    if (!Number.isNaN(requests.scheduledAt[slot]!)) return
    requests.scheduledAt[slot] = now
    requests.cached[slot] = cached
    if (!this.config.enablePrefixCaching) return
    totals.lookedUpTokens += requests.input[slot]!
    totals.hitTokens += cached
  }
}

const noChunks: readonly number[] = []
