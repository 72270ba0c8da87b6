/** `simulate --find-rate`: from flags to the search, and what it prints. Loaded only when it is asked for. */
import {Problem} from '../errors.js'
import {figure} from '../report/figures.js'
import {renderRates} from '../report/rate-table.js'
import {parseSlo} from '../report/slo.js'
import type {Style} from '../report/style.js'
import {parseWarmup} from '../report/warmup.js'
import type {RateProbe} from '../study/find-rate.js'
import {type RateJobResult, runRateJob} from '../study/rate-job.js'
import type {RunRequest} from '../study/run-request.js'
import type {ReadOptions} from '../trace/read.js'

/** What a search does not go with, because it sets the rate itself and keeps no single run. */
const others = [
  'concurrency',
  'steps',
  'itl',
  'timeline',
  'out',
  'rate',
  'time-scale',
  'check',
] as const

type RateFlagValues = {readonly [flag in (typeof others)[number]]?: unknown} & {
  readonly slo?: string | undefined
  readonly warmup?: string | undefined
}

export interface RateInput {
  readonly traces: readonly string[]
  readonly readOptions: ReadOptions
  readonly requests: readonly RunRequest[]
  /** Told of each simulation, in a line. */
  readonly tell: (line: string) => void
}

/** @throws Problem FLAG_CONFLICT, FLAG_MISSING, and whatever is wrong with the input */
export const searchRate = (flags: RateFlagValues, input: RateInput): Promise<RateJobResult> => {
  const other = others.find((name) => flags[name] !== undefined)
  if (other !== undefined)
    throw new Problem(
      'FLAG_CONFLICT',
      `--find-rate and --${other}: the search sets the rate itself and keeps no single run.`,
      {suggestions: ['Leave one of the two out.']},
    )
  const {traces, readOptions, requests, tell} = input
  return runRateJob({
    traces,
    readOptions,
    requests,
    slo: flags.slo === undefined ? undefined : parseSlo(flags.slo),
    warmup: flags.warmup === undefined ? undefined : parseWarmup(flags.warmup),
    onProbe: (device, probe) => tell(probeText(device, probe)),
  })
}

/** One simulation of the search, in a line. */
export function probeText(device: string, probe: RateProbe): string {
  const {rate, attainment, growing, rounds} = probe
  const repeated = rounds > 1 ? `, ${rounds} times in a row` : ''
  return `${device}: ${figure(rate)} req/s${repeated}, ${(100 * attainment).toFixed(1)} % within the SLOs${growing ? ', but overloaded' : ''}`
}

export const ratesAsText = ({rows, header}: RateJobResult, style: Style): Promise<string> =>
  renderRates(rows, header, style)

/** One device: its rate beside its configuration; several: a list. */
export function ratesAsJson({rows, configs}: RateJobResult, wallSeconds: number): unknown {
  const rest = [...configs]
  const devices = rows.map(({device, result}) => {
    if (!result.fits) return {device, fits: false, reason: result.reason}
    const {rate, bound, share, caveat, limit, probes, summary} = result.found
    const found = {requests_per_s: rate, bound, share, caveat: caveat ?? null, limit, probes}
    return {device, fits: true, config: rest.shift()!, find_rate: found, summary}
  })
  const timing = {wall_s: wallSeconds}
  return devices.length === 1 ? {...devices[0], timing} : {devices, timing}
}
