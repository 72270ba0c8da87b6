/** `--kv-offload` and `kv_offload`: memory below the devices that keeps KV, as engines use it. docs/memory-tiers.md. */
import {KvLinks} from '../cluster/kv-links.js'
import type {EngineConfig} from '../engine/engine-config.js'
import {Problem} from '../errors.js'
import {counted} from '../report/figures.js'
import type {TieredKv} from '../tiers/tier-groups.js'
import type {Instance} from './instance.js'
import {
  bytesPerToken,
  engineLinks,
  hostLinkOf,
  type LinkedPlace,
  poolOf,
  ratesOf,
  type TierPlace,
  tiersOf,
} from './kv-links.js'
import type {RunRequest} from './run-request.js'
import type {SettledNetwork} from './traffic.js'

/** Nearest first. */
export const tierKinds = ['cpu', 'cxl', 'nvme'] as const
export type TierKind = (typeof tierKinds)[number]

/** The first of a list, nearest first, that is nearer to the device than the one before it. */
export const nearerOf = (kinds: readonly TierKind[]): TierKind | undefined =>
  kinds.find((kind, at) => at > 0 && tierKinds.indexOf(kind) < tierKinds.indexOf(kinds[at - 1]!))

export const tierWrites = ['through', 'on eviction'] as const

export interface TierRequest {
  readonly kind: TierKind
  /** Bytes: of each engine, or of all together where it is shared. */
  readonly bytes: number
  readonly write: (typeof tierWrites)[number]
  readonly isShared: boolean
  readonly readGbPerS?: number | undefined
  readonly writeGbPerS?: number | undefined
  readonly latencyUs?: number | undefined
  /** Bytes that may wait to be written. */
  readonly pendingBytes?: number | undefined
}

export interface KvOffloadRequest {
  /** Nearest first. */
  readonly tiers: readonly TierRequest[]
  /** 10^9 bytes per second between a device and its host, in one direction; absent: its PCIe link. */
  readonly hostGbPerS?: number | undefined
  /** Who said so; absent: --kv-offload. */
  readonly from?: 'file' | undefined
}

/**
 * The tiers below each engine, of places without a `sharedFault`; undefined for those that have none.
 * @throws Problem FLAG_BAD_VALUE for tiers that cannot be laid out so
 */
export function tieredKvOf(
  places: readonly LinkedPlace[],
  network: SettledNetwork,
): (TieredKv | undefined)[] {
  const isShared = places.some(({instance}) => tiersOf(instance).some((tier) => tier.isShared))
  const links = places.map((place, at) => engineLinks(place, at, network))
  return places.map(({instance, config}, at) => {
    const tiers = tiersOf(instance)
    if (tiers.length === 0) return undefined
    const {blockBytes} = links[at]!
    const group = isShared ? links.filter((other) => other.tiers.length > 0) : [links[at]!]
    return {
      group: isShared ? 'all' : `${at}`,
      blockBytes,
      links: () => new KvLinks(group),
      tiers: tiers.map((tier) => ({
        name: tier.kind,
        pool: poolOf(tier, at),
        blocks: blocksOf(tier, blockBytes, {instance, config}),
        write: tier.write,
        maxPending: pendingOf(tier, blockBytes, config),
      })),
    }
  })
}

const flag = '--kv-offload'

/** What is wrong with the tiers of one engine. @throws Problem FLAG_CONFLICT, FLAG_BAD_VALUE */
export function checkTiers(
  place: LinkedPlace,
  network: SettledNetwork,
  {compat}: Pick<RunRequest, 'compat'>,
): void {
  check(place, compat)
  const tiers = tiersOf(place.instance)
  if (tiers.length === 0) return
  const {blockBytes} = engineLinks(place, 0, network)
  for (const tier of tiers) blocksOf(tier, blockBytes, place)
}

function blocksOf(
  tier: TierRequest,
  blockBytes: number,
  {instance: {kvOffload}, config: {blockSize}}: TierPlace,
): number {
  const blocks = Math.floor(tier.bytes / blockBytes)
  if (blocks >= 1) return blocks
  throw new Problem(
    'FLAG_BAD_VALUE',
    `${flag}: ${tier.kind} has ${sizeText(tier.bytes)}, but one block of ${blockSize} tokens takes ${sizeText(blockBytes)}.`,
    {suggestions: [kvOffload!.from === 'file' ? 'capacity_gb: 64' : `${flag} cpu:64GiB`]},
  )
}

/** Unless told, what one admission may take from the device at once: the blocks of the longest request. */
function pendingOf(
  {pendingBytes}: TierRequest,
  blockBytes: number,
  {maxModelLen, blockSize}: EngineConfig,
): number {
  if (pendingBytes === undefined) return Math.ceil(maxModelLen / blockSize)
  return Math.max(1, Math.floor(pendingBytes / blockBytes))
}

