/**
 * Turns measured collectives into the curves of a hardware file: the floor (small messages) and the bus
 * bandwidth at a few message sizes, between which time is linear in bytes. Errors are taken over every
 * measured size, most of which are no knot.
 */
import type {
  CollectiveCurve,
  CollectiveKind,
  MeasuredCollective,
} from '../../catalogue/hardware-shape.js'
import type {CollectiveSample} from '../../catalogue/kernel-samples.js'
import {collectiveTable, passesOf} from '../collective.js'
import {errorByRange, errorOf} from './law-fit.js'

/** Knots: every fourth power of two; the table's own last size closes them. */
const knotBytes = [16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144].map((kib) => kib * 1024)

/** Messages up to here take the floor. */
const floorBytes = 4096

export type FittedCollective = Omit<MeasuredCollective, 'source'>

/** null when fewer than four sizes of it were measured. */
export const fitCollective = (
  samples: readonly CollectiveSample[],
  kind: CollectiveKind,
  kernel: CollectiveSample['kernel'],
): FittedCollective | null => {
  const rows = samples.filter((row) => row.kind === kind && row.kernel === kernel)
  const degrees = [...new Set(rows.map((row) => row.devices))].sort((a, b) => a - b)
  if (degrees.length === 0 || rows.length < 4 * degrees.length) return null
  const sizes = new Set(rows.map((row) => row.bytes))
  const messageBytes = knotBytes.filter((bytes) => sizes.has(bytes))
  const curves = degrees.map((degree) => ({
    degree,
    curve: curveOf(
      rows.filter((row) => row.devices === degree),
      kind,
      messageBytes,
    ),
  }))
  const times = new Map(
    curves.map(({degree, curve}) => [
      degree,
      collectiveTable({curve, messageBytes, kind, taken: degree, degree}),
    ]),
  )
  const time = (row: CollectiveSample) => times.get(row.devices)!(row.bytes) / 1000
  const error = errorOf(rows, time)
  return {
    messageBytes,
    degrees: curves,
    samples: error.samples,
    meanErrorPercent: error.meanPercent,
    biasPercent: error.biasPercent,
    medianErrorPercent: medianError(rows, time),
    errorBySize: errorByRange(rows, time, byBytes),
  }
}

const byBytes: readonly {name: string; holds: (row: CollectiveSample) => boolean}[] = [
  {name: 'up to 64 KiB', holds: ({bytes}) => bytes <= 65_536},
  {name: '64 KiB to 4 MiB', holds: ({bytes}) => bytes > 65_536 && bytes <= 4_194_304},
  {name: 'above 4 MiB', holds: ({bytes}) => bytes > 4_194_304},
]

const curveOf = (
  rows: readonly CollectiveSample[],
  kind: CollectiveKind,
  messageBytes: readonly number[],
): CollectiveCurve => {
  const small = rows.filter((row) => row.bytes <= floorBytes).map((row) => row.timeUs)
  const floorUs = Number(
    median(small.length > 0 ? small : rows.map((row) => row.timeUs)).toFixed(2),
  )
  let last = floorUs
  const busGbS = messageBytes.map((bytes) => {
    const measured = rows.find((row) => row.bytes === bytes)
    const sent = (passesOf(kind, rows[0]!.devices) * bytes) / 1000
    // A larger message never arrives sooner, whatever the noise of the table says.
    const bus = threeFiguresDown(sent / Math.max(last, measured?.timeUs ?? last))
    last = sent / bus
    return bus
  })
  return {floorUs, busGbS}
}

/** Three figures, rounded down, so that a time that follows from them is no shorter than it was. */
const threeFiguresDown = (value: number): number => {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 2)
  return Number((Math.floor(value / unit) * unit).toPrecision(3))
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

const medianError = (
  rows: readonly CollectiveSample[],
  time: (row: CollectiveSample) => number,
): number =>
  Number((100 * median(rows.map((row) => Math.abs(time(row) / row.timeUs - 1)))).toFixed(1))
