/**
 * What a value from code may be, told as data: small rules from which those of whole requests are put together. The type
 * of a rule is the type that it lets through, neither wider nor narrower, so the compiler refuses a table of fields that
 * lacks one of its interface, has one too many, or says something else of one.
 */
import {largestNumber} from '../catalogue/link-defaults.js'
import {meantBy, type Place} from './place.js'

export interface Kind<Value> {
  /** Behind "it must be". */
  readonly rule: string
  /** Values that would do, as code. */
  readonly examples: readonly string[]
  /** Whether a value is meant as one of this kind, though something in it may be wrong. */
  isMeant(value: unknown): boolean
  /** @throws Problem FLAG_MISSING, FLAG_BAD_VALUE, FLAG_UNKNOWN with the place */
  check(value: unknown, at: Place): void
  /** What it is made of, for who walks over all that is known. */
  readonly parts?: Parts
  /** Never there: it ties the rule to the type. */
  readonly is?: (value: Value) => Value
}

export type AnyKind = Pick<Kind<unknown>, 'rule' | 'examples' | 'isMeant' | 'check' | 'parts'>

export type Parts =
  | {readonly kind: 'fields'; readonly fields: Readonly<Record<string, AnyKind>>}
  | {readonly kind: 'entries'; readonly of: AnyKind}
  | {readonly kind: 'one of'; readonly of: readonly AnyKind[]}

/** The same with a rule between its fields. `test` says what is wrong through `at`; it sees values of the right kinds. */
export const holding = <Value>(
  kind: Kind<Value>,
  test: (value: Value, at: Place) => void,
): Kind<Value> => ({
  ...kind,
  check(value, at) {
    kind.check(value, at)
    test(value as Value, at)
  },
})

/** A kind for every field of an interface, of exactly its type. */
export type Fields<Of> = {
  readonly [Key in keyof Required<Of>]: Kind<Key extends keyof Of ? Of[Key] : never>
}

/** A rule with a test and nothing inside. */
const plain = <Value>(
  rule: string,
  examples: readonly string[],
  test: (value: unknown) => boolean,
): Kind<Value> => ({
  rule,
  examples,
  isMeant: test,
  check(value, at) {
    if (!test(value)) throw at.wrong(rule, value, examples)
  },
})

/** May be left out, or undefined. */
export const maybe = <Value>(kind: Kind<Value>): Kind<Value | undefined> => ({
  rule: kind.rule,
  examples: kind.examples,
  ...(kind.parts && {parts: kind.parts}),
  isMeant: (value) => value === undefined || kind.isMeant(value),
  check(value, at) {
    if (value !== undefined) kind.check(value, at)
  },
})

export const text = (rule: string, ...examples: string[]): Kind<string> =>
  plain(
    rule,
    examples.map((example) => `'${example}'`),
    (value) => typeof value === 'string' && value.trim() !== '',
  )

export const flag: Kind<boolean> = plain(
  'true or false',
  ['true', 'false'],
  (value) => typeof value === 'boolean',
)

/** A number within bounds; `unit` stands behind it in the rule. */
export interface Bounds {
  readonly unit?: string
  readonly least?: number
  readonly above?: number
  readonly most?: number
  readonly example?: number
}

const boundsText = ({least, above, most}: Bounds): string =>
  [
    least === undefined ? undefined : `of at least ${least}`,
    above === undefined ? undefined : `above ${above}`,
    most === undefined ? undefined : `of at most ${most}`,
  ]
    .filter((part) => part !== undefined)
    .join(' and ')

const within = (value: number, {least, above, most}: Bounds): boolean =>
  !(least !== undefined && value < least) &&
  !(above !== undefined && value <= above) &&
  !(most !== undefined && value > most)

function numeric(noun: string, bounds: Bounds, test: (value: number) => boolean): Kind<number> {
  const {unit, example = Math.max(1, bounds.least ?? 1)} = bounds
  const rule = [noun, unit && `of ${unit}`, boundsText(bounds)].filter(Boolean).join(' ')
  const kind = plain<number>(
    rule,
    [String(example)],
    (value) => typeof value === 'number' && test(value) && within(value, bounds),
  )
  const most = bounds.most ?? largestNumber
  return {
    ...kind,
    check(value, at) {
      kind.check(value, at)
      if (Math.abs(Number(value)) > most)
        throw at.wrong(`${rule} and of at most ${most}`, value, [String(example)])
    },
  }
}

export const number = (bounds: Bounds = {}): Kind<number> =>
  numeric('a number', bounds, Number.isFinite)

export const whole = (bounds: Bounds = {}): Kind<number> =>
  numeric('a whole number', bounds, Number.isSafeInteger)

/** One of some words, the nearest of which is suggested. */
export function choice<const Words extends readonly string[]>(words: Words): Kind<Words[number]> {
  const rule = words.length === 1 ? `'${words[0]}'` : `one of ${words.join(', ')}`
  const test = (value: unknown) => typeof value === 'string' && words.includes(value)
  return {
    rule,
    examples: words.map((word) => `'${word}'`),
    isMeant: test,
    check(value, at) {
      if (test(value)) return
      const near = typeof value === 'string' ? meantBy(value, words) : []
      const tried = near.length > 0 ? near : words
      throw at.wrong(
        rule,
        value,
        tried.map((word) => `'${word}'`),
      )
    },
  }
}

