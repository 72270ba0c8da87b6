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
  ['extra', 'measured columns'],
]

/** Names of the columns that `trace` has and that are not in `kept`. */
export function lostBy(trace: Trace, kept: readonly Column[]): string[] {
  return sayings
    .filter(([column]) => trace[column] !== undefined && !kept.includes(column))
    .map(([, saying]) => saying)
}
