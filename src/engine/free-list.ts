/**
 * The free list of KV blocks in LRU order, as nodes that each stand for a run of blocks, linked from the head
 * (taken next) to the tail. Nodes of blocks that are held are in no list. Columns, not objects: nodes come and go
 * with every request.
 */

import {enlarged} from './columns.js'

export const none = -1

/** What a node's blocks are: alike, findable under a span, or findable by one preempted request. */
export const kind = {plain: 0, shared: 1, own: 2} as const

export class FreeList {
  kind = new Uint8Array(64)
  /** Blocks [low, top) of a span or a request that can be found; the last block lies towards the head. */
  low = new Int32Array(64)
  top = new Int32Array(64)
  /** Blocks behind them that cannot be found (own), or all blocks (plain). */
  dead = new Int32Array(64)
  head = none
  tail = none
  #previous = new Int32Array(64)
  #next = new Int32Array(64)
  readonly #spare: number[] = []
  #nodes = 0

  /** Columns of others that run along; grown with these. */
  readonly grown: ((capacity: number) => void)[] = []

  size(node: number): number {
    return this.top[node]! - this.low[node]! + this.dead[node]!
  }

  /** A node in no list: blocks [low, top), and `dead` ones behind. */
  create(nodeKind: number, low: number, top: number, dead: number): number {
    if (this.#spare.length === 0 && this.#nodes === this.kind.length) this.#grow()
    const node = this.#spare.length > 0 ? this.#spare.pop()! : this.#nodes++
    this.kind[node] = nodeKind
    this.low[node] = low
    this.top[node] = top
    this.dead[node] = dead
    return node
  }

  /** Takes a node that is in no list out of use. */
  recycle(node: number): void {
    this.#spare.push(node)
  }

  append(node: number): void {
    this.#previous[node] = this.tail
    this.#next[node] = none
    if (this.tail === none) this.head = node
    else this.#next[this.tail] = node
    this.tail = node
  }

  /** Links `node` in on the head side of `other`. */
  insertBefore(node: number, other: number): void {
    const previous = this.#previous[other]!
    this.#previous[node] = previous
    this.#next[node] = other
    this.#previous[other] = node
    if (previous === none) this.head = node
    else this.#next[previous] = node
  }

  unlink(node: number): void {
    const previous = this.#previous[node]!
    const next = this.#next[node]!
    if (previous === none) this.head = next
    else this.#next[previous] = next
    if (next === none) this.tail = previous
    else this.#previous[next] = previous
  }

  #grow(): void {
    const capacity = this.kind.length * 2
    this.kind = enlarged(this.kind, capacity)
    this.low = enlarged(this.low, capacity)
    this.top = enlarged(this.top, capacity)
    this.dead = enlarged(this.dead, capacity)
    this.#previous = enlarged(this.#previous, capacity)
    this.#next = enlarged(this.#next, capacity)
    for (const grow of this.grown) grow(capacity)
  }
}
