/** Files in YAML that people write: how each of them is read, and where in it a fault stands. */
import {readFileSync} from 'node:fs'
import {relative} from 'node:path'
import type {Document} from 'yaml'
import {Problem, type ProblemCode} from '../errors.js'
import {whyUnreadable} from '../unreadable.js'
import {readPlainYaml} from './plain-yaml.js'
import type {SchemaFault} from './schema-section.js'

export interface YamlFile {
  /** What the text holds: maps, lists and scalars. */
  readonly value: unknown
  /** The fault with its file, line and column, and the path of its key. */
  readonly problem: (fault: SchemaFault, suggestions?: readonly string[]) => Promise<Problem>
  /** `file:line:column` of what stands at a path. */
  readonly place: (path: readonly PropertyKey[]) => Promise<string>
}

/** How a file is called, and the code of all that can be wrong with it. */
interface Naming {
  readonly name: string
  readonly code: ProblemCode
}

/** @throws Problem of that code: not there, a folder, no text, no YAML */
export const readYamlFile = async (
  path: string,
  code: ProblemCode,
  suggestions: readonly string[] = [],
): Promise<YamlFile> => {
  const name = shownPath(path)
  let text: string
  try {
    // Not through the thread pool: small files are read long before it has its turn.
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const message = `${name}: ${whyUnreadable(error)}.`
    throw new Problem(code, message, {cause: error, suggestions})
  }
  return parseYaml(text, {name, code})
}

/** The same of a text that was read already. @throws Problem */
export const parseYaml = async (text: string, {name, code}: Naming): Promise<YamlFile> => {
  if (text.includes('\0')) throw new Problem(code, `${name}: it is not a text file.`)
  return {
    value: readPlainYaml(text) ?? (await readFullYaml(text, {name, code})),
    place: async (path) => `${name}:${await placeOf(text, {path, at: 'value'})}`,
    problem: async (fault, suggestions = fault.suggestions) => {
      const key = fault.path.length === 0 ? 'the file' : shownKeys(fault.path)
      const place = await placeOf(text, fault)
      return new Problem(code, `${name}:${place}: ${key} ${fault.message}.`, {suggestions})
    },
  }
}

const readFullYaml = async (text: string, {name, code}: Naming): Promise<unknown> => {
  const {LineCounter, parseDocument} = await import('yaml')
  const lineCounter = new LineCounter()
  const document = parseDocument(text, {lineCounter, prettyErrors: false})
  const wrong = (offset: number, reason: string, suggestions: readonly string[] = []): Problem =>
    new Problem(code, `${name}:${lineAt(lineCounter, offset)}: not valid YAML: ${reason}.`, {
      suggestions,
    })
  const [error] = document.errors
  if (error?.code === 'MULTIPLE_DOCS') throw wrong(error.pos[0], 'a second document begins here')
  if (error?.code === 'BLOCK_AS_IMPLICIT_KEY')
    throw wrong(error.pos[0], 'here stands a value, and what follows reads as keys below it', [
      'begin keys of one level in the same column',
      'quote a text that has a colon and a blank in it',
    ])
  if (error) throw wrong(error.pos[0], error.message.split('\n')[0]!.replace(/\.$/, ''))
  const alias = await unresolved(document)
  if (alias) throw wrong(alias.offset, `no anchor &${alias.source} comes before *${alias.source}`)
  try {
    return document.toJS()
  } catch (cause) {
    // What the parser refuses to unfold: aliases of aliases that grow without end.
    throw new Problem(code, `${name}: not valid YAML: ${(cause as Error).message}.`, {cause})
  }
}

const unresolved = async (document: Document) => {
  const {visit} = await import('yaml')
  let found: {source: string; offset: number} | undefined
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document)) return undefined
      found = {source: alias.source, offset: alias.range?.[0] ?? 0}
      return visit.BREAK
    },
  })
  return found
}

/** `line:column` of the key or value at that path, or of the nearest thing around it that the file has. */
const placeOf = async (
  text: string,
  {path, at}: Pick<SchemaFault, 'path' | 'at'>,
): Promise<string> => {
  const {isMap, isNode, isScalar, isSeq, LineCounter, parseDocument} = await import('yaml')
  const lineCounter = new LineCounter()
  let node: unknown = parseDocument(text, {lineCounter}).contents
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
  for (const [depth, key] of path.entries()) {
    if (isSeq(node)) node = node.items[Number(key)]
    else if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
      if (pair === undefined) break
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else break
    if (at === 'key' && depth === path.length - 1) break
    if (isNode(node) && node.range && node.range[0] !== node.range[1]) offset = node.range[0]
  }
  return lineAt(lineCounter, offset)
}

const lineAt = (
  lineCounter: {linePos(offset: number): {line: number; col: number}},
  offset: number,
): string => {
  const {line, col} = lineCounter.linePos(offset)
  return `${Math.max(line, 1)}:${Math.max(col, 1)}`
}

/** instances[0].tp */
const shownKeys = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, '')

const shownPath = (path: string): string => {
  const fromHere = relative('', path)
  return fromHere.startsWith('..') ? path : fromHere
}
