/** The cycles of dependencies between loads of weights and the computing of blocks, each as a line. */
import type {Line} from './envelope.js'

/** What is loaded at a time: a block by its number, or the head, whose number is that of blocks. */
export interface LoadUnit {
  readonly at: number
  readonly loadNs: number
}

export interface LoadCycles {
  /** Cycles that do not pass what is outside of blocks, and those that do: value + slope · (ns of a block). */
  readonly without: readonly Line[]
  readonly around: readonly Line[]
}

export interface Buffered {
  readonly blocks: number
  /** Units that the buffer holds; at most as many as there are. */
  readonly places: number
}

/** Largest sum of loads by blocks computed; the second half counts those walks that pass what is outside of blocks. */
type Walks = Float64Array

/**
 * Every cycle that goes through one step. Nodes are the load and the computing of each unit; what follows on what:
 * load → load of the next, load → its computing, computing → computing of the next (with all blocks up to it), and
 * computing → load of the unit that takes its place. A place spans `places` units, so that each cycle visits one of
 * the first `places`: from there walks of one turn are followed.
 */
export function loadCycles(units: readonly LoadUnit[], buffered: Buffered): LoadCycles {
  const {blocks, places} = buffered
  const size = blocks + 1
  const found = new Float64Array(2 * size).fill(Number.NEGATIVE_INFINITY)
  for (let first = 0; first < places; first++)
    for (const lane of ['load', 'compute'] as const)
      merge(found, turnFrom({first, lane}, units, buffered), {blocks: 0, outside: 0, ns: 0})
  const linesOf = (half: Walks): Line[] =>
    [...half].flatMap((value, slope) => (value >= 0 ? [{slope, value}] : []))
  return {without: linesOf(found.subarray(0, size)), around: linesOf(found.subarray(size))}
}

interface Start {
  readonly first: number
  readonly lane: 'load' | 'compute'
}

function turnFrom(
  {first, lane}: Start,
  units: readonly LoadUnit[],
  {blocks, places}: Buffered,
): Walks {
  const count = units.length
  const none = (): Walks => new Float64Array(2 * (blocks + 1)).fill(Number.NEGATIVE_INFINITY)
  const loads = Array.from({length: count + 1}, none)
  const computes = Array.from({length: count + 1}, none)
  const start = lane === 'load' ? loads[0]! : computes[0]!
  start[0] = 0
  const unit = (step: number): LoadUnit => units[(first + step) % count]!
  for (let step = 0; step <= count; step++) {
    const {at} = unit(step)
    const isHead = at === blocks
    const own = isHead ? {blocks: 0, outside: 1, ns: 0} : {blocks: 1, outside: 0, ns: 0}
    merge(computes[step]!, loads[step]!, own)
    if (step === count) break
    const next = unit(step + 1)
    merge(loads[step + 1]!, loads[step]!, {blocks: 0, outside: 0, ns: next.loadNs})
    merge(computes[step + 1]!, computes[step]!, between(at, next.at, blocks))
    const into = step + places
    if (into > count) continue
    merge(loads[into]!, computes[step]!, {blocks: 0, outside: 0, ns: unit(into).loadNs})
  }
  return lane === 'load' ? loads[count]! : computes[count]!
}

interface Edge {
  readonly blocks: number
  readonly outside: number
  readonly ns: number
}

/** What is computed after `from` up to and with `to`, in the next step where that comes first. */
function between(from: number, to: number, blocks: number): Edge {
  const passes = to === blocks || (from < blocks && to <= from)
  const turned = to > from ? to - from : to - from + blocks + 1
  return {blocks: passes ? turned - 1 : turned, outside: passes ? 1 : 0, ns: 0}
}

/** Walks that go on over an edge, where that is more than what is known. */
function merge(into: Walks, from: Walks, {blocks, outside, ns}: Edge): void {
  const size = into.length / 2
  for (let at = 0; at < from.length; at++) {
    const value = from[at]!
    if (value === Number.NEGATIVE_INFINITY) continue
    const target = at + blocks + outside * size
    if (value + ns > into[target]!) into[target] = value + ns
  }
}
