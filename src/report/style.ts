/** How text looks on a terminal, and how it is kept within its width. */

/** The widest line of any table. */
export const pageWidth = 80

export interface Style {
  readonly title: (text: string) => string
  readonly warning: (text: string) => string
  readonly faint: (text: string) => string
}

const same = (text: string): string => text

/** No colour at all: pipes, files, NO_COLOR. */
export const plainStyle: Style = {title: same, warning: same, faint: same}

/** Colours where a person looks: on a terminal, unless NO_COLOR is set or the terminal is dumb. */
export async function styleFor(
  stream: {readonly isTTY?: boolean},
  env: {readonly [name: string]: string | undefined},
): Promise<Style> {
  const forced = env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '0'
  // https://no-color.org: any value but the empty one counts.
  if (env.NO_COLOR || env.TERM === 'dumb' || !(stream.isTTY || forced)) return plainStyle
  const {Chalk} = await import('chalk')
  const chalk = new Chalk({level: 1})
  // Chalk joins all its arguments, so it must not be handed to `map` as it is.
  return {
    title: (text) => chalk.bold(text),
    warning: (text) => chalk.yellow(text),
    faint: (text) => chalk.dim(text),
  }
}

/** Breaks a sentence into lines of at most `width`, later ones indented. Words longer than a line are cut. */
export function wrap(text: string, width: number = pageWidth, indent = '  '): string[] {
  const lines: string[] = []
  let line = ''
  // A number and its per cent stay together.
  for (const word of text.split(/ (?!%)/)) {
    if (line !== '' && `${line} ${word}`.length > width) {
      lines.push(line)
      line = indent + word
    } else line = line === '' ? word : `${line} ${word}`
    while (line.length > width) {
      lines.push(line.slice(0, width))
      line = indent + line.slice(width)
    }
  }
  return [...lines, line]
}

/** What is said around tables, in faint lines: `above` them, and `below`, each with the blank line between. */
export function around(header: readonly string[], {faint}: Style) {
  const at = header.indexOf('')
  const [head, foot] = at < 0 ? [header, []] : [header.slice(0, at), header.slice(at + 1)]
  const lines = (part: readonly string[]) => part.flatMap((line) => wrap(line)).map(faint)
  return {
    above: head.length > 0 ? [...lines(head), ''] : [],
    below: foot.length > 0 ? ['', ...lines(foot)] : [],
  }
}

/** Keeps both ends of a name that is too long for its column. */
export function shorten(name: string, width: number): string {
  if (name.length <= width) return name
  const head = Math.ceil((width - 1) / 2)
  return `${name.slice(0, head)}…${name.slice(name.length - (width - 1 - head))}`
}

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** A table without frames, columns two spaces apart; never wider than its cells make it. */
export async function layTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
): Promise<string[]> {
  const {default: Table} = await import('cli-table3')
  const edge = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left']
  const inner = ['bottom-right', 'left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid']
  const chars = Object.fromEntries([...edge, ...inner].map((part) => [part, '']))
  const table = new Table({
    head: columns.map((column) => style.title(column.title)),
    colAligns: columns.map((column, i) => column.align ?? (i === 0 ? 'left' : 'right')),
    style: {head: [], border: [], 'padding-left': 0, 'padding-right': 0},
    chars: {...chars, middle: '  '},
  })
  table.push(...rows.map((row) => [...row]))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
}
