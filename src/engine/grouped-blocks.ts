/**
 * The blocks of requests where layers lie in several groups (see KvGroup): block k of a request is there once for each
 * of them, and those of a group with a window go back as soon as no later token sees them. The plain sister of
 * RequestBlocks: block by block, not by runs of them.
 */
import {type KvGroup, mostBlocks, unseenBlocks} from '../catalogue/kv-groups.js'
import {BlockNames} from './block-names.js'
import type {EngineConfig} from './engine-config.js'
import {type BlockName, PagePool} from './page-pool.js'
import type {PrefixIdentity} from './prefix-identity.js'
import type {PrefixMatch} from './request-blocks.js'
import type {RequestPool} from './request-pool.js'

/** A block that nobody can find. */
const nameless = -1

/** What a request has of one group: nodes of its blocks behind those that went back. */
interface Held {
  gone: number
  readonly nodes: number[]
}

interface Holding {
  /** First block that it never had. */
  top: number
  /** Its first blocks that were offered to the look-up, or come from it. */
  entered: number
  /** By group. */
  readonly groups: readonly Held[]
}

/** Groups, and what of them can be found: by everybody, and by a preempted request only. */
interface Table {
  readonly group: KvGroup
  readonly shared: BlockNames
  readonly own: BlockNames
}

export interface GroupedBlocksParts {
  readonly config: EngineConfig
  readonly groups: readonly KvGroup[]
  readonly requests: RequestPool
  readonly identity: PrefixIdentity
}

export class GroupedBlocks {
  readonly pool: PagePool
  readonly #config: EngineConfig
  readonly #requests: RequestPool
  readonly #identity: PrefixIdentity
  readonly #tables: readonly Table[]
  /** Of all groups together. */
  readonly #pagesPerBlock: number
  readonly #holdings = new Map<number, Holding>()
  /** Remembered while nothing changes that it depends on. */
  readonly #match: PrefixMatch = {tokens: 0, pieces: [], shared: 0, own: 0, unheld: 0}
  #matched = {slot: -1, reached: 0, version: -1}

