/**
 * Memory devices that compute (PIM): one channel of each, by name. Structure, timing and power are those of the four
 * DRAM descriptions that LLMServingSim 2.0 (KAIST, MIT licence) publishes in configs/pim; `line` is the latency of one
 * channel that its authors fitted to a cycle-level simulation of attention of one token of Llama-3.1-8B.
 */
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'

export interface PimSpec {
  readonly name: string
  readonly channelGib: number
  readonly busBits: number
  /** MT/s. */
  readonly dataRate: number
  /** In a channel, each as wide as all chips of a rank. */
  readonly banks: number
  /** Of a bank: what one activation opens, and what one column command reads. */
  readonly rowBytes: number
  readonly columnBytes: number
  /** ns. */
  readonly timing: {
    readonly activate: number
    readonly precharge: number
    /** From an activation to the earliest precharge. */
    readonly rowOpen: number
    /** Between column commands of one bank. */
    readonly column: number
    /** In which at most four activations may begin. */
    readonly fourActivates: number
    /** From a read to its data. */
    readonly read: number
  }
  /** ns = perToken · context + fixed, for 32 query heads of 128 over 8 KV heads in 16 bit, all in one channel. */
  readonly line: {readonly perToken: number; readonly fixed: number}
  /** W of a channel. */
  readonly power: {readonly idle: number; readonly peak: number}
}

/** Bytes that the published line's MAC units take in for a token of context: each query head reads its KV head again. */
const lineBytes = 32 * 2 * 128 * 2

export const pimSpecs: readonly PimSpec[] = [
  {
    name: 'DDR4_8GB_3200_pim',
    channelGib: 8,
    busBits: 64,
    dataRate: 3200,
    banks: 8,
    // Four chips of 16 bit: 1,024 columns, bursts of 8.
    rowBytes: 4 * 2048,
    columnBytes: 4 * 16,
    timing: cycles(0.63, {activate: 22, precharge: 22, rowOpen: 52, column: 8, four: 48, read: 22}),
    line: {perToken: 333.2538, fixed: 30_675.2739},
    power: {idle: 0.623, peak: 3.803},
  },
  {
    name: 'HBM2_1GB_2000_pim',
    channelGib: 1,
    busBits: 128,
    dataRate: 2000,
    banks: 16,
    rowBytes: 1024,
    columnBytes: 64,
    timing: cycles(1, {activate: 14, precharge: 14, rowOpen: 34, column: 2, four: 30, read: 14}),
    line: {perToken: 242.0548, fixed: 14_513.5015},
    power: {idle: 0.16, peak: 0.76},
  },
  {
    name: 'LPDDR4X_2GB_4266_pim',
    channelGib: 2,
    busBits: 16,
    dataRate: 4266,
    banks: 16,
    rowBytes: 2048,
    columnBytes: 32,
    timing: cycles(0.468, {
      ...{activate: 39, precharge: 39, rowOpen: 90},
      ...{column: 8, four: 64, read: 36},
    }),
    line: {perToken: 432.4458, fixed: 33_918.1734},
    power: {idle: 0.07, peak: 0.771},
  },
  {
    name: 'LPDDR5_2GB_6400_pim',
    channelGib: 2,
    busBits: 16,
    dataRate: 6400,
    banks: 16,
    rowBytes: 2048,
    columnBytes: 32,
    timing: cycles(0.3125, {
      ...{activate: 34, precharge: 34, rowOpen: 134},
      ...{column: 8, four: 48, read: 34},
    }),
    line: {perToken: 282.4338, fixed: 15_996.7018},
    power: {idle: 0.071, peak: 0.877},
  },
]

interface Cycles {
  readonly activate: number
  readonly precharge: number
  readonly rowOpen: number
  readonly column: number
  readonly four: number
  readonly read: number
}

function cycles(ns: number, {four, ...counts}: Cycles): PimSpec['timing'] {
  return {
    activate: counts.activate * ns,
    precharge: counts.precharge * ns,
    rowOpen: counts.rowOpen * ns,
    column: counts.column * ns,
    fourActivates: four * ns,
    read: counts.read * ns,
  }
}

/** @throws Problem FLAG_BAD_VALUE that names the known ones */
export function pimSpecNamed(name: string): PimSpec {
  const found = pimSpecs.find((spec) => spec.name.toLowerCase() === name.toLowerCase())
  if (found) return found
  const names = pimSpecs.map((spec) => spec.name)
  const near = closest(name, names)
  throw new Problem('FLAG_BAD_VALUE', `--pim ${name}: there is no PIM device "${name}".`, {
    suggestions: (near.length > 0 ? near : names).map((known) => `--pim ${known}`),
  })
}

/** 10^9 bytes per second over the bus of a channel. */
export const busGbS = ({busBits, dataRate}: PimSpec): number => ((busBits / 8) * dataRate) / 1000

/**
 * 10^9 bytes per second that the banks of a channel could hand to MAC units beside them: every bank opens a row, reads
 * all of its columns and closes it, at most four activations per window.
 */
export function bankGbS({banks, rowBytes, columnBytes, timing}: PimSpec): number {
  const reads = (rowBytes / columnBytes) * timing.column
  const open = Math.max(timing.activate + reads, timing.rowOpen)
  const period = Math.max(open + timing.precharge, (banks / 4) * timing.fourActivates)
  return (banks * rowBytes) / period
}

/** 10^9 bytes per second that the MAC units of a channel take in: of the published line, and never more than the banks give. */
export const macGbS = (spec: PimSpec): number =>
  Math.min(bankGbS(spec), lineBytes / spec.line.perToken)

/** ns that a query head of this size costs whatever its context is: vectors in, softmax, results out. */
export const headNs = (spec: PimSpec, headDim: number): number =>
  (spec.line.fixed * headDim) / (32 * 128)
