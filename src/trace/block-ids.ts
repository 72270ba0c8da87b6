/**
 * Prefix identity: whole numbers below 2^53 that are equal when the tokens from the start of a
 * sequence to the end of a block are. Two 32-bit lanes, mixed with the finaliser of MurmurHash3
 * (Austin Appleby, public domain).
 */

/** Tokens per block wherever identity is made here (token ids, groups). */
export const blockTokens = 16

const two32 = 2 ** 32
const highMask = 0x1f_ff_ff

const finalise = (value: number): number => {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35)
  return h ^ (h >>> 16)
}

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by))

// The two lanes of the id that is being made. Kept here, because ids are made by the million.
let a = 0
let b = 0

function begin(previous: number): void {
  a = ((previous % two32) | 0) ^ 0x2545_f491
  b = (Math.floor(previous / two32) | 0) ^ 0x9e37_79b9
}

function feed(value: number): void {
  const low = value | 0
  const high = Math.floor(value / two32) | 0
  a = Math.imul(rotate(a ^ Math.imul(low, 0xcc9e_2d51), 15) + b, 0x1b87_3593) + 0x52dc_e729
  b = Math.imul(rotate(b ^ Math.imul(low + high, 0x38b3_4ae5), 13) + a, 0x85eb_ca77) + high
}

function end(): number {
  const x = finalise(a ^ rotate(b, 16))
  const y = finalise(b + x)
  return (y & highMask) * two32 + ((x ^ y) >>> 0)
}

/** The id of a block: of the id before it and the values `from … to` of `tokens`. */
export function chainId(
  previous: number,
  tokens: ArrayLike<number>,
  from: number,
  to: number,
): number {
  begin(previous)
  for (let i = from; i < to; i++) feed(tokens[i]!)
  return end()
}

/** The id of a name, to start a chain from. */
export function nameId(name: string): number {
  begin(name.length)
  for (let i = 0; i < name.length; i++) feed(name.charCodeAt(i))
  return end()
}

/** The id of number `k` under `base`: for things that are counted, not read. */
export function derivedId(base: number, k: number): number {
  begin(base)
  feed(k)
  return end()
}

/** Chained ids of every full block of `tokens`; with another `salt` (a whole number below 2^53) they are others. */
export function idsOfTokens(tokens: ArrayLike<number>, salt = 0): number[] {
  const ids: number[] = []
  let previous = salt
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    previous = chainId(previous, tokens, end - blockTokens, end)
    ids.push(previous)
  }
  return ids
}

/** One level of shared prefix: the first `tokens` tokens are those of group `name`. */
export interface PrefixLevel {
  readonly name: string
  readonly tokens: number
}

/**
 * Ids of the blocks of nested groups, outermost first: up to levels[0].tokens the sequence is that of
 * group levels[0].name; from there to levels[1].tokens that of the group levels[1].name inside it; …
 * A block that straddles a border belongs to the inner group. The last block may be partial.
 */
export function idsOfGroups(levels: readonly PrefixLevel[]): number[] {
  const ids: number[] = []
  let base = 0
  for (const [depth, {name, tokens}] of levels.entries()) {
    base = derivedId(base, nameId(name))
    const innermost = depth === levels.length - 1
    const blocks = innermost ? Math.ceil(tokens / blockTokens) : Math.floor(tokens / blockTokens)
    for (let k = ids.length; k < blocks; k++) ids.push(derivedId(base, k))
  }
  return ids
}

/** Hexadecimal of an id, 16 digits. */
export function idToHex(id: number): string {
  return id.toString(16).padStart(16, '0')
}

const digits = Buffer.from('0123456789abcdef', 'latin1')
const blank = 32

/** Writes `value` as 8 digits from `at` on. */
function writeHex(bytes: Buffer, value: number, at: number): void {
  for (let i = 7, rest = value; i >= 0; i--, rest >>>= 4) bytes[at + i] = digits[rest & 15]!
}

/** Hexadecimal of ids, with a blank between two. */
export function idsToHex(ids: ArrayLike<number>): string {
  const each = 17
  const bytes = Buffer.allocUnsafe(ids.length * each)
  for (let k = 0; k < ids.length; k++) {
    const id = ids[k]!
    writeHex(bytes, Math.floor(id / two32), k * each)
    writeHex(bytes, id >>> 0, k * each + 8)
    bytes[k * each + 16] = blank
  }
  return bytes.toString('latin1', 0, Math.max(0, bytes.length - 1))
}

/** The id of a 64-bit hash in hexadecimal (1 to 16 digits). Hashes below 2^53 stand for themselves. */
export function idOfHex(hex: string): number {
  const high = hex.length > 8 ? Number.parseInt(hex.slice(0, -8), 16) : 0
  const low = Number.parseInt(hex.slice(-8), 16)
  if (high <= highMask) return high * two32 + low
  return chainId(0, [low, high], 0, 2)
}
