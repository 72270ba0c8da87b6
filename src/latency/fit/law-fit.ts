/**
 * Fits the parameters of a law to measured times: Levenberg–Marquardt on the logarithm of predicted over
 * measured, with a soft absolute loss, so that a row counts by its relative error and an outlier counts
 * little. Parameters are searched as logarithms inside their bounds. No dice: the same rows give the same
 * parameters.
 */
import {levenbergMarquardt} from 'ml-levenberg-marquardt'

/** A parameter with the range in which it means something. */
export interface Parameter {
  readonly name: string
  readonly start: number
  /** Where further searches start, where the law has more than one valley; the best of all counts. */
  readonly otherStarts?: readonly number[]
  readonly least: number
  readonly most: number
}

/** Time in µs of a row, given the parameters in their order. */
export type Law<Row> = (parameters: readonly number[]) => (row: Row) => number

interface Timed {
  readonly timeUs: number
}

/** Relative errors below this count by their square, larger ones by their size. */
const softness = 0.05

/** Rows that a search looks at: more of them do not move four parameters. */
const mostRows = 4000

const iterations = 80

/** Parameters of the law for these rows, in the order of `parameters`. */
export const fitLaw = <Row extends Timed>(
  rows: readonly Row[],
  law: Law<Row>,
  parameters: readonly Parameter[],
): number[] => {
  const sample = evenly(rows, mostRows)
  const x = sample.map((_, index) => index)
  const y = sample.map(() => 0)
  const residual = (logs: number[]) => {
    const time = law(logs.map(Math.exp))
    return (index: number): number => {
      const row = sample[index]!
      const error = Math.log(time(row) / row.timeUs) / softness
      return Math.sign(error) * Math.sqrt(2 * (Math.sqrt(1 + error * error) - 1))
    }
  }
  const logs = (pick: (parameter: Parameter) => number) =>
    parameters.map((parameter) => Math.log(pick(parameter)))
  const search = (initialValues: number[]) =>
    levenbergMarquardt({x, y}, residual, {
      initialValues,
      minValues: logs(({least}) => least),
      maxValues: logs(({most}) => most),
      maxIterations: iterations,
      gradientDifference: 1e-4,
      damping: 1,
      errorTolerance: 1e-9,
    })
  const others = Math.max(0, ...parameters.map(({otherStarts}) => otherStarts?.length ?? 0))
  const found = Array.from({length: 1 + others}, (_, at) =>
    search(logs(({start, otherStarts}) => (at === 0 ? start : (otherStarts?.[at - 1] ?? start)))),
  )
  found.sort((a, b) => a.parameterError - b.parameterError)
  return found[0]!.parameterValues.map((value, index) => {
    const {least, most} = parameters[index]!
    return rounded(Math.min(most, Math.max(least, Math.exp(value))))
  })
}

/** Four figures: what the data can tell, and the same on every machine. */
export const rounded = (value: number): number => Number(value.toPrecision(4))

/** At most `most` rows, spread evenly over their order. */
export const evenly = <Row>(rows: readonly Row[], most: number): readonly Row[] => {
  if (rows.length <= most) return rows
  const step = rows.length / most
  return Array.from({length: most}, (_, index) => rows[Math.floor(index * step)]!)
}

/** Mean of |predicted/measured − 1| and of the signed error, in percent. */
export interface ErrorOf {
  readonly samples: number
  readonly meanPercent: number
  readonly biasPercent: number
}

export const errorOf = <Row extends Timed>(
  rows: readonly Row[],
  time: (row: Row) => number,
): ErrorOf => {
  let [absolute, signed] = [0, 0]
  for (const row of rows) {
    const error = time(row) / row.timeUs - 1
    absolute += Math.abs(error)
    signed += error
  }
  const percent = (sum: number) => Number(((100 * sum) / rows.length).toFixed(1)) + 0
  return {samples: rows.length, meanPercent: percent(absolute), biasPercent: percent(signed)}
}

/** Errors of the rows that fall into each range, in the order of the ranges; empty ranges are left out. */
export const errorByRange = <Row extends Timed>(
  rows: readonly Row[],
  time: (row: Row) => number,
  ranges: readonly {readonly name: string; readonly holds: (row: Row) => boolean}[],
): {range: string; samples: number; meanErrorPercent: number; biasPercent: number}[] =>
  ranges.flatMap(({name, holds}) => {
    const inside = rows.filter(holds)
    if (inside.length === 0) return []
    const {samples, meanPercent, biasPercent} = errorOf(inside, time)
    return [{range: name, samples, meanErrorPercent: meanPercent, biasPercent}]
  })

/**
 * Whether a shape is left out of the fit to score it: one shape in four, by a hash (FNV-1a) of its sizes,
 * so that the split is the same everywhere and neighbours fall on both sides.
 */
export const isLeftOut = (...sizes: readonly number[]): boolean => {
  let hash = 2166136261
  for (const character of sizes.join(',')) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 16777619)
  }
  return (hash >>> 0) % 4 === 0
}
