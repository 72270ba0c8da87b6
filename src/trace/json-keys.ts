/** Keys of JSON lines that no format reads: slips are refused, the others named once. */
import {nearMiss} from '../edit-distance.js'
import {Problem} from '../errors.js'
import type {TraceBuilder} from './builder.js'
import type {JsonObject, JsonRow} from './formats/format.js'

/** So many keys are judged: where every line has its own, their names are values, and memory must not grow with them. */
const mostKeys = 1000

const unitNames: Readonly<Record<string, string>> = {
  ns: 'nanoseconds',
  us: 'microseconds',
  ms: 'milliseconds',
  s: 'seconds',
}

export class KnownKeys {
  readonly #format: string
  readonly #keys: readonly string[]
  readonly #builder: TraceBuilder
  /** Every key that was judged, so that a line of a long file costs one look-up per key. */
  readonly #seen: Set<string>
  readonly #others: 'noted' | 'passed over'

  /** `others`: keys that are no slips; they pass without a word in formats that leave it to each writer what to add. */
  constructor(
    format: string,
    keys: readonly string[],
    builder: TraceBuilder,
    others: 'noted' | 'passed over' = 'noted',
  ) {
    this.#others = others
    this.#format = format
    this.#keys = keys
    this.#builder = builder
    this.#seen = new Set(keys)
  }

  /** TRACE_BAD_VALUE when a key of the line is nearly one that would mean something and is not there. */
  check(row: JsonRow): void {
    for (const key in row.object) if (!this.#seen.has(key)) this.#judge(row, key)
  }

  #judge(row: JsonRow, key: string): void {
    if (this.#seen.size >= mostKeys) return
    refuseSlip(row.object, key, {keys: this.#keys, where: () => row.spot(key).where()})
    this.#seen.add(key)
    // A line with its own key for every request must not fill the notes.
    if (this.#others === 'passed over' || this.#seen.size > this.#keys.length + 8) return
    const shown = key.length > 40 ? `${key.slice(0, 39)}…` : key
    this.#builder.note(
      `the key ${shown} of the lines is none of the format ${this.#format}, and was not read.`,
    )
  }
}

/** Throws TRACE_BAD_VALUE where `key` of an object is nearly one of `keys` that it does not have. */
export function refuseSlip(
  object: JsonObject,
  key: string,
  {keys, where}: {readonly keys: readonly string[]; where(): string},
): void {
  if (keys.includes(key)) return
  const meant = nearMiss(
    key,
    keys.filter((name) => object[name] === undefined),
  )
  if (meant === undefined) return
  const unit = /_(ns|us|ms|s)$/.exec(meant)?.[1]
  throw new Problem(
    'TRACE_BAD_VALUE',
    `${where()}: there is no key "${key}"; ${meant} is probably meant, and would be lost.`,
    {
      suggestions: [
        `write ${meant}${unit === undefined ? '' : `, in ${unitNames[unit]}`}`,
        'if it is something else, give it a name that is less like it',
      ],
    },
  )
}
