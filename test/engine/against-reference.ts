/**
 * Holds an engine to the reference: random cases, the first difference as a sentence.
 * An engine that skips steps leaves `steps` and `gaps` out and gives totals and pooled gaps instead.
 */

import fc from 'fast-check'
import type {WeightedSamples} from '#llmsim/stats/outcomes.js'
import {caseSpecs} from '../reference/arbitraries.js'
import {buildCase, type CaseSpec} from '../reference/case-spec.js'
import type {RequestResult, RunResult, StepResult} from '../reference/result.js'
import {type ReferenceCase, type ReferenceResult, runReference} from '../reference/run-reference.js'
import type {RunTotals} from '../reference/totals.js'

export {runReference}

export interface FastResult extends Omit<RunResult, 'requests' | 'steps'> {
  readonly requests: readonly (Omit<RequestResult, 'gaps'> & {readonly gaps?: readonly number[]})[]
  readonly steps?: readonly StepResult[]
  readonly totals?: Partial<RunTotals>
  readonly pooledGaps?: WeightedSamples
}

/** The engine under test. What it throws counts as a difference. */
export type RunFast = (given: ReferenceCase) => FastResult

/** The first difference: steps in order of time, then requests by row, then totals. */
export const compare = (fast: FastResult, reference: ReferenceResult): string | undefined =>
  inSteps(fast, reference) ??
  inRequests(fast, reference) ??
  inFields('the run', plain(fast), plain(reference)) ??
  inTotals(fast.totals ?? {}, reference.totals) ??
  inPooledGaps(fast.pooledGaps, reference)

/** One case through both. */
export const differenceIn = (given: ReferenceCase, run: RunFast): string | undefined => {
  const reference: ReferenceResult = runReference(given)
  try {
    return compare(run(given), reference)
  } catch (error) {
    return `the engine threw ${error instanceof Error ? (error.stack ?? error.message) : error}`
  }
}

export interface Search {
  /** 2,000; 40,000 with LLMSIM_SOAK. */
  readonly runs?: number
  /** 1; with LLMSIM_SOAK a new one each time unless LLMSIM_SEED says which. */
  readonly seed?: number
  /** Which cases; all kinds unless given. */
  readonly specs?: fc.Arbitrary<CaseSpec>
  /** The smallest case that it can find, or, sooner, the first. */
  readonly show?: 'smallest' | 'first'
}

/** A case on which an engine and the reference differ, as a report; undefined: none. */
export const firstDisagreement = (run: RunFast, search: Search = {}): string | undefined => {
  const soak = process.env.LLMSIM_SOAK === '1'
  const seed = search.seed ?? (soak ? Number(process.env.LLMSIM_SEED ?? Date.now() % 2 ** 31) : 1)
  const numRuns = search.runs ?? (soak ? 40_000 : 2_000)
  const property = fc.property(search.specs ?? caseSpecs, (spec) => {
    const difference = differenceIn(buildCase(spec), run)
    if (difference !== undefined) throw new Error(difference)
  })
  const details = fc.check(property, {numRuns, seed, endOnFailure: search.show === 'first'})
  if (!details.failed) return undefined
  const [spec] = details.counterexample ?? []
  const {errorInstance: error} = details
  return [
    error instanceof Error ? error.message : String(error),
    `seed ${seed}, case ${details.numRuns}, shrunk ${details.numShrinks} times:`,
    spec === undefined ? 'no case' : JSON.stringify(spec),
  ].join('\n')
}

const inSteps = (fast: FastResult, reference: RunResult): string | undefined => {
  if (fast.steps === undefined) return undefined
  for (const [i, wanted] of reference.steps.entries()) {
    const got = fast.steps[i]
    if (got === undefined) return `step ${i} is missing, the reference starts it at ${wanted.start}`
    const {shape, ...rest} = wanted
    const difference =
      inFields(`the shape of step ${i} (start ${wanted.start})`, got.shape, shape) ??
      inFields(`step ${i}`, got, rest)
    if (difference !== undefined) return difference
  }
  const extra = fast.steps[reference.steps.length]
  return (
    extra && `step ${reference.steps.length} at ${extra.start} is one more than the reference has`
  )
}

const inRequests = (fast: FastResult, reference: RunResult): string | undefined => {
  for (const [row, {gaps, ...wanted}] of reference.requests.entries()) {
    const got = fast.requests[row]
    if (got === undefined) return `request ${row} is missing`
    const difference = inFields(`request ${row}`, got, {reason: undefined, ...wanted})
    if (difference !== undefined) return difference
    if (got.gaps !== undefined && got.gaps.join() !== gaps.join())
      return `request ${row}: gaps are [${got.gaps.join()}], the reference has [${gaps.join()}]`
  }
  if (fast.requests.length === reference.requests.length) return undefined
  return `there are ${fast.requests.length} requests, the reference has ${reference.requests.length}`
}

const plain = ({
  freeBlocksAtEnd,
  lookedUpTokens,
  hitTokens,
}: Omit<RunResult, 'requests' | 'steps'>) => ({
  freeBlocksAtEnd,
  lookedUpTokens,
  hitTokens,
})

const inFields = (place: string, got: object, wanted: object): string | undefined => {
  for (const [field, value] of Object.entries(wanted)) {
    const other = (got as Record<string, unknown>)[field]
    if (!Object.is(other, value))
      return `${place}: ${field} is ${other}, the reference says ${value}`
  }
  return undefined
}

/** Only the totals that the engine gives. */
const inTotals = (totals: Partial<RunTotals>, wanted: RunTotals): string | undefined => {
  const given = Object.entries(wanted).filter(([field]) => Object.hasOwn(totals, field))
  return inFields('the totals', totals, Object.fromEntries(given))
}

const inPooledGaps = (
  pooled: WeightedSamples | undefined,
  reference: RunResult,
): string | undefined => {
  if (pooled === undefined) return undefined
  const got = new Map<number, number>()
  for (let i = 0; i < pooled.length; i += 1)
    got.set(pooled.values[i]!, (got.get(pooled.values[i]!) ?? 0) + pooled.counts[i]!)
  const wanted = new Map<number, number>()
  for (const gap of reference.requests.flatMap((request) => request.gaps))
    wanted.set(gap, (wanted.get(gap) ?? 0) + 1)
  for (const gap of [...wanted.keys(), ...got.keys()])
    if ((got.get(gap) ?? 0) !== (wanted.get(gap) ?? 0))
      return `gaps of ${gap} ns: ${got.get(gap) ?? 0}, the reference has ${wanted.get(gap) ?? 0}`
  return undefined
}
