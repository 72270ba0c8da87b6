/** Blocks as objects, the free list as an array, the prefix index as a Map: slow and plain on purpose. */

export interface Block {
  readonly id: number
  holders: number
  /** What the tokens in it are, once it is full and known; kept until it is taken again. */
  identity: string | undefined
}

export class BlockPool {
  readonly blocks: readonly Block[]
  /** Taken from the front, given back to the end. */
  readonly free: Block[]
  readonly index = new Map<string, Block>()

  constructor(count: number) {
    this.blocks = Array.from({length: count}, (_, id) => ({id, holders: 0, identity: undefined}))
    this.free = [...this.blocks]
  }

  /** The longest run of blocks, from the first on, that the index knows. */
  lookUp(identities: readonly (string | undefined)[]): Block[] {
    const hits: Block[] = []
    for (const identity of identities) {
      const block = identity === undefined ? undefined : this.index.get(identity)
      if (block === undefined) break
      hits.push(block)
    }
    return hits
  }

  /** One more holder for a block that was found, wherever it lies. */
  hold(block: Block): void {
    if (block.holders === 0) this.free.splice(this.free.indexOf(block), 1)
    block.holders += 1
  }

  /** A block for new tokens; what it held is forgotten. */
  take(): Block {
    const block = this.free.shift()
    if (block === undefined) throw new Error('a block was taken from an empty free list')
    if (block.identity !== undefined && this.index.get(block.identity) === block)
      this.index.delete(block.identity)
    block.identity = undefined
    block.holders = 1
    return block
  }

  /** The blocks of one request, in their order: the last goes back first. */
  giveBack(blocks: readonly Block[]): void {
    for (const block of [...blocks].reverse()) {
      block.holders -= 1
      if (block.holders === 0) this.free.push(block)
    }
  }

  enter(block: Block, identity: string): void {
    block.identity = identity
    this.index.set(identity, block)
  }
}
