/** Log probabilities of tokens: made up, but the same for the same token at the same place, and properly ordered. */
import {Dice} from '../answers/dice.js'
import {words} from '../answers/words.js'

export interface TokenOdds {
  readonly token: string
  readonly logprob: number
}

const rounded = (value: number): number => Math.round(value * 1e6) / 1e6

/** The token at `place` and `top` tokens, the likeliest first; the chosen one is always the first. */
export function oddsOf(
  piece: string,
  id: number,
  place: number,
  top: number,
): TokenOdds & {readonly top: readonly TokenOdds[]} {
  const dice = new Dice(id, place)
  // Chosen with 55 % to 99 %; the others share the rest, each half of what is left.
  const chance = 0.55 + 0.44 * dice.unit()
  const chosen = {token: piece, logprob: rounded(Math.log(chance))}
  const others: TokenOdds[] = []
  let left = 1 - chance
  const seen = new Set([piece])
  while (others.length + 1 < top) {
    left /= 2
    const token = ` ${dice.of(words)}`
    if (seen.has(token)) continue
    seen.add(token)
    others.push({token, logprob: rounded(Math.log(left))})
  }
  return {...chosen, top: top === 0 ? [] : [chosen, ...others]}
}

const bytesOf = (token: string): number[] => [...Buffer.from(token)]

/** An entry of `choices[].logprobs.content`. */
export function chatOdds(piece: string, id: number, place: number, top: number): object {
  const {token, logprob, top: others} = oddsOf(piece, id, place, top)
  const full = (each: TokenOdds): object => ({...each, bytes: bytesOf(each.token)})
  return {...full({token, logprob}), top_logprobs: others.map(full)}
}
