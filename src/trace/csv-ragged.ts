/** Rows with more or fewer cells than their header, and what to do about it. */

export const counted = (cells: number): string => (cells === 1 ? '1 cell' : `${cells} cells`)

/** What makes a row longer or shorter than its header. */
export function raggedFix(
  record: readonly string[],
  expected: number,
  delimiter: string,
): string[] {
  const text = record.join(delimiter)
  const other = [',', ';', '\t'].find(
    (one) => one !== delimiter && text.split(one).length === expected,
  )
  if (record.length === 1 && other !== undefined)
    return [`separate its cells as the header does, with ${named(delimiter)}`]
  if (record.length > expected && record.slice(expected).every((cell) => cell.trim() === ''))
    return [`remove ${named(delimiter)} from the end of the rows, or add one to the header`]
  return [
    `quote cells that hold the delimiter (${named(delimiter)})`,
    ...(record.length > expected && delimiter === ','
      ? ['write decimals with a point: 0.5, and numbers without thousands separators']
      : []),
  ]
}

const named = (delimiter: string): string =>
  delimiter === ',' ? 'a comma' : delimiter === ';' ? 'a semicolon' : 'a tab'
