/**
 * The pages of a KV cache whose layers lie in several groups (see KvGroup): how many are free, in which order they are
 * taken, and which blocks can be found in them. The plain sister of BlockPool: a block that can be found again is a
 * node of its own, of as many pages as its groups.
 */
import type {BlockNames} from './block-names.js'
import {FreeList, kind} from './free-list.js'

export class PagePool {
  free: number
  readonly total: number
  work = 0
  /** Whether a block is lost that the watched look-up found; others may say so for other reasons. */
  isStale = true
  /** Pages of what it found that nobody holds. */
  unheld = 0
  /** The look-up is watched for the head's sake alone: whoever skips steps must look again. */
  readonly index = {isDirty: true}
  readonly #list = new FreeList()
  /** By node: where it can be found, as which block of which stretch; undefined: nowhere. */
  readonly #names: (BlockNames | undefined)[] = []
  readonly #stretch: number[] = []
  readonly #block: number[] = []
  /** By node: how many hold it, and the number of the last look-up that found it. */
  readonly #holders: number[] = []
  readonly #watchedBy: number[] = []
  #watchNumber = 0

  constructor(total: number) {
    this.total = total
    this.free = total
    if (total > 0) this.#list.append(this.#list.create(kind.plain, 0, 0, total))
  }

  get used(): number {
    return this.total - this.free
  }

  /** Takes `count` pages from the head of the free list. A block that loses one of its pages is lost. */
  take(count: number): void {
    const list = this.#list
    this.free -= count
    let left = count
    while (left > 0) {
      const node = list.head
      const taken = Math.min(left, list.size(node))
      left -= taken
      this.work++
      this.#lose(node)
      list.dead[node]! -= taken
      if (list.dead[node]! > 0) continue
      list.unlink(node)
      list.recycle(node)
    }
  }

  /** Gives pages back in which nothing can be found. */
  givePlain(count: number): void {
    if (count === 0) return
    const list = this.#list
    this.work++
    this.free += count
    if (list.tail >= 0 && list.kind[list.tail] === kind.plain) list.dead[list.tail]! += count
    else list.append(list.create(kind.plain, 0, 0, count))
  }

  /** `pages` pages that the caller holds become a block of `names`, of which it is the newest. Returns their node. */
  enter(names: BlockNames, stretch: number, block: number, pages: number): number {
    const older = names.find(stretch, block)
    if (older >= 0) this.#lose(older)
    const node = this.#list.create(kind.shared, 0, 0, pages)
    this.#names[node] = names
    this.#stretch[node] = stretch
    this.#block[node] = block
    this.#holders[node] = 1
    this.#watchedBy[node] = 0
    names.set(stretch, block, node)
    this.work++
    return node
  }

  /** Starts to watch a look-up: `isStale` turns true as soon as a block that it found is lost. */
  startWatch(): void {
    this.isStale = false
    this.unheld = 0
    this.#watchNumber++
  }

  /** The look-up found this block. */
  watch(node: number): void {
    this.#watchedBy[node] = this.#watchNumber
    if (this.#holders[node] === 0) this.unheld += this.#list.size(node)
  }

  hold(node: number): void {
    // Better a stop than a list that goes round, should a caller ever hold what it did not find.
    if (this.#names[node] === undefined) throw new Error('nothing can be found in these pages')
    this.work++
    if (this.#holders[node]!++ > 0) return
    const pages = this.#list.size(node)
    this.#list.unlink(node)
    this.free -= pages
    if (this.#watchedBy[node] === this.#watchNumber) this.unheld -= pages
  }

  release(node: number): void {
    this.work++
    if (--this.#holders[node]! > 0) return
    const pages = this.#list.size(node)
    this.free += pages
    this.#list.append(node)
    if (this.#watchedBy[node] === this.#watchNumber) this.unheld += pages
  }

  /** Nobody will look for the blocks of a stretch again. */
  forget(names: BlockNames, stretch: number): void {
    const nodes = names.nodesOf(stretch)
    if (nodes !== undefined) for (const node of nodes.values()) this.#lose(node)
  }

  /** What lies in a node cannot be found any more. */
  #lose(node: number): void {
    const names = this.#names[node]
    if (names === undefined) return
    names.delete(this.#stretch[node]!, this.#block[node]!)
    this.#names[node] = undefined
    this.#list.kind[node] = kind.plain
    if (this.#watchedBy[node] === this.#watchNumber) this.isStale = true
  }
}
