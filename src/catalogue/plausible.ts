/**
 * What figures of an accelerator can be at all, and what is merely unusual: a figure in another unit (TB/s, bytes, kW)
 * passes every check of its kind and makes every result wrong by powers of ten.
 */
import type {Hardware} from './hardware-shape.js'
import {SchemaFault} from './schema-section.js'

interface Range {
  /** Outside of it no device is, and none will be soon: a fault. */
  readonly possible: readonly [number, number]
  /** Outside of it a note asks whether that is meant. */
  readonly usual: readonly [number, number]
  readonly unit: string
  /** Why: what lies at the ends. */
  readonly reason: string
}

/**
 * Bounds by key. From a board with one channel of memory to the largest package of today with a wide margin; the
 * figures of the catalogue and of the data sheets behind it lie well within the usual ones.
 */
const ranges = {
  bandwidth_gb_s: {
    // A rate in MB/s lies in it, but is then beyond the peak: see `ridge`.
    possible: [5, 50_000_000],
    usual: [30, 32_000],
    unit: 'GB/s',
    reason:
      'one channel of LPDDR4 has 13, the HBM of a B300 8,000, the SRAM of a chip 80,000, that of a wafer 21,000,000',
  },
  memory_gb: {
    possible: [0.1, 65_536],
    usual: [4, 2048],
    unit: 'GiB',
    reason: 'a small board has 4, a B300 288, a workstation that shares its memory 512',
  },
  peak_tflops: {
    possible: [0.05, 200_000],
    usual: [1, 60_000],
    unit: '10^12 FLOP/s, dense',
    reason: 'a core of a CPU has 0.1, a B300 13,500 in 4 bit',
  },
  multiprocessors: {
    possible: [1, 4096],
    usual: [4, 1024],
    unit: 'multiprocessors, not CUDA cores or lanes',
    reason: 'a small board has 8, a B200 148, an MI300X 304',
  },
  l2_mb: {
    possible: [0.1, 65_536],
    usual: [0.5, 1024],
    unit: 'MB',
    reason: 'a small board has 2, an MI300X 256',
  },
  power_w: {
    possible: [1, 50_000],
    usual: [5, 4000],
    unit: 'W',
    reason: 'a small board draws 7, a B300 1,400',
  },
  price_usd_per_hour: {
    possible: [0, 100_000],
    usual: [0.01, 200],
    unit: 'USD an hour of one device',
    reason: 'an RTX 3090 costs 0.25, a B300 6',
  },
  gb_s: {
    possible: [0.001, 50_000],
    usual: [0.1, 8000],
    unit: 'GB/s in one direction',
    reason: 'PCIe 3 with four lanes has 4, NVLink 5 has 900',
  },
  max_devices: {
    possible: [1, 1_000_000],
    usual: [1, 10_000],
    unit: 'devices',
    reason: 'a server has 8, a rack 72, a TPU pod 9,216',
  },
} as const satisfies Record<string, Range>

/** FLOP per byte at which arithmetic takes as long as reading, of the 16-bit peak. */
const ridge: Range = {
  possible: [1, 5000],
  usual: [5, 1500],
  unit: 'FLOP per byte',
  reason: 'a CPU has 5, an M4 Max 62, an H100 295, a TPU v6e 560',
}

/** 16-bit TFLOP/s of one multiprocessor. A chip of matrix units has one to eight of them, as its maker counts. */
const perProcessor: Range = {
  possible: [0.005, 5000],
  usual: [0.1, 60],
  unit: 'TFLOP/s of each multiprocessor',
  reason: 'an M3 Ultra has 0.7, an H100 7.5, a GB200 17, the one core of a TPU v6e 918',
}

/** Peak of a narrower format over the 16-bit one. */
const narrower: Range = {
  possible: [0.05, 64],
  usual: [0.9, 10],
  unit: 'times as much',
  reason:
    'the 8-bit peak of an H100 is 2 times its 16-bit one, the 4-bit peak of an RTX 5090 8 times',
}

/** Memory that a process can use over that which was sold. */
const usable: Range = {
  possible: [0.1, 1],
  usual: [0.6, 1],
  unit: 'of it',
  reason: 'usable_bytes are bytes; an H100 shows 0.99 of its memory, an M3 Ultra 0.75',
}

