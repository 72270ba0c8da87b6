/** `--kv-offload`: memory tiers for KV, in one word each. */
import {Flags} from '@oclif/core'
import {Problem} from '../errors.js'
import {
  type KvOffloadRequest,
  nearerOf,
  type TierKind,
  type TierRequest,
  tierKinds,
} from '../study/kv-tiers.js'
import {positiveFlag, rateFlag} from './positive-flag.js'

const helpGroup = 'ENGINE'

export const kvOffloadFlags = {
  'kv-offload': Flags.string({
    helpGroup,
    helpValue: 'TIER:SIZE,…',
    summary: 'Keep KV below the device: cpu:64GiB,nvme:1TB; :on-eviction behind a size.',
  }),
  'kv-offload-bandwidth': Flags.string({
    helpGroup,
    helpValue: 'GB/S',
    summary: 'Between a device and its host, for --kv-offload (default: the PCIe link).',
  }),
  'kv-offloading-size': Flags.string({
    helpGroup,
    helpValue: 'GIB',
    summary: "The same as --kv-offload cpu:…GiB, under vLLM's name.",
  }),
}

export interface KvOffloadValues {
  readonly 'kv-offload-bandwidth'?: string | undefined
  readonly 'kv-offload'?: string | undefined
  readonly 'kv-offloading-size'?: string | undefined
}

const units: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** Undefined without a flag. @throws Problem FLAG_BAD_VALUE, FLAG_CONFLICT */
export function kvOffloadOf(flags: KvOffloadValues): KvOffloadRequest | undefined {
  const {'kv-offload': list, 'kv-offloading-size': gib, 'kv-offload-bandwidth': rate} = flags
  const hostGbPerS = rateFlag('kv-offload-bandwidth', rate, 64)
  if (list !== undefined || gib !== undefined) return {tiers: tiersOf(list, gib), hostGbPerS}
  if (rate === undefined) return undefined
  throw new Problem('FLAG_CONFLICT', '--kv-offload-bandwidth without --kv-offload.', {
    suggestions: ['--kv-offload cpu:64GiB', 'Leave --kv-offload-bandwidth out.'],
  })
}

function tiersOf(list: string | undefined, gib: string | undefined): TierRequest[] {
  if (list !== undefined && gib !== undefined) {
    throw new Problem(
      'FLAG_CONFLICT',
      '--kv-offload and --kv-offloading-size: both say what host memory is for.',
      {suggestions: [`--kv-offload cpu:${gib}GiB`]},
    )
  }
  if (list === undefined) {
    return [tierOf('cpu', positiveFlag('kv-offloading-size', gib, 64)! * 2 ** 30)]
  }
  const tiers = list.split(',').map((text) => tierFrom(text.trim(), list))
  const twice = tiers.find(({kind}, at) => tiers.findIndex((tier) => tier.kind === kind) < at)
  if (twice) throw bad(list, `${twice.kind} stands there twice`)
  const nearer = nearerOf(tiers.map(({kind}) => kind))
  if (nearer) throw bad(list, `${nearer} is nearer to the device than the tier before it`)
  return tiers
}

const tierOf = (
  kind: TierKind,
  bytes: number,
  write: TierRequest['write'] = 'through',
): TierRequest => ({kind, bytes, write, isShared: false})

function tierFrom(text: string, list: string): TierRequest {
  const [name, size, how, ...more] = text.replace(':on eviction', ':on-eviction').split(':')
  const kind = tierKinds.find((known) => known === name)
  if (kind === undefined) throw bad(list, `"${name}" is none of ${tierKinds.join(', ')}`)
  if (size === undefined || size === '' || more.length > 0)
    throw bad(list, `"${text}" is not TIER:SIZE or TIER:SIZE:on-eviction`)
  if (how !== undefined && how !== 'on-eviction' && how !== 'through')
    throw bad(list, `"${how}" is neither through nor on-eviction`)
  return tierOf(kind, sizeOf(size, list), how === 'on-eviction' ? 'on eviction' : 'through')
}

function sizeOf(text: string, list: string): number {
  const found = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text)
  const unit = found && units[found[2]!]
  const bytes = unit ? Number(found[1]) * unit : Number.NaN
  if (bytes > 0) return bytes
  throw bad(list, `"${text}" is not a size above 0 with one of ${Object.keys(units).join(', ')}`)
}

const bad = (list: string, rule: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--kv-offload ${list}: ${rule}.`, {
    suggestions: ['--kv-offload cpu:64GiB', '--kv-offload cpu:64GiB,nvme:1TB:on-eviction'],
  })
