/** How aiconfigurator's collector of kernel times deals tokens out to experts. */

/**
 * Experts of the layer that the tokens of a row touch (`balanced_logits` and `power_law_logits_v3` in the collector's
 * helper). A `balanced` batch is dealt out so that no expert gets a second token before each has one. A
 * `power_law_A` batch draws the load of each expert from x^−A between 1 and 0.8 of the tokens, or between 0.01 and 2
 * where there are fewer picks than experts, scales the draws to the picks and rounds; here quantiles stand for draws.
 */
export const expertsTouched = (
  distribution: string,
  {tokens, perToken, experts}: {tokens: number; perToken: number; experts: number},
): number => {
  const picks = tokens * perToken
  const most = Math.min(experts, picks)
  if (distribution === 'balanced') return most
  const power = 1 - Number(distribution.replace('power_law_', ''))
  const [least, largest] = picks > experts ? [1, Math.max(1.01, 0.8 * tokens)] : [0.01, 2]
  const [low, high] = [least ** power, largest ** power]
  const loads = Array.from(
    {length: experts},
    (_, at) => (low + ((high - low) * (at + 0.5)) / experts) ** (1 / power),
  )
  const scale = picks / loads.reduce((sum, load) => sum + load, 0)
  const touched = loads.filter((load) => Math.round(load * scale) >= 1).length
  // Rounding loses picks, which the collector hands to the experts that have most.
  return Math.min(most, Math.max(touched, perToken))
}
