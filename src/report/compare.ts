/** Runs side by side: every number of their summaries, and how far each is from the first run's. */
import {type Spread, spreadFields} from './measures.js'
import type {Summary} from './summary.js'

export interface MetricRow {
  /** Path of the field in `summary`, e.g. `ttft_ms.p99`. */
  readonly metric: string
  /** One per run. */
  readonly values: readonly (number | null)[]
  /** value − first value; null where either is missing, and for the first run itself. */
  readonly differences: readonly (number | null)[]
  /** The same in per cent of the first value; null where that is zero or missing. */
  readonly percent: readonly (number | null)[]
}

type Reader = (summary: Summary) => number | null | undefined

const spreads = ['ttft_ms', 'tpot_ms', 'itl_ms', 'e2e_ms', 'queue_ms'] as const

const spreadReaders: [string, Reader][] = spreads.flatMap((name) =>
  spreadFields.map((field): [string, Reader] => [
    `${name}.${field}`,
    (summary) => (summary[name] as Spread)[field],
  ]),
)

/** Every metric of a summary that can be compared, in the order in which it is shown. */
const readers: readonly [string, Reader][] = [
  ['requests.submitted', (s) => s.requests.submitted],
  ['requests.completed', (s) => s.requests.completed],
  ['requests.rejected', (s) => s.requests.rejected],
  ['requests.cancelled', (s) => s.requests.cancelled],
  ['requests.preemptions', (s) => s.requests.preemptions],
  ['duration_s', (s) => s.duration_s],
  ['throughput.requests_per_s', (s) => s.throughput.requests_per_s],
  ['throughput.input_tokens_per_s', (s) => s.throughput.input_tokens_per_s],
  ['throughput.output_tokens_per_s', (s) => s.throughput.output_tokens_per_s],
  ...spreadReaders,
  ['goodput.requests', (s) => s.goodput?.requests],
  ['goodput.attainment', (s) => s.goodput?.attainment],
  ['goodput.requests_per_s', (s) => s.goodput?.requests_per_s],
  ['goodput.output_tokens_per_s', (s) => s.goodput?.output_tokens_per_s],
  ['kv.blocks', (s) => s.kv.blocks],
  ['kv.peak_usage', (s) => s.kv.peak_usage],
  ['prefix_cache.hit_rate', (s) => s.prefix_cache.hit_rate],
  ['steps', (s) => s.steps],
  ['utilisation', (s) => s.utilisation],
  ['held_back', (s) => s.held_back],
  ['kv_hand_offs.gigabytes', (s) => s.kv_hand_offs?.gigabytes],
  ['kv_hand_offs.mean_ms', (s) => s.kv_hand_offs?.mean_ms],
  ['kv_tiers.loads', (s) => s.kv_tiers?.loads],
  ['kv_tiers.mean_load_ms', (s) => s.kv_tiers?.mean_load_ms],
  [
    'kv_tiers.hit_rate',
    (s) => s.kv_tiers?.tiers.reduce((all, tier) => all + (tier.hit_rate ?? 0), 0),
  ],
  ['weights.bytes_per_step', (s) => s.weights?.bytes_per_step],
  ['weights.link_busy', (s) => s.weights?.link_busy],
  ['speculation.acceptance', (s) => s.speculation?.acceptance],
  ['speculation.tokens_per_step', (s) => s.speculation?.tokens_per_step],
  ['lora.loads', (s) => s.lora?.loads],
  ['lora.hit_rate', (s) => s.lora?.hit_rate],
  ['autoscaling.mean_instances', (s) => s.autoscaling?.mean_instances],
  ['autoscaling.instance_hours', (s) => s.autoscaling?.instance_hours],
  ['cost.usd', (s) => s.cost?.usd],
  ['cost.usd_per_1m_input_tokens', (s) => s.cost?.usd_per_1m_input_tokens],
  ['cost.usd_per_1m_output_tokens', (s) => s.cost?.usd_per_1m_output_tokens],
  ['cost.usd_per_1m_tokens', (s) => s.cost?.usd_per_1m_tokens],
  ['energy.total_j', (s) => s.energy?.total_j],
  ['energy.mean_w', (s) => s.energy?.mean_w],
  ['energy.j_per_request', (s) => s.energy?.j_per_request],
  ['energy.j_per_output_token', (s) => s.energy?.j_per_output_token],
]

/** A row per metric that at least one of the runs has a value for. */
export function compareRuns(summaries: readonly Summary[]): MetricRow[] {
  return readers
    .map(([metric, read]) => {
      const values = summaries.map((summary) => read(summary) ?? null)
      const first = values[0] ?? null
      const differences = values.map((value, run) =>
        run === 0 || value === null || first === null ? null : value - first,
      )
      const percent = differences.map((difference) =>
        difference === null || first === null || first === 0 ? null : (difference / first) * 100,
      )
      return {metric, values, differences, percent}
    })
    .filter(({values}) => values.some((value) => value !== null))
}
