/**
 * The blocks of requests where layers lie in several groups (see KvGroup): block k of a request is there once for each
 * of them, and those of a group with a window go back as soon as no later token sees them. The plain sister of
 * RequestBlocks: block by block, not by runs of them.
 */
import {type KvGroup, mostBlocks, pagesPerBlock, unseenBlocks} from '../catalogue/kv-groups.js'
import {BlockNames} from './block-names.js'
import type {EngineConfig} from './engine-config.js'
import {GroupedLookUp, nameless, type Table} from './grouped-look-up.js'
import {PagePool} from './page-pool.js'
import type {PrefixIdentity} from './prefix-identity.js'
import type {PrefixMatch} from './request-blocks.js'
import type {RequestPool} from './request-pool.js'
import {SpanPlace} from './span-place.js'

/** More than any request has. */
const allBlocks = 0x3fff_ffff

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

export interface GroupedBlocksParts {
  readonly config: EngineConfig
  readonly groups: readonly KvGroup[]
  readonly requests: RequestPool
  readonly identity: PrefixIdentity
}

export class GroupedBlocks {
  readonly pool: PagePool
  /** In all groups. */
  readonly pagesPerBlock: number
  readonly #config: EngineConfig
  readonly #requests: RequestPool
  readonly #identity: PrefixIdentity
  readonly #tables: readonly Table[]
  /** Whether a preempted request may find blocks that nobody shares. */
  readonly #keepsOwn: boolean
  readonly #holdings = new Map<number, Holding>()
  readonly #lookUp: GroupedLookUp
  readonly #place: SpanPlace

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
    const {pool} = this
    this.#lookUp = new GroupedLookUp({config, tables: this.#tables, requests, identity, pool})
    this.#place = new SpanPlace(identity)
    this.pagesPerBlock = pagesPerBlock(groups)
    this.#keepsOwn = config.enablePrefixCaching && config.ownBlocks
  }

  /** Every block that a decode fills is looked at, as the window leaves one there. */
  shareable(): number {
    return allBlocks
  }

  /** Pages for the tokens behind `from` ones that are in blocks. */
  needed(from: number, to: number): number {
    const {blockSize} = this.#config
    return this.pagesPerBlock * (Math.ceil(to / blockSize) - Math.ceil(from / blockSize))
  }

  /** Pages, beside those of its hits, without which a request is not admitted: of `held` tokens, and of its first step up to `end`. */
  toAdmit(match: PrefixMatch, held: number, end: number): number {
    const hits = match.shared
    const {blockSize} = this.#config
    let pages = 0
    for (const {group} of this.#tables)
      pages += group.pages * Math.max(0, mostBlocks(group, held, this.#config) - hits)
    return Math.max(pages, this.pagesPerBlock * (Math.ceil(end / blockSize) - hits))
  }

  /** Pages that a request lacks for `to` tokens. Those of blocks that no token behind `from` sees go back first. */
  missing(slot: number, from: number, to: number): number {
    const holding = this.#holdingOf(slot, from)
    if (this.#keepsOwn) this.#nameLeft(slot, holding, from)
    this.#giveUnseen(holding, from)
    return this.pagesPerBlock * this.#lacking(holding, to)
  }

  /**
   * Of those that go back, some the request would see again behind the last block that can be found: should it be
   * preempted now, it may find them. When one of these is lost it goes back to earlier blocks, so that those of all groups
   * can be found then.
   */
  #nameLeft(slot: number, holding: Holding, computed: number): void {
    const {blockSize} = this.#config
    const full = Math.min(computed - (computed % blockSize), holding.entered * blockSize)
    const isMissed = this.#tables.some(
      ({group}) => unseenBlocks(group, full, blockSize) < unseenBlocks(group, computed, blockSize),
    )
    if (!isMissed) return
    for (const [at, {group}] of this.#tables.entries())
      this.#nameOwn(slot, holding, {at, to: unseenBlocks(group, computed, blockSize)})
  }

  /** Its own blocks below `to` of one group can be found. */
  #nameOwn(
    slot: number,
    holding: Holding,
    {at, to}: {readonly at: number; readonly to: number},
  ): void {
    const from = this.#identity.knownBlocks(this.#requests.row[slot]!)
    this.#name(slot, holding, {at, from, to: Math.min(to, holding.entered)})
  }

  #giveUnseen(holding: Holding, computed: number): void {
    for (const [at, {group}] of this.#tables.entries()) {
      const unseen = unseenBlocks(group, computed, this.#config.blockSize)
      this.#giveFirst(holding.groups[at]!, unseen, group.pages)
    }
  }

  /** Takes the pages for `to` tokens and enters the blocks that the first `known` ones fill. */
  extend(slot: number, from: number, to: number, known = to): void {
    const holding = this.#holdingOf(slot, from)
    this.#giveUnseen(holding, from)
    this.pool.take(this.pagesPerBlock * this.#lacking(holding, to))
    this.#fill(holding, to)
    this.#enterFull(slot, holding, known)
  }

  /** The same for a decode, for which the pages of `tokens` tokens were taken. */
  enterFull(slot: number, tokens: number): void {
    const holding = this.#holdingOf(slot, tokens - 1)
    this.#giveUnseen(holding, tokens - 1)
    this.#fill(holding, tokens)
    this.#enterFull(slot, holding, tokens)
  }

  /** It has the blocks of `tokens` tokens, nobody can find the new ones. */
  #fill(holding: Holding, tokens: number): void {
    const lacking = this.#lacking(holding, tokens)
    if (lacking === 0) return
    for (const {nodes} of holding.groups) for (let i = 0; i < lacking; i++) nodes.push(nameless)
    holding.top += lacking
  }

  #lacking({top}: Holding, tokens: number): number {
    return Math.max(0, Math.ceil(tokens / this.#config.blockSize) - top)
  }

  /** What a request with `tokens` tokens in blocks holds: decodes take theirs all together, a block at a time. */
  #holdingOf(slot: number, tokens: number): Holding {
    const known = this.#holdings.get(slot)
    if (known) {
      this.#fill(known, tokens)
      return known
    }
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
    const from = holding.entered
    holding.entered = full
    const known = Math.min(full, this.#identity.knownBlocks(this.#requests.row[slot]!))
    if (from >= known) return
    for (const at of this.#tables.keys()) this.#name(slot, holding, {at, from, to: known})
  }

  /** The blocks [from, to) of one group can be found, as far as it holds them and nobody could before. */
  #name(
    slot: number,
    holding: Holding,
    {at, from, to}: {readonly at: number; readonly from: number; readonly to: number},
  ): void {
    const table = this.#tables[at]!
    const {gone, nodes} = holding.groups[at]!
    // Accepted drafts may carry a window past what they filled.
    for (let block = Math.max(from, gone); block < to; block++) {
      if (nodes[block - gone] !== nameless) continue
      nodes[block - gone] = this.#enter(slot, block, table)
    }
  }

  /** Returns the node by which a block can be found; none, where nobody can know what is in it. */
  #enter(slot: number, block: number, {group, shared, own}: Table): number {
    const row = this.#requests.row[slot]!
    if (block < this.#identity.knownBlocks(row)) {
      const place = this.#place
      place.seek(row, block)
      this.#lookUp.entered(block, place.id)
      return this.pool.enter(shared, place.id, block - place.start, group.pages)
    }
    if (!this.#config.ownBlocks) return nameless
    this.#lookUp.enteredOwn(slot)
    return this.pool.enter(own, slot, block, group.pages)
  }

  /** What the cache holds of a request that computed nothing. The object is reused. */
  match(slot: number): PrefixMatch {
    return this.#lookUp.match(slot)
  }

  /** Gives the request, as it is admitted, the blocks that `match` found. */
  adopt(slot: number, match: PrefixMatch): void {
    const {blockSize} = this.#config
    const hits = match.shared
    const groups = this.#lookUp.take(slot).map((nodes, at) => ({
      gone: unseenBlocks(this.#tables[at]!.group, hits * blockSize, blockSize),
      nodes,
    }))
    for (const {nodes} of groups) for (const node of nodes) this.pool.hold(node)
    this.#holdings.set(slot, {top: hits, entered: hits, groups})
  }

  /** Tokens that a look-up for a prompt of so many tokens would find; it leaves no trace. */
  peek(row: number, inputTokens: number): number {
    return this.#lookUp.peek(row, inputTokens) * this.#config.blockSize
  }

  /** Pages of drafts that were not accepted stay with the request. */
  shrink(): void {}

  /** Gives all blocks of a preempted request back; it may find them again. */
  giveBack(slot: number, tokens: number): void {
    const holding = this.#holdings.get(slot)
    if (holding === undefined) return
    this.#fill(holding, tokens)
    // Only now somebody may look for those that nobody shares. What its windows left is evicted before these.
    if (this.#keepsOwn)
      for (const at of this.#tables.keys()) this.#nameOwn(slot, holding, {at, to: holding.top})
    this.#giveAll(slot, holding)
  }

  #giveAll(slot: number, holding: Holding): void {
    for (const [at, {group}] of this.#tables.entries())
      this.#giveFirst(holding.groups[at]!, holding.top, group.pages)
    this.#holdings.delete(slot)
  }

  /** The same for one that leaves for good. */
  leave(slot: number, tokens: number): void {
    const holding = this.#holdings.get(slot)
    if (holding !== undefined) {
      this.#fill(holding, tokens)
      this.#giveAll(slot, holding)
    }
    for (const {own} of this.#tables) this.pool.forget(own, slot)
    this.#lookUp.forget(slot)
  }

  giveUp(slot: number, tokens: number): void {
    this.leave(slot, tokens)
  }

  /** KV that comes or goes is not kept by groups: better a stop than blocks that nobody counts. */
  #refuse(): never {
    throw new Error('an engine with KV cache groups hands on no KV')
  }

  readonly count = this.#refuse
  readonly enterPresent = this.#refuse
  readonly reach = this.#refuse
  readonly has = this.#refuse
  readonly hasOwn = this.#refuse
  readonly keep = this.#refuse
}
