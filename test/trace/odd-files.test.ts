/** Files that are no traces, or nearly: one line that says where, what, and what to do. */
import {gzipSync} from 'node:zlib'
import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import type {JsonFormat, ReadContext} from '#llmsim/trace/formats/format.js'
import {vllmBench} from '#llmsim/trace/formats/vllm-bench.js'
import {faultOfJson} from '#llmsim/trace/json-fault.js'
import {readJson} from '#llmsim/trace/json-reader.js'
import {readTrace} from '#llmsim/trace/read.js'
import {Source} from '#llmsim/trace/source.js'
import {scratch} from './files.js'

const head = 'arrived_at,input_tokens,output_tokens\n'
const noted = 'arrived_at,input_tokens,output_tokens,note\n0,1,1,a\n'
const mooncake = '{"timestamp": 0, "input_length": 10, "output_length": 5}'

const wrong: readonly [string, string | Uint8Array, RegExp, RegExp][] = [
  [
    'CR alone',
    `${head}0,1,1\n1,1,1\n`.replaceAll('\n', '\r'),
    /:1:38: the line ends with CR alone \(behind .{1,60}\);/,
    /tr '\\r' '\\n'/,
  ],
  [
    'a key twice in a line of JSON',
    `${mooncake}\n{"timestamp": 1, "input_length": 10, "output_length": 5, "input_length": 20}\n`,
    /:2: the key "input_length" is in the line twice/,
    /remove one of the two/,
  ],
  [
    'CR alone far behind',
    `${noted}${'0,1,1,a\n'.repeat(20_000)}0,1,1,a\rb\n`,
    /:20003:8: the line ends with CR alone \(behind 0,1,1,a\);/,
    /tr '\\r' '\\n'/,
  ],
  [
    'decimal commas between semicolons',
    `${head.replaceAll(',', ';')}0,5;100;10\n`,
    /:2:1: arrived_at is "0,5": decimals have a point, in all rows/,
    /tr ',' '\.' < \S+ > points\.csv/,
  ],
  [
    'decimal commas with three digits',
    `${head.replaceAll(',', ';')}0,125;100;10\n`,
    /arrived_at is "0,125": decimals have a point/,
    /points\.csv/,
  ],
  [
    'decimal commas behind thousands',
    `${head.replaceAll(',', ';')}1.000,5;100;10\n`,
    /:2:1: arrived_at is "1\.000,5": decimals have a point, and thousands nothing between them, in all rows/,
    /tr -d '\.' < \S+ \| tr ',' '\.' > points\.csv/,
  ],
  [
    'an open quote',
    `${noted}1,1,1,"oops\n2,1,1,x\n3,1,1,x\n`,
    /:3:7: the quote that opens here is not closed/,
    /double/,
  ],
  [
    'an open quote, and another later',
    `${noted}1,1,1,"oops\n2,1,1,"x"\n`,
    /:3:7: the quoted cell that opens here closes before 4:8, where/,
    /close the cell/,
  ],
  ['a quote in a cell', `${noted}1,1,1,a"b\n`, /:3:8: a quote stands inside a cell/, /double/],
  [
    'an open quote in the header',
    'arrived_at,"input_tokens,output_tokens\n0,1,1\n',
    /:1:12: the quote that opens here is not closed in the header/,
    /close/,
  ],
  [
    'a NUL far behind',
    `${head}${'0,1,1\n'.repeat(20_000)}0,\0,1\n`,
    /:20002:3: a NUL byte/,
    /tr -d/,
  ],
  ['UTF-16', Buffer.from(`\ufeff${head}`, 'utf16le'), /text in UTF-16/, /iconv -f UTF-16/],
  ['UTF-16 without a mark', Buffer.from(head, 'utf16le'), /text in UTF-16/, /iconv -f UTF-16/],
  [
    'Latin-1',
    Buffer.from(`${noted}1,1,1,M\u00fcller\n`, 'latin1'),
    /:3:8: the byte fc is not UTF-8/,
    /iconv -f LATIN1/,
  ],
  ['gzip', gzipSync(head), /compressed with gzip/, /gunzip/],
  ['zip', Buffer.from('PK\u0003\u0004....'), /a zip archive \(or an Excel workbook\)/, /CSV/],
  ['an empty file', '', /the file is empty/, /written/],
  [
    'a long line',
    `${head}0,1,${'5'.repeat(2_000_000)}`,
    /:2:5: output_tokens is "5{38}…: it must be at most/,
    /^$/,
  ],
  [
    'pipes',
    'arrived_at|input_tokens|output_tokens\n0|1|1\n',
    /:1:1: the cells of the header are separated by \|/,
    /commas/,
  ],
  [
    'another separator in a row',
    `${head}0;1;1\n`,
    /:2:1: the row has 1 cell where the header has 3/,
    /as the header does, with a comma/,
  ],
  [
    'decimals with a comma',
    `${head}0,5,1,1\n`,
    /:2:1: the row has 4 cells/,
    /decimals with a point/,
  ],
  [
    'decimals with a comma beside semicolons',
    'arrived_at;input_tokens;output_tokens\n0,5;1;1\n',
    /:2:1: arrived_at is "0,5"/,
    /tr ',' '\.' </,
  ],
  [
    'a comma at the end',
    `${head}0,1,1,\n`,
    /:2:1: the row has 4 cells/,
    /from the end of the rows/,
  ],
  [
    'thousands',
    `${head}0,"1,000",1\n`,
    /:2:3: input_tokens is "1,000"/,
    /without thousands separators: 1000/,
  ],
  [
    'thousands beside semicolons',
    'arrived_at;input_tokens;output_tokens\n0;1.000;1\n',
    /:2:3: input_tokens is "1\.000": it may be thousands or a fraction/,
    /1000 or 1/,
  ],
  [
    'what can only be thousands, beside semicolons',
    'arrived_at;input_tokens;output_tokens\n0;1.234;1\n',
    /:2:3: input_tokens is "1\.234": it may be thousands or a fraction/,
    /write 1234$/m,
  ],
  [
    'a date of a spreadsheet',
    `${head}11/16/2023 18:15,1,1\n`,
    /:2:1: arrived_at is "11\/16\/2023 18:15"/,
    /2023-11-16 18:15:46/,
  ],
  [
    'a date alone',
    `${head}2023-11-16,1,1\n`,
    /it must be a time like/,
    /to the second, with a zone/,
  ],
  [
    'a comma behind a line of JSON',
    `${mooncake},\n${mooncake}\n`,
    /:1:57: the line is not JSON: a comma follows the object/,
    /remove the comma/,
  ],
  [
    'a comma before a bracket',
    `${mooncake.replace('}', ',}')}\n`,
    /:1:57: .* a comma stands before }/,
    /remove/,
  ],
  ['NaN in JSON', `${mooncake.replace('0', 'NaN')}\n`, /:1:15: .*NaN is no JSON value/, /a number/],
  ['a JSON array', `[${mooncake}]`, /JSON array/, /jq -c '\.\[\]'/],
  [
    'an object over lines',
    '{\n"timestamp": 0, "input_length": 10, "output_length": 5}\n',
    /:1:2: the line ends in the middle/,
    /jq -c/,
  ],
]

