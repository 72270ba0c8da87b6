/** Links and kernel coefficients in lines of at most 80 columns, each with its source and error. */
import type {Fit, Kernels, Link, MeasuredCollective} from '../catalogue/hardware-shape.js'

// 80 columns, less the two that a section is indented by.
const width = 78

/** A name and a text beside it, broken between words. */
export const hanging = (name: string, text: string, indent: number): string[] => {
  const lines: string[] = []
  let line = name.padEnd(indent - 1)
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > width && line.trim() !== '') {
      lines.push(line.trimEnd())
      line = ' '.repeat(indent - 1)
    }
    line += ` ${word}`
  }
  return [...lines, line]
}

export const linkLines = (link: Link): string[] => {
  const head = `${link.name}: ${link.gbPerS} GB/s per direction, up to ${link.maxDevices} devices`
  const library = Object.entries(link.library).flatMap(([kind, measured]) =>
    collectiveLines(`library ${kind}`, measured),
  )
  if (!link.allReduce) return [head, '  all-reduce not measured', ...library]
  return [head, ...collectiveLines('all-reduce', link.allReduce), ...library]
}

/** Floors by degree, then how well the curves follow the table. */
export const collectiveLines = (name: string, measured: MeasuredCollective): string[] => {
  const floors = measured.degrees
    .map(({degree, curve}) => `tp ${degree}: ${curve.floorUs} µs`)
    .join(', ')
  const median =
    measured.medianErrorPercent === undefined
      ? []
      : [`median error ${measured.medianErrorPercent} %`]
  const text = [...qualityOf(measured), ...median].join(', ')
  return [
    `  ${name} floor ${floors}`,
    ...hanging('    error', `${text}${bySize(measured)}`, 12),
    ...hanging('    source', measured.source, 12),
  ]
}

export const kernelLines = (kernels: Kernels): string[] => {
  const named: readonly (readonly [string, (object & Fit) | null | undefined])[] = [
    ...Object.entries(kernels.gemm).map(([name, fit]) => [`gemm ${name}`, fit] as const),
    ['decode attention', kernels.decodeAttention],
    ['prefill attention', kernels.prefillAttention],
    ['mixed attention', kernels.mixedAttention],
    ...Object.entries(kernels.moe).map(([name, fit]) => [`moe ${name}`, fit] as const),
  ]
  return named.flatMap(([name, fit]) => (fit ? fitLines(name, fit) : []))
}

const shortNames: Readonly<Record<string, string>> = {
  computeEfficiency: 'compute',
  memoryEfficiency: 'memory',
  launchUs: 'launch µs',
  perSequenceUs: 'per sequence µs',
  headExponent: 'head exponent',
  sqrtUs: 'sqrt µs',
  rampTokens: 'ramp tokens',
  perRowUs: 'per row µs',
  exposedShare: 'exposed share',
  fillUs: 'fill µs',
  blockUs: 'block µs',
  combineUs: 'combine µs',
  regroupUs: 'regroup µs',
  emptyTileUs: 'empty tile µs',
  skewShare: 'skew share',
  tileWalkUs: 'tile walk µs/1000',
  tileTraffic: 'tile traffic',
  sustainedShare: 'sustained share',
  sustainedFrom: 'sustained from TFLOP',
  serialWalkUs: 'serial walk µs/1000',
  neverSplits: 'never splits',
  chunkTokens: 'chunk tokens',
  chunkWalkUs: 'chunk walk µs/1000',
  perKvTokenUs: 'per KV token µs/1000',
  headSizeLevels: 'levels by head size',
}

const fitLines = (name: string, fit: object & Fit): string[] => {
  const {
    source,
    samples: _samples,
    meanErrorPercent: _mean,
    biasPercent: _bias,
    leftOutErrorPercent: _leftOut,
    heldSamples: _heldSamples,
    heldErrorPercent: _held,
    errorBySize: _bySize,
    ...coefficients
  } = fit
  const figures = Object.entries(coefficients)
    .map(([key, value]) => `${shortNames[key] ?? key} ${valueText(value)}`)
    .join(', ')
  return [
    ...hanging(name, figures, 18),
    ...hanging('', `${qualityOf(fit).join(', ')}${bySize(fit)}`, 18),
    ...hanging('', source, 18),
  ].map((line) => line.trimEnd())
}

const valueText = (value: unknown): string =>
  Array.isArray(value) ? value.map(([size, level]) => `${size}: ${level}`).join(' ') : String(value)

const qualityOf = (fit: Fit): string[] =>
  [
    fit.samples === undefined ? null : `${fit.samples} samples`,
    fit.meanErrorPercent === undefined
      ? 'error not stated'
      : `mean error ${fit.meanErrorPercent} %`,
    fit.biasPercent === undefined ? null : `bias ${fit.biasPercent} %`,
    fit.leftOutErrorPercent === undefined
      ? null
      : `on shapes left out ${fit.leftOutErrorPercent} %`,
    fit.heldErrorPercent === undefined
      ? null
      : `on all ${fit.heldSamples} rows that a step may hold ${fit.heldErrorPercent} %`,
  ].filter((part) => part !== null)

const bySize = ({errorBySize = []}: Fit): string =>
  errorBySize.length === 0
    ? ''
    : `; by size: ${errorBySize
        .map(
          ({range, meanErrorPercent, biasPercent}) =>
            `${range} ${meanErrorPercent} % (${biasPercent})`,
        )
        .join(', ')}`
