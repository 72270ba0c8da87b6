/** Where text stops being JSON, and why: V8's own messages often lack the place. */

export interface JsonFault {
  /** From 0. */
  readonly at: number
  /** It ends too early, and is right so far. */
  readonly torn: boolean
  readonly says: string
  readonly fix: readonly string[]
}

const token =
  /\s+|[{}[\],:]|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)\b/y

/** The token at `at`; texts by hand, as one may be longer than a pattern can take. */
function tokenAt(text: string, at: number): string | undefined {
  if (text[at] === '"') {
    for (let end = at + 1; end < text.length && text[end] !== '\n'; end++) {
      if (text[end] === '\\') end++
      else if (text[end] === '"') return text.slice(at, end + 1)
    }
    return undefined
  }
  token.lastIndex = at
  return token.exec(text)?.[0]
}

/** The fault of text that JSON.parse refused. */
export function faultOfJson(text: string): JsonFault {
  const walk = {open: [] as string[], before: '', at: 0}
  while (walk.at < text.length) {
    const found = tokenAt(text, walk.at)
    if (found === undefined) return faultAt(text, walk.at)
    if (found.trim() !== '') {
      const fault = step(walk, found)
      if (fault !== undefined) return {at: walk.at, torn: false, ...fault}
    }
    walk.at += found.length
  }
  if (walk.open.length > 0) return {at: text.length, torn: true, says: 'it ends too early', fix: []}
  return {
    at: text.length,
    torn: false,
    says: 'names, colons and values do not follow each other',
    fix: [],
  }
}

/** What a character that begins no token is. */
function faultAt(text: string, at: number): JsonFault {
  const rest = text.slice(at, at + 12)
  const word = /^[\w.+-]+/.exec(rest)?.[0] ?? rest[0]!
  if (rest.startsWith('"')) return {at: text.length, torn: true, says: 'a text has no end', fix: []}
  if (rest.startsWith("'"))
    return {at, torn: false, says: 'texts stand in double quotes', fix: ['write " for \'']}
  // What is left may be the beginning of a word or a number.
  const torn = at + word.length >= text.trimEnd().length && /^(t|f|n|-|\d)/.test(word)
  return {at, torn, says: `${word} is no JSON value`, fix: ['write a number, or leave the key out']}
}

interface Walk {
  readonly open: string[]
  before: string
}

const closes: Readonly<Record<string, string>> = {'}': '{', ']': '['}

/** One token further; what is wrong with it. */
function step(walk: Walk, found: string): Pick<JsonFault, 'says' | 'fix'> | undefined {
  const {open, before} = walk
  walk.before = found
  if (open.length === 0 && before !== '') {
    return found === ','
      ? {
          says: 'a comma follows the object',
          fix: ['remove the comma: each line is an object of its own (JSONL)'],
        }
      : {says: 'something follows the object', fix: ['write each object on a line of its own']}
  }
  if (found === '{' || found === '[') open.push(found)
  const opened = closes[found]
  if (opened === undefined) {
    return found === ',' && before === ','
      ? {says: 'two commas follow each other', fix: ['remove one of them']}
      : undefined
  }
  if (before === ',') return {says: `a comma stands before ${found}`, fix: ['remove the comma']}
  if (open.pop() !== opened) return {says: `${found} closes nothing`, fix: ['remove it']}
  return undefined
}
