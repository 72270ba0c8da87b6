/**
 * Block id → small count, for tens of millions of ids: open addressing in two typed arrays. (A Map
 * boxes every id that does not fit 31 bits, and ends at 2^24 entries.)
 */
const two32 = 2 ** 32
const free = -1

export class IdTable {
  #keys = new Float64Array(1024).fill(free)
  #values = new Int32Array(1024)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** 0 for an id that was never set. */
  get(id: number): number {
    const at = this.#place(id)
    return this.#keys[at] === free ? 0 : this.#values[at]!
  }

  set(id: number, value: number): void {
    let at = this.#place(id)
    if (this.#keys[at] === free) {
      if (this.#size * 2 >= this.#keys.length) {
        this.#grow()
        at = this.#place(id)
      }
      this.#keys[at] = id
      this.#size++
    }
    this.#values[at] = value
  }

  *values(): Generator<number> {
    for (let i = 0; i < this.#keys.length; i++) if (this.#keys[i] !== free) yield this.#values[i]!
  }

  /** Where `id` is, or the free place where it belongs. */
  #place(id: number): number {
    const mask = this.#keys.length - 1
    // Ids of files may be small and consecutive, so they are spread first.
    let hash = Math.imul((id | 0) ^ Math.imul(Math.floor(id / two32), 0x9e37_79b1), 0x85eb_ca6b)
    hash ^= hash >>> 15
    let at = hash & mask
    while (this.#keys[at] !== free && this.#keys[at] !== id) at = (at + 1) & mask
    return at
  }

  #grow(): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Float64Array(keys.length * 2).fill(free)
    this.#values = new Int32Array(keys.length * 2)
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === free) continue
      const at = this.#place(keys[i]!)
      this.#keys[at] = keys[i]!
      this.#values[at] = values[i]!
    }
  }
}
