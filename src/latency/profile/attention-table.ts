/**
 * Measured attention kernels: time over (prefill chunk, its context, number of decodes, their context). A mixed
 * batch is one kernel and one look-up. Rules: LLMServingSim's, so that its bundles mean what they mean there.
 */
import type {AttentionSample, Bins, SkewFit} from '../../catalogue/profile-bundle.js'
import type {BatchShape} from '../step-time.js'
import {bracket, lerp, roundHalfEven, wholeNs} from './tables.js'

/** Times for one (chunk, decodes): rows by prefill context, each over decode contexts. */
interface Slice {
  readonly chunk: number
  readonly decodes: number
  readonly kvPrefill: number[]
  readonly rows: {readonly kvDecode: number[]; readonly ns: number[]}[]
}

const ascending = (values: Iterable<number>) => [...new Set(values)].sort((a, b) => a - b)

export class AttentionTable {
  readonly #chunks: number[]
  readonly #decodes: number[]
  /** Slice for each (chunk, decodes) of the axes; where none was measured, the nearest one. */
  readonly #grid: Slice[][]

  constructor(samples: readonly AttentionSample[]) {
    const slices = buildSlices(samples)
    this.#chunks = ascending(slices.map((slice) => slice.chunk))
    this.#decodes = ascending(slices.map((slice) => slice.decodes))
    this.#grid = this.#chunks.map((chunk) =>
      this.#decodes.map((decodes) => nearest(slices, chunk, decodes)),
    )
  }

  /** Whole ns of one layer. */
  at(chunk: number, kvPrefill: number, decodes: number, kvDecode: number): number {
    const c = bracket(this.#chunks, chunk)
    const d = bracket(this.#decodes, decodes)
    const along = (row: Slice[]) => {
      const low = sliceValue(row[d.low]!, kvPrefill, kvDecode)
      return d.t === 0 ? low : lerp(low, sliceValue(row[d.high]!, kvPrefill, kvDecode), d.t)
    }
    const low = along(this.#grid[c.low]!)
    const value = c.t === 0 ? low : lerp(low, along(this.#grid[c.high]!), c.t)
    return Math.max(1, Math.trunc(value))
  }
}

function buildSlices(samples: readonly AttentionSample[]): Slice[] {
  const byPair = new Map<string, AttentionSample[]>()
  for (const sample of samples) {
    const key = `${sample.prefillChunk},${sample.decodes}`
    const list = byPair.get(key)
    if (list) list.push(sample)
    else byPair.set(key, [sample])
  }
  const slices = [...byPair.values()].map((list) => {
    const {prefillChunk: chunk, decodes} = list[0]!
    const kvPrefill = ascending(list.map((sample) => sample.kvPrefill))
    const rows = kvPrefill.map((kv) => {
      const row = list.filter((sample) => sample.kvPrefill === kv)
      // Of two samples of one point the later counts.
      const ns = new Map(row.map((sample) => [sample.kvDecode, wholeNs(sample.timeUs)]))
      const kvDecode = ascending(ns.keys())
      return {kvDecode, ns: kvDecode.map((context) => ns.get(context)!)}
    })
    return {chunk, decodes, kvPrefill, rows}
  })
  return slices.sort((a, b) => a.chunk - b.chunk || a.decodes - b.decodes)
}

/** The measured slice closest to a pair; the first in sorted order among equals. */
function nearest(slices: readonly Slice[], chunk: number, decodes: number): Slice {
  let best = slices[0]!
  let least = Number.POSITIVE_INFINITY
  for (const slice of slices) {
    const distance = (slice.chunk - chunk) ** 2 + (slice.decodes - decodes) ** 2
    if (distance >= least) continue
    least = distance
    best = slice
  }
  return best
}

function sliceValue(slice: Slice, kvPrefill: number, kvDecode: number): number {
  const {low, high, t} = bracket(slice.kvPrefill, kvPrefill)
  const value = rowValue(slice.rows[low]!, kvDecode)
  return t === 0 ? value : lerp(value, rowValue(slice.rows[high]!, kvDecode), t)
}

function rowValue(row: Slice['rows'][number], kvDecode: number): number {
  const {low, high, t} = bracket(row.kvDecode, kvDecode)
  return t === 0 ? row.ns[low]! : lerp(row.ns[low]!, row.ns[high]!, t)
}

const mostBins = 256

/** Index of the bin (lo, hi] that holds a value; the outer bins take what lies beyond. */
function binOf(bins: Bins, value: number): number {
  const last = bins.labels.length - 1
  for (let i = 0; i < last; i++) if (value <= bins.edges[i + 1]!) return i
  return last
}

/**
 * Decodes of unequal context: between the time at their mean and at their largest context, by a fitted α per
 * bucket. The bucket's chunk is the raw chunk of the batch, so most mixed batches fall to the default α.
 */
export class SkewCorrection {
  readonly #fit: SkewFit
  readonly #alpha = new Map<number, number>()

  constructor(fit: SkewFit) {
    this.#fit = fit
    const axes = [fit.decodes, fit.skewRate, fit.largestContext, fit.prefillContext]
    for (const row of fit.rows) {
      const bins = row.labels.map((label, axis) => axes[axis]!.labels.indexOf(label))
      if (bins.includes(-1)) continue
      this.#alpha.set(bucket(row.prefillChunk, bins), row.alpha)
    }
  }

  /** Attention of one layer, whole ns, given the time at the mean context and how to look one up at the largest. */
  apply(shape: BatchShape, atMean: number, atLargest: () => number): number {
    const {decodes, decodeContextMin: min, decodeContextMax: max} = shape
    const mean = Math.floor(shape.decodeContext / Math.max(1, decodes))
    if (decodes <= 1 || max === mean) return atMean
    const fit = this.#fit
    const rate = Math.min(1, Math.max(0, (mean - min) / (max - min)))
    const bins = [
      binOf(fit.decodes, decodes),
      binOf(fit.skewRate, rate),
      binOf(fit.largestContext, max),
      binOf(fit.prefillContext, shape.prefillContext),
    ]
    const alpha = this.#alpha.get(bucket(shape.prefillTokens, bins)) ?? fit.alphaDefault
    if (alpha === 0) return atMean
    const largest = atLargest()
    if (largest <= atMean) return atMean
    return Math.max(1, roundHalfEven(atMean + alpha * (largest - atMean)))
  }
}

/** Exact in a float64 for chunks below 2^21. */
const bucket = (chunk: number, bins: readonly number[]): number =>
  bins.reduce((key, bin) => key * mostBins + bin, chunk)
