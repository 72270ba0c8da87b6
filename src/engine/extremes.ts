/** What an empty seat has: nothing is larger, or smaller. */
const most = 2 ** 31 - 1
const least = -most

/** Matches are between eight, so that who comes or goes is seldom the best of one, which the processor foresees. */
const bits = 3
const sides = 2 ** bits

/** A node holds the smallest and the largest. */
const nodeLength = 2
const largestOf = 1

/**
 * The smallest and the largest of whole numbers, one per seat: a tournament, in which each node holds those of eight. Who
 * comes or goes is noticed only as far up as it is one of them. Seats are small numbers, so that the tree of an engine is
 * a few cache lines.
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
    return this.#nodes[0]!
  }

  /** 1 − 2^31 when nobody has a seat. */
  get largest(): number {
    return this.#nodes[largestOf]!
  }

  /** An empty seat is taken. */
  take(seat: number, value: number): void {
    while (seat >= this.#leaves) this.#grow()
    const nodes = this.#nodes
    let node = this.#first + seat
    nodes[nodeLength * node] = value
    nodes[nodeLength * node + largestOf] = value
    while (node > 0) {
      node = (node - 1) >> bits
      this.work++
      const at = nodeLength * node
      const isSmallest = value < nodes[at]!
      const isLargest = value > nodes[at + largestOf]!
      if (isSmallest) nodes[at] = value
      if (isLargest) nodes[at + largestOf] = value
      if (!isSmallest && !isLargest) return
    }
  }

  /** A seat becomes empty. */
  leave(seat: number): void {
    const nodes = this.#nodes
    let node = this.#first + seat
    const value = nodes[nodeLength * node]!
    nodes[nodeLength * node] = most
    nodes[nodeLength * node + largestOf] = least
    while (node > 0) {
      node = (node - 1) >> bits
      this.work++
      const at = nodeLength * node
      // Above a match that others win, or some that have the same, nothing changes.
      if (nodes[at] !== value && nodes[at + largestOf] !== value) return
      decide(nodes, node)
      if (nodes[at] === value && nodes[at + largestOf] === value) return
    }
  }

  #grow(): void {
    const old = this.#nodes
    const from = nodeLength * this.#first
    this.#leaves *= sides
    this.#first = 1 + sides * this.#first
    this.#nodes = emptyNodes(this.#first + this.#leaves)
    this.#nodes.set(old.subarray(from), nodeLength * this.#first)
    for (let node = this.#first - 1; node >= 0; node--) decide(this.#nodes, node)
  }
}

const emptyNodes = (count: number): Int32Array => {
  const nodes = new Int32Array(nodeLength * count).fill(most)
  for (let node = 0; node < count; node++) nodes[nodeLength * node + largestOf] = least
  return nodes
}

/** Writes the smallest and the largest of the children of a node. */
function decide(nodes: Int32Array, node: number): void {
  const from = nodeLength * (sides * node + 1)
  let smallest = most
  let largest = least
  for (let at = from; at < from + nodeLength * sides; at += nodeLength) {
    const low = nodes[at]!
    const high = nodes[at + largestOf]!
    if (low < smallest) smallest = low
    if (high > largest) largest = high
  }
  nodes[nodeLength * node] = smallest
  nodes[nodeLength * node + largestOf] = largest
}
