/**
 * JSONL of LLMServingSim (KAIST): nanoseconds, lengths and optional token ids; a line with
 * `sub_requests` is a session whose calls follow each other, a tool's time apart.
 */
import {Problem} from '../../errors.js'
import {blockTokens, idsOfTokens} from '../block-ids.js'
import {clearDraft, type Draft, emptyDraft} from '../draft.js'
import {KnownKeys} from '../json-keys.js'
import {required, wholeNumbers} from '../json-reader.js'
import {durationOf, nameOf, refuse, timeOf, wholeNumber} from '../spot.js'
import type {Trace} from '../trace.js'
import type {JsonLinesFormat, JsonObject, JsonRow, ReadContext} from './format.js'
import {lostBy} from './lost.js'

const callKeys = [
  'input_toks',
  'output_toks',
  'input_tok_ids',
  'output_tok_ids',
  'tool_duration_ns',
]
const keys = ['arrival_time_ns', 'sub_requests', 'session_id', ...callKeys]

export const llmservingsim: JsonLinesFormat = {
  name: 'llmservingsim',
  looks: 'JSONL with input_toks, output_toks, arrival_time_ns (or sub_requests)',
  kind: 'jsonl',
  keys,
  recognises: (head) =>
    head.kind === 'json' &&
    (head.keys.includes('input_toks') || head.keys.includes('sub_requests')),
  reader: (context) => {
    const draft = emptyDraft()
    const known = new KnownKeys(llmservingsim.name, keys, context.builder)
    // It numbers requests in the order of the file, a session's calls in a row.
    context.builder.keepFileOrderIds()
    return (row) => {
      known.check(row)
      if (row.object.sub_requests !== undefined) addSession(row, draft, {...context, known})
      else {
        clearDraft(draft)
        arrival(row, draft)
        addCall(row, draft, context)
      }
    }
  },
  write: (trace) => ({
    lost: lostBy(trace, ['session', 'turn', 'thinkTime']),
    lines: lines(trace),
  }),
}

const arrival = (row: JsonRow, draft: Draft): void => {
  timeOf(required(row, 'arrival_time_ns'), row.spot('arrival_time_ns'), 9, draft.arrival)
}

function addCall(row: JsonRow, draft: Draft, context: ReadContext): void {
  const least = context.failed === 'drop' ? 0 : 1
  draft.input = wholeNumber(required(row, 'input_toks'), row.spot('input_toks'), 1)
  draft.output = wholeNumber(required(row, 'output_toks'), row.spot('output_toks'), least)
  if (draft.output === 0) {
    const why = 'without output tokens'
    context.leftOut.set(why, (context.leftOut.get(why) ?? 0) + 1)
    return
  }
  const prompt = wholeNumbers(row, 'input_tok_ids')
  if (prompt !== undefined) {
    const whole = prompt.length === draft.input
    const answer = whole ? (wholeNumbers(row, 'output_tok_ids') ?? []).slice(0, draft.output) : []
    if (!whole)
      context.builder.note(
        `${context.file}: some token id lists are not as long as their prompts; only ids that lie in the prompt count.`,
      )
    draft.ids = idsOfTokens([...prompt.slice(0, draft.input), ...answer])
    draft.span = draft.ids.length > 0 ? blockTokens : 0
  }
  context.builder.add(draft, row.line)
}

function addSession(
  row: JsonRow,
  draft: Draft,
  context: ReadContext & {readonly known: KnownKeys},
): void {
  const {builder, file, known} = context
  const calls = row.object.sub_requests
  if (!Array.isArray(calls)) refuse(row.spot('sub_requests'), calls, 'it must be an array of calls')
  const given = row.object.session_id
  const name =
    given === undefined ? builder.freeSessionName() : nameOf(given, row.spot('session_id'))
  if (builder.hasSession(name)) {
    throw new Problem(
      'TRACE_DUPLICATE_ID',
      `${file}:${row.line}: session_id "${name}" is already used by a line before; every session needs its own.`,
    )
  }
  if (calls.length === 0) builder.note(`${file}: sessions without calls were left out.`)
  let pause = 0
  for (const [i, value] of (calls as readonly unknown[]).entries()) {
    const call = callRow(row, value, i)
    known.check(call)
    clearDraft(draft)
    draft.session = name
    draft.turn = i
    if (i === 0) arrival(row, draft)
    else draft.think = pause
    addCall(call, draft, context)
    pause = durationOf(call.object.tool_duration_ns ?? 0, call.spot('tool_duration_ns'), 9)
  }
}

function callRow(row: JsonRow, value: unknown, i: number): JsonRow {
  if (typeof value !== 'object' || value === null)
    refuse(row.spot(`sub_requests[${i}]`), value, 'it must be an object')
  return {
    object: value as JsonObject,
    line: row.line,
    spot: (key) => row.spot(`sub_requests[${i}].${key}`),
  }
}

interface Call {
  readonly input_toks: number
  readonly output_toks: number
  tool_duration_ns?: number
}

/** A turn with its own arrival begins a line; the turns that it releases follow in the same line. */
function* lines(trace: Trace): Generator<string> {
  const {session, thinkTime, arrivedAt} = trace
  const chains = new Map<number, number[]>()
  const open = new Map<number, number[]>()
  for (let i = 0; i < trace.length; i++) {
    const code = session?.codes[i] ?? -1
    if (Number.isNaN(arrivedAt[i]!)) open.get(code)!.push(i)
    else {
      const chain = [i]
      chains.set(i, chain)
      if (code >= 0) open.set(code, chain)
    }
  }
  const names = new Set<string>()
  for (const [first, chain] of chains) {
    const calls = chain.map(
      (row): Call => ({
        input_toks: trace.inputTokens[row]!,
        output_toks: trace.outputTokens[row]!,
      }),
    )
    const time = {arrival_time_ns: arrivedAt[first]}
    const code = session?.codes[first] ?? -1
    if (code < 0 || (chain.length === 1 && names.has(session!.names[code]!))) {
      yield JSON.stringify({...calls[0], ...time})
      continue
    }
    for (let k = 1; k < chain.length; k++) calls[k - 1]!.tool_duration_ns = thinkTime![chain[k]!]!
    let name = session!.names[code]!
    while (names.has(name)) name += '+'
    names.add(name)
    yield JSON.stringify({session_id: name, ...time, sub_requests: calls})
  }
}
