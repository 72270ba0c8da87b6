/**
 * The paged KV cache: a free list in LRU order and an index of blocks whose content others may reuse.
 *
 * Blocks are alike until somebody can find them again, so the free list holds *runs*:
 *
 *     head ─ [37 plain] ─ [entry h₁] ─ [own: blocks 11…4 of a preempted request, 2 dead] ─ [entry h₀] ─ tail
 *
 * A plain run is a count. An entry is one block with a shared identity. An own run holds the full blocks of a
 * preempted request that only it can find; they lie last block first, as they were given back, so eviction
 * eats them from the top and what is left is still a prefix. Costs are per run and per entry, never per block.
 */

const none = -1
const kind = {plain: 0, entry: 1, own: 2} as const

/** What the engine wants to be told of while the head of its queue is blocked (see `watch`). */
export interface Watch {
  /** True once a remembered look-up may no longer hold. */
  dirty: boolean
}

export class BlockPool {
  free: number
  /** Entries and runs touched, for the operation count. */
  work = 0
  readonly total: number
  readonly watch: Watch = {dirty: true}

  #kind = new Uint8Array(64)
  #previous = new Int32Array(64)
  #next = new Int32Array(64)
  /** Blocks of a run; of an own run: those that can still be found are [low, top), the rest is dead. */
  #count = new Int32Array(64)
  #low = new Int32Array(64)
  #top = new Int32Array(64)
  /** Holders and identity of an entry. */
  #holders = new Int32Array(64)
  #identity = new Float64Array(64)
  /** Watch number under which an entry's fate matters to the blocked head. */
  #watchedBy = new Int32Array(64)
  #spare: number[] = []
  #nodes = 0
  #head = none
  #tail = none
  readonly #index = new Map<number, number>()
  readonly #ownRuns = new Map<number, number[]>()
  #ownerOf = new Int32Array(64)
  #watchNumber = 1
  #watchedIdentity = Number.NaN
  #watchedOwner = none

  constructor(total: number) {
    this.total = total
    this.free = total
    if (total > 0) this.#append(this.#node(kind.plain, total))
  }

  get used(): number {
    return this.total - this.free
  }

