/**
 * docs/scheduler.md, word by word, in the plainest form: one object per request, every list an array,
 * everything walked every time. The fast engine is held to it.
 */

import type {Trace} from '#llmsim/trace/trace.js'
import {type Block, BlockPool} from './block-pool.js'
import {blockIdentity} from './identity.js'
import {
  type Hits,
  isSeen,
  mostBlocks,
  pagesOf,
  type ReferenceGroup,
  type Tables,
  wholeContext,
} from './kv-groups.js'
import {
  type KeyView,
  policies,
  type ReferenceConfig,
  type ReferencePolicy,
} from './reference-config.js'
import {
  byTurn,
  type Coming,
  type Entered,
  type FoundBlocks,
  type Pick,
  type Plan,
  type Request,
} from './reference-request.js'
import type {EngineTiers, Found} from './reference-tiers.js'
import {freshResult, type Rejection, type RequestResult} from './result.js'

export class ReferenceEngine {
  readonly pool: BlockPool
  /** In order of admission. */
  running: Request[] = []
  waiting: Request[] = []
  /** Everybody who was not turned away, by row. */
  readonly requests = new Map<number, Request>()
  readonly results: RequestResult[]
  lookedUpTokens = 0
  /** Of the device. */
  hitTokens = 0
  readonly tierHitTokens: number[]
  /** Which corners of the rules were visited, how often: tells whether random cases are any good. */
  readonly corners = new Map<string, number>()
  readonly #trace: Trace
  readonly #config: ReferenceConfig
  readonly #policy: ReferencePolicy
  readonly #groups: readonly ReferenceGroup[]
  readonly #tiers: EngineTiers | undefined
  #preemptions = 0
  #entered: Entered[] = []
  /** Blocks that the plan being made took for other tokens. */
  #lost: string[] = []

  constructor(trace: Trace, config: ReferenceConfig, tiers?: EngineTiers) {
    this.#tiers = tiers
    this.tierHitTokens = Array.from({length: tiers?.count ?? 0}, () => 0)
    this.#trace = trace
    this.#config = config
    this.#policy = typeof config.policy === 'string' ? policies[config.policy] : config.policy
    this.#groups = config.kvGroups ?? wholeContext
    this.pool = new BlockPool(config.blocks)
    this.results = Array.from({length: trace.length}, freshResult)
  }

  /** Requests whose blocks were taken for KV that is elsewhere, with the tokens that were here already. */
  readonly pulls: {request: Request; cached: number}[] = []

  /** Loads that plans began and nobody has taken away yet. */
  readonly loads: {request: Request; blocks: readonly Found[]}[] = []
  /** Requests whose blocks are on their way from a tier, with the tokens that will be there. */
  #loading: {request: Request; cached: number}[] = []

  enqueue(row: number, coming: Coming = {}): void {
    const trace = this.#trace
    const input = trace.inputTokens[row]!
    const total = input + (coming.isPrompt ? 1 : trace.outputTokens[row]!)
    const result = this.results[row]!
    const reason = this.rejection(total)
    if (reason !== undefined) {
      result.status = 'rejected'
      result.reason = reason
      this.visit(`rejected: ${reason}`)
      return
    }
    const key = this.#policy.key(keyView(trace, row))
    const arrival = this.requests.size
    const state = {
      preempted: 0,
      computed: 0,
      reached: input,
      tables: this.#noTables(),
      entered: 0,
      found: {device: 0, tiers: []},
    }
    const fresh = {lastTokenAt: Number.NaN, awaitsToken: false, hasDrafts: false}
    const come = {origin: coming.origin ?? ('here' as const), keeps: coming.isPrompt ?? false}
    const request: Request = {row, input, total, key, arrival, ...state, ...fresh, ...come, result}
    if (coming.scheduledAt !== undefined) result.scheduledAt = coming.scheduledAt
    if (coming.firstTokenAt !== undefined) {
      request.reached += 1
      request.lastTokenAt = result.firstTokenAt = coming.firstTokenAt
      result.producedTokens = 1
    }
    this.requests.set(row, request)
    this.waiting.push(request)
  }

  cancel(row: number, now: number): void {
    const request = this.requests.get(row)
    if (request?.result.status !== 'pending') return
    const isLoading = this.#loading.some((load) => load.request === request)
    const place = isLoading
      ? 'loading'
      : this.waiting.includes(request)
        ? request.preempted > 0
          ? 'preempted'
          : 'fresh'
        : isDraining(request)
          ? 'draining'
          : 'running'
    this.visit(`cancelled: ${place}`)
    request.result.status = 'cancelled'
    request.result.finishedAt = now
    this.#remove(request)
    this.waiting = this.waiting.filter((other) => other !== request)
    this.#loading = this.#loading.filter((load) => load.request !== request)
  }

