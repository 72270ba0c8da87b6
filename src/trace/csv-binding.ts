/** Which column of a CSV file is which of ours: by its name, by --columns, and what becomes of the others. */
import {closest, nearMiss} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {type CsvColumn, dissect, isNamed, normal} from './csv-columns.js'
import type {CsvFormat, CsvHeader} from './formats/format.js'
import {fewNames} from './spot.js'
import type {UnitDigits} from './time-parts.js'

/** A column of a file: which of ours it is, if any, and how its name says it is counted. */
export interface BoundColumn {
  readonly index: number
  readonly header: string
  readonly column: CsvColumn | undefined
  /** What becomes of a column that is none of ours. */
  readonly rides: 'along' | 'not'
  readonly digits: UnitDigits
  readonly span: number
}

export interface Binding {
  readonly columns: readonly BoundColumn[]
  /** What was not taken for anything, one sentence each. */
  readonly notes: readonly string[]
}

interface HeaderOf {
  readonly file: string
  readonly header: CsvHeader
  readonly mapping: ReadonlyMap<string, string>
}

/**
 * Binds the columns of a header. TRACE_MISSING_COLUMN when a required one is not there; TRACE_BAD_VALUE where one
 * has two names or a name that is nearly one of ours: what it says would be lost without a word.
 */
export function bindColumns(of: HeaderOf, format: CsvFormat): Binding {
  const {header, mapping} = of
  const {columns} = format
  checkMapping(columns, mapping)
  checkOnce(of, format)
  for (const name of header.columns) checkUnit(of, name, columns)
  const bound: (CsvColumn | undefined)[] = header.columns.map(() => undefined)
  for (const column of columns) {
    const index = indexOf(of, column)
    if (index < 0 && column.need === 'required') missing(of, columns, column)
    if (index >= 0) bound[index] = column
  }
  const others = header.columns.filter((name, index) => bound[index] === undefined && name !== '')
  const taken = new Set(bound)
  const free = columns.filter((column) => !taken.has(column))
  for (const name of others) checkName(of, name, free)
  // --columns took another column instead of this one: it must not ride along under a name of ours.
  const replaced = others.filter((name) => columns.some((column) => isNamed(column, name)))
  return {
    columns: header.columns.map((name, index) => ({
      index,
      header: name,
      column: bound[index],
      rides: format.extras === 'keep' && name !== '' && !replaced.includes(name) ? 'along' : 'not',
      ...dissect(name),
    })),
    notes: notesOn(
      format,
      others.filter((name) => !replaced.includes(name)),
      replaced,
    ).concat(lonelyTurns(bound)),
  }
}

/** Turns are those of a session. */
const lonelyTurns = (bound: readonly (CsvColumn | undefined)[]): string[] => {
  const has = (name: string) => bound.some((column) => column?.name === name)
  return has('turn') && !has('session_id')
    ? ['turn was not used: it counts the turns of a session, and there is no session_id.']
    : []
}

function notesOn(
  format: CsvFormat,
  others: readonly string[],
  replaced: readonly string[],
): string[] {
  const unknown = others.filter((name) => !format.publishes?.includes(normal(name)))
  const notes: string[] = []
  if (unknown.length > 0)
    notes.push(
      format.extras === 'keep'
        ? `columns that change nothing ride along: ${fewNames(unknown)}.`
        : `columns that the format ${format.name} does not have were not read: ${fewNames(unknown)}; --format llmsim --columns input=NAME,output=NAME reads those of llmsim's own CSV.`,
    )
  if (replaced.length > 0)
    notes.push(`columns were not read, as --columns names others: ${fewNames(replaced)}.`)
  return notes
}

