/** What block k of a request is called in the prefix index. */

import type {PrefixColumn} from '#llmsim/trace/trace.js'

export interface IdentityRules {
  readonly prefix: PrefixColumn | undefined
  readonly blockSize: number
  readonly ownBlocks: boolean
}

/** Undefined: nobody can know what is in it. */
export const blockIdentity = (rules: IdentityRules, row: number, k: number): string | undefined =>
  sharedIdentity(rules, row, k) ?? (rules.ownBlocks ? `own ${row} ${k}` : undefined)

const sharedIdentity = (rules: IdentityRules, row: number, k: number): string | undefined => {
  const {prefix, blockSize} = rules
  const end = (k + 1) * blockSize
  if (prefix === undefined || end > prefix.knownTokens[row]!) return undefined
  const span = Math.floor((end - 1) / prefix.spanTokens)
  const spans = prefix.offsets[row + 1]! - prefix.offsets[row]!
  if (span >= spans) return undefined
  const id = prefix.ids[prefix.offsets[row]! + span]!
  return prefix.spanTokens === blockSize ? `id ${id}` : `id ${id} to ${end}`
}
