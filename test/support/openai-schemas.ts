/** JSON Schemas of what OpenAI's API returns, made from the types of its npm package: the strictest reading of them that there is. */
import {mkdirSync, mkdtempSync, readFileSync, renameSync, symlinkSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Ajv, type ValidateFunction} from 'ajv'
import {root} from './cli.js'

const source = `
import type {ChatCompletion, ChatCompletionChunk} from 'openai/resources/chat/completions'
import type {Completion as TextCompletion} from 'openai/resources/completions'
import type {CreateEmbeddingResponse} from 'openai/resources/embeddings'
import type {Model as OneModel} from 'openai/resources/models'
import type {Response as WholeResponse, ResponseStreamEvent} from 'openai/resources/responses/responses'
export interface Wire {
  Chat: ChatCompletion
  ChatChunk: ChatCompletionChunk
  Completion: TextCompletion
  Embeddings: CreateEmbeddingResponse
  Model: OneModel
  Response: WholeResponse
  ResponseEvent: ResponseStreamEvent
}
`

export type WireType =
  | 'Chat'
  | 'ChatChunk'
  | 'Completion'
  | 'Embeddings'
  | 'Model'
  | 'Response'
  | 'ResponseEvent'

const version = (): string =>
  (
    JSON.parse(readFileSync(join(root, 'node_modules/openai/package.json'), 'utf8')) as {
      version: string
    }
  ).version

/** Made once for each version of the package, and kept in the folder for temporary files. */
async function schemas(): Promise<object> {
  const kept = join(tmpdir(), `llmsim-openai-schemas-${version()}-2.json`)
  try {
    return JSON.parse(readFileSync(kept, 'utf8')) as object
  } catch {
    const made = await generate()
    const beside = join(mkdtempSync(join(tmpdir(), 'llmsim-schemas-')), 'schemas.json')
    writeFileSync(beside, JSON.stringify(made))
    renameSync(beside, kept)
    return made
  }
}

async function generate(): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-openai-types-'))
  const path = join(folder, 'wire.ts')
  const tsconfig = join(folder, 'tsconfig.json')
  mkdirSync(folder, {recursive: true})
  writeFileSync(path, source)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    skipLibCheck: true,
    types: [],
  }
  writeFileSync(tsconfig, JSON.stringify({compilerOptions, files: ['wire.ts']}))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  // Its types want another TypeScript than ours.
  const {createGenerator} = createRequire(import.meta.url)('ts-json-schema-generator')
  const config = {path, tsconfig, type: 'Wire', skipTypeCheck: true, jsDoc: 'none', topRef: false}
  return createGenerator(config).createSchema('Wire') as object
}

/** A check for each type: '' when a value is what the package says it is, otherwise what is wrong. */
export async function openaiChecks(): Promise<(type: WireType, value: unknown) => string> {
  const ajv = new Ajv({strict: false, allErrors: true, validateFormats: false})
  ajv.addSchema(await schemas(), 'openai')
  const checks = new Map<WireType, ValidateFunction>()
  return (type, value) => {
    const check = checks.get(type) ?? ajv.compile({$ref: `openai#/properties/${type}`})
    checks.set(type, check)
    return check(value) ? '' : `${ajv.errorsText(check.errors)} in ${JSON.stringify(value)}`
  }
}