interface Figure {
  readonly path: readonly string[]
  /** Where to point instead, if only that is the file's own. */
  readonly other?: readonly string[]
  readonly value: number | null
  readonly range: Range
  /** How a figure that is none of the file's is called. */
  readonly name?: string
}

/**
 * What is unusual about a device, one sentence each; `ownKeys` are those that its own file has, not one that it extends.
 * @throws SchemaFault for what cannot be
 */
export function checkPlausible(hardware: Hardware, ownKeys: readonly string[]): string[] {
  const found = figuresOf(hardware)
  const wrong = found.find((figure) => isOutside(figure, 'possible'))
  if (wrong !== undefined) throw faultOf(wrong, ownKeys)
  return found.filter((figure) => isOutside(figure, 'usual')).map(noteOf(hardware.id))
}

function figuresOf(hardware: Hardware): Figure[] {
  const peak = hardware.peakTflops
  const half = Math.max(peak.bf16 ?? 0, peak.fp16 ?? 0)
  const {multiprocessors} = hardware
  return [
    of('bandwidth_gb_s', hardware.bandwidthGbS),
    of('memory_gb', hardware.memoryGib),
    {
      path: ['usable_bytes'],
      other: ['memory_gb'],
      value: hardware.usableBytes / (hardware.memoryGib * 2 ** 30),
      range: usable,
      name: 'usable_bytes over memory_gb',
    },
    ...Object.entries(peak).map(([dtype, value]) => of('peak_tflops', value, dtype)),
    ...(['fp8', 'int8', 'fp4'] as const).map((dtype) => ({
      path: ['peak_tflops', dtype],
      other: ['peak_tflops'],
      value: peak[dtype] === undefined ? null : peak[dtype] / half,
      range: narrower,
      name: `${dtype} over 16-bit peak_tflops`,
    })),
    of('multiprocessors', multiprocessors),
    of('l2_mb', hardware.l2Mb),
    of('power_w', hardware.powerW),
    of('price_usd_per_hour', hardware.priceUsdPerHour),
    ...hardware.links.flatMap(({name, gbPerS, maxDevices}) => [
      {path: ['links', name, 'gb_s'], value: gbPerS, range: ranges.gb_s},
      {path: ['links', name, 'max_devices'], value: maxDevices, range: ranges.max_devices},
    ]),
    {
      path: ['bandwidth_gb_s'],
      other: ['peak_tflops'],
      value: (half * 1e3) / hardware.bandwidthGbS,
      range: ridge,
      name: '16-bit peak_tflops over bandwidth_gb_s',
    },
    {
      path: ['multiprocessors'],
      other: ['peak_tflops'],
      value: multiprocessors === null ? null : half / multiprocessors,
      range: perProcessor,
      name: '16-bit peak_tflops over multiprocessors',
    },
  ]
}

const of = (
  key: keyof typeof ranges,
  value: number | null,
  ...rest: readonly string[]
): Figure => ({
  path: [key, ...rest],
  value,
  range: ranges[key],
})

const isOutside = ({value, range}: Figure, which: 'possible' | 'usual'): boolean =>
  value !== null && !(value >= range[which][0] && value <= range[which][1])

const rounded = (value: number): string =>
  Number(value.toPrecision(3)).toLocaleString('en-US', {maximumSignificantDigits: 3})

const exact = (value: number): string => value.toLocaleString('en-US')

function faultOf(figure: Figure, ownKeys: readonly string[]): SchemaFault {
  const {path, other, value, range, name} = figure
  const {possible, unit, reason} = range
  const rule = `must be between ${exact(possible[0])} and ${exact(possible[1])} ${unit} (${reason})`
  const place = other === undefined || ownKeys.includes(path[0]!) ? path : other
  return new SchemaFault(
    place,
    name === undefined
      ? `${rule}, but is ${String(value)}`
      : `cannot be: ${name} is ${rounded(value!)}, and ${rule}`,
    {suggestions: ['look at the unit: the key names it']},
  )
}

const noteOf =
  (id: string) =>
  ({path, value, range, name}: Figure): string =>
    `${name ?? path.join('.')} of ${id} is unusual: ${rounded(value!)} ${range.unit} (${range.reason}); is the unit right?`
