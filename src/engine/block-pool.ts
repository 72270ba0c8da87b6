/**
 * The paged KV cache: how many blocks are free, in which order they are taken, and what can be found in them.
 *
 * Blocks are alike until somebody can find them again, so everything is a run of blocks:
 *
 *     head ─ [37 plain] ─ [blocks 31…8 of span h] ─ [own: blocks 11…4 of a preempted request, 2 dead] ─ tail
 *
 * Blocks are given back last block first, so eviction eats a run from its top and what is left is still a prefix.
 * Costs are per run, never per block.
 */
import {FreeList, kind} from './free-list.js'
import type {KvBelow} from './kv-below.js'
import {OwnRuns} from './own-runs.js'
import {PrefixIndex} from './prefix-index.js'

export class BlockPool {
  free: number
  readonly total: number
  readonly index: PrefixIndex
  readonly #list = new FreeList()
  readonly #own: OwnRuns
  #work = 0
  #watchedOwner = -1

  constructor(total: number) {
    this.total = total
    this.free = total
    this.index = new PrefixIndex(this.#list)
    this.#own = new OwnRuns(this.#list)
    if (total > 0) this.#list.append(this.#list.create(kind.plain, 0, 0, total))
  }

  /** Whom evictions are told: of blocks that others may find, and of those of a preempted request. */
  tell(below: Pick<KvBelow, 'evicted' | 'evictedOwn'>): void {
    this.index.onEvicted = (span, low, top) => below.evicted(span, low, top)
    this.#own.onEvicted = (owner, low, top) => below.evictedOwn(owner, low, top)
  }

  get used(): number {
    return this.total - this.free
  }

  /** Runs touched, for the operation count. */
  get work(): number {
    return this.#work + this.index.work + this.#own.work
  }

  /** Takes `count` blocks from the head of the free list; what they held is lost. There must be as many. */
  take(count: number): void {
    const list = this.#list
    const {head} = list
    this.free -= count
    // Mostly all of them are blocks of the first run, which nobody looks for, and some of it are left.
    if (count > 0 && list.kind[head] === kind.plain && list.dead[head]! > count) {
      this.#work++
      list.dead[head]! -= count
      return
    }
    let left = count
    while (left > 0) {
      const node = list.head
      const size = list.size(node)
      const taken = left < size ? left : size
      left -= taken
      this.#work++
      if (list.kind[node] === kind.plain) this.#eatPlain(node, taken)
      else if (list.kind[node] === kind.shared) this.index.evict(node, taken)
      else {
        if (this.#own.ownerOf(node) === this.#watchedOwner) this.index.isDirty = true
        this.#own.eat(node, taken)
      }
    }
  }

  #eatPlain(node: number, count: number): void {
    const list = this.#list
    list.dead[node]! -= count
    if (list.dead[node]! > 0) return
    list.unlink(node)
    list.recycle(node)
  }

  /** Gives `count` blocks back that nobody can find again. */
  givePlain(count: number): void {
    if (count <= 0) return
    const list = this.#list
    this.#work++
    this.free += count
    if (list.tail >= 0 && list.kind[list.tail] === kind.plain) list.dead[list.tail]! += count
    else list.append(list.create(kind.plain, 0, 0, count))
  }

  /** Gives back the blocks [low, top) of a preempted request, the last first; `owner` may find them again. */
  giveOwn(owner: number, low: number, top: number): void {
    if (top <= low) return
    this.free += top - low
    this.#own.append(owner, low, top)
  }

  /** Own blocks of `owner` that follow each other from `block` on and are still there, below `limit`. */
  countOwn(owner: number, block: number, limit: number): number {
    return this.#own.count(owner, block, limit)
  }

  /** Takes the own blocks [low, low + count) of `owner`, as counted, out of the free list. */
  holdOwn(owner: number, low: number, count: number): void {
    this.free -= count
    this.#own.hold(owner, low, count)
  }

  /** The owner computed its blocks below `block` anew: older copies cannot be found any more. */
  replaceOwn(owner: number, block: number): void {
    this.#own.replace(owner, block)
  }

  /** The owner leaves for good: nobody will look for its blocks. */
  forgetOwn(owner: number): void {
    this.#own.forget(owner)
  }

  /** Holds the blocks of a piece of the index below `end`. */
  hold(piece: number, end: number): void {
    this.free -= this.index.hold(piece, end)
  }

  /** Gives back what was held from `piece` on up to `end`. */
  release(piece: number, end: number): void {
    this.free += this.index.release(piece, end)
  }

  /** Starts to remember a look-up for `owner`: `index.isDirty` turns true when its result may change. */
  startWatch(owner: number, missing: number): void {
    this.#watchedOwner = owner
    this.index.startWatch(missing)
  }
}
