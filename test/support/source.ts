/** Reads TypeScript as text: its imports, and its code without comments and strings. */

/** Spaces for everything but line ends, so that lines and columns stay where they are. */
export const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ')

const lineComment = /\/\/[^\n]*/y
const blockComment = /\/\*[\s\S]*?\*\//y
const quoted = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/y
const regex = /\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
const templateText = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y
const plain = /[^'"`/{}]+/y

interface Scanned {
  /** The code, with comments, strings and regular expressions blanked. */
  readonly code: string
  /** Quoted strings and where they begin. */
  readonly strings: readonly {readonly at: number; readonly text: string}[]
}

/** A `/` begins a regular expression where no value stands before it. */
const valueEnds = (code: string): boolean =>
  /[\w$)\]]\s*$/.test(code) && !/\b(?:return|typeof|case|in|of|await|yield)\s*$/.test(code)

const scan = (source: string): Scanned => {
  let code = ''
  const strings: {at: number; text: string}[] = []
  let at = 0
  // Open braces; a template's `${` is marked, so that its `}` leads back into the template.
  const braces: ('block' | 'template')[] = []
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const [text = ''] = pattern.exec(source) ?? []
    at += text.length
    return text
  }
  const template = (): void => {
    const text = take(templateText)
    code += blank(text)
    const end = source.startsWith('${', at) ? '${' : source.slice(at, at + 1)
    at += end.length
    code += end
    if (end === '${') braces.push('template')
  }
  while (at < source.length) {
    const comment = take(lineComment) || take(blockComment)
    const string = comment || take(quoted)
    if (string) {
      if (!comment) strings.push({at: at - string.length, text: string.slice(1, -1)})
      code += blank(string)
    } else if (source[at] === '/' && !valueEnds(code.slice(-200))) {
      const text = take(regex) || source[at++]!
      code += blank(text)
    } else if (/['"`/{}]/.test(source[at]!)) {
      const mark = source[at++]!
      code += mark
      if (mark === '{') braces.push('block')
      if (mark === '`' || (mark === '}' && braces.pop() === 'template')) template()
    } else {
      const text = take(plain)
      code += text
    }
  }
  return {code, strings}
}

/** The source with comments, strings and regular expressions blanked, line for line. */
export const codeOf = (source: string): string => scan(source).code

export interface Import {
  readonly specifier: string
  /** `import type` and `export type`: gone once compiled. */
  readonly erased: boolean
}

/** What a module imports or re-exports, dynamic imports included, in order. */
export const importsOf = (source: string): Import[] => {
  const {code, strings} = scan(source)
  return strings.flatMap(({at, text}) => {
    const before = code.slice(0, at)
    if (!/\b(?:from|import|import\s*\()\s*$/.test(before)) return []
    const keyword = [...before.matchAll(/\b(?:import|export)\b/g)].at(-1)?.index ?? at
    return [{specifier: text, erased: /^\w+\s+type\b/.test(before.slice(keyword))}]
  })
}
