/** How well something was fitted, as every fitted part of a hardware file says it. */
import type {Fit, SizeError} from './hardware-shape.js'
import type {Section} from './schema-section.js'

export const fitKeys = [
  ...['source', 'samples', 'mean_error_percent', 'bias_percent', 'left_out_error_percent'],
  ...['held_samples', 'held_error_percent', 'error_by_size'],
]

export const fitFrom = (section: Section): Fit => ({
  source: section.text('source'),
  ...(section.has('samples') ? {samples: section.positive('samples')} : {}),
  ...(section.has('mean_error_percent')
    ? {meanErrorPercent: section.notNegative('mean_error_percent')}
    : {}),
  ...(section.has('bias_percent') ? {biasPercent: section.finite('bias_percent')} : {}),
  ...(section.has('left_out_error_percent')
    ? {leftOutErrorPercent: section.notNegative('left_out_error_percent')}
    : {}),
  ...(section.has('held_error_percent')
    ? {
        heldSamples: section.positive('held_samples'),
        heldErrorPercent: section.notNegative('held_error_percent'),
      }
    : {}),
  ...(section.has('error_by_size') ? {errorBySize: errorsBySize(section)} : {}),
})

/** `error_by_size: {RANGE: [samples, mean, bias]}` */
const errorsBySize = (section: Section): SizeError[] => {
  const ranges = section.section('error_by_size', null)
  return ranges.keys().map((range) => {
    const row = ranges.get(range)
    if (!Array.isArray(row) || row.length !== 3 || !row.every(Number.isFinite))
      throw ranges.fault(range, 'must be [samples, mean error %, bias %]')
    const [samples, meanErrorPercent, biasPercent] = row as [number, number, number]
    return {range, samples, meanErrorPercent, biasPercent}
  })
}
