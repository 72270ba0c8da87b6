/** A trace in parts is the trace, and what cannot come in parts is one part or says so. */
import {expect} from 'chai'
import {factsOf, NeedsWholeTrace, partRows, type TracePart} from '#llmsim/trace/parts.js'
import {type ReadOptions, readTrace, readTraceParts} from '#llmsim/trace/read.js'
import {scratch} from './files.js'

const rows = 3 * partRows
/** Rows of CSV behind a header; `cells` gets the number of a row. */
const csv = (header: string, cells: (row: number) => string, count = rows): string =>
  [header, ...Array.from({length: count}, (_, row) => cells(row)), ''].join('\n')

async function partsOf(path: string | string[], options?: ReadOptions): Promise<TracePart[]> {
  const parts: TracePart[] = []
  for await (const part of readTraceParts([path].flat(), options)) parts.push(part)
  return parts
}

/** The columns of parts, one behind the other. */
const joined = (parts: readonly TracePart[]) =>
  parts.flatMap(({trace}) =>
    Array.from({length: trace.length}, (_, row) => [
      trace.arrivedAt[row],
      trace.inputTokens[row],
      trace.outputTokens[row],
      trace.priority?.[row],
      trace.model?.names[trace.model.codes[row]!],
      trace.prefix?.ids.subarray(trace.prefix.offsets[row], trace.prefix.offsets[row + 1]).join(),
      trace.prefix?.knownTokens[row],
      trace.cancelledAt?.[row],
    ]),
  )

const isWhole = (parts: readonly TracePart[]): boolean =>
  parts.length === 1 && parts[0]!.place === 'last'

describe('a trace in parts', function () {
  this.timeout(60_000)
  const file = scratch()

  for (const [name, header, cells] of [
    ['plain', 'arrived_at,input_tokens,output_tokens', (row) => `${row / 8},${1 + (row % 900)},7`],
    [
      'with quotes, labels, prefixes and cancels',
      'arrived_at,input_tokens,output_tokens,model,priority,prefix_group,prefix_tokens,cancelled_at',
      (row) =>
        `${row / 8},100,${1 + (row % 9)},"m,${row % 3}",${row % 5},g${row % 7},${row % 2 ? 64 : 32},${row % 11 ? '' : row / 8 + 1}`,
    ],
    [
      'of calendar times',
      'TIMESTAMP,ContextTokens,GeneratedTokens',
      (row) =>
        `2023-11-16 ${String(18 + Math.floor(row / 36_000)).padStart(2, '0')}:${String(Math.floor(row / 600) % 60).padStart(2, '0')}:${String(Math.floor(row / 10) % 60).padStart(2, '0')}.${row % 10}000000,5,6`,
    ],
  ] as const satisfies readonly (readonly [string, string, (row: number) => string])[])
    it(`${name}: has the same rows in the same order`, async () => {
      const path = file(`${name}.csv`, csv(header, cells))
      const parts = await partsOf(path)
      const whole = await readTrace([path])
      expect(parts.length).greaterThan(1)
      expect(parts.map(({place}) => place)).deep.equal([
        ...Array(parts.length - 1).fill('more follows'),
        'last',
      ])
      expect(joined(parts)).deep.equal(joined([{trace: whole, place: 'last'}]))
    })

  it('of JSON lines, and over several files', async () => {
    const line = (row: number) =>
      JSON.stringify({
        timestamp: 100 * row,
        input_length: 600,
        output_length: 3,
        hash_ids: [1, row],
      })
    const make = (name: string, from: number) =>
      file(name, Array.from({length: rows / 2}, (_, i) => `${line(from + i)}\n`).join(''))
    const paths = [make('a.jsonl', 0), make('b.jsonl', rows / 2)]
    const parts = await partsOf(paths)
    expect(parts.length).greaterThan(1)
    expect(joined(parts)).deep.equal(joined([{trace: await readTrace(paths), place: 'last'}]))
  })

  it('is one part where it is short', async () => {
    const path = file(
      'short.csv',
      csv('arrived_at,input_tokens,output_tokens', (i) => `${i},1,1`, 9),
    )
    expect(isWhole(await partsOf(path))).equal(true)
  })

  it('is one part where rows depend on others', async () => {
    const sessions = csv(
      'arrived_at,input_tokens,output_tokens,session_id,think_time_s',
      (row) => `${row % 2 ? '' : row},9,9,s${row >> 1},${row % 2 ? 3 : ''}`,
    )
    const ids = csv(
      'arrived_at,input_tokens,output_tokens,request_id',
      (row) => `${row},9,9,r${row}`,
    )
    const early = csv(
      'arrived_at,input_tokens,output_tokens',
      (row) => `${row === 5 ? 0 : row},9,9`,
    )
    for (const [name, text] of Object.entries({sessions, ids, early}))
      expect(isWhole(await partsOf(file(`${name}.csv`, text))), name).equal(true)
    const plain = file(
      'whole.csv',
      csv('arrived_at,input_tokens,output_tokens', (i) => `${i},1,1`),
    )
    for (const options of [{limit: rows - 1}, {rate: 3}, {from: 1}, {to: 9e9}, {timeScale: 2}])
      expect(isWhole(await partsOf(plain, options)), Object.keys(options)[0]).equal(true)
  })

  it('is one part where that shows before the first part was given', async () => {
    const second = csv('arrived_at,input_tokens,output_tokens,model', (row) =>
      row === partRows + 20_000 ? '4,9,9,m' : `${row}.00000000000000000000,900,900,m`,
    )
    const path = file('second.csv', second)
    expect(isWhole(await partsOf(path))).equal(true)
  })

  it('says so when that shows too late', async () => {
    const late = csv('arrived_at,input_tokens,output_tokens', (row) =>
      row === rows - 9 ? '4,9,9' : `${row}.000000000,900,900`,
    )
    const given: TracePart[] = []
    let error: unknown
    try {
      for await (const part of readTraceParts([file('late.csv', late)])) given.push(part)
    } catch (thrown) {
      error = thrown
    }
    expect(error).instanceOf(NeedsWholeTrace)
    expect(given.length).greaterThan(0)
  })

  it('names the line of a fault in a later part', async () => {
    const text = csv('arrived_at,input_tokens,output_tokens', (row) =>
      row === rows - 2 ? `${row},0,9` : `${row},9,9`,
    )
    const path = file('fault.csv', text)
    const message = (read: () => Promise<unknown>) =>
      read().then(
        () => '',
        (error: Error) => error.message,
      )
    expect(await message(() => partsOf(path))).equal(await message(() => readTrace([path])))
    expect(await message(() => partsOf(path))).match(new RegExp(`fault.csv:${rows}:`))
  })

  it('adds up to the facts of the whole', async () => {
    const path = file(
      'facts.csv',
      csv('arrived_at,input_tokens,output_tokens', (i) => `${i},3,4`),
    )
    expect(factsOf(await readTrace([path]))).deep.equal({
      length: rows,
      inputTokens: 3 * rows,
      outputTokens: 4 * rows,
      format: 'llmsim',
      notes: [],
      hasAdapters: false,
      models: [],
      guides: [],
    })
  })

  it('knows which models the rows of all parts ask for, in order', async () => {
    const names = ['b', 'a', '', 'c']
    const path = file(
      'models.csv',
      csv(
        'arrived_at,input_tokens,output_tokens,model',
        (i) => `${i},3,4,${names[Math.floor((4 * i) / rows)]}`,
      ),
    )
    expect(factsOf(await readTrace([path])).models).deep.equal(['b', 'a', 'c'])
  })
})