  plan(now: number): Plan {
    const picks: Pick[] = []
    const preempted = this.#pickRunning(picks)
    if (preempted === 0) this.#admitWaiting(picks, now)
    else if (this.waiting.some((request) => request.preempted === 0))
      this.visit('admission skipped')
    for (const identity of this.#lost.splice(0))
      if (!this.pool.index.has(identity)) this.#tiers?.offerEvicted(identity)
    // What was entered for nothing goes with the next batch.
    return {picks, preempted, entered: picks.length === 0 ? [] : this.#entered.splice(0)}
  }

  /** The tokens of a batch that ended are delivered; `entered` is what its plan entered. */
  complete(picks: readonly Pick[], now: number, entered: readonly Entered[] = []): void {
    this.#offerShared(entered)
    for (const {request, produces, drafts} of picks) {
      const {result} = request
      if (!produces) continue
      request.awaitsToken = false
      if (result.status === 'cancelled') {
        this.visit('token lost')
        continue
      }
      this.#deliver(request, now)
      if (this.#config.speculation !== undefined) this.#deliverAccepted(request, drafts, now)
      if (request.input + result.producedTokens < request.total) continue
      result.status = 'completed'
      result.finishedAt = now
      const full = Math.floor((request.total - 1) / this.#config.blockSize)
      if (this.running.includes(request)) this.#offerOwn(request, full)
      if (request.keeps && this.running.includes(request)) {
        this.running = this.running.filter((other) => other !== request)
        continue
      }
      request.keeps = false
      this.#remove(request)
    }
  }

  #deliver(request: Request, now: number): void {
    const {result} = request
    if (result.producedTokens === 0) result.firstTokenAt = now
    else result.gaps.push(now - request.lastTokenAt)
    request.lastTokenAt = now
    result.producedTokens += 1
  }

  /** The first token of a step is there whatever the drafts were; each that was right is one more. */
  #deliverAccepted(request: Request, drafts: number, now: number): void {
    const {accepts} = this.#config.speculation!
    const position = request.reached - 1
    let accepted = 0
    while (accepted < drafts && accepts(request.row, position + accepted, accepted)) accepted += 1
    this.visit(`accepted ${accepted === drafts ? 'all' : accepted === 0 ? 'none' : 'some'}`)
    for (let more = 0; more < accepted && request.reached < request.total; more += 1) {
      this.#deliver(request, now)
      request.reached += 1
    }
    // What was computed for the others counts for nothing; their blocks stay.
    request.computed = request.reached - 1
    request.hasDrafts = true
  }

  #drafts(request: Request): number {
    const {speculation, maxModelLen} = this.#config
    if (speculation === undefined || !request.hasDrafts) return 0
    return Math.min(speculation.tokens, maxModelLen - 1 - request.reached)
  }

  rejection(total: number): Rejection | undefined {
    const config = this.#config
    if (total > config.maxModelLen) return 'model-length'
    const drafts = config.speculation?.tokens ?? 0
    const most = drafts === 0 ? total - 1 : Math.min(total - 1 + drafts, config.maxModelLen - 1)
    if (this.#mostPages(most, 0) > config.blocks) return 'blocks'
    if (!config.enableChunkedPrefill && total - 1 > config.maxNumBatchedTokens) return 'batch'
    return undefined
  }

  /** Part A. How many were preempted. */
  #pickRunning(picks: Pick[]): number {
    let preempted = 0
    let at = 0
    while (at < this.running.length && this.#budget(picks) > 0) {
      const request = this.running[at]!
      // Whoever has all its tokens in sight only waits for the batch in flight.
      const rests = isDraining(request) || this.#mustWait(request)
      const wanted = rests ? 0 : request.reached - request.computed + this.#drafts(request)
      if (wanted === 0) {
        at += 1
        continue
      }
      const tokens = Math.min(this.#cutLong(wanted), this.#budget(picks))
      this.#giveUnseen(request)
      while (this.#pagesFor(request, request.computed + tokens) > this.pool.free.length) {
        const victim = this.#victim()
        this.#preempt(victim, picks)
        preempted += 1
        if (victim === request) return preempted
      }
      this.#pick(request, tokens, picks)
      at = this.running.indexOf(request) + 1
    }
    return preempted
  }

  /** Part B. */
  #admitWaiting(picks: Pick[], now: number): void {
    while (this.waiting.length > 0 && this.#budget(picks) > 0) {
      const request = this.waiting.sort(byTurn)[0]!
      if (request.origin === 'elsewhere') {
        if (!this.#pull(request)) return
        continue
      }
      if (request.origin === 'arrived') {
        if (this.running.length >= this.#config.maxNumSeqs) return
        this.waiting.shift()
        this.running.push(request)
        request.origin = 'here'
        request.computed = request.reached - 1
        if (Number.isNaN(request.result.scheduledAt)) request.result.scheduledAt = now
        this.#pick(request, 1, picks)
        continue
      }
      if (request.origin === 'loaded') {
        if (!this.#seatLoaded(request, picks, now)) return
        continue
      }
      const hits = this.#hits(request)
      const found = this.#foundBelow(request, hits)
      if (found.length > 0) {
        if (!this.#load(request, hits, found)) return
        continue
      }
      const computed = hits.length * this.#config.blockSize
      const wanted = this.#cutLong(request.reached - computed)
      const tokens = Math.min(wanted, this.#budget(picks))
      const barrier = this.#barrier(request, hits, {wanted, tokens, end: computed + tokens})
      if (barrier !== undefined) {
        this.visit(barrier)
        return
      }
      this.#admit(request, hits, now)
      this.#pick(request, tokens, picks)
    }
  }

  /** Takes the blocks for KV that another engine has. False: there are not enough. */
  #pull(request: Request): boolean {
    if (this.running.length >= this.#config.maxNumSeqs) return false
    const hits = this.#hits(request)
    if (this.#pagesFor(request, request.reached, hits) > this.pool.free.length) return false
    this.waiting.shift()
    this.#takeAll(request, hits)
    this.pulls.push({request, cached: hits.length * this.#config.blockSize})
    return true
  }

  /** The KV of a request that was pulled is there. */
  arrived(row: number): void {
    const request = this.requests.get(row)!
    request.origin = 'arrived'
    request.computed = request.reached - 1
    const entered = this.#enterFull(request).map(({identity}) => identity)
    this.#tiers?.offerComputed(entered.reverse().filter((name) => !name.startsWith('own')))
    this.waiting.push(request)
  }

  /** Hits, and blocks for all tokens that exist. */
  #takeAll(request: Request, hits: Hits): void {
    this.#holdHits(request, hits)
    while (topOf(request) * this.#config.blockSize < request.reached) this.#takeBlock(request)
  }

  #holdHits(request: Request, hits: Hits): void {
    for (const page of pagesOf(hits.tables)) this.pool.hold(page)
    request.tables = hits.tables
    request.entered = hits.length
  }

  /** One block more for a request, in each of its tables. */
  #takeBlock(request: Request): void {
    for (const [at, {pages}] of this.#groups.entries())
      request.tables[at]!.push(Array.from({length: pages}, () => this.#take()))
  }

  /** Blocks that no token to come looks at go back, the last of them first. */
  #giveUnseen(request: Request): void {
    const {blockSize} = this.#config
    for (const [at, group] of this.#groups.entries()) {
      const table = request.tables[at]!
      const unseen = table
        .map((_, k) => k)
        .filter((k) => !isSeen(group, {k, blockSize}, request.computed))
      const pages = unseen.flatMap((k) => table[k] ?? [])
      if (pages.length > 0) this.visit('blocks left by a window')
      this.pool.giveBack(pages)
      for (const k of unseen) table[k] = undefined
    }
  }

  #noTables(): Tables {
    return this.#groups.map(() => [])
  }

  /** Its blocks behind those that the device has, each in the nearest tier that has it. */
  #foundBelow(request: Request, hits: Hits): Found[] {
    const found: Found[] = []
    const full = Math.floor((request.reached - 1) / this.#config.blockSize)
    for (let k = hits.length; k < full; k += 1) {
      const identity = this.#identity(request, k)
      const tier = identity === undefined ? undefined : this.#tiers?.find(identity)
      if (tier === undefined) break
      found.push({k, identity: identity!, tier})
    }
    return found
  }

  /** Takes the blocks for what comes from the tiers and for the rest. False: it cannot be now. */
  #load(request: Request, hits: Hits, found: readonly Found[]): boolean {
    if (this.running.length >= this.#config.maxNumSeqs || this.#mustWait(request)) return false
    if (this.#pagesFor(request, request.reached, hits) > this.pool.free.length) {
      this.visit('load blocked by blocks')
      return false
    }
    this.waiting.shift()
    this.#use(request, hits.length + found.length)
    this.#takeAll(request, hits)
    const cached = (hits.length + found.length) * this.#config.blockSize
    this.#loading.push({request, cached})
    request.found = {device: hits.length, tiers: found.map(({tier}) => tier)}
    this.loads.push({request, blocks: found})
    if (hits.length > 0) this.visit('hit in device and tier')
    if (request.preempted > 0) this.visit('load of a preempted request')
    if (request.keeps) this.visit('load of a kept prompt')
    if (found.some(({identity}) => identity.startsWith('own'))) this.visit('load of own blocks')
    return true
  }

  /** All blocks that a request loads are there. */
  loaded(row: number): void {
    const request = this.requests.get(row)!
    const load = this.#loading.find((one) => one.request === request)!
    this.#loading = this.#loading.filter((one) => one !== load)
    request.origin = 'loaded'
    request.computed = load.cached
    this.#enterFull(request)
    this.waiting.push(request)
    this.visit('loaded')
  }

  /** A seat for a request that has its blocks. False: there is none, or no room for the whole rest. */
  #seatLoaded(request: Request, picks: Pick[], now: number): boolean {
    const {maxNumSeqs, enableChunkedPrefill} = this.#config
    if (this.running.length >= maxNumSeqs) {
      this.visit('loaded, but seats full')
      return false
    }
    const wanted = this.#cutLong(request.reached - request.computed)
    const tokens = Math.min(wanted, this.#budget(picks))
    if (!enableChunkedPrefill && tokens < wanted) {
      this.visit('loaded, but no room for the whole rest')
      return false
    }
    this.waiting.shift()
    this.running.push(request)
    request.origin = 'here'
    this.#count(request, request.found)
    if (Number.isNaN(request.result.scheduledAt)) request.result.scheduledAt = now
    this.#pick(request, tokens, picks)
    return true
  }

  /** The pools of its tiers use the first blocks of a request, the last of them first. */
  #use(request: Request, count: number): void {
    const names = Array.from({length: count}, (_, k) => this.#identity(request, k)!)
    this.#tiers?.use(names.reverse())
  }

  /** A block for new tokens. */
  #take(): Block {
    const {identity} = this.pool.free[0]!
    const isKnown = identity !== undefined && this.pool.index.get(identity) === this.pool.free[0]
    if (isKnown && !this.#isForgotten(identity)) this.#lost.push(identity)
    return this.pool.take()
  }

  /** A block that only one request could find, which will not come back for it. */
  #isForgotten(identity: string): boolean {
    const [kind, row] = identity.split(' ')
    if (kind !== 'own') return false
    const request = this.requests.get(Number(row))!
    return request.result.status !== 'pending' || isDraining(request)
  }

  /** What a plan entered and others may share, by request in the order in which they came, the last block first. */
  #offerShared(entered: readonly Entered[]): void {
    const shared = entered
      .filter(({request}) => request.result.status !== 'cancelled')
      .filter(({identity}) => !identity.startsWith('own'))
      .sort((a, b) => a.request.arrival - b.request.arrival || b.k - a.k)
    this.#tiers?.offerComputed(shared.map(({identity}) => identity))
  }

  /** Those of its first blocks that only the request itself can find, the last first. */
  #offerOwn(request: Request, full: number): void {
    const own: string[] = []
    for (let k = full - 1; k >= 0; k -= 1) {
      const identity = this.#identity(request, k)
      if (identity?.startsWith('own')) own.push(identity)
    }
    this.#tiers?.offerComputed(own)
  }

  /** Blocks that a finished request kept go back. */
  release(row: number): void {
    this.#remove(this.requests.get(row)!)
  }

  /** Tokens of a prompt that the cache holds. */
  cachedTokens(row: number): number {
    const {enablePrefixCaching, blockSize} = this.#config
    if (!enablePrefixCaching) return 0
    const full = Math.floor((this.#trace.inputTokens[row]! - 1) / blockSize)
    const names = Array.from({length: full}, (_, k) => this.#identity({row} as Request, k))
    const shared = names.map((name) => (name?.startsWith('own') ? undefined : name))
    return this.#find(shared).length * blockSize
  }

  /** What keeps the head of the queue out. */
  #barrier(
    request: Request,
    hits: Hits,
    chunk: {readonly wanted: number; readonly tokens: number; readonly end: number},
  ): string | undefined {
    const {maxNumSeqs, enableChunkedPrefill, reserveFullPrompt} = this.#config
    const free = this.pool.free.length
    if (this.running.length >= maxNumSeqs) return 'seats full'
    if (this.#mustWait(request)) return 'token in flight'
    if (!enableChunkedPrefill && chunk.tokens < chunk.wanted) return 'no room for the whole prompt'
    const reserved = this.#mostPages(request.reached, hits.length) + this.#unheld(hits)
    if (reserveFullPrompt && reserved > free) return 'blocked by reservation'
    if (this.#pagesFor(request, chunk.end, hits) > free) return 'blocked by blocks'
    return undefined
  }

  #admit(request: Request, hits: Hits, now: number): void {
    this.waiting.shift()
    this.running.push(request)
    this.#use(request, hits.length)
    if (hits.tables.some((table) => table.includes(undefined))) this.visit('hit: behind a window')
    for (const block of pagesOf(hits.tables)) {
      this.visit(block.holders === 0 ? 'hit: free block' : 'hit: held block')
      if (block.identity?.startsWith('own')) this.visit('hit: own block')
    }
    this.#holdHits(request, hits)
    request.computed = hits.length * this.#config.blockSize
    if (request.preempted > 0) this.visit('resumed')
    this.#count(request, {device: hits.length, tiers: []})
    if (Number.isNaN(request.result.scheduledAt)) request.result.scheduledAt = now
  }

  /** Counts what was found for a request that gets its first seat. */
  #count(request: Request, {device, tiers}: FoundBlocks): void {
    const {enablePrefixCaching, blockSize} = this.#config
    if (!Number.isNaN(request.result.scheduledAt) || !enablePrefixCaching) return
    request.result.cachedTokens = (device + tiers.length) * blockSize
    this.lookedUpTokens += request.input
    this.hitTokens += device * blockSize
    for (const tier of tiers) this.tierHitTokens[tier]! += blockSize
  }

  /** Plans `tokens` for a request whose blocks are there: takes them, names the full ones. */
  #pick(request: Request, tokens: number, picks: Pick[]): void {
    const context = request.computed
    request.computed += tokens
    while (topOf(request) * this.#config.blockSize < request.computed) {
      if (this.pool.free[0]?.identity !== undefined) this.visit('evicted')
      this.#takeBlock(request)
    }
    this.#entered.push(...this.#enterFull(request))
    const produces = request.computed >= request.reached
    const drafts = produces ? request.computed - request.reached : 0
    if (produces) {
      request.reached += 1
      request.awaitsToken = true
    }
    picks.push({request, tokens, context, produces, drafts})
  }

  #enterFull(request: Request): Entered[] {
    const entered: Entered[] = []
    if (!this.#config.enablePrefixCaching) return entered
    const known = Math.min(request.computed, request.reached)
    while ((request.entered + 1) * this.#config.blockSize <= known) {
      const identity = this.#identity(request, request.entered)
      if (identity !== undefined) {
        this.#enter(request, request.entered, identity)
        entered.push({request, k: request.entered, identity})
      }
      request.entered += 1
    }
    return entered
  }

  /** Each page of block k is entered under a name of its own. */
  #enter(request: Request, k: number, identity: string): void {
    for (const [at, table] of request.tables.entries())
      for (const [page, block] of (table[k] ?? []).entries()) {
        const name = this.#pageName(identity, at, page)
        if (this.pool.index.has(name)) this.visit('identity replaced')
        this.pool.enter(block, name)
      }
  }

  /** Where all layers see alike a block is one page, and has its name. */
  #pageName(identity: string, group: number, page: number): string {
    return this.#config.kvGroups === undefined ? identity : `${identity} @${group}.${page}`
  }

  #preempt(victim: Request, picks: Pick[]): void {
    const at = picks.findIndex((pick) => pick.request === victim)
    if (at >= 0) {
      const [undone] = picks.splice(at, 1)
      if (undone!.produces) {
        victim.reached -= 1
        victim.awaitsToken = false
      }
      this.visit('pick undone')
    }
    this.#offerOwn(victim, victim.entered)
    this.#remove(victim)
    victim.result.preemptions += 1
    if (isDraining(victim)) {
      this.visit('draining victim')
      return
    }
    if (victim.input + victim.result.producedTokens < victim.reached) this.visit('victim in flight')
    this.#preemptions += 1
    victim.preempted = this.#preemptions
    victim.computed = 0
    victim.hasDrafts = false
    this.waiting.push(victim)
  }

  /** Takes away seat and blocks; both may be gone already. */
  #remove(request: Request): void {
    this.running = this.running.filter((other) => other !== request)
    for (const table of request.tables) this.pool.giveBack(pagesOf([table]))
    request.tables = this.#noTables()
    request.entered = 0
  }

  /** In a pipeline nothing can be computed for a request before its token in flight is known. */
  #mustWait(request: Request): boolean {
    return (this.#config.stages ?? 1) > 1 && request.awaitsToken
  }

  #victim(): Request {
    if (this.#policy.victim === 'last-admitted') return this.running.at(-1)!
    return [...this.running].sort((a, b) => a.key - b.key || a.arrival - b.arrival).at(-1)!
  }

  #hits(request: Request): Hits {
    if (!this.#config.enablePrefixCaching) return {length: 0, tables: this.#noTables()}
    const full = Math.floor((request.reached - 1) / this.#config.blockSize)
    return this.#find(Array.from({length: full}, (_, k) => this.#identity(request, k)))
  }

  /** The most blocks of these of which every group has all that the next token sees. */
  #find(identities: readonly (string | undefined)[]): Hits {
    for (let length = identities.length; length > 0; length -= 1) {
      const tables = this.#seenOf(identities.slice(0, length))
      if (tables !== undefined) return {length, tables}
    }
    return {length: 0, tables: this.#noTables()}
  }

  /** What the next token behind these blocks sees of them; undefined: not all of that is there. */
  #seenOf(identities: readonly (string | undefined)[]): Tables | undefined {
    const {blockSize} = this.#config
    const tables = this.#noTables()
    for (const [at, group] of this.#groups.entries())
      for (const [k, identity] of identities.entries()) {
        if (!isSeen(group, {k, blockSize}, identities.length * blockSize)) {
          tables[at]!.push(undefined)
          continue
        }
        if (identity === undefined) return undefined
        const block: Block[] = []
        for (let page = 0; page < group.pages; page += 1) {
          const found = this.pool.index.get(this.#pageName(identity, at, page))
          if (found === undefined) return undefined
          block.push(found)
        }
        tables[at]!.push(block)
      }
    return tables
  }

  #identity(request: Request, k: number): string | undefined {
    const {blockSize, ownBlocks} = this.#config
    return blockIdentity({prefix: this.#trace.prefix, blockSize, ownBlocks}, request.row, k)
  }

  /** How many of the free pages it takes to have room for `tokens`, behind what it has or found. */
  #pagesFor(request: Request, tokens: number, hits?: Hits): number {
    const had = hits?.length ?? topOf(request)
    const missing = Math.max(0, Math.ceil(tokens / this.#config.blockSize) - had)
    const each = this.#groups.reduce((sum, {pages}) => sum + pages, 0)
    return missing * each + (hits === undefined ? 0 : this.#unheld(hits))
  }

  /** Pages that a request of so many tokens holds at most, beside `hits` blocks of each group. */
  #mostPages(tokens: number, hits: number): number {
    return this.#groups.reduce((sum, group) => {
      const blocks = mostBlocks(group, tokens, this.#config)
      return sum + group.pages * Math.max(0, blocks - hits)
    }, 0)
  }

  #unheld({tables}: Hits): number {
    return pagesOf(tables).filter((page) => page.holders === 0).length
  }

  #cutLong(tokens: number): number {
    const threshold = this.#config.longPrefillTokenThreshold
    return threshold > 0 ? Math.min(threshold, tokens) : tokens
  }

  #budget(picks: readonly Pick[]): number {
    return picks.reduce((left, pick) => left - pick.tokens, this.#config.maxNumBatchedTokens)
  }

  visit(corner: string): void {
    this.corners.set(corner, (this.corners.get(corner) ?? 0) + 1)
  }
}

/** First block that it never had. */
const topOf = ({tables}: Request): number => tables[0]!.length

/** Its last token is in flight. */
const isDraining = (request: Request): boolean => request.reached === request.total

const keyView = (trace: Trace, row: number): KeyView => {
  const predicted = trace.predictedOutputTokens?.[row]
  return {
    arrivedAt: trace.arrivedAt[row]!,
    inputTokens: trace.inputTokens[row]!,
    priority: trace.priority?.[row] ?? 0,
    predictedOutputTokens: predicted === undefined || predicted < 1 ? undefined : predicted,
  }
}
