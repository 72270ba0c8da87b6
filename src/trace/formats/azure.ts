/**
 * CSV of Microsoft's Azure LLM inference traces of 2023 and 2024: calendar times and two lengths.
 * The years differ in a zone behind the time only.
 */
import {dateTimeColumn, holds, inputColumn, outputColumn} from '../csv-columns.js'
import {daysFromCivil, formatDateTime} from '../time-parts.js'
import type {CsvFormat} from './format.js'
import {lostBy} from './lost.js'

const input = inputColumn('contexttokens')
const output = outputColumn('generatedtokens')

/** Where written traces begin; the format has no times from a start. */
const written = daysFromCivil(2023, 11, 16) * 86_400

export const azure: CsvFormat = {
  name: 'azure',
  looks: 'CSV with TIMESTAMP,ContextTokens,GeneratedTokens',
  kind: 'csv',
  columns: [dateTimeColumn('timestamp'), input, output],
  extras: 'ignore',
  recognises: (head) =>
    head.kind === 'csv' && holds(head.header, input) && holds(head.header, output),
  write: (trace) => ({
    lost: [
      ...lostBy(trace, []),
      ...(trace.arrivedAt.some((time) => time % 100 !== 0) ? ['times below 100 ns'] : []),
    ],
    lines: (function* () {
      yield 'TIMESTAMP,ContextTokens,GeneratedTokens'
      for (let i = 0; i < trace.length; i++) {
        const ticks = Math.floor(trace.arrivedAt[i]! / 100)
        const seconds = Math.floor(ticks / 1e7)
        const time = formatDateTime(written + seconds, ticks - seconds * 1e7)
        yield `${time},${trace.inputTokens[i]},${trace.outputTokens[i]}`
      }
    })(),
  }),
}
