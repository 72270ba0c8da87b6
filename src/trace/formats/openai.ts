/**
 * JSONL of a gateway: one answer of OpenAI's API a line, as proxies log them, of which `created` and `usage` are read; or
 * LiteLLM's logging payload, with `startTime` and the counts at its top.
 */
import {clearDraft, emptyDraft} from '../draft.js'
import {KnownKeys, refuseSlip} from '../json-keys.js'
import {nameOf, refuse, timeOf, wholeNumber} from '../spot.js'
import {parseDateTime, type TimeParts} from '../time-parts.js'
import type {JsonLinesFormat, JsonObject, JsonRow, LineReader, ReadContext} from './format.js'

/** When it came; the first of them that a line has. */
const times = ['startTime', 'created', 'created_at'] as const
const inputs = ['prompt_tokens', 'input_tokens'] as const
const outputs = ['completion_tokens', 'output_tokens'] as const

/** What proxies say of a request that failed. */
const ofFailures = ['error', 'exception', 'status', 'model']

const keys = [...times, ...inputs, ...outputs, 'usage', 'model', 'id']

/** From here on a number is in milliseconds since 1970, and from there on in something finer. */
const [milliseconds, finer] = [1e11, 1e14]

export const openai: JsonLinesFormat = {
  name: 'openai',
  looks: "JSONL with created and usage, as gateways log OpenAI's answers",
  kind: 'jsonl',
  keys,
  recognises: ({kind, ...head}) => {
    if (kind !== 'json' || !('keys' in head)) return false
    const has = (name: string): boolean => head.keys.includes(name)
    // The texts of an answer may be so long that its usage lies behind what was looked at.
    const isAnswer = has('usage') || (has('created') && (has('choices') || has('object')))
    // A log may begin with requests that failed.
    const isFailure = times.some(has) && ofFailures.some(has)
    return isAnswer || isFailure || (inputs.some(has) && outputs.some(has))
  },
  reader: (context) => new Answers(context).reader(),
}

/** What is kept of a line until its neighbours are known. */
interface Answer {
  readonly at: TimeParts
  readonly input: number
  readonly output: number
  readonly model: string | undefined
  readonly id: string | undefined
  readonly line: number
}

class Answers {
  readonly #context: ReadContext
  readonly #known: KnownKeys
  readonly #answers: Answer[] = []
  /** Unit of the first time, and where it stands: all must have the same. */
  #unit: {readonly name: string; readonly line: number} | undefined
  #areWhole = true
  /** Prompt tokens of all, and those of them that a cache had. */
  #prompts = 0
  #cached = 0

  constructor(context: ReadContext) {
    this.#context = context
    this.#known = new KnownKeys(openai.name, keys, context.builder, 'passed over')
  }

