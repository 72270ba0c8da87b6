/** Which block is which node of a pool: by a stretch of tokens (a span, or a request of its own) and the place in it. */
export class BlockNames {
  readonly #blocks = new Map<number, Map<number, number>>()

  /** The node of a block; −1: there is none. */
  find(stretch: number, block: number): number {
    return this.#blocks.get(stretch)?.get(block) ?? -1
  }

  set(stretch: number, block: number, node: number): void {
    const blocks = this.#blocks.get(stretch)
    if (blocks) blocks.set(block, node)
    else this.#blocks.set(stretch, new Map([[block, node]]))
  }

  delete(stretch: number, block: number): void {
    const blocks = this.#blocks.get(stretch)
    blocks?.delete(block)
    if (blocks?.size === 0) this.#blocks.delete(stretch)
  }

  /** Nodes of all blocks of a stretch. */
  nodesOf(stretch: number): number[] {
    return [...(this.#blocks.get(stretch)?.values() ?? [])]
  }
}
