/** Which known model a name means: without case, without organisation, and then without the usual endings. */

import type {WeightFormat} from './weight-format.js'

export interface NamedEntry {
  readonly ids: readonly string[]
}

export type NameMatch<T> =
  | {readonly kind: 'exact'; readonly entry: T; readonly id: string}
  | {readonly kind: 'loose'; readonly entry: T; readonly id: string}
  | {readonly kind: 'ambiguous'; readonly ids: readonly string[]}
  | {readonly kind: 'none'}

interface Candidate<T> {
  readonly entry: T
  readonly id: string
}

/** Endings of quantised checkpoints and the format that they stand for; the longer of two that fit comes first. */
const FORMATS: Readonly<Record<string, WeightFormat>> = {
  '-fp8-dynamic': 'fp8',
  '-fp8-block': 'fp8',
  '-fp8-kv': 'fp8',
  '-fp8': 'fp8',
  '-awq-int4': 'w4a16',
  '-awq-4bit': 'w4a16',
  '-awq': 'w4a16',
  '-gptq-int4': 'w4a16',
  '-gptq': 'w4a16',
  '-quantized.w4a16': 'w4a16',
  '-w4a16-g128': 'w4a16',
  '-w4a16': 'w4a16',
  '-bnb-4bit': 'w4a16',
  '-int4': 'w4a16',
  '-quantized.w8a8': 'int8',
  '-w8a8': 'int8',
  '-nvfp4': 'fp4',
  '-fp4': 'fp4',
}

/** What a name may lack or have too much; `-Instruct-hf` is two of them. */
const ENDINGS = ['-instruct', '-base', '-2507', '-v0.1', ...Object.keys(FORMATS), '-hf', '-it']
const PREFIX = 'meta-'

/** `org/Name` → `Name`. */
export const withoutOrganisation = (id: string): string => id.slice(id.lastIndexOf('/') + 1)

/** The core of a name in lower case, and the endings and the prefix that were dropped to get there. */
export const coreName = (name: string): {readonly core: string; readonly dropped: string[]} => {
  let core = withoutOrganisation(name).toLowerCase()
  const dropped: string[] = []
  for (;;) {
    const ending = ENDINGS.find((each) => core.endsWith(each) && core.length > each.length)
    if (ending === undefined) break
    core = core.slice(0, -ending.length)
    dropped.push(ending)
  }
  return core.startsWith(PREFIX)
    ? {core: core.slice(PREFIX.length), dropped: [...dropped, PREFIX]}
    : {core, dropped}
}

/** The format that the endings of a name ask for; undefined: none. */
export const formatOfName = (name: string): WeightFormat | undefined =>
  coreName(name)
    .dropped.map((ending) => FORMATS[ending])
    .find((format) => format !== undefined)

/** Losing an ending that was asked for costs more than taking one that was not. */
const cost = (wanted: readonly string[], offered: readonly string[]): number =>
  100 * wanted.filter((each) => !offered.includes(each)).length +
  offered.filter((each) => !wanted.includes(each)).length

/**
 * Finds the model that a name means. An exact match (case aside) comes first, then the name without its organisation,
 * then the cores; among equal cores the one that gives up the fewest endings wins.
 */
export const matchModelName = <T extends NamedEntry>(
  name: string,
  entries: readonly T[],
): NameMatch<T> => {
  const wanted = name.toLowerCase()
  const everything = entries.flatMap((entry) => entry.ids.map((id) => ({entry, id})))
  const full = everything.find(({id}) => id.toLowerCase() === wanted)
  if (full !== undefined) return {kind: 'exact', entry: full.entry, id: full.id}
  const tail = withoutOrganisation(wanted)
  const sameTail = everything.filter(({id}) => withoutOrganisation(id).toLowerCase() === tail)
  if (sameTail.length > 0) {
    return chosen(sameTail, wanted.includes('/') ? 'loose' : 'exact')
  }
  const {core, dropped} = coreName(name)
  const similar = everything.flatMap((each) => {
    const other = coreName(each.id)
    return other.core === core ? [{...each, cost: cost(dropped, other.dropped)}] : []
  })
  const least = Math.min(...similar.map((each) => each.cost))
  return chosen(
    similar.filter((each) => each.cost === least),
    'loose',
  )
}

/** Several ids of one entry are no ambiguity: they have the same shape. */
const chosen = <T>(candidates: readonly Candidate<T>[], kind: 'exact' | 'loose'): NameMatch<T> => {
  const first = candidates[0]
  if (first === undefined) return {kind: 'none'}
  if (new Set(candidates.map(({entry}) => entry)).size > 1) {
    return {kind: 'ambiguous', ids: candidates.map(({id}) => id)}
  }
  return {kind, entry: first.entry, id: first.id}
}