function checkMapping(columns: readonly CsvColumn[], mapping: ReadonlyMap<string, string>): void {
  const known = new Set(columns.flatMap(({name, short}) => [name, short ?? name]))
  for (const key of mapping.keys()) {
    if (known.has(key)) continue
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--columns: there is no column "${key}" to map; it can be ${columns.map((column) => column.short ?? column.name).join(', ')}.`,
      {
        suggestions: closest(key, known).map((name) => `--columns ${name}=${mapping.get(key)}`),
      },
    )
  }
}

/**
 * Of two columns of one name, nobody can say which is meant. What no one reads may be there twice, and names that are
 * none of ours may differ by case.
 */
function checkOnce({file, header, mapping}: HeaderOf, {columns, extras}: CsvFormat): void {
  const mapped = new Set([...mapping.values()].map(normal))
  const seen = new Set<string>()
  for (const column of header.columns) {
    const isOurs = mapped.has(normal(column)) || columns.some((one) => isNamed(one, column))
    if (!isOurs && (extras === 'ignore' || column === '')) continue
    const name = isOurs ? normal(column) : column
    if (seen.has(name))
      throw new Problem(
        'TRACE_BAD_VALUE',
        `${file}:${header.line}: the header has two columns of the name ${column}.`,
        {suggestions: ['rename or remove one of them']},
      )
    seen.add(name)
  }
}

const otherUnit =
  /_(sec|secs|seconds?|millis|milliseconds?|msec|usec|micros|microseconds?|nanos|nanoseconds?|m|mins?|minutes?|h|hrs?|hours?)$/

/** A time in a unit that no column has, and that no other column tells: it would ride along, and mean nothing. */
function checkUnit({file, header, mapping}: HeaderOf, name: string, columns: readonly CsvColumn[]) {
  const unit = otherUnit.exec(normal(name))?.[1]
  if (unit === undefined || [...mapping.values()].some((given) => normal(given) === normal(name)))
    return
  const base = normal(name).slice(0, -unit.length - 1)
  const column = columns.find(({aliases, counts}) => counts === 'time' && aliases.includes(base))
  if (column === undefined || header.columns.some((one) => isNamed(column, one))) return
  throw new Problem(
    'TRACE_BAD_VALUE',
    `${file}:${header.line}: the unit of "${name}" is not known; a time is in the unit that its name ends in: _s, _ms, _us or _ns.`,
    {suggestions: [`name it ${base}_s, and write seconds`]},
  )
}

function checkName({file, header}: HeaderOf, name: string, free: readonly CsvColumn[]): void {
  const {base} = dissect(name)
  const meant = nearMiss(base, new Set(free.flatMap(({aliases}) => aliases)))
  // The plural counts what the column names (how many turns, which models): a column of its own, not a slip.
  if (meant === undefined || base === `${meant}s`) return
  const column = free.find(({aliases}) => aliases.includes(meant))!
  throw new Problem(
    'TRACE_BAD_VALUE',
    `${file}:${header.line}: there is no column "${name}"; ${meant} is probably meant, and would be lost.`,
    {
      suggestions: [
        `write ${meant} in the header, or --columns ${column.short ?? column.name}=${quoted(name)}`,
        'if it is something else, give it a name that is less like it',
      ],
    },
  )
}

const quoted = (name: string): string => (/\s/.test(name) ? `"${name}"` : name)

/** Where the header has a column of ours, or −1; TRACE_BAD_VALUE where two of its names are there. */
function indexOf(of: HeaderOf, column: CsvColumn): number {
  const {file, header, mapping} = of
  const mapped = mapping.get(column.name) ?? mapping.get(column.short ?? column.name)
  if (mapped !== undefined) return indexOfMapped(of, column, mapped)
  const named = header.columns.filter((name) => isNamed(column, name))
  if (named.length > 1)
    throw new Problem(
      'TRACE_BAD_VALUE',
      `${file}:${header.line}: the columns ${named.slice(0, -1).join(', ')} and ${named.at(-1)} all mean ${column.name}; only one can.`.replace(
        'all mean',
        named.length === 2 ? 'both mean' : 'all mean',
      ),
      {
        suggestions: [
          `say which one it is: --columns ${column.short ?? column.name}=${quoted(named[0]!)}`,
        ],
      },
    )
  return named.length === 0 ? -1 : header.columns.indexOf(named[0]!)
}

function indexOfMapped({file, header}: HeaderOf, column: CsvColumn, mapped: string): number {
  const index = header.columns.findIndex((name) => normal(name) === normal(mapped))
  if (index >= 0) return index
  throw new Problem(
    'TRACE_MISSING_COLUMN',
    `${file}:${header.line}: --columns takes ${column.name} from "${mapped}", which the file does not have; it has ${fewNames(header.columns)}.`,
    {suggestions: remedies(header, column, mapped)},
  )
}

/** The nearest name; else that the column is found without being named; else what to write. */
function remedies(header: CsvHeader, column: CsvColumn, mapped: string): string[] {
  const short = column.short ?? column.name
  const near = closest(mapped, header.columns)
  if (near.length > 0) return near.map((name) => `--columns ${short}=${name}`)
  const own = header.columns.find((name) => isNamed(column, name))
  return own === undefined
    ? [`--columns ${short}=NAME with one of these names`]
    : [`leave ${short} out of --columns: ${own} is known by its name`]
}

function missing(
  {file, header}: HeaderOf,
  columns: readonly CsvColumn[],
  column: CsvColumn,
): never {
  const short = column.short ?? column.name
  const unknown = header.columns.filter((name) => !columns.some((one) => isNamed(one, name)))
  const meant = column.aliases.flatMap((alias) =>
    closest(alias, unknown).map((name) => ({alias, name})),
  )[0]
  throw new Problem(
    'TRACE_MISSING_COLUMN',
    `${file}:${header.line}: there is no column ${column.name} (or ${column.aliases.filter((name) => name !== column.name).join(', ')}); the file has ${fewNames(header.columns)}.`,
    {
      suggestions: [
        ...(meant === undefined
          ? []
          : [
              `write ${meant.alias} for ${meant.name}, or --columns ${short}=${quoted(meant.name)}`,
            ]),
        `say which column it is: --columns ${short}=NAME`,
        ...(short === 'arrival'
          ? ['for a closed loop (--concurrency) 0 in every row will do']
          : []),
      ],
    },
  )
}
