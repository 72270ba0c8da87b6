/**
 * JSONL of Mooncake (Moonshot AI): milliseconds, lengths, and `hash_ids`, one per 512 tokens of the
 * prompt; equal ids are equal prefixes. Also the sessions that Dynamo and aiperf add to it.
 */
import {derivedId} from '../block-ids.js'
import {clearDraft, emptyDraft} from '../draft.js'
import {GrowingFloats} from '../growing.js'
import {KnownKeys} from '../json-keys.js'
import {required, wholeNumbers} from '../json-reader.js'
import {reuseOf} from '../reuse.js'
import {durationOf, nameOf, refuse, timeOf, wholeNumber} from '../spot.js'
import type {PrefixColumn, Trace} from '../trace.js'
import type {JsonLinesFormat, JsonRow, ReadContext} from './format.js'
import {lostBy} from './lost.js'

const blockTokens = 512

const keys = ['timestamp', 'input_length', 'output_length', 'hash_ids', 'session_id', 'delay']

export const mooncake: JsonLinesFormat = {
  name: 'mooncake',
  looks: 'JSONL with timestamp, input_length, output_length, hash_ids',
  kind: 'jsonl',
  keys,
  recognises: (head) =>
    head.kind === 'json' &&
    head.keys.includes('input_length') &&
    head.keys.includes('output_length'),
  reader: (context) => {
    const draft = emptyDraft()
    const known = new KnownKeys(mooncake.name, keys, context.builder)
    return (row) => {
      known.check(row)
      clearDraft(draft)
      const least = context.failed === 'drop' ? 0 : 1
      draft.input = wholeNumber(required(row, 'input_length'), row.spot('input_length'), 1)
      draft.output = wholeNumber(required(row, 'output_length'), row.spot('output_length'), least)
      if (draft.output === 0) {
        const why = 'without output tokens'
        context.leftOut.set(why, (context.leftOut.get(why) ?? 0) + 1)
        return
      }
      const {session_id: session, delay} = row.object
      if (session !== undefined) draft.session = nameOf(session, row.spot('session_id'))
      if (delay !== undefined) draft.think = durationOf(delay, row.spot('delay'), 3)
      if (delay === undefined || row.object.timestamp !== undefined)
        timeOf(required(row, 'timestamp'), row.spot('timestamp'), 3, draft.arrival)
      const ids = idsOf(row, draft.input, context)
      if (ids) {
        draft.span = blockTokens
        draft.ids = ids
        // Names the prompt only, and a publisher may clamp it: what ids do not cover is unknown.
        draft.known = Math.min(draft.input, ids.length * blockTokens)
      }
      context.builder.add(draft, row.line)
    }
  },
  write: (trace) => {
    const prefix = trace.prefix && inBlocks(trace, trace.prefix)
    return {
      lost: lostBy(trace, ['session', 'thinkTime', 'prefix']),
      coarser: prefix ? sharedLess(trace, prefix) : [],
      lines: lines(trace, prefix),
    }
  },
}

function idsOf(row: JsonRow, input: number, {builder}: ReadContext): readonly number[] | undefined {
  const ids = wholeNumbers(row, 'hash_ids')
  if (ids === undefined || ids.length === 0) return undefined
  const most = Math.ceil(input / blockTokens)
  if (ids.length > most)
    refuse(
      row.spot('hash_ids'),
      `${ids.length} ids`,
      `a prompt of ${input} tokens has ${most} blocks of ${blockTokens}`,
    )
  // Publishers number the blocks of each file from 0: those of another file are other blocks.
  const file = builder.fileIndex
  return file === 0 ? ids : ids.map((id) => derivedId(file, id))
}

function* lines(trace: Trace, prefix: PrefixColumn | undefined): Generator<string> {
  const {session, thinkTime} = trace
  for (let i = 0; i < trace.length; i++) {
    const row: Record<string, unknown> = {}
    const time = trace.arrivedAt[i]!
    if (!Number.isNaN(time)) row.timestamp = time / 1e6
    row.input_length = trace.inputTokens[i]
    row.output_length = trace.outputTokens[i]
    if (prefix)
      row.hash_ids = Array.from(prefix.ids.subarray(prefix.offsets[i]!, prefix.offsets[i + 1]!))
    const code = session?.codes[i] ?? -1
    if (code >= 0) row.session_id = session!.names[code]
    const think = thinkTime?.[i] ?? Number.NaN
    if (!Number.isNaN(think)) row.delay = think / 1e6
    yield JSON.stringify(row)
  }
}

/** Ids of the prompts at 512 tokens: chained, so the id of the last part of a block stands for all of it. */
function inBlocks(trace: Trace, prefix: PrefixColumn): PrefixColumn {
  const keepIds = prefix.spanTokens === blockTokens
  const numbers = new Map<number, number>()
  const ids = new GrowingFloats()
  const offsets = new Float64Array(trace.length + 1)
  let free = 0
  const numberOf = (id: number | undefined): number => {
    if (keepIds && id !== undefined) return id
    if (id === undefined) return free++
    const known = numbers.get(id) ?? free++
    numbers.set(id, known)
    return known
  }
  for (let i = 0; i < trace.length; i++) {
    for (const id of blocksOf(trace, prefix, i)) ids.push(numberOf(id))
    offsets[i + 1] = ids.length
  }
  const knownTokens = trace.inputTokens.map((input, i) =>
    Math.min(input, (offsets[i + 1]! - offsets[i]!) * blockTokens),
  )
  return {spanTokens: blockTokens, offsets, ids: ids.toArray(), knownTokens}
}

/** The id that identifies each 512-token block of the prompt of row `i`; undefined where none does. */
function* blocksOf(
  trace: Trace,
  {spanTokens, offsets, ids, knownTokens}: PrefixColumn,
  i: number,
): Generator<number | undefined> {
  const input = trace.inputTokens[i]!
  const known = Math.min(knownTokens[i]!, input)
  for (let start = 0; start < input; start += blockTokens) {
    const end = Math.min(start + blockTokens, input)
    const at = offsets[i]! + Math.ceil(end / spanTokens) - 1
    if (spanTokens !== blockTokens)
      yield end <= known && end % spanTokens === 0 ? ids[at] : undefined
    else if (at < offsets[i + 1]!) yield ids[at]
    else return
  }
}

/** What blocks of that size no longer say: prefixes that end within one, and answers in later prompts. */
function sharedLess(trace: Trace, prefix: PrefixColumn): string[] {
  const percent = (of: Trace) => (100 * (reuseOf(of)?.prompt_share ?? 0)).toFixed(1)
  const [before, after] = [percent(trace), percent({...trace, prefix})]
  if (before === after) return []
  return [
    `mooncake tells shared prefixes in blocks of ${blockTokens} prompt tokens: ${after} % of the prompt tokens can be found in a cache, of ${before} % in the trace; llmsim keeps all of it.`,
  ]
}
