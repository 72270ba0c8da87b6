/** Seeded randomness of one answer. */
import {xoroshiro128plus} from 'pure-rand/generator/xoroshiro128plus'
import {derivedId} from '../../trace/block-ids.js'

export class Dice {
  readonly #random: ReturnType<typeof xoroshiro128plus>

  /** Equal parts, equal throws. */
  constructor(...parts: readonly number[]) {
    const id = parts.reduce((base, part) => derivedId(base, part), 0)
    this.#random = xoroshiro128plus((id % 2 ** 32) | 0)
  }

  /** In [0, 1). */
  unit(): number {
    return (this.#random.next() >>> 0) / 2 ** 32
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Math.floor(this.unit() * n)
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!
  }
}
