/** Break-downs of a run: the same measures for the requests of each model, session, priority or engine. */
import {Problem} from '../errors.js'
import type {Labels} from '../trace/trace.js'
import {
  countRequests,
  type Measures,
  measure,
  type RequestCounts,
  type RequestResults,
  spanOf,
} from './measures.js'
import type {SummaryOptions} from './summary.js'
import {rowsAfter} from './warmup.js'

export const groupings = ['model', 'session', 'priority', 'instance'] as const
export type Grouping = (typeof groupings)[number]

export interface GroupSummary extends Measures {
  readonly name: string
  readonly requests: RequestCounts
}

/** One summary per group, in order of name (numbers as numbers); rates are over the window of the run. */
export function summariseGroups(
  run: RequestResults,
  by: Grouping,
  options: SummaryOptions = {},
): GroupSummary[] {
  const nameOf = namesBy(run, by)
  const rows = rowsAfter(options.warmup, run.outcomes.arrivedAt)
  const groups = new Map<string, number[]>()
  for (const row of rows) {
    const name = nameOf(row)
    const group = groups.get(name)
    if (group) group.push(row)
    else groups.set(name, [row])
  }
  const window = spanOf(run.outcomes, rows)
  return [...groups]
    .sort(([a], [b]) => compareNames(a, b))
    .map(([name, members]) => {
      const group = Uint32Array.from(members)
      return {
        name,
        requests: countRequests(run.outcomes, group),
        ...measure(run, group, window, options.slo),
      }
    })
}

/** The groupings for which a run carries a column. */
export function groupingsOf(run: RequestResults): Grouping[] {
  return groupings.filter((by) => by === 'instance' || run.trace[by] !== undefined)
}

const none = '(none)'

function namesBy(run: RequestResults, by: Grouping): (row: number) => string {
  const {trace, outcomes} = run
  const fromLabels = (labels: Labels) => (row: number) => labels.names[labels.codes[row]!] ?? none
  if (by === 'instance') {
    return (row) => (outcomes.instance[row]! < 0 ? none : String(outcomes.instance[row]))
  }
  const column = trace[by]
  if (column === undefined) {
    const there = groupingsOf(run)
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--by ${by}: the requests of this run carry no ${by}; it can be split by ${there.join(', ')}.`,
      {suggestions: there.map((name) => `--by ${name}`)},
    )
  }
  if ('codes' in column) return fromLabels(column)
  return (row) => String(column[row])
}

/** Numbers as numbers and before all other names, those in order of their characters. */
function compareNames(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)]
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1
  if (!Number.isNaN(x) && x !== y) return x - y
  return a < b ? -1 : a > b ? 1 : 0
}
