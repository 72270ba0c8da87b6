/** Reads TypeScript as text: its imports, and its code without comments and strings. */

/** Spaces for everything but line ends, so that lines and columns stay where they are. */
export const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ')

const lineComment = /\/\/[^\n]*/y
const blockComment = /\/\*[\s\S]*?\*\//y
const quoted = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/y
const regex = /\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
const templateText = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y
const plain = /[^'"`/{}]+/y

interface Spans {
  /** The code, with comments, strings and regular expressions blanked. */
  readonly code: string
  /** The same with strings left in. */
  readonly quoted: string
}

/** A `/` begins a regular expression where no value stands before it. */
const valueEnds = (code: string): boolean =>
  /[\w$)\]]\s*$/.test(code) && !/\b(?:return|typeof|case|in|of|await|yield)\s*$/.test(code)

const scan = (source: string): Spans => {
  let code = ''
  let withStrings = ''
  let at = 0
  // Open braces; a template's `${` is marked, so that its `}` leads back into the template.
  const braces: ('block' | 'template')[] = []
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const [text = ''] = pattern.exec(source) ?? []
    at += text.length
    return text
  }
  const put = (text: string, shown: string): void => {
    code += shown
    withStrings += text
  }
  const template = (): void => {
    const text = take(templateText)
    put(blank(text), blank(text))
    const end = source.startsWith('${', at) ? '${' : source.slice(at, at + 1)
    at += end.length
    put(end, end)
    if (end === '${') braces.push('template')
  }
  while (at < source.length) {
    const comment = take(lineComment) || take(blockComment)
    const string = comment || take(quoted)
    if (comment) put(blank(comment), blank(comment))
    else if (string) put(string, blank(string))
    else if (source[at] === '/' && !valueEnds(code.slice(-200))) {
      const text = take(regex) || source[at++]!
      put(blank(text), blank(text))
    } else if (/['"`/{}]/.test(source[at]!)) {
      const mark = source[at++]!
      put(mark, mark)
      if (mark === '{') braces.push('block')
      if (mark === '`' || (mark === '}' && braces.pop() === 'template')) template()
    } else {
      const text = take(plain)
      put(text, text)
    }
  }
  return {code, quoted: withStrings}
}

/** The source with comments, strings and regular expressions blanked, line for line. */
export const codeOf = (source: string): string => scan(source).code

/** What a module imports or re-exports, types included, in order. */
export const importsOf = (source: string): string[] => {
  const pattern = /\b(?:from\s*|import\s*\(?\s*)(['"])([^'"\n]+)\1/g
  return [...scan(source).quoted.matchAll(pattern)].map((match) => match[2]!)
}
