import {expect} from 'chai'
import fc from 'fast-check'
import {readTrace} from '#llmsim/trace/read.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {scratch, sum} from './files.js'

const header = 'arrived_at,input_tokens,output_tokens'

describe('CSV traces', () => {
  const file = scratch()
  const read = (text: string | Uint8Array, options = {}): Promise<Trace> =>
    readTrace([file('t.csv', text)], options)

  it('reads CRLF, a BOM, blank lines, blanks around cells and no newline at the end', async () => {
    const trace = await read(`\ufeff\r\n${header}\r\n0, 1 ,2\r\n\r\n1.5,3,4\r\n2,5,6`)
    expect([...trace.arrivedAt]).deep.equal([0, 1.5e9, 2e9])
    expect([...trace.inputTokens]).deep.equal([1, 3, 5])
    expect([...trace.outputTokens]).deep.equal([2, 4, 6])
  })

  it('reads quoted cells, with delimiters, quotes and line breaks in them', async () => {
    const trace = await read(
      `"arrived_at","input_tokens","output_tokens","note"\n"0","1","2","a, ""b""\nc"\n"1","3","4",""\n`,
    )
    expect([...trace.inputTokens]).deep.equal([1, 3])
    expect([...trace.extra!]).deep.equal([['note', ['a, "b"\nc', '']]])
  })

  it('reads a quote that comes long after the sampled head', async () => {
    const rows = Array.from({length: 30_000}, (_, i) => `${i},1,2`)
    rows.push('"30000","7","2"', '30001,8,2')
    const trace = await read(`${header}\n${rows.join('\n')}\n`)
    expect(trace.length).equal(30_002)
    expect(sum(trace.inputTokens)).equal(30_015)
  })

  it('reads numbers in exponents, whose hyphen stands where that of a year does', async () => {
    const header = 'arrived_at,input_tokens,output_tokens,cancelled_at'
    const {arrivedAt, cancelledAt} = await read(`${header}\n1.2e-05,1,2,1.5e-01\n1.5e-05,3,4,\n`)
    expect([arrivedAt[1]! - arrivedAt[0]!, cancelledAt![0]! - arrivedAt[0]!]).deep.equal([
      3000, 149_988_000,
    ])
  })

  it('reads calendar times, as logs have them, in a column without a unit', async () => {
    const trace = await read(
      `timestamp,input_tokens,output_tokens,cancelled_at\n2024-02-28T23:59:59Z,1,2,\n"2024-02-29 00:00:00.25",3,4,2024-02-29 00:00:02\n2024-02-29T02:00:01+01:30,5,6,\n`,
    )
    expect([...trace.arrivedAt]).deep.equal([0, 1.25e9, 1802e9])
    expect([...trace.cancelledAt!]).deep.equal([Number.NaN, 3e9, Number.NaN])
    const bad = (cell: string, name = 'arrived_at') =>
      read(`${name},input_tokens,output_tokens\n${cell},1,2\n`).catch(String)
    expect(await bad('2024-02-30 00:00:00')).match(
      /t\.csv:2:1: arrived_at is "2024-02-30 00:00:00": it must be a time like 2023-11-16 18:15:46/,
    )
    expect(await bad('2024-02-28 00:00:00', 'arrived_at_ms')).match(
      /it must be a number of milliseconds/,
    )
  })

  it('goes on after single lines that are not plain, and still names the right place', async () => {
    const odd = ['1.0000000000000000001,1,2', '+2, 1 ,2', '', '3.,1,2', '"4","1",2', '5e0,1,2']
    const rows = odd.flatMap((line, i) => [`${i}.5,3,4`, line])
    const trace = await read(`${header}\n${rows.join('\n')}\n9,3,4`)
    expect([...trace.arrivedAt].map((at) => at / 1e9)).deep.equal([
      0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 9,
    ])
    const bad = await read(`${header}\n${rows.slice(0, 8).join('\n')}\n9,3,x\n`).catch(String)
    expect(bad).match(/t\.csv:10:5: .*"x"/)
    const unquoted = odd.filter((line) => !line.includes('"'))
    const worse = await read(`${header}\n0,1,2\n${unquoted.join('\n')}\n6,1,2\n7,0,2\n`).catch(
      String,
    )
    expect(worse).match(/t\.csv:9:3: /)
  })

  it('counts the failed requests among plain rows once', async () => {
    const rows = Array.from({length: 6}, (_, i) => `${i},1,${i % 2}`)
    const trace = await read(`${header}\n${rows.join('\n')}\n`, {failed: 'drop'})
    expect(trace.length).equal(3)
    expect(trace.notes).lengthOf(1)
    expect(trace.notes[0]).match(/3 rows without output tokens/)
  })

  it('reads semicolons and tabs, and columns in any order under other names', async () => {
    const semicolons = await read('output_len;prompt_len;arrival_time\n2;1;0.5\n')
    expect([...semicolons.arrivedAt, ...semicolons.inputTokens]).deep.equal([0.5e9, 1])
    const tabs = await read('completion_tokens\tPrompt_Tokens\ttimestamp\n2\t1\t0.5\n')
    expect([...tabs.arrivedAt, ...tabs.inputTokens]).deep.equal([0.5e9, 1])
  })

  it('takes the unit of a time from the end of its name', async () => {
    for (const [unit, value] of [
      ['s', '1.5'],
      ['ms', '1500'],
      ['us', '1500000'],
      ['ns', '1500000000'],
    ]) {
      const trace = await read(`arrival_${unit},input_tokens,output_tokens\n${value},1,1\n`)
      expect([...trace.arrivedAt], unit).deep.equal([1.5e9])
    }
  })

  it('maps columns by flag, by short and by long names', async () => {
    const text = 'ts_ms,prompt,gen,who\n250,7,8,x\n'
    const columns = new Map([
      ['arrival', 'ts_ms'],
      ['input_tokens', 'prompt'],
      ['output', 'gen'],
      ['session', 'who'],
    ])
    const trace = await read(text, {columns})
    expect([...trace.arrivedAt, ...trace.inputTokens, ...trace.outputTokens]).deep.equal([
      0.25e9, 7, 8,
    ])
    expect(trace.session!.names).deep.equal(['x'])
  })

  it('sorts rows stably, with one note', async () => {
    const trace = await read(`${header}\n2,1,1\n1,2,1\n2,3,1\n1,4,1\n`)
    expect([...trace.inputTokens]).deep.equal([2, 4, 1, 3])
    expect(trace.notes).deep.equal(['rows were not in order of arrival and have been sorted.'])
  })

  it('keeps turns behind the turn that releases them when it sorts', async () => {
    const text =
      'arrived_at,input_tokens,output_tokens,session_id,think_time_s\n' +
      '9,1,1,a,\n5,2,1,b,\n,3,1,a,1\n,4,1,b,1\n7,5,1,c,\n'
    const trace = await read(text)
    expect([...trace.inputTokens]).deep.equal([2, 5, 1, 3, 4])
    const before = (turn: number, first: number): boolean =>
      trace.inputTokens.indexOf(first) < trace.inputTokens.indexOf(turn)
    expect(before(3, 1) && before(4, 2)).equal(true)
  })

  it('says where times stop to be exact to the nanosecond', async () => {
    const head = 'arrived_at,input_tokens,output_tokens\n'
    const short = await read(`${head}0,1,1\n9007199,1,1\n`)
    const long = await read(`${head}0,1,1\n9007200,1,1\n`)
    expect(short.notes).deep.equal([])
    expect(long.notes).deep.equal([
      'times more than 104 days after the start are no longer exact to the nanosecond.',
    ])
  })

  it('counts calendar times from the first, to the nanosecond', async () => {
    const seconds = await read(`${header}\n1760428436.000000001,1,1\n1760428437.5,1,1\n`)
    expect([...seconds.arrivedAt]).deep.equal([0, 1_499_999_999])
    const nanos = await read(
      'arrived_at_ns,input_tokens,output_tokens\n1760428436442742123,1,1\n1760428436442742124,1,1\n',
    )
    expect([...nanos.arrivedAt]).deep.equal([0, 1])
  })

  it('rounds below a nanosecond, half up, and reads exponents', async () => {
    const times = ['0.00000000049', '0.0000000005', '0.00000000149', '2e-9', '1.9999999996']
    const trace = await read(`${header}\n${times.map((time) => `${time},1,1\n`).join('')}`)
    expect([...trace.arrivedAt]).deep.equal([0, 1, 1, 2, 2e9])
  })

  it('passes over the line in which Excel names the separator', async () => {
    for (const first of ['sep=;', '"sep=;"', 'SEP=;\r']) {
      const text = `${first}\n${header.replaceAll(',', ';')}\n0;1;1\n2;5;1\n`
      expect([...(await read(text)).inputTokens]).deep.equal([1, 5])
    }
    const wrong = read(`sep=,\n${header}\n0,1,1\n2,no,1\n`)
    expect(await wrong.catch(({message}: Error) => message)).match(/:4:3: input_tokens is "no"/)
  })

  it('drops failed requests when it is told to', async () => {
    const trace = await read(`${header}\n0,1,1\n1,5,0\n2,1,1\n`, {failed: 'drop'})
    expect(trace.length).equal(2)
    expect(trace.notes[0]).match(/1 row without output tokens/)
  })

  it('leaves out a line that is still being recorded, when it is told to', async () => {
    const trace = await read(`${header}\n0,1,1\n1,12,3`, {torn: 'drop'})
    expect([...trace.inputTokens]).deep.equal([1])
  })

  it('reads the same on the fast way and on the general one', async () => {
    const digits = fc.nat(999_999_999)
    const time = fc.oneof(
      digits.map(String),
      fc.tuple(fc.nat(9_999_999), digits).map(([a, b]) => `${a}.${b}`),
      fc.tuple(fc.nat(99), fc.nat(9)).map(([a, b]) => `${a}e-${b}`),
      fc.constantFrom('0', '007', '1.', '.5', '0.1234567895', '1.9999999996', '+3'),
    )
    const tokens = fc.oneof(fc.integer({min: 1, max: 2 ** 31 - 1}).map(String), fc.constant('12.0'))
    const row = fc.tuple(time, tokens, tokens, fc.constantFrom('\n', '\r\n', '\n\n'))
    const unit = fc.constantFrom('s', 'ms', 'us', 'ns')
    await fc.assert(
      fc.asyncProperty(unit, fc.array(row, {minLength: 1, maxLength: 20}), async (suffix, rows) => {
        const body = rows.map(([a, b, c, end]) => `${a},${b},${c}${end}`).join('')
        const text = `arrival_${suffix},input_tokens,output_tokens\n${body}`
        // A file that one way refuses (calendar times among others), the other refuses alike.
        const outcome = (way: 'fastest' | 'general'): Promise<unknown> =>
          read(text, {csvWay: way}).catch((error: Error) => error.message)
        expect(await outcome('fastest')).deep.equal(await outcome('general'))
      }),
      {numRuns: 150},
    )
  })

  it('reads the same calendar times on both ways', async () => {
    const part = (min: number, max: number): fc.Arbitrary<string> =>
      fc.integer({min, max}).map((n) => String(n).padStart(2, '0'))
    const stamp = fc
      .tuple(part(2023, 2025), part(1, 12), part(1, 28), part(0, 23), part(0, 59), part(0, 59))
      .map(([y, mo, d, h, mi, s]) => `${y}-${mo}-${d} ${h}:${mi}:${s}`)
    const tail = fc.constantFrom('', '.5', '.6805900', '.123456789', '+00:00', '.25+02:00', 'Z')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(stamp, tail), {minLength: 1}), async (stamps) => {
        const rows = stamps.map(([time, end], i) => `${time}${end},${i + 1},1\n`)
        const text = `TIMESTAMP,ContextTokens,GeneratedTokens\n${rows.join('')}`
        const fast = await read(text)
        expect(fast).deep.equal(await read(text, {csvWay: 'general'}))
        // The language's own calendar agrees.
        const iso = stamps.map(([time, end]) =>
          Date.parse(`${time.replace(' ', 'T')}${/Z|\+/.test(end) ? end : `${end}Z`}`),
        )
        const span = Math.max(...iso) - Math.min(...iso)
        expect(Math.abs(fast.arrivedAt.at(-1)! / 1e6 - span)).lessThan(1.001)
      }),
      {numRuns: 60},
    )
  })
})