/** Takes any arguments: what it returns is seen when it is called. */
export const call = <Call extends (...given: never[]) => unknown>(): Kind<Call> =>
  plain('a function', ['() => …'], (value) => typeof value === 'function')

/** An object that only another function of the library makes, or a class of the platform. */
export const made = <Value>(
  rule: string,
  example: string,
  test: (value: object) => boolean,
): Kind<Value> =>
  plain(rule, [example], (value) => typeof value === 'object' && value !== null && test(value))

export function list<Value>(
  of: Kind<Value>,
  {least = 0, what = 'a list'}: {readonly least?: number; readonly what?: string} = {},
): Kind<readonly Value[]> {
  const rule =
    least > 0 ? `${what} with at least ${least === 1 ? 'one entry' : `${least} entries`}` : what
  const examples = [`[${of.examples[0] ?? ''}]`]
  return {
    rule,
    examples,
    parts: {kind: 'entries', of},
    isMeant: Array.isArray,
    check(value, at) {
      if (!Array.isArray(value) || value.length < least) throw at.wrong(rule, value, examples)
      // Not forEach: it passes over holes.
      for (let i = 0; i < value.length; i++) of.check(value[i], at.entry(i))
    },
  }
}

/** A value of one of several kinds; the first as which it is meant tells what is wrong with it. */
export function either<Kinds extends readonly [AnyKind, AnyKind, ...AnyKind[]]>(
  ...kinds: Kinds
): Kind<ValueOf<Kinds[number]>> {
  const rule = kinds.map((kind) => kind.rule).join(', or ')
  const examples = kinds.flatMap((kind) => kind.examples.slice(0, 1))
  return {
    rule,
    examples,
    parts: {kind: 'one of', of: kinds},
    isMeant: (value) => kinds.some((kind) => kind.isMeant(value)),
    check(value, at) {
      const meant = kinds.find((kind) => kind.isMeant(value))
      if (meant === undefined) throw at.wrong(rule, value, examples)
      meant.check(value, at)
    },
  }
}

type ValueOf<Of> = Of extends Kind<infer Value> ? Value : never

/** Objects that say in `field` what else they have. */
export function tagged<const Forms extends Readonly<Record<string, AnyKind>>>(
  field: string,
  forms: Forms,
): Kind<ValueOf<Forms[keyof Forms]>> {
  const words = choice(Object.keys(forms))
  const examples = Object.values(forms).flatMap((form) => form.examples.slice(0, 1))
  const rule = `an object whose ${field} is ${words.rule}`
  return {
    rule,
    examples,
    parts: {kind: 'one of', of: Object.values(forms)},
    isMeant: isRecord,
    check(value, at) {
      if (!isRecord(value)) throw at.wrong(rule, value, examples)
      words.check(value[field], at.field(field))
      forms[value[field] as string]!.check(value, at)
    },
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  Object.prototype.toString.call(value) === '[object Object]'

/** How the fields of an object are told. */
export interface ShapeWords {
  readonly what?: string
  readonly example?: string
  /** Told from other objects by having this field. */
  readonly by?: string
}

/** An object with these fields and no others. */
export const shape = <Of extends object>(fields: Fields<Of>, words: ShapeWords = {}): Kind<Of> =>
  object(fields, words, 'refused')

/**
 * An object that does something: a class of the caller's own may keep more in it, but nothing that looks like one of the
 * fields misspelt.
 */
export const behaviour = <Of extends object>(
  fields: Fields<Of>,
  words: ShapeWords = {},
): Kind<Of> => object(fields, words, 'kept')

function object<Of extends object>(
  given: Fields<Of>,
  {what = 'an object', by, ...words}: ShapeWords,
  others: 'refused' | 'kept',
): Kind<Of> {
  const fields = given as Readonly<Record<string, AnyKind>>
  const known = Object.keys(fields)
  const example =
    words.example ?? `{${known.slice(0, 3).join(', ')}${known.length > 3 ? ', …' : ''}}`
  return {
    rule: what,
    examples: [example],
    parts: {kind: 'fields', fields},
    isMeant: (value) => isRecord(value) && (by === undefined || value[by] !== undefined),
    check(value, at) {
      if (!isRecord(value)) throw at.wrong(what, value, [example])
      for (const name of Object.keys(value)) {
        if (Object.hasOwn(fields, name)) continue
        if (others === 'refused' || meantBy(name, known).length > 0)
          throw at.unknown(name, known, insideOf(fields))
      }
      for (const name of known) fields[name]!.check(value[name], at.field(name))
    },
  }
}

/** Fields of the fields, which somebody may have written one level too high. */
function insideOf(fields: Readonly<Record<string, AnyKind>>): ReadonlyMap<string, string> {
  const inside = new Map<string, string>()
  for (const [name, {parts}] of Object.entries(fields)) {
    if (parts?.kind !== 'fields') continue
    for (const deeper of Object.keys(parts.fields)) {
      if (!inside.has(deeper)) inside.set(deeper, `${name}: {${deeper}: …}`)
    }
  }
  return inside
}