describe('files that are no traces', () => {
  const file = scratch()
  for (const [what, content, says, tries] of wrong)
    it(`tells ${what}`, async () => {
      const error = (await readTrace([file('odd.csv', content)]).catch(
        (reason: unknown) => reason,
      )) as Problem
      expect(error).instanceOf(Problem)
      expect(error.message).match(says)
      expect(error.message).not.match(/[\n\r\0]/)
      expect(error.message.length).lessThan(1000)
      expect(error.suggestions.join('\n')).match(tries)
    })

  it('reads what only looks odd', async () => {
    for (const text of [
      '"a\rb",arrived_at,input_tokens,output_tokens\nx,0,1,1\n',
      `${head}0,12.0,1\n`,
      'arrived_at;input_tokens;output_tokens\n0.5;12.0;1\n',
      `${noted}1,1,1,"a ""b"""\n`,
      `${noted}1,1,1,\u00e9\ud83d\ude00\n`,
    ])
      expect((await readTrace([file('t.csv', text)])).length).greaterThan(0)
  })

  it('notes days of a spreadsheet, and times of which only some have a zone', async () => {
    const notes = async (text: string) => (await readTrace([file('t.csv', text)])).notes.join()
    expect(await notes(`${head}45246.7609,1,1\n45246.7610,1,1\n`)).match(/days of a spreadsheet/)
    expect(await notes(`${head}45246,1,1\n45250,1,1\n`)).equal('')
    const azure = 'TIMESTAMP,ContextTokens,GeneratedTokens\n'
    const [bare, zoned] = ['2024-05-10 10:00:00,1,1\n', '2024-05-10 10:00:01+00:00,1,1\n']
    expect(await notes(`${azure}${bare}${zoned}`)).match(
      /\(the first in line 2\) were read as UTC; others have one \(line 3\)/,
    )
    expect(await notes(`${azure}${zoned}${bare}`)).match(/\(the first in line 3\) .* \(line 2\)/)
    expect(await notes(`${azure}${bare}${bare}`)).not.match(/zone/)
    expect(await notes(`${azure}${zoned}`)).not.match(/zone/)
  })

  it('finds the fault of JSON where JSON.parse does', () => {
    const good = '{"a": [1, -2.5e3, "x\\"y", true, null], "b": {"c": []}}'
    for (let at = 1; at < good.length; at++)
      expect(faultOfJson(good.slice(0, at)).torn, good.slice(0, at)).equal(true)
    for (let at = 0; at < good.length; at++) {
      const broken = `${good.slice(0, at)}?${good.slice(at)}`
      try {
        JSON.parse(broken)
      } catch {
        expect(faultOfJson(broken).at, broken).at.most(broken.length)
      }
    }
  })

  it('bounds a line where lines are read, but not where a document is', () => {
    const path = file('long.json', `{"a": "${'x'.repeat(3e6)}"}`)
    const bytesOf = (longest: number): number => {
      const source = Source.open(path)
      try {
        let bytes = 0
        for (const {from, to} of source.lines(0, 'error', longest)) bytes += to - from
        return bytes
      } finally {
        source.close()
      }
    }
    expect(() => bytesOf(1e6)).throw(Problem, /a line of more than/)
    expect(bytesOf(Number.POSITIVE_INFINITY)).equal(3e6 + 9)
  })

  it('bounds a document by what a text can have', async () => {
    const source = Source.open(file('wide.json', `{\n${'"a": 1,\n'.repeat(400_000)}"b": 2}`))
    const format: JsonFormat = {...vllmBench, read: () => undefined}
    const context = {file: 'wide.json'} as ReadContext
    try {
      const outcome = await readJson(source, format, context, 2 ** 21).catch((error) => error)
      expect(outcome).instanceOf(Problem)
      expect(outcome.message).match(/^wide\.json: the JSON document is longer than 2 MiB/)
      expect(await readJson(source, format, context, 2 ** 22)).equal(undefined)
    } finally {
      source.close()
    }
  })
})