  constructor({config, groups, requests, identity}: GroupedBlocksParts) {
    this.pool = new PagePool(config.numGpuBlocks)
    this.#config = config
    this.#requests = requests
    this.#identity = identity
    this.#tables = groups.map((group) => ({
      group,
      shared: new BlockNames(),
      own: new BlockNames(),
    }))
    this.#pagesPerBlock = groups.reduce((sum, {pages}) => sum + pages, 0)
  }

  /** None that the cohort must watch: decodes are walked, and enter what they fill as they are picked. */
  shareable(): number {
    return 0
  }

  /** Pages, beside those of its hits, without which a request is not admitted: of `held` tokens, and of its first step up to `end`. */
  toAdmit(match: PrefixMatch, held: number, end: number): number {
    const hits = match.shared
    const {blockSize} = this.#config
    let pages = 0
    for (const {group} of this.#tables)
      pages += group.pages * Math.max(0, mostBlocks(group, held, this.#config) - hits)
    return Math.max(pages, this.#pagesPerBlock * (Math.ceil(end / blockSize) - hits))
  }

  /** Pages that a request lacks for `to` tokens. Those of blocks that no token behind `from` sees go back first. */
  missing(slot: number, from: number, to: number): number {
    const holding = this.#holdingOf(slot)
    for (const [at, {group}] of this.#tables.entries()) {
      const unseen = unseenBlocks(group, from, this.#config.blockSize)
      this.#giveFirst(holding.groups[at]!, unseen, group.pages)
    }
    return this.#pagesPerBlock * this.#lacking(holding, to)
  }

  /** Takes the pages for `to` tokens and enters the blocks that the first `known` ones fill. */
  extend(slot: number, _from: number, to: number, known = to): void {
    const holding = this.#holdingOf(slot)
    const lacking = this.#lacking(holding, to)
    this.pool.take(this.#pagesPerBlock * lacking)
    for (const {nodes} of holding.groups) for (let i = 0; i < lacking; i++) nodes.push(nameless)
    holding.top += lacking
    this.#enterFull(slot, holding, known)
  }

  #lacking({top}: Holding, tokens: number): number {
    return Math.max(0, Math.ceil(tokens / this.#config.blockSize) - top)
  }

  #holdingOf(slot: number): Holding {
    const known = this.#holdings.get(slot)
    if (known) return known
    const groups = this.#tables.map(() => ({gone: 0, nodes: []}))
    const fresh: Holding = {top: 0, entered: 0, groups}
    this.#holdings.set(slot, fresh)
    return fresh
  }

  /** Blocks below `first` go back, the last of them first. */
  #giveFirst(held: Held, first: number, pages: number): void {
    const count = Math.min(first - held.gone, held.nodes.length)
    if (count <= 0) return
    for (let i = count - 1; i >= 0; i--) this.#give(held.nodes[i]!, pages)
    held.nodes.splice(0, count)
    held.gone += count
  }

  #give(node: number, pages: number): void {
    if (node === nameless) this.pool.givePlain(pages)
    else this.pool.release(node)
  }

  #enterFull(slot: number, holding: Holding, tokens: number): void {
    if (!this.#config.enablePrefixCaching) return
    const full = Math.floor(tokens / this.#config.blockSize)
    if (full <= holding.entered) return
    const row = this.#requests.row[slot]!
    for (let block = holding.entered; block < full; block++)
      for (const [at, table] of this.#tables.entries()) {
        const {gone, nodes} = holding.groups[at]!
        // Accepted drafts may carry a window past what they filled.
        if (block < gone) continue
        const name = this.#nameOf({row, slot, block}, table)
        if (name !== undefined) nodes[block - gone] = this.pool.enter(name, table.group.pages)
      }
    holding.entered = full
  }

  /** Undefined: nobody can know what is in it. */
  #nameOf(
    {row, slot, block}: {readonly row: number; readonly slot: number; readonly block: number},
    {shared, own}: Table,
  ): BlockName | undefined {
    const identity = this.#identity
    if (block < identity.knownBlocks(row)) {
      const span = identity.spanAt(row, block)
      const start = identity.spanStart(row, span)
      return {names: shared, stretch: identity.spanId(row, span), block: block - start}
    }
    return this.#config.ownBlocks && slot >= 0 ? {names: own, stretch: slot, block} : undefined
  }

  /**
   * What the cache holds of a request that computed nothing: the most blocks, at most `floor((reached − 1) / block
   * size)`, of which every group has those that the next token sees. The object is reused.
   */
  match(slot: number): PrefixMatch {
    const match = this.#match
    const {pool} = this
    const reached = this.#requests.reached[slot]!
    const {slot: last, reached: before, version} = this.#matched
    if (slot === last && reached === before && version === pool.version) return match
    this.#matched = {slot, reached, version: pool.version}
    const row = this.#requests.row[slot]!
    match.shared = this.#mayHit(slot, row) ? this.#hits({row, slot}, reached) : 0
    match.tokens = match.shared * this.#config.blockSize
    match.unheld = 0
    this.#visitHits({row, slot}, match.shared, (node, {group}) => {
      if (!pool.isHeld(node)) match.unheld += group.pages
    })
    return match
  }

  #mayHit(slot: number, row: number): boolean {
    if (!this.#config.enablePrefixCaching) return false
    return this.#requests.preemptions[slot]! > 0 || this.#identity.knownBlocks(row) > 0
  }

  #hits(request: {readonly row: number; readonly slot: number}, reached: number): number {
    const {blockSize} = this.#config
    let hits = Math.floor((reached - 1) / blockSize)
    for (let before = -1; before !== hits; ) {
      before = hits
      for (const table of this.#tables)
        for (let k = hits - 1; k >= unseenBlocks(table.group, hits * blockSize, blockSize); k--)
          if (this.#nodeOf({...request, block: k}, table) < 0) hits = k
    }
    return hits
  }

  #nodeOf(
    place: {readonly row: number; readonly slot: number; readonly block: number},
    table: Table,
  ): number {
    const name = this.#nameOf(place, table)
    this.pool.work++
    return name === undefined ? nameless : name.names.find(name.stretch, name.block)
  }

  /** The blocks of each group that a request with `hits` cached blocks sees. */
  #visitHits(
    request: {readonly row: number; readonly slot: number},
    hits: number,
    visit: (node: number, table: Table, at: number) => void,
  ): void {
    const {blockSize} = this.#config
    for (const [at, table] of this.#tables.entries())
      for (let k = unseenBlocks(table.group, hits * blockSize, blockSize); k < hits; k++)
        visit(this.#nodeOf({...request, block: k}, table), table, at)
  }

  /** Gives the request, as it is admitted, the blocks that `match` found. */
  adopt(slot: number, match: PrefixMatch): void {
    const {blockSize} = this.#config
    const hits = match.shared
    const groups = this.#tables.map(({group}) => ({
      gone: unseenBlocks(group, hits * blockSize, blockSize),
      nodes: [] as number[],
    }))
    this.#visitHits({row: this.#requests.row[slot]!, slot}, hits, (node, _, at) => {
      this.pool.hold(node)
      groups[at]!.nodes.push(node)
    })
    this.#holdings.set(slot, {top: hits, entered: hits, groups})
  }

  /** Tokens that a look-up for a prompt of so many tokens would find; it leaves no trace. */
  peek(row: number, inputTokens: number): number {
    if (!this.#config.enablePrefixCaching || this.#identity.knownBlocks(row) === 0) return 0
    return this.#hits({row, slot: nameless}, inputTokens) * this.#config.blockSize
  }

  /** Pages of drafts that were not accepted stay with the request. */
  shrink(): void {}

  /** Gives all blocks of a preempted request back; it may find them again. */
  giveBack(slot: number): void {
    const holding = this.#holdings.get(slot)
    if (holding === undefined) return
    for (const [at, {group}] of this.#tables.entries())
      this.#giveFirst(holding.groups[at]!, holding.top, group.pages)
    this.#holdings.delete(slot)
  }

  /** The same for one that leaves for good. */
  leave(slot: number): void {
    this.giveBack(slot)
    for (const {own} of this.#tables) this.pool.forget(own, slot)
    if (this.#matched.slot === slot) this.#matched.slot = -1
  }

  giveUp(slot: number): void {
    this.leave(slot)
  }

  /** KV that comes or goes is not kept by groups: better a stop than blocks that nobody counts. */
  #refuse(): never {
    throw new Error('an engine with KV cache groups hands on no KV')
  }

  readonly count = this.#refuse
  readonly needed = this.#refuse
  readonly enterFull = this.#refuse
  readonly enterPresent = this.#refuse
  readonly reach = this.#refuse
  readonly has = this.#refuse
  readonly hasOwn = this.#refuse
  readonly keep = this.#refuse
}
