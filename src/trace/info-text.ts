/** What `trace info` prints: at most 80 columns. */
import type {LengthInfo, TraceInfo} from './info.js'

const whole = new Intl.NumberFormat('en-US', {maximumFractionDigits: 0})

const short = (value: number): string =>
  value >= 1000 ? whole.format(value) : String(Number(value.toPrecision(4)))

const row = (label: string, value: string): string => `${label.padEnd(16)}${value}`

const last = (value: string): string => value.padStart(18)

const cells = (values: readonly string[]): string =>
  values.map((value) => value.padStart(10)).join('')

function tokens(label: string, {total, mean, p50, p90, p99, max}: LengthInfo): string {
  return label.padEnd(8) + cells([mean, p50, p90, p99, max].map(short)) + last(whole.format(total))
}

/** With turns, the peaks are those of the requests that begin a session, and have a line of their own. */
function rateRows({rate, sessions}: TraceInfo): string[] {
  if (rate.mean === null) return [row('rate', 'all at once')]
  const peaks = [
    ...(rate.peak_1s === null ? [] : [`second ${short(rate.peak_1s)}/s`]),
    ...(rate.peak_60s === null ? [] : [`minute ${short(rate.peak_60s)}/s`]),
  ].join(', ')
  const mean = `${short(rate.mean)}/s`
  if (sessions === null || rate.timed_mean === rate.mean)
    return [row('rate', peaks === '' ? mean : `${mean}; busiest ${peaks}`)]
  return [
    row('rate', `${mean} with turns`),
    row('first turns', `${short(rate.timed_mean!)}/s${peaks === '' ? '' : `; busiest ${peaks}`}`),
  ]
}

/** The lines of an info, for people. */
export function infoLines(info: TraceInfo): string[] {
  const {rate, sessions, models, reuse} = info
  const lines = [
    row('requests', `${whole.format(info.requests)} (${info.format})`),
    row('span', `${short(info.span_s)} s`),
    ...rateRows(info),
  ]
  if (rate.burstiness_cv !== null)
    lines.push(row('burstiness', `cv ${rate.burstiness_cv.toFixed(2)} (Poisson: 1)`))
  if (sessions)
    lines.push(
      row('sessions', `${whole.format(sessions.count)}, ${short(sessions.turns_mean)} turns each`),
    )
  if (models) {
    const shown = Object.entries(models)
      .slice(0, 4)
      .map(([name, count]) => `${name} (${whole.format(count)})`)
    const more = Object.keys(models).length - shown.length
    lines.push(row('models', shown.join(', ') + (more > 0 ? ` and ${more} more` : '')))
  }
  if (info.cancelled > 0) lines.push(row('cancelled', whole.format(info.cancelled)))
  lines.push(
    row(
      'reuse',
      reuse
        ? `${(reuse.prompt_share * 100).toFixed(1)} % of prompt tokens seen before, ${whole.format(reuse.unique_blocks)} blocks`
        : 'unknown: the trace has no prefix identity',
    ),
    '',
    'tokens'.padEnd(8) + cells(['mean', 'p50', 'p90', 'p99', 'max']) + last('total'),
    tokens('input', info.input_tokens),
    tokens('output', info.output_tokens),
  )
  if (info.notes.length > 0) lines.push('', ...info.notes.map((note) => `note: ${note}`))
  return lines
}
