/**
 * A reader for the plain part of YAML that the shipped catalogue is written in: block maps, one-line flow
 * maps and lists, scalars, folded text (`>-`) and comments. The full `yaml` package costs some 50 ms of
 * start-up, half of what a short run takes, so it is loaded only for a text that this reader declines.
 */

export type PlainValue =
  | string
  | number
  | boolean
  | null
  | PlainValue[]
  | {[key: string]: PlainValue}

interface Line {
  readonly indent: number
  readonly text: string
  /** Whether a blank or comment line stands before it: blank lines mean something in folded text. */
  readonly gap: boolean
}

/** Thrown and caught in this file only: the text uses more of YAML than is read here. */
class Beyond extends Error {}

const numberPattern = /^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/
const keyPattern = /^([\w][\w. -]*|"[^"\\]*"|'[^']*'):(?: +(.*))?$/

/** What the text holds, or undefined when it must be read by the full parser. */
export const readPlainYaml = (text: string): PlainValue | undefined => {
  try {
    const lines = linesOf(text)
    const [value, next] = readMap(lines, 0, lines[0]?.indent ?? 0)
    return next === lines.length && lines.length > 0 ? value : undefined
  } catch (error) {
    if (error instanceof Beyond) return undefined
    throw error
  }
}

const linesOf = (text: string): Line[] => {
  if (text.includes('\t') || text.includes('\r')) throw new Beyond()
  // An indented comment may really be a line of folded text.
  if (text.includes('>-') && /\n +#/.test(text)) throw new Beyond()
  const lines: Line[] = []
  let gap = false
  for (const line of text.split('\n')) {
    const body = line.trimStart()
    const empty = body === '' || body.startsWith('#')
    if (!empty) lines.push({indent: line.length - body.length, text: body.trimEnd(), gap})
    gap = empty
  }
  return lines
}

const readMap = (lines: Line[], start: number, indent: number): [PlainValue, number] => {
  const map: {[key: string]: PlainValue} = {}
  let at = start
  while (at < lines.length && lines[at]!.indent === indent) {
    const match = keyPattern.exec(lines[at]!.text)
    if (!match) throw new Beyond()
    const key = unquoted(match[1]!)
    const rest = withoutComment(match[2] ?? '')
    if (Object.hasOwn(map, key) || key === '__proto__') throw new Beyond()
    at += 1
    const [value, next] = readAfterKey(lines, at, {indent, rest})
    map[key] = value
    at = next
  }
  if (at < lines.length && lines[at]!.indent > indent) throw new Beyond()
  return [map, at]
}

const readAfterKey = (
  lines: Line[],
  at: number,
  key: {indent: number; rest: string},
): [PlainValue, number] => {
  const deeper = at < lines.length && lines[at]!.indent > key.indent
  if (key.rest === '>-') {
    const words: string[] = []
    let next = at
    for (; next < lines.length && lines[next]!.indent > key.indent; next++) {
      if (lines[next]!.indent !== lines[at]!.indent || lines[next]!.gap) throw new Beyond()
      words.push(lines[next]!.text)
    }
    return [words.join(' '), next]
  }
  if (key.rest !== '') return [readFlow(key.rest), at]
  if (!deeper) return [null, at]
  return readMap(lines, at, lines[at]!.indent)
}

/** Cuts ` # …` off a value; declines where a quote makes that hard to tell. */
const withoutComment = (value: string): string => {
  const hash = value.search(/(^|\s)#/)
  if (hash < 0) return value
  if (/["']/.test(value)) throw new Beyond()
  return value.slice(0, hash).trimEnd()
}

const readFlow = (text: string): PlainValue => {
  const [value, end] = readFlowValue(text, 0, false)
  if (text.slice(end).trim() !== '') throw new Beyond()
  return value
}

// Inside brackets a comma or bracket ends a plain scalar; outside it is part of it.
const readFlowValue = (text: string, from: number, inside: boolean): [PlainValue, number] => {
  let at = from
  while (text[at] === ' ') at += 1
  const first = text[at]
  if (first === '{') return readFlowMap(text, at + 1)
  if (first === '[') return readFlowList(text, at + 1)
  if (first === '"' || first === "'") {
    const end = text.indexOf(first, at + 1)
    if (end < 0 || text[end + 1] === first) throw new Beyond()
    const body = text.slice(at + 1, end)
    if (body.includes('\\')) throw new Beyond()
    return [body, end + 1]
  }
  let end = at
  while (end < text.length && !(inside && ',]}[{'.includes(text[end]!))) end += 1
  return [scalarOf(text.slice(at, end).trim()), end]
}

const readFlowList = (text: string, from: number): [PlainValue, number] => {
  const list: PlainValue[] = []
  let at = from
  for (;;) {
    while (text[at] === ' ') at += 1
    if (text[at] === ']') return [list, at + 1]
    const [value, end] = readFlowValue(text, at, true)
    list.push(value)
    at = afterItem(text, end, ']')
  }
}

const readFlowMap = (text: string, from: number): [PlainValue, number] => {
  const map: {[key: string]: PlainValue} = {}
  let at = from
  for (;;) {
    while (text[at] === ' ') at += 1
    if (text[at] === '}') return [map, at + 1]
    const match = /^([\w][\w.-]*|"[^"\\]*"|'[^']*'): +/.exec(text.slice(at))
    if (!match) throw new Beyond()
    const key = unquoted(match[1]!)
    if (Object.hasOwn(map, key) || key === '__proto__') throw new Beyond()
    const [value, end] = readFlowValue(text, at + match[0].length, true)
    map[key] = value
    at = afterItem(text, end, '}')
  }
}

/** Position after a comma, or of the closing bracket. */
const afterItem = (text: string, from: number, close: string): number => {
  let at = from
  while (text[at] === ' ') at += 1
  if (text[at] === ',') return at + 1
  if (text[at] !== close) throw new Beyond()
  return at
}

const unquoted = (key: string): string => (/^["']/.test(key) ? key.slice(1, -1) : key)

const scalarOf = (text: string): PlainValue => {
  if (numberPattern.test(text)) return Number(text)
  if (text === 'true' || text === 'false') return text === 'true'
  if (text === 'null' || text === '~') return null
  // Everything that YAML gives a meaning of its own, or that this reader could misread.
  if (text === '' || /^[-?:,[\]{}#&*!|>'"%@`.+]|^0[xo]|: |:$| #|^(true|false|null)$/i.test(text))
    throw new Beyond()
  return text
}
