/** `--find-rate`, from trace files to the largest rate of each device. */
import {Problem} from '../errors.js'
import type {RateRow} from '../report/rate-table.js'
import type {Slo} from '../report/slo.js'
import type {Warmup} from '../report/warmup.js'
import {factsOf} from '../trace/parts.js'
import {type ReadOptions, readTrace} from '../trace/read.js'
import {configOf, describeDevices} from './describe.js'
import {findRate, type RateProbe} from './find-rate.js'
import {deployAll, nameOf} from './job.js'
import type {RunRequest} from './run-request.js'

/** 99 % of the requests must meet the SLOs. */
export const defaultShare = 0.99

export interface RateJob {
  readonly traces: readonly string[]
  readonly readOptions: ReadOptions
  /** One request per device. */
  readonly requests: readonly RunRequest[]
  readonly slo: Slo | undefined
  readonly warmup?: Warmup | undefined
  readonly onProbe?: ((device: string, probe: RateProbe) => void) | undefined
}

export interface RateJobResult {
  readonly rows: readonly RateRow[]
  readonly configs: readonly ReturnType<typeof configOf>[]
  /** What was searched, one fact a line. */
  readonly header: readonly string[]
}

/** @throws Problem for bad input; with several devices, one that does not fit is a row and not an error */
export async function runRateJob(job: RateJob): Promise<RateJobResult> {
  const {slo, warmup, onProbe} = job
  if (slo === undefined)
    throw new Problem('FLAG_MISSING', '--find-rate needs --slo: which latencies must hold.', {
      suggestions: ['--slo ttft=500ms,tpot=50ms'],
    })
  const trace = await readTrace([...job.traces], job.readOptions)
  const facts = factsOf(trace)
  const name = nameOf(job.traces)
  const plans = await deployAll(job)
  const fitting = plans.flatMap((plan) => ('reason' in plan ? [] : [plan]))
  const rows = plans.map((plan): RateRow => {
    if ('reason' in plan) return {device: plan.device, result: {fits: false, reason: plan.reason}}
    const device = plan.engines[0]!.instance.hardwareName
    const found = findRate({
      trace,
      deployment: plan,
      slo,
      warmup,
      share: defaultShare,
      onProbe: onProbe && ((probe) => onProbe(device, probe)),
    })
    return {device, result: {fits: true, found}}
  })
  return {
    rows,
    configs: fitting.map((deployment) => configOf(facts, deployment, name)),
    header: describeDevices(facts, fitting, name),
  }
}
