/** The accelerator catalogue as people and programs read it. */
import type {Hardware, PeakDtype} from '../catalogue/hardware-shape.js'
import {peakDtypes} from '../catalogue/hardware-shape.js'
import {powerFiguresOf} from '../catalogue/power-figures.js'
import {hanging, kernelLines, linkLines} from './kernel-lines.js'

/** One accelerator as `hardware list --json` prints it. */
export interface HardwareRecord {
  /** What `--hardware` takes. */
  readonly name: string
  readonly product: string
  readonly vendor: string
  readonly aliases: readonly string[]
  readonly architecture: string
  readonly memory_gb: number
  readonly usable_bytes: number
  readonly bandwidth_gb_s: number
  readonly peak_tflops: Hardware['peakTflops']
  readonly power_w: number
  /** null: not known. */
  readonly price_usd_per_hour: number | null
  readonly links: readonly string[]
  /** Kernels with coefficients of this very device. */
  readonly measured: readonly string[]
  readonly calibrated: boolean
  readonly source: string
}

export const hardwareRecord = (hardware: Hardware): HardwareRecord => ({
  name: hardware.id,
  product: hardware.name,
  vendor: hardware.vendor,
  aliases: hardware.aliases,
  architecture: hardware.architecture,
  memory_gb: hardware.memoryGib,
  usable_bytes: hardware.usableBytes,
  bandwidth_gb_s: hardware.bandwidthGbS,
  peak_tflops: hardware.peakTflops,
  power_w: hardware.powerW,
  price_usd_per_hour: hardware.priceUsdPerHour,
  links: hardware.links.map((link) => link.name),
  measured: measuredTerms(hardware),
  calibrated: hardware.calibrated,
  source: hardware.source,
})

/** The terms of the roofline that have figures of this device, in the order of a step. */
const measuredTerms = (hardware: Hardware): string[] => {
  const {kernels, links} = hardware
  const terms: readonly (readonly [string, boolean])[] = [
    ['gemm', kernels.gemm.bf16 !== undefined],
    ['attention', kernels.decodeAttention !== null && kernels.prefillAttention !== null],
    ['moe', Object.keys(kernels.moe).length > 0],
    ['all-reduce', links.some((link) => link.allReduce !== null)],
  ]
  return terms.filter(([, has]) => has).map(([term]) => term)
}

/** A table of 80 columns, one row per accelerator. */
export const hardwareListTable = async (all: readonly Hardware[]): Promise<string> => {
  const {default: Table} = await import('cli-table3')
  const table = new Table({
    head: ['name', 'GiB', 'GB/s', 'bf16', 'fp8', 'W', '$/h', 'measured'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'left'],
    ...plainStyle,
  })
  for (const hardware of all) {
    const {peakTflops: peak} = hardware
    table.push([
      hardware.id,
      hardware.memoryGib,
      hardware.bandwidthGbS,
      peak.bf16 ?? peak.fp16 ?? '–',
      peak.fp8 ?? '–',
      hardware.powerW,
      priceCell(hardware),
      measuredTerms(hardware).map(shortTerm).join(' ') || '–',
    ])
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

// 80 columns leave room for short words only.
const shortTerm = (term: string): string => (term === 'attention' ? 'attn' : term)

const priceCell = ({priceUsdPerHour}: Hardware): string =>
  priceUsdPerHour === null ? '–' : priceUsdPerHour.toFixed(2)

/** Borderless, without colours: reads the same in a pipe. */
const plainStyle = {
  style: {head: [], border: [], 'padding-left': 0, 'padding-right': 2},
  chars: {
    ...{top: '', 'top-mid': '', 'top-left': '', 'top-right': ''},
    ...{bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': ''},
    ...{left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: ''},
  },
}

/** Everything that is known of one accelerator, in lines of at most 80 columns. */
export const hardwarePage = (hardware: Hardware): string => {
  const facts: readonly (readonly [string, string])[] = [
    ['product', `${hardware.name} (${hardware.vendor}, ${hardware.architecture})`],
    ['aliases', hardware.aliases.join(', ') || '–'],
    [
      'memory',
      `${hardware.memoryGib} GiB, usable ${(hardware.usableBytes / 2 ** 30).toFixed(2)} GiB`,
    ],
    ['bandwidth', `${hardware.bandwidthGbS} GB/s`],
    ['peak', `${peakText(hardware)} TFLOP/s, dense`],
    ['L2', hardware.l2Mb === null ? '–' : `${hardware.l2Mb} MB`],
    ['processors', hardware.multiprocessors === null ? '–' : String(hardware.multiprocessors)],
    ['power', powerText(hardware)],
    ['price', hardware.priceUsdPerHour === null ? '–' : `${priceCell(hardware)} USD per hour`],
    ['calibrated', hardware.calibrated ? 'yes' : 'not calibrated'],
    ['source', hardware.source],
    ...[...hardware.notes, ...(hardware.unusual ?? [])].map((note) => ['note', note] as const),
  ]
  const sections = [
    facts.flatMap(([name, text]) => hanging(name, text, 12)),
    ['links (the first is the default)', ...indented(hardware.links.flatMap(linkLines), 'none')],
    [
      'kernels (anything else uses the defaults of the class)',
      ...indented(kernelLines(hardware.kernels), 'none measured'),
    ],
  ]
  return [hardware.id, ...sections.map((lines) => lines.join('\n'))].join('\n\n')
}

const powerText = (hardware: Hardware): string => {
  const {device, source} = powerFiguresOf(hardware)
  const watts = (value: number): string => `${Math.round(value)} W`
  const states = `${watts(device.activeW)} at work, ${watts(device.standbyW)} for ${device.standbySeconds} s after it, ${watts(device.idleW)} idle`
  return `${hardware.powerW} W; ${states}; ${source}`
}

const peakText = ({peakTflops}: Hardware): string =>
  peakDtypes
    .filter((dtype: PeakDtype) => peakTflops[dtype] !== undefined)
    .map((dtype) => `${dtype} ${peakTflops[dtype]}`)
    .join(', ')

const indented = (lines: readonly string[], none: string): string[] =>
  (lines.length === 0 ? [none] : lines).map((line) => `  ${line}`)
