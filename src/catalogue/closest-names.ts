/** Names that a mistyped one may have meant. */

/** Levenshtein distance: insertions, deletions and replacements of one character. */
export const editDistance = (from: string, to: string): number => {
  let row = Array.from({length: to.length + 1}, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[to.length]!
}

/** At most `limit` of `names`, nearest first (without case), none that shares less than about half of its letters. */
export const closestNames = (
  wanted: string,
  names: Iterable<string>,
  limit: number,
): readonly string[] => {
  const target = wanted.toLowerCase()
  return [...names]
    .map((name) => ({name, distance: editDistance(target, name.toLowerCase())}))
    .filter(({name, distance}) => distance <= Math.max(name.length, target.length) / 2)
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, limit)
    .map(({name}) => name)
}
