/** Whole numbers that look random and are the same each time: a 32-bit mixer, seeded. */

function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

/** A number below 2^32 for a key (any safe integer) and an index. */
export function mixed(key: number, index: number): number {
  return mix(mixedKey(key) + Math.imul(index + 1, 0x9e3779b9))
}

/** What `mixed` makes of the key alone, where one key meets many indices. */
export function mixedKey(key: number): number {
  const low = key >>> 0
  const high = Math.floor(key / 0x1_0000_0000) >>> 0
  return mix(low ^ mix(high))
}

/** The rest of `mixed` for an index, less 2^31: whole numbers of 32 bits that are compared in a loop are no objects. */
export function mixedWith(ofKey: number, index: number): number {
  return mix(ofKey + Math.imul(index + 1, 0x9e3779b9)) ^ 0x80000000
}

export class Random {
  readonly #seed: number
  #count = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  /** 0 … n − 1; 0 for n below 1. */
  below(n: number): number {
    return Math.floor((mixed(this.#seed, this.#count++) / 0x1_0000_0000) * n)
  }
}
