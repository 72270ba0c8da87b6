/** Lists of module names in quantisation configurations: plain, with `*`, or regular expressions behind `re:`. */

import type {ConfigFields} from './config-fields.js'

/** Wrappers put the language model under these names; lists may or may not mention them. */
const WRAPPER = /^(?:(?:model|language_model|text_model)\.)+/
/** Families call the same places differently; one spelling is enough to compare. */
const SPELLINGS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:feed_forward|block_sparse_moe)\b/, 'mlp'],
  [/\bshared_expert\b/, 'shared_experts'],
  [/\bw1\b/, 'gate_proj'],
  [/\bw2\b/, 'down_proj'],
  [/\bw3\b/, 'up_proj'],
]

const plainName = (name: string): string =>
  SPELLINGS.reduce((text, [from, to]) => text.replace(from, to), name.replace(WRAPPER, ''))

const escaped = (text: string): string => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&')

/**
 * A test whether a module (`layers.3.self_attn.q_proj`) is on the list: itself, something above it,
 * or by a part of its name (`self_attn`).
 * @throws Problem MODEL_BAD_CONFIG for an expression that is none
 */
export const modulePatterns = (
  list: readonly string[],
  config: ConfigFields,
): ((name: string) => boolean) => {
  const exact = new Set<string>()
  const expressions: RegExp[] = []
  for (const entry of list) {
    if (entry.startsWith('re:')) expressions.push(expressionOf(entry, config))
    else if (entry.includes('*')) expressions.push(wildcard(entry))
    else exact.add(plainName(entry))
  }
  return (name) =>
    ancestors(name).some((above) => exact.has(above)) ||
    expressions.some((expression) => spellings(name).some((full) => expression.test(full)))
}

const expressionOf = (entry: string, config: ConfigFields): RegExp => {
  try {
    // Python's re.match is bound to the start of the name.
    return new RegExp(`^(?:${entry.slice(3)})`)
  } catch {
    throw config.wrong(['ignore'], `holds an expression that cannot be read`, entry)
  }
}

const wildcard = (entry: string): RegExp =>
  new RegExp(`^${plainName(entry).split('*').map(escaped).join('.*')}(?:\\.|$)`)

/** Everything dotted within the name: `a.b.c` → a.b.c, a.b, a, b.c, b, c. */
const ancestors = (name: string): string[] => {
  const parts = name.split('.')
  return parts.flatMap((_, start) =>
    parts.slice(start).map((__, length) => parts.slice(start, start + length + 1).join('.')),
  )
}

/** The full names that an expression may have been written for. */
const spellings = (name: string): string[] =>
  ['', 'model.', 'language_model.model.', 'model.language_model.'].flatMap((prefix) => {
    const full = `${prefix}${name}`
    return [
      full,
      full.replace('.mlp.', '.feed_forward.').replace('shared_experts', 'shared_expert'),
      full.replace('.mlp.', '.block_sparse_moe.'),
    ]
  })
