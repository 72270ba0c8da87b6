/** What an empty seat has: nothing is larger. */
const least = -(2 ** 31 - 1)

/** Matches are between eight: the tree of an engine is a few cache lines, and a few levels high. */
const bits = 3
const sides = 2 ** bits

/** A node has the largest of the values, and the largest of them with the sign changed. */
const turned = 0
const straight = 1
const nodeLength = 2
type Side = typeof turned | typeof straight

/**
 * The smallest and the largest of whole numbers, one per seat: a tournament of which only the winner is known for certain.
 * What a node holds is no less than what is below it; who leaves is struck off at his seat, and nodes above are only set
 * right when it was the winner who left, and only those that stand in the way of the next one. So a leave sets right what
 * leaves before it put off, each node once, and most of them cost nothing but a comparison.
 */
export class Extremes {
  /** Matches looked at, for the operation count. */
  work = 0
  /** Node 0 is the root, the children of n are 8n + 1 … 8n + 8, and the last level are the seats. */
  #nodes: Int32Array
  #leaves = sides
  /** Node of seat 0. */
  #first = 1

  constructor() {
    this.#nodes = emptyNodes(1 + sides)
  }

  /** 2^31 − 1 when nobody has a seat. */
  get smallest(): number {
    return 0 - this.#nodes[turned]!
  }

  /** 1 − 2^31 when nobody has a seat. */
  get largest(): number {
    return this.#nodes[straight]!
  }

  /** An empty seat is taken. */
  take(seat: number, value: number): void {
    while (seat >= this.#leaves) this.#grow()
    const nodes = this.#nodes
    const back = 0 - value
    let node = this.#first + seat
    nodes[nodeLength * node + turned] = back
    nodes[nodeLength * node + straight] = value
    while (node > 0) {
      node = (node - 1) >> bits
      this.work++
      const at = nodeLength * node
      const isSmallest = back > nodes[at + turned]!
      const isLargest = value > nodes[at + straight]!
      if (isSmallest) nodes[at + turned] = back
      if (isLargest) nodes[at + straight] = value
      if (!isSmallest && !isLargest) return
    }
  }

  /** A seat becomes empty. */
  leave(seat: number): void {
    const nodes = this.#nodes
    const at = nodeLength * (this.#first + seat)
    const value = nodes[at + straight]!
    nodes[at + turned] = least
    nodes[at + straight] = least
    if (0 - value === nodes[turned]) this.#settle(0, turned)
    if (value === nodes[straight]) this.#settle(0, straight)
  }

  /** A node gets what is really the largest below it. */
  #settle(node: number, side: Side): void {
    const nodes = this.#nodes
    for (;;) {
      this.work++
      const best = this.#bestOf(node, side)
      const held = nodes[nodeLength * best + side]!
      if (best < this.#first) this.#settle(best, side)
      // Else it held too much, and another one may be better.
      if (nodes[nodeLength * best + side] === held) {
        nodes[nodeLength * node + side] = held
        return
      }
    }
  }

  /** The child of a node that holds most. */
  #bestOf(node: number, side: Side): number {
    const nodes = this.#nodes
    const from = sides * node + 1
    let best = from
    for (let child = from + 1; child < from + sides; child++)
      if (nodes[nodeLength * child + side]! > nodes[nodeLength * best + side]!) best = child
    return best
  }

  /** One level more, below which are those that there were. */
  #grow(): void {
    const old = this.#nodes
    const [leaves, first] = [this.#leaves, this.#first]
    this.#leaves *= sides
    this.#first = 1 + sides * this.#first
    this.#nodes = emptyNodes(this.#first + this.#leaves)
    for (let seat = 0; seat < leaves; seat++) {
      const value = old[nodeLength * (first + seat) + straight]!
      if (value !== least) this.take(seat, value)
    }
  }
}

const emptyNodes = (count: number): Int32Array => new Int32Array(nodeLength * count).fill(least)
