/** The blocks of a stretch that can be found, and how far they are known to follow each other without a gap. */
class Stretch {
  readonly nodes = new Map<number, number>()
  /** Blocks [low, top) are all there. */
  low = 0
  top = 0
}

/** Which block is which node of a pool: by a stretch of tokens (a span, or a request of its own) and the place in it. */
export class BlockNames {
  readonly #stretches = new Map<number, Stretch>()

  /** The node of a block; −1: there is none. */
  find(stretch: number, block: number): number {
    return this.#stretches.get(stretch)?.nodes.get(block) ?? -1
  }

  /** Nodes by block of a stretch; undefined: none of them can be found. */
  nodesOf(stretch: number): ReadonlyMap<number, number> | undefined {
    return this.#stretches.get(stretch)?.nodes
  }

  /** The first block from `from` on that cannot be found. What is asked for again is not counted again. */
  firstMissing(stretch: number, from: number): number {
    const known = this.#stretches.get(stretch)
    if (known === undefined) return from
    if (from < known.low || from > known.top) known.low = known.top = from
    while (known.nodes.has(known.top)) known.top++
    return known.top
  }

  set(stretch: number, block: number, node: number): void {
    let known = this.#stretches.get(stretch)
    if (known === undefined) {
      known = new Stretch()
      this.#stretches.set(stretch, known)
    }
    known.nodes.set(block, node)
  }

  delete(stretch: number, block: number): void {
    const known = this.#stretches.get(stretch)
    if (known === undefined) return
    known.nodes.delete(block)
    if (known.nodes.size === 0) this.#stretches.delete(stretch)
    else if (known.low <= block && block < known.top) known.top = block
  }
}
