/**
 * Full blocks of preempted requests that only they can find again. They lie in the free list last block first, so
 * eviction eats a run from the top and what is left is still a prefix.
 */
import {enlarged} from './columns.js'
import {type FreeList, kind} from './free-list.js'

export class OwnRuns {
  work = 0
  /** Told of blocks [low, top) of a request that are evicted, last first. */
  onEvicted: ((owner: number, low: number, top: number) => void) | undefined = undefined
  readonly #list: FreeList
  /** Runs of a request, oldest first; newer ones cover lower blocks, and none is empty. */
  readonly #runs = new Map<number, number[]>()
  #owner = new Int32Array(64)

  constructor(list: FreeList) {
    this.#list = list
    list.grown.push((capacity) => {
      this.#owner = enlarged(this.#owner, capacity)
    })
  }

  ownerOf(node: number): number {
    return this.#owner[node]!
  }

  /** Blocks [low, top) of `owner` go to the tail. */
  append(owner: number, low: number, top: number): void {
    const node = this.#list.create(kind.own, low, top, 0)
    this.#owner[node] = owner
    this.#list.append(node)
    this.work++
    const runs = this.#runs.get(owner)
    if (runs) runs.push(node)
    else this.#runs.set(owner, [node])
  }

  /** Blocks of `owner` that follow each other from `block` on, where one of its runs begins, below `limit`. */
  count(owner: number, block: number, limit: number): number {
    const runs = this.#runs.get(owner)
    if (!runs) return 0
    const {low, top} = this.#list
    let at = block
    for (let i = runs.length - 1; i >= 0 && at < limit; i--) {
      const node = runs[i]!
      this.work++
      if (low[node] === at) at = Math.min(limit, top[node]!)
    }
    return at - block
  }

  /** Takes the blocks [low, low + count), as counted, out of the list. */
  hold(owner: number, low: number, count: number): void {
    if (count === 0) return
    let at = low
    for (const node of [...this.#runs.get(owner)!].reverse()) {
      if (at === low + count) break
      if (this.#list.low[node] !== at) continue
      at = Math.min(low + count, this.#list.top[node]!)
      this.#list.low[node] = at
      this.work++
      this.#settle(node)
    }
  }

  /** The owner computed its blocks below `block` anew: older copies cannot be found any more. */
  replace(owner: number, block: number): void {
    const runs = this.#runs.get(owner)
    if (!runs) return
    const {low, top, dead} = this.#list
    for (const node of [...runs]) {
      this.work++
      const from = Math.min(top[node]!, Math.max(low[node]!, block))
      dead[node]! += from - low[node]!
      low[node] = from
      this.#settle(node)
    }
  }

  /** The owner leaves for good. */
  forget(owner: number): void {
    if (this.#runs.size > 0) this.replace(owner, Number.MAX_SAFE_INTEGER)
  }

  /** Evicts `count` blocks of a run, those at its head side. */
  eat(node: number, count: number): void {
    const {low, top, dead} = this.#list
    const findable = Math.min(count, top[node]! - low[node]!)
    top[node]! -= findable
    if (this.onEvicted && findable > 0)
      this.onEvicted(this.#owner[node]!, top[node]!, top[node]! + findable)
    dead[node]! -= count - findable
    this.#settle(node)
  }

  /** A run in which nothing can be found is plain; an empty one goes. */
  #settle(node: number): void {
    const list = this.#list
    if (list.top[node]! > list.low[node]!) return
    const owner = this.#owner[node]!
    const runs = this.#runs.get(owner)!
    if (runs.length === 1) this.#runs.delete(owner)
    else runs.splice(runs.indexOf(node), 1)
    list.kind[node] = kind.plain
    if (list.dead[node]! > 0) return
    list.unlink(node)
    list.recycle(node)
  }
}
