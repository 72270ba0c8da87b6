/** Request bodies: bytes → JSON, with a reason for whatever is not. */
import {isUtf8} from 'node:buffer'
import {parseJson} from '../catalogue/json-text.js'
import {Problem} from '../errors.js'
import {ApiError} from './api-error.js'

const empty = 'The body is empty; it must be a JSON object.'

/** @throws ApiError 400 */
export function parseBody(bytes: unknown): unknown {
  if (!Buffer.isBuffer(bytes) || bytes.length === 0)
    throw new ApiError(400, empty, {code: 'invalid_json'})
  if (!isUtf8(bytes)) {
    throw new ApiError(400, 'The body is not valid UTF-8.', {code: 'invalid_encoding'})
  }
  const text = bytes.toString()
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new ApiError(400, whyNotJson(text), {code: 'invalid_json'})
  }
  const twice = duplicateKey(text)
  if (twice === undefined) return body
  throw new ApiError(400, `The body has the key "${twice}" twice.`, {
    code: 'invalid_json',
    param: twice,
  })
}

function whyNotJson(text: string): string {
  if (text.trim() === '') return empty
  try {
    parseJson(text, 'body', 'TRACE_BAD_VALUE')
  } catch (error) {
    if (error instanceof Problem) return `The ${error.message}`
  }
  return 'The body is not valid JSON.'
}

const quote = 34
const backslash = 92

/** Where the string that begins at `start` ends; the text is valid JSON. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    at = text.indexOf('"', at)
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return at
  }
}

/**
 * A key that an object of valid JSON has twice. JSON.parse keeps the last one, so a client would get an answer to
 * something else than what it may have meant. Jumps over strings, so texts cost next to nothing.
 */
export function duplicateKey(text: string): string | undefined {
  /** Keys of the objects around the place; undefined: an array. */
  const around: (Set<string> | undefined)[] = []
  let keys: Set<string> | undefined
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      const end = stringEnd(text, at)
      const key = text.slice(at + 1, end)
      at = end
      if (keys === undefined || !isFollowedByColon(text, end + 1)) continue
      if (keys.has(key)) return key
      keys.add(key)
    } else if (code === 123) {
      around.push(keys)
      keys = new Set()
    } else if (code === 91) {
      around.push(keys)
      keys = undefined
    } else if (code === 125 || code === 93) keys = around.pop()
  }
  return undefined
}

function isFollowedByColon(text: string, from: number): boolean {
  let at = from
  while (text.charCodeAt(at) <= 32) at++
  return text.charCodeAt(at) === 58
}
