/** JSON Schemas as sets of rules: where a reference leads, and what several schemas ask for together. */
import type {JsonSchema} from '../requests/generation-request.js'

export type Rules = {readonly [keyword: string]: unknown}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The schema at a reference of the same document (`#`, `#/$defs/item`). */
export function refOf(root: JsonSchema, ref: string): JsonSchema | undefined {
  if (!ref.startsWith('#')) return undefined
  let found: unknown = root
  for (const key of ref.slice(1).split('/').slice(1)) {
    const name = decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~')
    found = typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined
  }
  return isRecord(found) || typeof found === 'boolean' ? found : undefined
}

/** One schema that asks for what each of them asks. */
export const allOf = (all: readonly Rules[]): Rules => all.reduce(both)

function both(a: Rules, b: Rules): Rules {
  const merged: Record<string, unknown> = {...a}
  for (const [keyword, value] of Object.entries(b)) {
    const known = merged[keyword]
    merged[keyword] = known === undefined ? value : together(keyword, known, value)
  }
  return merged
}

function together(keyword: string, a: unknown, b: unknown): unknown {
  switch (keyword) {
    case 'required':
      return [...new Set([...(a as string[]), ...(b as string[])])]
    case 'properties':
      return sharedProperties(a as Rules, b as Rules)
    case 'enum':
      return (a as unknown[]).filter((value) => (b as unknown[]).includes(value))
    case 'type':
      return sharedTypes(a, b)
    case 'items':
      return schemaOfBoth(a as JsonSchema, b as JsonSchema)
    case 'additionalProperties':
      return a === false || b === false ? false : schemaOfBoth(a as JsonSchema, b as JsonSchema)
    default:
  }
  if (typeof a === 'number' && typeof b === 'number') {
    return /^(min|exclusiveMin)/.test(keyword) ? Math.max(a, b) : Math.min(a, b)
  }
  return b
}

function sharedProperties(a: Rules, b: Rules): Rules {
  const merged: Record<string, unknown> = {...a}
  for (const [name, schema] of Object.entries(b)) {
    merged[name] = Object.hasOwn(merged, name)
      ? schemaOfBoth(merged[name] as JsonSchema, schema as JsonSchema)
      : schema
  }
  return merged
}

function schemaOfBoth(a: JsonSchema, b: JsonSchema): JsonSchema {
  if (a === false || b === false) return false
  if (a === true) return b
  return b === true ? a : {allOf: [a, b]}
}

/** An integer is a number too. */
function sharedTypes(a: unknown, b: unknown): unknown {
  const [some, others] = [[a].flat(), [b].flat()]
  const shared = some.filter(
    (type) => others.includes(type) || (type === 'integer' && others.includes('number')),
  )
  if (shared.length === 0 && some.includes('number') && others.includes('integer')) return 'integer'
  return shared.length === 1 ? shared[0] : shared
}
