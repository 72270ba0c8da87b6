/** Look-ups in measured tables, with LLMServingSim's rounding: whole ns in, whole ns out. */
import type {LayerSamples} from '../../catalogue/profile-bundle.js'

/** Python's round: to the nearest whole number, halves to the even one. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const fraction = value - floor
  if (fraction !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** A measured time in µs as whole ns, at least 1. */
export const wholeNs = (timeUs: number): number => Math.max(1, roundHalfEven(timeUs * 1000))

/** Where a coordinate lies on an ascending axis: between `low` and `high`, `t` of the way (beyond 1 above the top). */
export interface Bracket {
  readonly low: number
  readonly high: number
  readonly t: number
}

export function bracket(axis: readonly number[], at: number): Bracket {
  const last = axis.length - 1
  if (at <= axis[0]! || last === 0) return {low: 0, high: 0, t: 0}
  let high = last
  if (at <= axis[last]!) {
    let low = 0
    while (low < high) {
      const middle = (low + high) >> 1
      if (axis[middle]! < at) low = middle + 1
      else high = middle
    }
    if (axis[high] === at) return {low: high, high, t: 0}
  }
  const low = high - 1
  return {low, high, t: (at - axis[low]!) / (axis[high]! - axis[low]!)}
}

export const lerp = (low: number, high: number, t: number): number => low + (high - low) * t

/** A curve through measured points: clamped below the first, extended from the last two above the last. */
export class Curve {
  readonly #axis: number[]
  readonly #ns: number[]

  constructor(samples: LayerSamples) {
    // Of two rows of one point the later counts.
    const ns = new Map(samples.at.map((at, i) => [at, wholeNs(samples.timeUs[i]!)]))
    this.#axis = [...ns.keys()].sort((a, b) => a - b)
    this.#ns = this.#axis.map((at) => ns.get(at)!)
  }

  /** ns at a coordinate, not rounded. */
  value(at: number): number {
    const {low, high, t} = bracket(this.#axis, at)
    return t === 0 ? this.#ns[low]! : lerp(this.#ns[low]!, this.#ns[high]!, t)
  }

  /** Whole ns, at least 1. */
  at(at: number): number {
    return Math.max(1, Math.trunc(this.value(at)))
  }
}

/** Expert kernels: linear in activated experts between two rows, each a curve over tokens. */
export class ExpertTable {
  readonly #activated: number[]
  readonly #curves: Curve[]

  constructor(samples: readonly {tokens: number; activatedExperts: number; timeUs: number}[]) {
    this.#activated = [...new Set(samples.map((sample) => sample.activatedExperts))].sort(
      (a, b) => a - b,
    )
    this.#curves = this.#activated.map((activated) => {
      const row = samples.filter((sample) => sample.activatedExperts === activated)
      return new Curve({at: row.map((s) => s.tokens), timeUs: row.map((s) => s.timeUs)})
    })
  }

  at(tokens: number, activated: number): number {
    const {low, high, t} = bracket(this.#activated, activated)
    const value = this.#curves[low]!.value(tokens)
    return Math.max(
      1,
      Math.trunc(t === 0 ? value : lerp(value, this.#curves[high]!.value(tokens), t)),
    )
  }
}
