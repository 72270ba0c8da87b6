/** A body against its schema: what is wrong with it is said with OpenAI's words, codes and paths. */
import type {z} from 'zod'
import {ApiError} from '../api-error.js'

type Path = readonly PropertyKey[]

/** `messages[0].content` */
export const pathText = (path: Path): string =>
  path.reduce<string>(
    (text, key) =>
      typeof key === 'number'
        ? `${text}[${key}]`
        : text === ''
          ? String(key)
          : `${text}.${String(key)}`,
    '',
  )

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  )

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const names: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'an integer',
  boolean: 'a boolean',
  array: 'an array',
  object: 'an object',
  record: 'an object',
  null: 'null',
}

const nameOf = (expected: string): string => names[expected] ?? expected

const kindOfNumber = (value: unknown): string => (Number.isInteger(value) ? 'integer' : 'decimal')

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

export const badField = (param: string, message: string, code = 'invalid_value'): ApiError =>
  new ApiError(400, message, {param, code})

/** The issue that is deepest in the body: of a union's branches, the one that was meant. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
  const branches = issue.errors.map((inner) =>
    inner.flatMap((each) =>
      deepest({...each, path: [...issue.path, ...each.path]} as z.core.$ZodIssue),
    ),
  )
  const depth = (branch: readonly z.core.$ZodIssue[]): number =>
    Math.min(...branch.map(({path}) => path.length))
  const most = Math.max(...branches.map(depth))
  const meant = branches.filter((branch) => depth(branch) === most)
  if (most === issue.path.length) return meant.flat()
  return oneOfAll(meant.map((branch) => branch[0]!)) ?? meant[0]!
}

/** Where all branches want another value at the same place: one issue that names them all. */
function oneOfAll(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] | undefined {
  const [first] = issues
  const isSame = (issue: z.core.$ZodIssue): boolean =>
    issue.code === 'invalid_value' && pathText(issue.path) === pathText(first!.path)
  if (first?.code !== 'invalid_value' || !issues.every(isSame)) return undefined
  const values = issues.flatMap((issue) => (issue.code === 'invalid_value' ? issue.values : []))
  return [{...first, values: [...new Set(values)]}]
}

function errorOf(body: unknown, issues: readonly z.core.$ZodIssue[]): ApiError {
  const found = deepest(issues[0]!)
  const issue = found[0]!
  const param = pathText(issue.path)
  const value = at(body, issue.path)
  if (found.length > 1 && found.every(({code}) => code === 'invalid_type')) {
    const expected = [
      ...new Set(found.map((each) => nameOf((each as {expected: string}).expected))),
    ]
    return badType(param, expected.join(' or '), value)
  }
  if (issue.code === 'invalid_type') return badType(param, nameOf(issue.expected), value)
  return badRule(issue, param, value)
}

function badType(param: string, expected: string, value: unknown): ApiError {
  if (param === '') {
    const message = `The body must be ${expected}, but it is ${value === undefined ? 'empty' : kindOf(value)}.`
    return new ApiError(400, message, {code: 'invalid_type'})
  }
  return value === undefined
    ? badField(param, `Missing required parameter: '${param}'.`, 'missing_required_parameter')
    : badField(
        param,
        `Invalid type for '${param}': expected ${expected}, but got ${kindOf(value)} instead.`,
        'invalid_type',
      )
}

function badRule(issue: z.core.$ZodIssue, param: string, value: unknown): ApiError {
  switch (issue.code) {
    case 'too_small':
      return issue.origin === 'array' || issue.origin === 'string'
        ? badField(
            param,
            `Invalid '${param}': it is too short; at least ${issue.minimum} expected.`,
            `${issue.origin}_below_min_length`,
          )
        : badField(
            param,
            `Invalid '${param}': below the minimum; expected a value >= ${issue.minimum}, but got ${shown(value)} instead.`,
            `${kindOfNumber(value)}_below_min_value`,
          )
    case 'too_big':
      return issue.origin === 'array' || issue.origin === 'string'
        ? badField(
            param,
            `Invalid '${param}': it is too long; at most ${issue.maximum} expected.`,
            `${issue.origin}_above_max_length`,
          )
        : badField(
            param,
            `Invalid '${param}': above the maximum; expected a value <= ${issue.maximum}, but got ${shown(value)} instead.`,
            `${kindOfNumber(value)}_above_max_value`,
          )
    case 'invalid_value':
      return value === undefined
        ? badField(param, `Missing required parameter: '${param}'.`, 'missing_required_parameter')
        : badField(
            param,
            `Invalid value: ${shown(value)} for '${param}'. Supported values are: ${issue.values.map(shown).join(', ')}.`,
          )
    case 'invalid_union': {
      const key = issue.discriminator
      if (key === undefined) break
      const field = param === '' || param.endsWith(key) ? param || key : `${param}.${key}`
      const chosen = at(value, [key]) ?? value
      return badField(field, `Invalid value: ${shown(chosen)} for '${field}'.`)
    }
    default:
  }
  return badField(param, `Invalid '${param}': ${issue.message}`)
}

/** @throws ApiError 400 that names the field */
export function parsedBody<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
): z.output<Schema> {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  throw errorOf(body, result.error.issues)
}
