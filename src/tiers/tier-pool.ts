/**
 * KV blocks in a memory below the device, in LRU order. Nobody holds them there, so unlike the device's cache it knows
 * only runs of blocks of one span (prefix-identity.ts) and their age:
 *
 *     oldest ─ [blocks 40…32 of span 7] ─ [blocks 9…0 of span 3] ─ youngest
 *
 * The last block of a run is its oldest, so what is left of it when the oldest go is still a prefix.
 */
import {enlarged} from '../engine/columns.js'
import {FreeList, kind, none} from '../engine/free-list.js'

/** Runs of blocks as [span, first block, block behind the last, …]; the blocks of a run are meant last first. */
export type Runs = number[]

export class TierPool {
  /** Blocks that it has, at most `capacity`. */
  used = 0
  /** The most that it ever had. */
  peak = 0
  readonly capacity: number
  readonly #list = new FreeList()
  /** Span → its lowest run. */
  readonly #spans = new Map<number, number>()
  #span = new Float64Array(64)
  /** Next run of the same span, in order of blocks. */
  #following = new Int32Array(64)
  readonly #found: Runs = []

  constructor(capacity: number) {
    this.capacity = capacity
    this.#list.grown.push((size) => {
      this.#span = enlarged(this.#span, size)
      this.#following = enlarged(this.#following, size)
    })
  }

  /** First block of a span, from `block` up to `limit`, that is not here. */
  runEnd(span: number, block: number, limit: number): number {
    const {low, top} = this.#list
    let end = block
    for (let run = this.#spans.get(span) ?? none; run !== none; run = this.#following[run]!) {
      if (top[run]! <= end) continue
      if (low[run]! > end || end >= limit) break
      end = top[run]!
    }
    return Math.min(end, limit)
  }

  /** First block of a span, from `block` up to `limit`, that is here. */
  gapEnd(span: number, block: number, limit: number): number {
    const {low, top} = this.#list
    for (let run = this.#spans.get(span) ?? none; run !== none; run = this.#following[run]!)
      if (top[run]! > block) return Math.min(limit, Math.max(block, low[run]!))
    return limit
  }

  /** Those of the blocks that are here become the youngest, in the order of the list. */
  renew(runs: Runs): void {
    const found = this.#found
    for (let at = 0; at < runs.length; at += 3) {
      if (this.#moveUp(runs[at]!, runs[at + 1]!, runs[at + 2]!)) continue
      found.length = 0
      this.#takeOut(runs[at]!, runs[at + 1]!, runs[at + 2]!, found)
      for (let i = found.length - 3; i >= 0; i -= 3)
        this.#append(found[i]!, found[i + 1]!, found[i + 2]!)
    }
  }

  /** All become the youngest, in the order of the list; what goes for it, oldest first, is added to `gone`. */
  enter(runs: Runs, gone: Runs): void {
    for (let at = 0; at < runs.length; at += 3) {
      const span = runs[at]!
      if (this.#moveUp(span, runs[at + 1]!, runs[at + 2]!)) continue
      this.#takeOut(span, runs[at + 1]!, runs[at + 2]!)
      this.#append(span, runs[at + 1]!, runs[at + 2]!)
    }
    this.#trim(gone)
    if (this.used > this.peak) this.peak = this.used
  }

  /** Where the lowest run of a span is just these blocks it becomes the youngest, as most that are used again do. */
  #moveUp(span: number, low: number, top: number): boolean {
    const list = this.#list
    const run = this.#spans.get(span)
    if (run === undefined || list.low[run] !== low || list.top[run] !== top) return false
    list.unlink(run)
    list.append(run)
    return true
  }

  #trim(gone: Runs): void {
    const list = this.#list
    while (this.used > this.capacity) {
      const run = list.head
      const top = list.top[run]!
      const count = Math.min(this.used - this.capacity, top - list.low[run]!)
      gone.push(this.#span[run]!, top - count, top)
      this.used -= count
      list.top[run] = top - count
      if (top - count === list.low[run]!) this.#remove(run)
    }
  }

  #append(span: number, low: number, top: number): void {
    if (top <= low) return
    const run = this.#list.create(kind.shared, low, top, 0)
    this.#span[run] = span
    this.#chain(run)
    this.#list.append(run)
    this.used += top - low
  }

  /** Takes blocks [low, top) of a span out; `found` gets the runs of those that were here, neighbours joined. */
  #takeOut(span: number, low: number, top: number, found?: Runs): void {
    const list = this.#list
    let run = this.#spans.get(span) ?? none
    while (run !== none && list.low[run]! < top) {
      const next = this.#following[run]!
      const from = Math.max(low, list.low[run]!)
      const to = Math.min(top, list.top[run]!)
      if (from < to) {
        this.used -= to - from
        this.#cutOut(run, from, to)
        if (found) {
          if (found.length > 0 && found.at(-1) === from) found[found.length - 1] = to
          else found.push(span, from, to)
        }
      }
      run = next
    }
  }

  /** A run loses [from, to); what is left on either side keeps its age. */
  #cutOut(run: number, from: number, to: number): void {
    const list = this.#list
    const bottom = list.low[run]!
    const end = list.top[run]!
    if (to < end) {
      if (from === bottom) {
        list.low[run] = to
        return
      }
      const upper = list.create(kind.shared, to, end, 0)
      this.#span[upper] = this.#span[run]!
      this.#following[upper] = this.#following[run]!
      this.#following[run] = upper
      list.insertBefore(upper, run)
    }
    list.top[run] = from
    if (from === bottom) this.#remove(run)
  }

  #remove(run: number): void {
    this.#unchain(run)
    this.#list.unlink(run)
    this.#list.recycle(run)
  }

  #chain(run: number): void {
    const span = this.#span[run]!
    const low = this.#list.low[run]!
    let before = none
    let next = this.#spans.get(span) ?? none
    while (next !== none && this.#list.low[next]! < low) {
      before = next
      next = this.#following[next]!
    }
    this.#following[run] = next
    if (before === none) this.#spans.set(span, run)
    else this.#following[before] = run
  }

  #unchain(run: number): void {
    const span = this.#span[run]!
    const next = this.#following[run]!
    let before = this.#spans.get(span)!
    if (before === run) {
      if (next === none) this.#spans.delete(span)
      else this.#spans.set(span, next)
      return
    }
    while (this.#following[before] !== run) before = this.#following[before]!
    this.#following[before] = next
  }
}
