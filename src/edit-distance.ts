/** Which known word a mistyped one probably meant; shared by commands, flags and the catalogue. */

/**
 * Edits (insert, delete, replace, swap of neighbours) that turn `from` into `to`: the optimal string
 * alignment distance, as a swap is one slip of the fingers and not two.
 */
export const editDistance = (from: string, to: string): number => {
  const width = to.length + 1
  let beforeLast = new Int32Array(width)
  let last = Int32Array.from({length: width}, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = new Int32Array(width)
    current[0] = row
    for (let column = 1; column < width; column++) {
      const replaced = from[row - 1] === to[column - 1] ? 0 : 1
      let best = Math.min(last[column - 1]! + replaced, last[column]! + 1, current[column - 1]! + 1)
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (row > 1 && column > 1 && swapped) best = Math.min(best, beforeLast[column - 2]! + 1)
      current[column] = best
    }
    beforeLast = last
    last = current
  }
  return last[to.length]!
}

/**
 * The candidates that a mistyped `word` may stand for, nearest first, at most `limit`; none when nothing
 * is near (more than a third of the letters wrong). Case, spaces, dashes and underscores cost nothing,
 * and a candidate that begins with the word counts as near. Ties keep the order of `candidates`.
 */
export const closest = (word: string, candidates: Iterable<string>, limit = 1): string[] => {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '')
  const wanted = plain(word)
  if (wanted === '') return []
  const near: {candidate: string; distance: number}[] = []
  for (const candidate of new Set(candidates)) {
    const known = plain(candidate)
    const distance = editDistance(wanted, known)
    const begun = wanted.length >= 3 && known.startsWith(wanted)
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, known.length) / 3))
    // A word of two letters is one edit from every other: there only the letters themselves count.
    if (distance === 0 || begun || (distance <= allowed && distance < wanted.length - 1))
      near.push({candidate, distance: begun ? Math.min(distance, 1) : distance})
  }
  near.sort((a, b) => a.distance - b.distance)
  return near.slice(0, limit).map(({candidate}) => candidate)
}

/**
 * The known word that `word` is a slip of, if any: one edit away (two from 12 letters on), or the same but for case,
 * blanks, dashes and underscores. Stricter than `closest`: what it names is refused, not only suggested. A word
 * shorter than a known one of up to five letters is another word (`mode` is no slip of `model`).
 */
export const nearMiss = (word: string, known: Iterable<string>): string | undefined => {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '')
  const wanted = plain(word)
  let best: {candidate: string; distance: number} | undefined
  for (const candidate of known) {
    if (candidate === word) return undefined
    const letters = plain(candidate)
    if (Math.abs(letters.length - wanted.length) > 2) continue
    if (letters.length <= 5 && (wanted.length < letters.length || wanted[0] !== letters[0]))
      continue
    const distance = editDistance(wanted, letters)
    if (distance > (letters.length < 12 ? 1 : 2) || distance >= (best?.distance ?? 3)) continue
    best = {candidate, distance}
  }
  return best?.candidate
}
