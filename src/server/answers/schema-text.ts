/** JSON that a schema allows: what a server with guided decoding would return, with words that mean nothing. */
import {badField} from '../requests/body.js'
import type {JsonSchema} from '../requests/generation-request.js'
import type {Dice} from './dice.js'
import {textMatching} from './pattern-text.js'
import {allOf, isRecord, type Rules, refOf} from './schema-rules.js'
import {words} from './words.js'

/** Deeper than this only what is required is written. */
const shallow = 6
/** A schema that needs more than this never ends. */
const deepest = 48
/** Optional items of an array. */
const usualItems = 2

export interface SchemaPlace {
  readonly schema: JsonSchema
  /** Where it stands in the body, for messages. */
  readonly path: string
}

export class SchemaWriter {
  readonly #place: SchemaPlace
  readonly #dice: Dice
  readonly #wordsPerText: number
  /** Texts whose length was free. */
  freeTexts = 0

  constructor(place: SchemaPlace, dice: Dice, wordsPerText: number) {
    this.#place = place
    this.#dice = dice
    this.#wordsPerText = wordsPerText
  }

  /** @throws ApiError 400 for a schema that cannot be served */
  write(): unknown {
    return this.#value(this.#place.schema, 0)
  }

  #fail(why: string): never {
    const {path} = this.#place
    throw badField(path, `Invalid schema for '${path}': ${why}.`, 'invalid_schema')
  }

  /** The schema with what it refers to, all in one. */
  #rules(schema: JsonSchema, depth = 0): Rules {
    if (depth > deepest) this.#fail('its references go in circles')
    if (schema === false) this.#fail('it allows nothing')
    if (schema === true) return {}
    let rules: Rules = schema
    const {$ref, allOf: parts, ...own} = schema
    if (typeof $ref === 'string') {
      const found = refOf(this.#place.schema, $ref) ?? this.#fail(`there is no ${$ref}`)
      rules = allOf([own, this.#rules(found, depth + 1)])
    }
    if (!Array.isArray(parts)) return rules
    const {allOf: _, ...rest} = rules
    return allOf([rest, ...parts.map((part) => this.#rules(part as JsonSchema, depth + 1))])
  }

  #value(schema: JsonSchema, depth: number): unknown {
    if (depth > deepest) this.#fail('it goes on without end')
    const rules = this.#rules(schema)
    for (const keyword of [
      'not',
      'if',
      'dependentSchemas',
      'dependentRequired',
      'contains',
      'propertyNames',
    ]) {
      if (rules[keyword] !== undefined) this.#fail(`"${keyword}" is not served`)
    }
    if (rules.const !== undefined) return rules.const
    if (Array.isArray(rules.enum)) {
      if (rules.enum.length === 0) this.#fail('an "enum" is empty')
      return this.#dice.of(rules.enum as unknown[])
    }
    const branches = (rules.anyOf ?? rules.oneOf) as JsonSchema[] | undefined
    if (branches === undefined) return this.#ofType(this.#typeOf(rules, depth), rules, depth)
    if (!Array.isArray(branches) || branches.length === 0) this.#fail('it has no alternatives')
    const {anyOf: _any, oneOf: _one, ...own} = rules
    return this.#value(this.#branch(own, branches, depth), depth)
  }

  #branch(own: Rules, branches: readonly JsonSchema[], depth: number): JsonSchema {
    const open = branches.filter((branch) => branch !== false)
    if (open.length === 0) this.#fail('it allows nothing')
    const merged = open.map((branch) => allOf([own, this.#rules(branch)]))
    const telling = merged.filter(({type}) => type !== 'null')
    if (depth < shallow) return this.#dice.of(telling.length > 0 ? telling : merged)
    const isEnd = ({type, const: fixed}: Rules): boolean =>
      fixed !== undefined ||
      ['null', 'string', 'number', 'integer', 'boolean'].includes(String(type))
    return merged.find(isEnd) ?? merged[0]!
  }

  #typeOf(rules: Rules, depth: number): string {
    const {type} = rules
    if (typeof type === 'string') return type
    if (Array.isArray(type)) {
      const values = type.filter((each) => each !== 'null')
      if (depth >= shallow && type.includes('null')) return 'null'
      return values.length === 0 ? 'null' : this.#dice.of(values as string[])
    }
    if (rules.properties !== undefined || rules.required !== undefined) return 'object'
    if (rules.items !== undefined || rules.prefixItems !== undefined) return 'array'
    if (rules.minimum !== undefined || rules.maximum !== undefined) return 'number'
    return 'string'
  }

  #ofType(type: string, rules: Rules, depth: number): unknown {
    switch (type) {
      case 'object':
        return this.#object(rules, depth)
      case 'array':
        return this.#array(rules, depth)
      case 'string':
        return this.#text(rules)
      case 'integer':
      case 'number':
        return this.#number(type, rules)
      case 'boolean':
        return this.#dice.below(2) === 1
      case 'null':
        return null
      default:
        return this.#fail(`there is no type ${JSON.stringify(type)}`)
    }
  }

  #object(rules: Rules, depth: number): object {
    const properties = isRecord(rules.properties) ? rules.properties : {}
    const required = new Set((rules.required ?? []) as string[])
    const {additionalProperties: more, minProperties, maxProperties} = rules
    const least = Number(minProperties ?? 0)
    const most = Number(maxProperties ?? Number.POSITIVE_INFINITY)
    const names = Object.keys(properties)
    const added = [...required].filter((name) => !Object.hasOwn(properties, name))
    const optional = names.filter((name) => !required.has(name) && properties[name] !== false)
    const room = Math.max(0, (depth < shallow ? most : least) - required.size)
    const chosen = new Set([...required, ...optional.slice(0, room)])
    if (added.length > 0 && more === false) this.#fail(`"${added[0]}" is required and not allowed`)
    const pairs: [string, unknown][] = []
    for (const name of [...names.filter((each) => chosen.has(each)), ...added]) {
      const inner = (properties[name] ?? (isRecord(more) ? more : true)) as JsonSchema
      pairs.push([name, this.#value(inner, depth + 1)])
    }
    const isMap = names.length === 0 && isRecord(more) && depth < shallow
    const wanted = Math.max(least, isMap ? Math.min(most, usualItems) : 0)
    for (let i = 0; pairs.length < wanted; i++) {
      if (more === false) this.#fail('"minProperties" asks for more than it allows')
      pairs.push([
        `${this.#dice.of(words)}_${i}`,
        this.#value((more ?? true) as JsonSchema, depth + 1),
      ])
    }
    return Object.fromEntries(pairs)
  }

  #array(rules: Rules, depth: number): unknown[] {
    const first = (rules.prefixItems ?? []) as JsonSchema[]
    const items = (rules.items ?? true) as JsonSchema
    const least = Number(rules.minItems ?? 0)
    const most = Number(rules.maxItems ?? Math.max(least, first.length, usualItems))
    const usual = depth < shallow ? Math.max(first.length, usualItems) : 0
    const length =
      items === false ? Math.min(first.length, most) : Math.min(Math.max(least, usual), most)
    if (length < least) this.#fail('"minItems" asks for more than it allows')
    const values: unknown[] = []
    const seen = new Set<string>()
    for (let tries = 0; values.length < length; tries++) {
      const value = this.#value(first[values.length] ?? items, depth + 1)
      const text = JSON.stringify(value)
      if (rules.uniqueItems === true && seen.has(text) && tries < 100) continue
      if (tries >= 100 && rules.uniqueItems === true) {
        if (values.length >= least) break
        this.#fail('"minItems" asks for more different items than there are')
      }
      seen.add(text)
      values.push(value)
    }
    return values
  }

  #number(type: 'integer' | 'number', rules: Rules): number {
    const step = Number(rules.multipleOf ?? (type === 'integer' ? 1 : 0.01))
    const bound = (keyword: string): number | undefined =>
      typeof rules[keyword] === 'number' ? rules[keyword] : undefined
    const [over, under] = [bound('exclusiveMinimum'), bound('exclusiveMaximum')]
    const low = Math.max(
      bound('minimum') ?? Number.NEGATIVE_INFINITY,
      over ?? Number.NEGATIVE_INFINITY,
    )
    const high = Math.min(
      bound('maximum') ?? Number.POSITIVE_INFINITY,
      under ?? Number.POSITIVE_INFINITY,
    )
    const [from, to] = usualRange(low, high)
    let first = Math.ceil(from / step)
    let last = Math.floor(to / step)
    if (over !== undefined && first * step <= over) first++
    if (under !== undefined && last * step >= under) last--
    if (first <= last) return clean((first + this.#dice.below(last - first + 1)) * step)
    if (type === 'integer' || rules.multipleOf !== undefined || low > high) {
      this.#fail(`no ${type} lies between its bounds`)
    }
    return (from + to) / 2
  }

  #text(rules: Rules): string {
    const least = Number(rules.minLength ?? 0)
    const most = Number(rules.maxLength ?? Number.POSITIVE_INFINITY)
    const fits = (text: string): boolean => [...text].length >= least && [...text].length <= most
    const {pattern, format} = rules
    if (least > most) this.#fail('"minLength" is larger than "maxLength"')
    if (typeof pattern === 'string') {
      return (
        textMatching(pattern, this.#dice, fits) ??
        this.#fail(`no text was found for the pattern ${pattern}`)
      )
    }
    const formatted = typeof format === 'string' ? ofFormat(format, this.#dice) : undefined
    if (formatted !== undefined && fits(formatted)) return formatted
    if (most > 40) this.freeTexts++
    let text = Array.from({length: this.#wordsPerText}, () => this.#dice.of(words)).join(' ')
    while (text.length < least) text += ` ${this.#dice.of(words)}`
    return text.slice(0, most).replace(/ $/, 's')
  }
}

const usualRange = (low: number, high: number): readonly [number, number] => {
  if (Number.isFinite(low)) return [low, Math.min(high, low + 100)]
  return Number.isFinite(high) ? [Math.max(low, high - 100), high] : [0, 100]
}

/** Without the last digits that binary fractions leave behind. */
const clean = (value: number): number => Number(value.toPrecision(12))

function ofFormat(format: string, dice: Dice): string | undefined {
  const two = (least: number, most: number): string =>
    String(least + dice.below(most - least + 1)).padStart(2, '0')
  const hex = (length: number): string =>
    Array.from({length}, () => dice.below(16).toString(16)).join('')
  const date = (): string => `20${two(20, 29)}-${two(1, 12)}-${two(1, 28)}`
  const time = (): string => `${two(0, 23)}:${two(0, 59)}:${two(0, 59)}Z`
  switch (format) {
    case 'date-time':
      return `${date()}T${time()}`
    case 'date':
      return date()
    case 'time':
      return time()
    case 'duration':
      return `PT${1 + dice.below(59)}M`
    case 'email':
      return `${dice.of(words)}@example.com`
    case 'hostname':
      return `${dice.of(words)}.example.com`
    case 'uri':
    case 'url':
      return `https://example.com/${dice.of(words)}`
    case 'uuid':
      return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`
    case 'ipv4':
      return `192.0.2.${dice.below(256)}`
    case 'ipv6':
      return `2001:db8::${1 + dice.below(9)}${hex(3)}`
    default:
      return undefined
  }
}
