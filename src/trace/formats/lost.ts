/** What a format cannot say of a trace. */
import type {Trace} from '../trace.js'

type Column = keyof Trace

const sayings: readonly (readonly [Column, string])[] = [
  ['requestId', 'request ids'],
  ['model', 'models'],
  ['adapter', 'adapters'],
  ['session', 'sessions'],
  ['turn', 'turn numbers'],
  ['thinkTime', 'think times'],
  ['priority', 'priorities'],
  ['predictedOutputTokens', 'predicted lengths'],
  ['prefix', 'prefix identity'],
  ['cancelledAt', 'cancellations'],
]

/** Names of the columns that `trace` has and that are not in `kept`. */
export function lostBy(trace: Trace, kept: readonly Column[]): string[] {
  const names = kept.includes('extra') ? [] : [...(trace.extra?.keys() ?? [])]
  const more = names.length === 0 ? [] : [`the columns ${names.join(' and ')}`]
  return sayings
    .filter(([column]) => trace[column] !== undefined && !kept.includes(column))
    .map(([, saying]) => saying)
    .concat(names.length === 1 ? [`the column ${names[0]}`] : more)
}
