/** CSV of Vidur (Microsoft): seconds from the start and two lengths. */
import {arrivalColumn, holds, inputColumn, outputColumn} from '../csv-columns.js'
import {formatSeconds} from '../time-parts.js'
import type {CsvFormat} from './format.js'
import {lostBy} from './lost.js'

const input = inputColumn('num_prefill_tokens')
const output = outputColumn('num_decode_tokens')

export const vidur: CsvFormat = {
  name: 'vidur',
  looks: 'CSV with arrived_at,num_prefill_tokens,num_decode_tokens',
  kind: 'csv',
  columns: [arrivalColumn('arrived_at'), input, output],
  extras: 'ignore',
  publishes: ['num_total_tokens', 'pd_ratio'],
  recognises: (head) =>
    head.kind === 'csv' && holds(head.header, input) && holds(head.header, output),
  write: (trace) => ({
    lost: lostBy(trace, []),
    lines: (function* () {
      yield 'arrived_at,num_prefill_tokens,num_decode_tokens'
      for (let i = 0; i < trace.length; i++)
        yield `${formatSeconds(trace.arrivedAt[i]!)},${trace.inputTokens[i]},${trace.outputTokens[i]}`
    })(),
  }),
}
