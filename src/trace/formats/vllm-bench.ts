/**
 * Result file of `vllm bench serve --save-result --save-detailed`: one JSON object with an array per
 * measured quantity, in seconds.
 */
import {Problem} from '../../errors.js'
import {clearDraft, emptyDraft} from '../draft.js'
import {refuseSlip} from '../json-keys.js'
import {refuse, type Spot, timeOf, wholeNumber} from '../spot.js'
import type {Trace} from '../trace.js'
import type {JsonFormat, JsonObject, ReadContext} from './format.js'
import {lostBy} from './lost.js'

const keys = ['input_lens', 'output_lens', 'start_times', 'ttfts', 'itls', 'errors', 'request_rate']

export const vllmBench: JsonFormat = {
  name: 'vllm-bench',
  looks: 'JSON result of vllm bench serve with input_lens and output_lens (--save-detailed)',
  kind: 'json',
  recognises: (head) =>
    head.kind === 'json' &&
    (head.keys.includes('input_lens') ||
      (head.keys.includes('total_input_tokens') && head.keys.includes('request_throughput'))),
  read: (document, context) => read(document, context),
  write: (trace) => ({
    lost: lostBy(trace, []),
    lines: [JSON.stringify(resultOf(trace))],
  }),
}

const resultOf = (trace: Trace): unknown => ({
  num_prompts: trace.length,
  completed: trace.length,
  total_input_tokens: trace.inputTokens.reduce((sum, n) => sum + n, 0),
  total_output_tokens: trace.outputTokens.reduce((sum, n) => sum + n, 0),
  input_lens: [...trace.inputTokens],
  output_lens: [...trace.outputTokens],
  start_times: Array.from(trace.arrivedAt, (ns) => ns / 1e9),
})

function arrayOf(
  document: JsonObject,
  key: string,
  {file}: ReadContext,
): readonly unknown[] | undefined {
  const value = document[key]
  if (value === undefined || value === null) return undefined
  if (Array.isArray(value)) return value
  throw new Problem('TRACE_BAD_VALUE', `${file}: ${key} must be an array, one item per request.`)
}

function lengthsOf(document: JsonObject, key: string, context: ReadContext): readonly unknown[] {
  const lengths = arrayOf(document, key, context)
  if (lengths) return lengths
  throw new Problem(
    'TRACE_MISSING_COLUMN',
    `${context.file}: the result has no "${key}": it holds only averages, no single requests.`,
    {suggestions: ['run vllm bench serve again with --save-result --save-detailed']},
  )
}

function read(document: JsonObject, context: ReadContext): void {
  const {builder, file} = context
  for (const key of Object.keys(document)) refuseSlip(document, key, {keys, where: () => file})
  const inputs = lengthsOf(document, 'input_lens', context)
  const outputs = lengthsOf(document, 'output_lens', context)
  const start = startTimes(document, inputs.length, context)
  const columns = [
    outputs,
    ...['ttfts', 'itls', 'errors'].map((key) => arrayOf(document, key, context)),
  ]
  for (const column of columns) {
    if (column !== undefined && column.length !== inputs.length)
      throw new Problem(
        'TRACE_TRUNCATED',
        `${file}: input_lens holds ${inputs.length} requests and another array ${column.length}; all must be equally long.`,
      )
  }
  const [, ttfts, itls, errors] = columns
  const draft = emptyDraft()
  let failed = 0
  for (const [i, input] of inputs.entries()) {
    const spot = (key: string): Spot => ({name: `${key}[${i}]`, where: () => file})
    // A request that failed has an error text, and no output.
    if ((errors?.[i] ?? '') !== '' || (errors === undefined && outputs[i] === 0)) {
      failed++
      continue
    }
    clearDraft(draft)
    draft.input = wholeNumber(input, spot('input_lens'), 1)
    draft.output = wholeNumber(outputs[i], spot('output_lens'), 1)
    timeOf(start(i), spot('start_times'), 0, draft.arrival)
    builder.add(draft, 1)
    measured(ttfts?.[i], itls?.[i], spot, context)
  }
  if (failed > 0) context.leftOut.set('with an error', failed)
  if (failed > 0) builder.note(`${file}: ${failed} failed requests were left out.`)
}

/** Keeps what was measured beside the request, in ms. */
function measured(
  ttft: unknown,
  itl: unknown,
  spot: (key: string) => Spot,
  {builder}: ReadContext,
): void {
  if (ttft === undefined) return
  if (typeof ttft !== 'number') refuse(spot('ttfts'), ttft, 'it must be seconds')
  builder.addExtra('ttft_ms', String(ttft * 1e3))
  if (!Array.isArray(itl)) return
  const gaps = itl as readonly number[]
  builder.addExtra('e2e_ms', String(gaps.reduce((sum, gap) => sum + gap, ttft) * 1e3))
}

/** When request `i` was sent, in seconds from the first. */
function startTimes(
  document: JsonObject,
  count: number,
  context: ReadContext,
): (i: number) => unknown {
  const {builder, file} = context
  const times = arrayOf(document, 'start_times', context)
  if (times && times.length === count) {
    // Counted from any moment (a monotonic clock), so from the first of them here.
    const first = times.reduce<number>(
      (least, time) => (typeof time === 'number' && time < least ? time : least),
      Number.POSITIVE_INFINITY,
    )
    return (i) => (typeof times[i] === 'number' ? times[i] - first : times[i])
  }
  const rate = document.request_rate
  const spacing = typeof rate === 'number' && rate > 0 && Number.isFinite(rate) ? 1 / rate : 0
  builder.note(
    spacing > 0
      ? `${file}: the result has no start_times; requests arrive evenly at its request_rate of ${String(rate)} per second.`
      : `${file}: the result has no start_times and no finite request_rate; all requests arrive at 0 (replay a closed loop with --concurrency).`,
  )
  return (i) => i * spacing
}