  reader(): LineReader {
    return Object.assign((row: JsonRow) => this.#take(row), {end: () => this.#end()})
  }

  #take(row: JsonRow): void {
    this.#known.check(row)
    const least = this.#context.failed === 'drop' ? 0 : 1
    const counts = this.#countsOf(row)
    if (counts === undefined) {
      this.#leaveOut('without usage')
      return
    }
    if (outputs.every((name) => counts.object[name] == null))
      refuse(counts.spot(outputs[0]), undefined, 'it must be a whole number', [
        `an embedding has none, and is no load of this model: jq -c 'select(.object != "list")' FILE`,
      ])
    const output = tokens(counts, outputs, least)
    if (output === 0) {
      this.#leaveOut('without output tokens')
      return
    }
    const {model, id} = row.object
    const input = tokens(counts, inputs, 1)
    this.#prompts += input
    this.#cached += Math.min(input, cachedOf(counts.object))
    this.#answers.push({
      at: this.#timeOf(row),
      input,
      output,
      model: model == null ? undefined : nameOf(model, row.spot('model')),
      id: id == null ? undefined : nameOf(id, row.spot('id')),
      line: row.line,
    })
  }

  #leaveOut(why: string): void {
    const {leftOut} = this.#context
    leftOut.set(why, (leftOut.get(why) ?? 0) + 1)
  }

  /** The row that holds the counts; undefined where there is none and such rows are to be left out. */
  #countsOf(row: JsonRow): JsonRow | undefined {
    const {object} = row
    if (object.usage == null && inputs.some((name) => object[name] !== undefined)) return row
    const spot = row.spot('usage')
    if (object.usage == null) {
      if (this.#context.failed === 'drop') return undefined
      refuse(spot, object.usage, 'it must hold prompt_tokens and completion_tokens', [
        'leave such lines out with --drop-failed: failed requests, and all chunks of a stream but the last, have no usage',
      ])
    }
    if (typeof object.usage !== 'object' || Array.isArray(object.usage))
      refuse(spot, object.usage, 'it must be an object with prompt_tokens and completion_tokens')
    const inner = object.usage as JsonObject
    const where = (): string => row.spot('usage').where()
    for (const key of Object.keys(inner))
      refuseSlip(inner, key, {keys: [...inputs, ...outputs, 'total_tokens'], where})
    return {
      object: inner,
      line: row.line,
      spot: (key) => ({where, name: `usage.${key}`}),
    }
  }

  #timeOf(row: JsonRow): TimeParts {
    const key = times.find((name) => row.object[name] != null) ?? 'created'
    const spot = row.spot(key)
    const value = row.object[key]
    if (value == null)
      refuse(spot, value, 'it must be a number of seconds since 1970, or a calendar time', [
        "if the time has another name: jq -c '.created = .timestamp' FILE",
      ])
    const at = {seconds: Number.NaN, nanos: 0}
    const isDate = typeof value === 'string' && parseDateTime(at, value)
    const size = Number(value)
    if (!isDate && size >= finer)
      refuse(spot, value, 'it must be in seconds or milliseconds since 1970', [
        `jq -c '.${key} /= 1e6' FILE for microseconds`,
      ])
    const isMilli = !isDate && size >= milliseconds
    if (!isDate) timeOf(value, spot, isMilli ? 3 : 0, at)
    const unit = {name: isMilli ? 'milliseconds' : 'seconds', line: row.line}
    this.#unit ??= unit
    if (this.#unit.name !== unit.name)
      refuse(
        spot,
        value,
        `that is ${unit.name}, and line ${this.#unit.line} has ${this.#unit.name}`,
        [`jq -c 'if .${key} >= 1e11 then .${key} /= 1000 else . end' FILE`],
      )
    if (at.nanos !== 0) this.#areWhole = false
    return at
  }

  #end(): void {
    const {builder, file} = this.#context
    if (this.#areWhole) this.#spread()
    const share = Math.round((100 * this.#cached) / this.#prompts)
    if (share >= 1)
      builder.note(
        `${file}: ${share} % of the prompt tokens came from a cache (cached_tokens), but no line says which prefix they share, so every prompt is computed whole here: TTFT and load come out high.`,
      )
    const draft = emptyDraft()
    for (const {at, line, ...rest} of this.#answers) {
      clearDraft(draft)
      Object.assign(draft, rest)
      Object.assign(draft.arrival, at)
      builder.add(draft, line)
    }
  }

  /**
   * A time in whole seconds says only in which second a request came. Those of one second are spread evenly over it, in
   * the order of the file: all at its beginning would be a burst that nobody saw, and queues come from bursts.
   */
  #spread(): void {
    const seconds = new Map<number, Answer[]>()
    for (const answer of this.#answers) {
      const same = seconds.get(answer.at.seconds)
      if (same === undefined) seconds.set(answer.at.seconds, [answer])
      else same.push(answer)
    }
    let shared = 0
    for (const same of seconds.values()) {
      if (same.length === 1) continue
      shared += same.length
      for (const [i, {at}] of same.entries()) at.nanos = Math.floor((i * 1e9) / same.length)
    }
    if (shared === 0) return
    const {builder, file} = this.#context
    builder.note(
      `${file}: its times are whole seconds: ${shared} of ${this.#answers.length} requests share theirs with others and were spread evenly over it, in the order of the file, so bursts within a second are not there.`,
    )
  }
}

/** Prompt tokens that a cache had, as both APIs and vLLM say; 0 where nobody does. */
function cachedOf(counts: JsonObject): number {
  const details = counts.prompt_tokens_details ?? counts.input_tokens_details
  if (typeof details !== 'object' || details === null) return 0
  const cached = (details as JsonObject).cached_tokens
  return typeof cached === 'number' && cached > 0 ? cached : 0
}

/** The first of `names` that the row has. */
function tokens(row: JsonRow, names: readonly string[], least: number): number {
  const name = names.find((one) => row.object[one] !== undefined) ?? names[0]!
  return wholeNumber(row.object[name], row.spot(name), least)
}
