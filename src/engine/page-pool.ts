/**
 * The pages of a KV cache whose layers lie in several groups (see KvGroup): how many are free, in which order they are
 * taken, and which blocks can be found in them. The plain sister of BlockPool: a block that can be found again is a
 * node of its own, of as many pages as its groups.
 */
import type {BlockNames} from './block-names.js'
import {FreeList, kind} from './free-list.js'

/** What a block is called, and where. */
export interface BlockName {
  readonly names: BlockNames
  readonly stretch: number
  readonly block: number
}

export class PagePool {
  free: number
  readonly total: number
  work = 0
  /** Rises whenever a look-up may find something else, or find it held by others. */
  version = 0
  /** Look-ups are not watched: whoever skips steps must look again. */
  readonly index = {isDirty: true}
  readonly #list = new FreeList()
  /** By node: its name while it can be found, and how many hold it. */
  readonly #name: (BlockName | undefined)[] = []
  readonly #holders: number[] = []

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

  /** `pages` pages that the caller holds become the block of that name. Returns their node. */
  enter(name: BlockName, pages: number): number {
    const older = name.names.find(name.stretch, name.block)
    if (older >= 0) this.#lose(older)
    const node = this.#list.create(kind.shared, 0, 0, pages)
    this.#name[node] = name
    this.#holders[node] = 1
    name.names.set(name.stretch, name.block, node)
    this.work++
    this.version++
    return node
  }

  isHeld(node: number): boolean {
    return this.#holders[node]! > 0
  }

  hold(node: number): void {
    this.work++
    this.version++
    if (this.#holders[node]!++ > 0) return
    this.#list.unlink(node)
    this.free -= this.#list.size(node)
  }

  release(node: number): void {
    this.work++
    this.version++
    if (--this.#holders[node]! > 0) return
    this.free += this.#list.size(node)
    this.#list.append(node)
  }

  /** Nobody will look for the blocks of a stretch again. */
  forget(names: BlockNames, stretch: number): void {
    for (const node of names.nodesOf(stretch)) this.#lose(node)
  }

  /** What lies in a node cannot be found any more. */
  #lose(node: number): void {
    const name = this.#name[node]
    if (name === undefined) return
    name.names.delete(name.stretch, name.block)
    this.#name[node] = undefined
    this.#list.kind[node] = kind.plain
    this.version++
  }
}
