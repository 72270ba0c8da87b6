/** What a hardware file that extends another says of its own, over what it inherits. docs/hardware.md. */
import {fitKeys} from './fit-schema.js'

type Fields = Record<string, unknown>

export const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined

/** Own keys over inherited ones; a value that is no map is left for the schema to refuse. */
export const merged = (inherited: unknown, own: unknown): unknown => {
  const [under, over] = [fieldsOf(inherited), fieldsOf(own)]
  if (own === undefined || own === null) return inherited
  return under && over ? {...under, ...over} : own
}

/** Memory that a process can see: of another amount the same share, unless the card says how much. */
export const usableOf = (inherited: Fields, own: Fields): unknown => {
  const [usable, sold, changed] = [inherited.usable_bytes, inherited.memory_gb, own.memory_gb]
  if (own.usable_bytes !== undefined) return own.usable_bytes
  if (typeof usable !== 'number' || typeof sold !== 'number' || typeof changed !== 'number')
    return usable
  return Math.floor(usable * (changed / sold))
}

/** Kernels were measured on the card that is extended: their `source` says so, at any depth. */
export const measuredOn = (card: string, kernels: unknown): unknown => {
  const fields = fieldsOf(kernels)
  if (!fields) return kernels
  const told = Object.entries(fields).map(([key, value]) => {
    const isOwn = key === 'source' && typeof value === 'string' && !value.startsWith(foreign)
    return [key, isOwn ? `${foreign}${card}: ${value}` : measuredOn(card, value)]
  })
  return Object.fromEntries(told)
}

const foreign = 'measured on '

/** Kernels have parts, `gemm` and `moe` those of each format, and these their coefficients. */
export const mergedKernels = (inherited: Fields, own: Fields): unknown => {
  const from = `changed from ${String(inherited.id)}`
  const each = (under: unknown, over: unknown, merge: typeof merged): unknown => {
    const [base, changes] = [fieldsOf(under), fieldsOf(over)]
    if (!base || !changes) return merged(under, over)
    const pairs = Object.keys(changes).map((key) => [key, merge(base[key], changes[key])])
    return {...base, ...Object.fromEntries(pairs)}
  }
  const coefficients = (under: unknown, over: unknown) => changedFit(under, over, from)
  const [base, changes] = [fieldsOf(inherited.kernels), fieldsOf(own.kernels)]
  if (!base || !changes) return merged(inherited.kernels, own.kernels)
  const parts = Object.keys(changes).map((part) => {
    const merge = ['gemm', 'moe'].includes(part)
      ? (under: unknown, over: unknown) => each(under, over, coefficients)
      : coefficients
    return [part, merge(base[part], changes[part])]
  })
  return {...base, ...Object.fromEntries(parts)}
}

/** Errors and samples of a fit are not those of other coefficients. */
const changedFit = (inherited: unknown, own: unknown, from: string): unknown => {
  const [under, over] = [fieldsOf(inherited), fieldsOf(own)]
  if (!under || !over) return merged(inherited, own)
  const kept = Object.entries(under).filter(([key]) => !fitKeys.includes(key))
  return {
    ...Object.fromEntries(kept),
    source: `${from}: ${String(under.source).replace(/^measured on [^:]*: /, '')}`,
    ...over,
  }
}
