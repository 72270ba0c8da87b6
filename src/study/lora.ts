/** LoRA adapters on a settled engine: their memory, their loads, their share of a step (docs/lora.md). */
import {adapterBytes} from '../catalogue/model-arithmetic.js'
import type {AdapterConfig} from '../cluster/adapter-slots.js'
import {uniform} from '../engine/speculation.js'
import {Problem} from '../errors.js'
import type {PrefixColumn, Trace} from '../trace/trace.js'
import type {SettledEngine} from './engine-settings.js'
import type {Instance} from './instance.js'
import type {RunRequest} from './run-request.js'

export interface LoraRequest {
  /** Adapters that an engine has room for. */
  readonly maxLoras: number
  readonly rank: number
  /** Default: its bytes over the PCIe link of the device. */
  readonly loadMs?: number | undefined
  /** Default: by rank. */
  readonly overhead?: number | undefined
  /** So many adapters are drawn for requests that name none. */
  readonly adapters?: number | undefined
}

/** @throws Problem FLAG_CONFLICT */
export function checkLora({lora, compat}: RunRequest): void {
  if (lora === undefined || compat === undefined) return
  throw new Problem(
    'FLAG_CONFLICT',
    `--max-loras and --compat ${compat}: that simulator has no adapters.`,
    {suggestions: ['Leave one of the two out.']},
  )
}

/** Slots and loads of the adapters of an engine. */
export function adaptersOf(instance: Instance, lora: LoraRequest): AdapterConfig {
  const {maxLoras, rank} = lora
  const bytes = adapterBytes(instance.model, rank, instance)
  const loadNs =
    lora.loadMs === undefined
      ? Math.max(1, Math.round(bytes / hostLinkGbS(instance)))
      : Math.round(lora.loadMs * 1e6)
  return {slots: maxLoras, loadNs, overhead: lora.overhead ?? overheadOf(rank)}
}

/** PCIe 4.0 x16, where the hardware file has no PCIe link. */
const defaultHostLinkGbS = 32

const hostLinkGbS = ({hardware}: Instance): number =>
  hardware?.links.find(({kind}) => kind === 'pcie')?.gbPerS ?? defaultHostLinkGbS

/** Per adapter in use: 2 % at rank 8, 3.5 % at 16, 6 % at 32 (the assumption of inference-sim, BLIS), linear between. */
const overheads = [
  [0, 0],
  [8, 0.02],
  [16, 0.035],
  [32, 0.06],
] as const

function overheadOf(rank: number): number {
  const above = overheads.findIndex(([known]) => known >= rank)
  const i = above < 0 ? overheads.length - 1 : Math.max(1, above)
  const [[r0, s0], [r1, s1]] = [overheads[i - 1]!, overheads[i]!]
  return s0 + ((s1 - s0) * (rank - r0)) / (r1 - r0)
}

/** The engine with fewer blocks: vLLM sets the memory of all adapters aside. @throws Problem MODEL_TOO_LARGE */
export function settleLora(
  settled: SettledEngine,
  lora: LoraRequest,
  instance: Instance,
): SettledEngine {
  const {memory, config} = settled
  if (memory === undefined) return settled
  const bytes = lora.maxLoras * adapterBytes(instance.model, lora.rank, instance)
  const numGpuBlocks = config.numGpuBlocks - Math.ceil(bytes / memory.blockBytes)
  if (numGpuBlocks < 1) {
    throw new Problem(
      'MODEL_TOO_LARGE',
      `--max-loras ${lora.maxLoras} of rank ${lora.rank} take ${(bytes / 1e9).toFixed(2)} GB of each accelerator, which leaves no memory for KV blocks.`,
      {suggestions: ['fewer --max-loras', `--tp ${2 * instance.tp}`]},
    )
  }
  const maxModelLen = Math.min(config.maxModelLen, numGpuBlocks * config.blockSize)
  return {...settled, config: {...config, numGpuBlocks, maxModelLen}}
}

/** The trace with an adapter for the rows that name none, and prefixes that only rows of one adapter share. */
export function withAdapters(trace: Trace, lora: LoraRequest | undefined, seed: number): Trace {
  if (lora === undefined) return trace
  const adapter = drawn(trace, lora.adapters ?? 0, seed)
  if (adapter === undefined) return trace
  const prefix = trace.prefix && apart(trace.prefix, adapter.codes)
  return {...trace, adapter, ...(prefix && {prefix})}
}

function drawn({adapter, length}: Trace, count: number, seed: number): Trace['adapter'] {
  if (count === 0) return adapter
  const given = adapter?.names ?? []
  const names = [...given, ...Array.from({length: count}, (_, i) => `adapter_${i}`)]
  const codes = Int32Array.from({length}, (_, row) => {
    const own = adapter?.codes[row] ?? -1
    return own >= 0 ? own : given.length + Math.floor(uniform(seed, row, 0) * count)
  })
  return {names, codes}
}

/** vLLM hashes the adapter into every block: equal tokens under two adapters are two blocks. */
function apart(prefix: PrefixColumn, codes: Int32Array): PrefixColumn {
  const ids = new Float64Array(prefix.ids.length)
  const known = new Map<string, number>()
  for (let row = 0; row < codes.length; row++) {
    for (let i = prefix.offsets[row]!; i < prefix.offsets[row + 1]!; i++) {
      const name = `${codes[row]} ${prefix.ids[i]}`
      const id = known.get(name) ?? known.size + 1
      known.set(name, id)
      ids[i] = id
    }
  }
  return {...prefix, ids}
}

/** A line for the head of the tables. */
export function describeLora(lora: LoraRequest, {slots, loadNs, overhead}: AdapterConfig): string {
  return `LoRA: ${slots} adapters of rank ${lora.rank} at once, ${(loadNs / 1e6).toFixed(2)} ms to load one, ${(100 * overhead).toFixed(1)} % of a step for each in use`
}

/** The same for `config`. */
export const loraConfig = (lora: LoraRequest, {slots, loadNs, overhead}: AdapterConfig) => ({
  max_loras: slots,
  rank: lora.rank,
  load_ms: loadNs / 1e6,
  overhead_per_adapter: overhead,
  drawn_adapters: lora.adapters ?? 0,
})
