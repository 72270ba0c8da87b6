/** LoRA adapters on a settled engine: their memory, their loads, their share of a step (docs/lora.md). */
import {adapterBytes} from '../catalogue/model-arithmetic.js'
import type {AdapterConfig} from '../cluster/adapter-slots.js'
import {uniform} from '../engine/speculation.js'
import {Problem} from '../errors.js'
import type {PrefixColumn, Trace} from '../trace/trace.js'
import type {SettledEngine} from './engine-settings.js'
import type {Instance} from './instance.js'
import {roomFor} from './kv-windows.js'
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

/** A step that is a hundred times as long for each adapter is a slip of the pen (percent). */
export const mostOverhead = 100
/** Adapters that are drawn at most: no fleet has so many, and each has a name, blocks of its own and a slot to wait for. */
export const mostAdapters = 1_000_000

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
  const maxModelLen = roomFor(numGpuBlocks, config.maxModelLen, config)
  return {...settled, config: {...config, numGpuBlocks, maxModelLen}}
}

/** Whose adapter is whose, over all parts of a trace. */
export class Adapters {
  readonly #lora: LoraRequest | undefined
  readonly #seed: number
  readonly #codes = new Map<string, number>()
  /** By row of the whole trace. */
  #ofRow = new Int32Array(0)
  readonly #identities = new Map<string, number>()

  constructor(lora: LoraRequest | undefined, seed: number) {
    this.#lora = lora
    this.#seed = seed
  }

  /** Number of the adapter of a row; below 0: the model itself. */
  of(row: number): number {
    return this.#ofRow[row] ?? -1
  }

  /**
   * The part of a trace that begins with row `from`, with prefixes that only rows of one adapter share: vLLM hashes the
   * adapter into every block.
   */
  apply(trace: Trace, from: number): Trace {
    if (this.#lora === undefined) return trace
    const {adapters = 0} = this.#lora
    if (trace.adapter === undefined && adapters === 0) return trace
    this.#reserve(from + trace.length)
    for (let row = 0; row < trace.length; row++) {
      const own = trace.adapter?.names[trace.adapter.codes[row]!]
      const drawn = Math.floor(uniform(this.#seed, from + row, 0) * adapters)
      const name = own ?? (adapters > 0 ? `adapter_${drawn}` : undefined)
      this.#ofRow[from + row] = name === undefined ? -1 : numberOf(this.#codes, name)
    }
    const {prefix} = trace
    return prefix === undefined ? trace : {...trace, prefix: this.#apart(prefix, from)}
  }

  #reserve(length: number): void {
    if (length <= this.#ofRow.length) return
    const longer = new Int32Array(Math.max(length, 2 * this.#ofRow.length)).fill(-1)
    longer.set(this.#ofRow)
    this.#ofRow = longer
  }

  #apart(prefix: PrefixColumn, from: number): PrefixColumn {
    const ids = new Float64Array(prefix.ids.length)
    for (let row = 0; row + 1 < prefix.offsets.length; row++) {
      const adapter = this.of(from + row)
      for (let i = prefix.offsets[row]!; i < prefix.offsets[row + 1]!; i++)
        ids[i] = numberOf(this.#identities, `${adapter} ${prefix.ids[i]}`)
    }
    return {...prefix, ids}
  }
}

/** Numbers from 0 in order of appearance. */
function numberOf(known: Map<string, number>, name: string): number {
  let number = known.get(name)
  if (number === undefined) {
    number = known.size
    known.set(name, number)
  }
  return number
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