/** Bytes as a user would write them. */
export function sizeText(bytes: number): string {
  const [unit, name] = bytes >= 1e12 ? [1e12, 'TB'] : bytes >= 1e9 ? [1e9, 'GB'] : [1e6, 'MB']
  return `${Number((bytes / unit).toFixed(1))} ${name}`
}

function check({instance, config}: TierPlace, compat: RunRequest['compat']): void {
  if (tiersOf(instance).length === 0) return
  const rules: readonly (readonly [isBroken: boolean, says: string])[] = [
    [compat !== undefined, `--compat ${compat}: its second tier is not repeated`],
    [instance.pim !== undefined, '--pim: both would keep the KV'],
    [
      !config.enablePrefixCaching,
      '--no-enable-prefix-caching: a tier is looked up as the prefix cache is',
    ],
    [
      !config.reserveFullPrompt,
      '--no-scheduler-reserve-full-isl: what is loaded needs blocks for the whole prompt',
    ],
  ]
  const refused = rules.find(([isBroken]) => isBroken)?.[1]
  if (refused === undefined) return
  throw new Problem('FLAG_CONFLICT', `${flag} and ${refused}.`, {
    suggestions: ['Leave one of the two out.'],
  })
}

export interface SharedFault {
  /** The first that differs from those before it. */
  readonly instance: Instance
  readonly problem: Problem
}

/** Where instances do not share what they say they share: its blocks are of one kind, and it is told as one memory. */
export function sharedFault(places: readonly TierPlace[]): SharedFault | undefined {
  const sharing = places.filter(({instance}) => tiersOf(instance).some(({isShared}) => isShared))
  return otherPool(sharing) ?? otherBlocks(sharing)
}

function otherBlocks(places: readonly TierPlace[]): SharedFault | undefined {
  const kinds = new Map<string, string>()
  let other: Instance | undefined
  for (const {instance, config} of places) {
    const {model, settings, tp, pp} = instance
    const kv = settings.kvCacheDtype ?? 'auto'
    const bytes = bytesPerToken(instance) * config.blockSize
    const cut = `tp ${tp}, pp ${pp}, KV ${kv}, blocks of ${config.blockSize} tokens`
    kinds.set(`${model.id}, ${cut}, ${bytes} bytes`, `${model.id} (${cut})`)
    if (kinds.size > 1) other ??= instance
  }
  if (other === undefined) return undefined
  const problem = new Problem(
    'FLAG_CONFLICT',
    `kv_offload: a shared tier holds blocks of one kind, but there are ${[...kinds.values()].join(' and ')}.`,
    {
      suggestions: [
        'shared: false',
        'the same model, tp, pp, block_size and kv_cache_dtype for all instances',
      ],
    },
  )
  return {instance: other, problem}
}

function otherPool(places: readonly TierPlace[]): SharedFault | undefined {
  const known = new Map<TierKind, string>()
  for (const {instance} of places) {
    for (const {kind, bytes, isShared, ...rest} of tiersOf(instance)) {
      if (!isShared) continue
      const {read, write, latencyUs} = ratesOf({kind, ...rest})
      const says = `${sizeText(bytes)}, ${read}/${write} GB/s, ${latencyUs} µs`
      const before = known.get(kind) ?? says
      known.set(kind, before)
      if (before === says) continue
      const problem = new Problem(
        'FLAG_CONFLICT',
        `${flag}: the shared ${kind} is one memory, but it is told as ${before} and as ${says}.`,
        {suggestions: ['kv_offload at the top of the file, for all instances', 'shared: false']},
      )
      return {instance, problem}
    }
  }
  return undefined
}

/** What lies below an engine, for the head of the tables. */
export function describeTiers({instance}: TierPlace, {tiers}: TieredKv): string {
  const asked = tiersOf(instance)
  const each = tiers.map(({name, blocks, write}, at) => {
    const {bytes, isShared} = asked[at]!
    const {read, write: writing} = ratesOf(asked[at]!)
    const speed = `${read}/${writing} GB/s read/write`
    return `${name} ${sizeText(bytes)}${isShared ? ', shared' : ''} (${counted(blocks, 'block')}, ${speed}, written ${write})`
  })
  return `${each.join('; ')}; host link ${hostLinkOf(instance)} GB/s a device`
}

/** The same for `config`. */
export const tiersConfig = ({instance}: TierPlace, {tiers}: TieredKv) =>
  tiers.map(({name, blocks, write, maxPending}, at) => {
    const asked = tiersOf(instance)[at]!
    const {read, write: writing, latencyUs} = ratesOf(asked)
    return {
      tier: name,
      bytes: asked.bytes,
      blocks,
      write,
      shared: asked.isShared,
      read_gb_s: read,
      write_gb_s: writing,
      latency_us: latencyUs,
      max_pending_blocks: maxPending,
    }
  })
