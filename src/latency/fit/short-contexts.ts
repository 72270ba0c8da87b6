/**
 * What decodes over short contexts cost beyond the law of long ones: a thread block takes as long for one token as for
 * a tile of them, and a context long enough to be split pays for the second kernel that adds up the parts.
 */
import type {DecodeAttentionCoefficients} from '../../catalogue/hardware-shape.js'
import {type AttentionMachine, bareDevice, type ShapedRow, timeOf} from './attention-rows.js'
import {errorOf, fitLaw, type Law, type Parameter} from './law-fit.js'

export type ShortContextTerms = Pick<
  DecodeAttentionCoefficients,
  'blockUs' | 'combineUs' | 'regroupUs'
>

const block: Parameter = {
  name: 'block',
  start: 0.03,
  otherStarts: [0.3, 0.003],
  least: 1e-4,
  most: 5,
}
const combine: Parameter = {name: 'combine', start: 3, least: 0.01, most: 30}
const regroup: Parameter = {name: 'regroup', start: 3, least: 0.01, most: 30}

/** Least launch that is left when the second kernel is told from the first. */
const leastLaunchUs = 1

/** The terms stay where they lower the error on what was left out by this share at least. */
const leastGain = 0.03

/**
 * The terms for a law that was fitted to long contexts, from rows of all lengths; none where they do not pay on the
 * rows that `isTested` leaves out of the fit.
 */
export const shortContextTerms = (
  rows: readonly ShapedRow[],
  {long, machine}: {long: DecodeAttentionCoefficients; machine: AttentionMachine},
  isTested: (row: ShapedRow) => boolean,
): {terms: ShortContextTerms; tried: string} => {
  // A kernel that never splits has no second one.
  const parameters = [
    block,
    ...(machine.neverSplits ? [] : [combine]),
    ...(machine.isUnsplit && !machine.neverSplits ? [regroup] : []),
  ]
  const termsOf = ([blockUs, combineUs, regroupUs]: readonly number[]): ShortContextTerms => ({
    blockUs: blockUs!,
    ...(combineUs === undefined ? {} : {combineUs}),
    ...(regroupUs === undefined ? {} : {regroupUs}),
  })
  const lawOf = (terms: ShortContextTerms) =>
    timeOf(() => ({...bareDevice(machine), decode: withTerms(long, terms)}))
  const law: Law<ShapedRow> = (values) => lawOf(termsOf(values))
  const tested = rows.filter(isTested)
  const trained = termsOf(
    fitLaw(
      rows.filter((row) => !isTested(row)),
      law,
      parameters,
    ),
  )
  const [without, withThem] = [{}, trained].map(
    (terms) => errorOf(tested, lawOf(terms)).meanPercent,
  ) as [number, number]
  return {
    terms: withThem < (1 - leastGain) * without ? termsOf(fitLaw(rows, law, parameters)) : {},
    tried: `all contexts, with block and combine: ${withThem} % left out, without ${without} %`,
  }
}

/** A launch that was fitted where contexts are split holds both kernels. */
const withTerms = (
  long: DecodeAttentionCoefficients,
  terms: ShortContextTerms,
): DecodeAttentionCoefficients => ({
  ...long,
  ...terms,
  launchUs: Math.max(leastLaunchUs, long.launchUs - (terms.combineUs ?? 0)),
})
