import {expect} from 'chai'
import fc from 'fast-check'
import type {Problem} from '#llmsim/errors.js'
import {TraceBuilder} from '#llmsim/trace/builder.js'
import {clearDraft, emptyDraft} from '#llmsim/trace/draft.js'
import {readTrace} from '#llmsim/trace/read.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {writeTrace} from '#llmsim/trace/write.js'
import {scratch} from './files.js'

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, {nil: undefined})

const text = fc.oneof(
  fc.constantFrom('a', 'b c', 'with,comma', 'with "quotes"', 'two\nlines', 'ünï', '-1'),
  fc.stringMatching(/^[a-z0-9]{1,8}$/),
)

const row = fc.record({
  gap: fc.integer({min: 0, max: 3e9}),
  input: fc.integer({min: 1, max: 5000}),
  output: fc.integer({min: 1, max: 5000}),
  model: maybe(text),
  adapter: maybe(fc.constantFrom('sql', 'a,b')),
  session: maybe(fc.constantFrom('s1', 's2', 's,3')),
  think: maybe(fc.integer({min: 0, max: 1e10})),
  priority: maybe(fc.integer({min: -5, max: 5})),
  predicted: maybe(fc.integer({min: 1, max: 9999})),
  patience: maybe(fc.integer({min: 0, max: 1e10})),
  group: maybe(fc.tuple(fc.constantFrom('g1', 'system prompt'), fc.integer({min: 1, max: 5000}))),
  hashes: fc.array(fc.integer({min: 0, max: Number.MAX_SAFE_INTEGER}), {maxLength: 8}),
  extra: text,
})

type Row = typeof row extends fc.Arbitrary<infer T> ? T : never

/** A trace of rows that may have anything: what does not fit together is left out of the row. */
function traceOf(rows: readonly Row[], span: number, ids: 'ids' | 'none'): Trace {
  const builder = new TraceBuilder()
  builder.beginFile('rows', 'llmsim')
  const draft = emptyDraft()
  const seen = new Map<string, number>()
  let time = 0
  for (const [i, item] of rows.entries()) {
    clearDraft(draft)
    time += item.gap
    const total = item.input + item.output
    Object.assign(draft, {...item, id: ids === 'ids' ? `id ${i}` : undefined})
    const turn = item.session === undefined ? undefined : (seen.get(item.session) ?? 0)
    if (item.session !== undefined) seen.set(item.session, turn! + 1)
    draft.turn = turn
    const released = (turn ?? 0) > 0 && item.think !== undefined
    draft.think = released ? item.think : undefined
    if (!released) {
      draft.arrival.seconds = Math.floor(time / 1e9)
      draft.arrival.nanos = time % 1e9
    }
    if (item.patience !== undefined) {
      draft.cancel.seconds = Math.floor((time + item.patience) / 1e9)
      draft.cancel.nanos = (time + item.patience) % 1e9
    }
    draft.group = item.group && item.group[1] <= total ? item.group[0] : undefined
    draft.groupTokens = draft.group === undefined ? undefined : String(item.group![1])
    if (draft.group === undefined && item.hashes.length > 0) {
      draft.ids = item.hashes.slice(0, Math.ceil(total / span))
      draft.span = span
      draft.known = Math.min(total, draft.ids.length * span)
    }
    builder.add(draft, i + 1)
    builder.addExtra('ttft_ms', item.extra)
  }
  return builder.finish()
}

describe('writing a trace', () => {
  const file = scratch()

  it('as ours and reading it gives the same trace, whatever is in it', async () => {
    const rows = fc.array(row, {minLength: 1, maxLength: 30})
    await fc.assert(
      fc.asyncProperty(
        rows,
        fc.constantFrom(16, 64, 512),
        fc.constantFrom('ids' as const, 'none' as const),
        async (items, span, ids) => {
          const trace = traceOf(items, span, ids)
          const path = file('t.csv')
          expect(await writeTrace(trace, path)).deep.equal([])
          const again = await readTrace([path])
          expect(again).deep.equal(trace)
        },
      ),
      {numRuns: 200},
    )
  })

  it('refuses a format that does not exist and a folder that cannot be made', async () => {
    const trace = traceOf([], 16, 'none')
    const problem = async (path: string, format: string): Promise<Problem> =>
      (await writeTrace(trace, path, format).catch((error) => error)) as Problem
    const unknown = await problem(file('t.csv'), 'parquet')
    expect(unknown.code).equal('FLAG_BAD_VALUE')
    expect(unknown.message).match(/^A trace cannot be written as "parquet"; it can be azure,/)
    const nowhere = await problem('/proc/no/such/t.csv', 'llmsim')
    expect(nowhere.code).equal('OUTPUT_NOT_WRITABLE')
    expect(nowhere.message).match(
      /^\/proc\/no\/such\/t\.csv cannot be written: nothing can be made there\.$/,
    )
  })
})
