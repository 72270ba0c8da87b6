/** CSV of BurstGPT: seconds from the first day, model, lengths; failed requests have no response tokens. */
import {
  arrivalColumn,
  holds,
  inputColumn,
  modelColumn,
  outputColumn,
  sessionColumn,
} from '../csv-columns.js'
import {csvCell} from '../csv-text.js'
import {formatSeconds} from '../time-parts.js'
import type {CsvFormat} from './format.js'
import {lostBy} from './lost.js'

const input = inputColumn('request tokens')
const output = outputColumn('response tokens')

export const burstgpt: CsvFormat = {
  name: 'burstgpt',
  looks: 'CSV with Timestamp,Model,Request tokens,Response tokens',
  kind: 'csv',
  columns: [arrivalColumn('timestamp'), input, output, modelColumn(), sessionColumn('session id')],
  extras: 'ignore',
  publishes: ['elapsed time', 'total tokens', 'log type'],
  failed: 'drop',
  recognises: (head) =>
    head.kind === 'csv' && holds(head.header, input) && holds(head.header, output),
  write: (trace) => ({
    lost: lostBy(trace, ['model', 'session']),
    lines: (function* () {
      yield 'Timestamp,Session ID,Model,Request tokens,Response tokens,Total tokens,Log Type'
      for (let i = 0; i < trace.length; i++) {
        const {model, session} = trace
        const prompt = trace.inputTokens[i]!
        const answer = trace.outputTokens[i]!
        yield [
          formatSeconds(trace.arrivedAt[i]!),
          csvCell(session?.names[session.codes[i]!] ?? ''),
          csvCell(model?.names[model.codes[i]!] ?? ''),
          prompt,
          answer,
          prompt + answer,
          session === undefined ? 'API log' : 'Conversation log',
        ].join(',')
      }
    })(),
  }),
}