  /** Takes `count` blocks from the head of the free list; what they held is lost. There must be as many. */
  take(count: number): void {
    this.free -= count
    let left = count
    while (left > 0) {
      const node = this.#head
      this.work++
      if (this.#kind[node] === kind.entry) {
        this.#evict(node)
        left--
        continue
      }
      const taken = Math.min(left, this.#count[node]!)
      left -= taken
      if (this.#kind[node] === kind.own) this.#eatOwn(node, taken)
      this.#count[node]! -= taken
      if (this.#count[node] === 0) this.#drop(node)
    }
  }

  /** Gives `count` blocks back that nobody can find again. */
  givePlain(count: number): void {
    if (count <= 0) return
    this.work++
    this.free += count
    if (this.#tail !== none && this.#kind[this.#tail] === kind.plain)
      this.#count[this.#tail]! += count
    else this.#append(this.#node(kind.plain, count))
  }

  /** Gives back the blocks [low, top) of a preempted request, the last first; `owner` may find them again. */
  giveOwn(owner: number, low: number, top: number): void {
    if (top <= low) return
    this.work++
    this.free += top - low
    const node = this.#node(kind.own, top - low)
    this.#low[node] = low
    this.#top[node] = top
    this.#ownerOf[node] = owner
    this.#append(node)
    const runs = this.#ownRuns.get(owner)
    if (runs) runs.push(node)
    else this.#ownRuns.set(owner, [node])
  }

  /** Own blocks of `owner` that follow each other from `block` on and are still there, below `limit`. */
  countOwn(owner: number, block: number, limit: number): number {
    const runs = this.#ownRuns.get(owner)
    if (!runs) return 0
    let at = block
    // Newer runs cover lower blocks (older ones were trimmed to what the newer do not hold), so walk them newest first.
    for (let i = runs.length - 1; i >= 0 && at < limit; i--) {
      const node = runs[i]!
      this.work++
      if (this.#low[node]! <= at && at < this.#top[node]!) at = Math.min(limit, this.#top[node]!)
    }
    return at - block
  }

  /** Takes the own blocks [low, low + count) of `owner`, as counted, out of the free list. */
  holdOwn(owner: number, low: number, count: number): void {
    if (count === 0) return
    let at = low
    for (const node of [...this.#ownRuns.get(owner)!].reverse()) {
      if (at === low + count) break
      if (this.#low[node]! > at || at >= this.#top[node]!) continue
      const taken = Math.min(low + count, this.#top[node]!) - at
      this.work++
      this.#low[node]! += taken
      this.#count[node]! -= taken
      this.free -= taken
      at += taken
      this.#settleOwn(node)
    }
  }

  /** The owner computed its blocks below `block` anew: older copies cannot be found any more. */
  replaceOwn(owner: number, block: number): void {
    const runs = this.#ownRuns.get(owner)
    if (!runs) return
    for (const node of [...runs]) {
      this.work++
      this.#low[node] = Math.min(this.#top[node]!, Math.max(this.#low[node]!, block))
      this.#settleOwn(node)
    }
  }

  /** The owner leaves for good: nobody will look for its blocks. */
  forgetOwn(owner: number): void {
    const runs = this.#ownRuns.get(owner)
    if (!runs) return
    for (const node of [...runs]) {
      this.#low[node] = this.#top[node]!
      this.#settleOwn(node)
    }
  }

  /** Enters a block that the caller holds in the index, as the one to find under `identity`. */
  enter(identity: number): number {
    this.work++
    const node = this.#node(kind.entry, 1)
    this.#holders[node] = 1
    this.#identity[node] = identity
    this.#watchedBy[node] = 0
    const older = this.#index.get(identity)
    if (older !== undefined && this.#watchedBy[older] === this.#watchNumber) this.watch.dirty = true
    if (identity === this.#watchedIdentity) this.watch.dirty = true
    this.#index.set(identity, node)
    return node
  }

  /** Entry under an identity, or −1. */
  find(identity: number): number {
    this.work++
    return this.#index.get(identity) ?? none
  }

  isHeld(entry: number): boolean {
    return this.#holders[entry]! > 0
  }

  hold(entry: number): void {
    this.work++
    if (this.#holders[entry]!++ > 0) return
    this.#touchWatched(entry)
    this.#unlink(entry)
    this.free--
  }

  release(entry: number): void {
    this.work++
    if (--this.#holders[entry]! > 0) return
    this.#touchWatched(entry)
    this.#append(entry)
    this.free++
  }

  /** Starts to remember a look-up: `watch.dirty` turns true when its result may change. */
  startWatch(owner: number, firstMissing: number): void {
    this.#watchNumber++
    this.#watchedIdentity = firstMissing
    this.#watchedOwner = owner
    this.watch.dirty = false
  }

  watchEntry(entry: number): void {
    this.#watchedBy[entry] = this.#watchNumber
  }

  #touchWatched(entry: number): void {
    if (this.#watchedBy[entry] === this.#watchNumber) this.watch.dirty = true
  }

  #evict(entry: number): void {
    this.#touchWatched(entry)
    const identity = this.#identity[entry]!
    // A newer copy may have taken its place in the index; then that one stays.
    if (this.#index.get(identity) === entry) this.#index.delete(identity)
    this.#drop(entry)
  }

  #eatOwn(node: number, taken: number): void {
    const findable = this.#top[node]! - this.#low[node]!
    if (findable > 0 && this.#ownerOf[node] === this.#watchedOwner) this.watch.dirty = true
    this.#top[node]! -= Math.min(taken, findable)
    this.#settleOwn(node, taken)
  }

  /** An own run with nothing left to find is a plain run; an empty one goes (unless `leaving` blocks are still counted). */
  #settleOwn(node: number, leaving = 0): void {
    if (this.#kind[node] !== kind.own || this.#top[node]! > this.#low[node]!) return
    const owner = this.#ownerOf[node]!
    const runs = this.#ownRuns.get(owner)!
    if (runs.length === 1) this.#ownRuns.delete(owner)
    else runs.splice(runs.indexOf(node), 1)
    this.#kind[node] = kind.plain
    if (this.#count[node] === 0 && leaving === 0) this.#drop(node)
  }

  #node(nodeKind: number, count: number): number {
    if (this.#spare.length === 0 && this.#nodes === this.#kind.length) this.#grow()
    const node = this.#spare.pop() ?? this.#nodes++
    this.#kind[node] = nodeKind
    this.#count[node] = count
    return node
  }

  #append(node: number): void {
    this.#previous[node] = this.#tail
    this.#next[node] = none
    if (this.#tail === none) this.#head = node
    else this.#next[this.#tail] = node
    this.#tail = node
  }

  #unlink(node: number): void {
    const previous = this.#previous[node]!
    const next = this.#next[node]!
    if (previous === none) this.#head = next
    else this.#next[previous] = next
    if (next === none) this.#tail = previous
    else this.#previous[next] = previous
  }

  #drop(node: number): void {
    this.#unlink(node)
    this.#spare.push(node)
  }

  #grow(): void {
    const grown = <T extends Uint8Array | Int32Array | Float64Array>(column: T): T => {
      const larger = new (column.constructor as new (length: number) => T)(column.length * 2)
      larger.set(column)
      return larger
    }
    this.#kind = grown(this.#kind)
    this.#previous = grown(this.#previous)
    this.#next = grown(this.#next)
    this.#count = grown(this.#count)
    this.#low = grown(this.#low)
    this.#top = grown(this.#top)
    this.#holders = grown(this.#holders)
    this.#identity = grown(this.#identity)
    this.#watchedBy = grown(this.#watchedBy)
    this.#ownerOf = grown(this.#ownerOf)
  }
}
