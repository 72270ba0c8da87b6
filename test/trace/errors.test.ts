import {execFileSync} from 'node:child_process'
import {chmodSync, closeSync, mkdirSync, openSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {type ReadOptions, readTrace} from '#llmsim/trace/read.js'
import {fixture, root, scratch} from './files.js'

const head = 'arrived_at,input_tokens,output_tokens\n'
const mooncake = '{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}\n'
const flat = '{"input_toks": 10, "output_toks": 5, "arrival_time_ns": 0}\n'

interface Case {
  readonly what: string
  readonly name?: string
  readonly content: string | Uint8Array
  readonly code: string
  /** The message after the path of the file. */
  readonly says: string | RegExp
  readonly options?: ReadOptions
  readonly suggests?: RegExp
}

const whole = 'it must be a whole number of at least 1.'

const cases: readonly Case[] = [
  {
    what: 'a missing column',
    content: 'arrived_at,input_tokens,client\n0,1,2\n',
    code: 'TRACE_MISSING_COLUMN',
    says: /^:1: there is no column output_tokens \(or .*\); the file has arrived_at, input_tokens, client\.$/,
    suggests: /--columns output=NAME/,
  },
  {
    what: 'a trace of lengths without times',
    content: 'num_prefill_tokens,num_decode_tokens\n1,2\n',
    code: 'TRACE_MISSING_COLUMN',
    says: /^:1: there is no column arrived_at/,
  },
  {
    what: 'a mapped column that is not there',
    content: head,
    options: {columns: new Map([['input', 'prompt_len']])},
    code: 'TRACE_MISSING_COLUMN',
    says: ':1: --columns takes input_tokens from "prompt_len", which the file does not have; it has arrived_at, input_tokens, output_tokens.',
  },
  {
    what: 'a negative length',
    content: `${head}0,10,20\n1.5,-3,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: `:3:5: input_tokens is "-3": ${whole}`,
  },
  {
    what: 'a length of zero',
    content: `${head}0,10,0\n`,
    code: 'TRACE_BAD_VALUE',
    says: `:2:6: output_tokens is "0": ${whole}`,
    suggests: /--drop-failed/,
  },
  {
    what: 'NaN for a length',
    content: `${head}0,NaN,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: `:2:3: input_tokens is "NaN": ${whole}`,
  },
  {
    what: 'a fractional length',
    content: `${head}0,10,2.5\n`,
    code: 'TRACE_BAD_VALUE',
    says: `:2:6: output_tokens is "2.5": ${whole}`,
  },
  {
    what: 'a length past 2^30',
    content: `${head}0,10,3000000000\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2:6: output_tokens is "3000000000": it must be at most 1073741823.',
  },
  {
    what: 'an empty length',
    content: `${head}0,,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: `:2:3: input_tokens is empty: ${whole}`,
  },
  {
    what: 'an empty time',
    content: `${head},10,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2:1: arrived_at is empty: a row needs it unless it has a session and a think time.',
  },
  {
    what: 'a time that is no number',
    content: `${head}0,1,1\nnoon,10,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':3:1: arrived_at is "noon": it must be a number of seconds or a calendar time.',
  },
  {
    what: 'a negative time',
    content: `${head}-0.5,10,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2:1: arrived_at is "-0.5": a time must not be negative.',
  },
  {
    what: 'a calendar time that is none',
    content: 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-13-16 18:15:46.68,1,1\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:1: TIMESTAMP is "2023-13-16 18:15:46.68": it must be a time like 2023-11-16 18:15:46.6805900.',
  },
  {
    what: 'a day that its month does not have',
    content: 'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-02-29 18:15:46.68,1,1\n',
    code: 'TRACE_BAD_VALUE',
    says: /^:2:1: TIMESTAMP is "2023-02-29 18:15:46\.68": it must be a time like/,
  },
  {
    what: 'milliseconds since 1970 in a column of seconds',
    content: `${head}1760428436123,1,1\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2: a time of 1760428436123 s is no calendar time; the name of a column in another unit ends in it.',
    suggests: /arrived_at_ms/,
  },
  {
    what: 'a column that the header has twice',
    content: 'arrived_at,input_tokens,Input_Tokens,output_tokens\n0,1,2,3\n',
    code: 'TRACE_BAD_VALUE',
    says: ':1: the header has two columns of the name Input_Tokens.',
    suggests: /rename/,
  },
  {
    what: 'calendar times among times from a start',
    content: `${head}0,1,1\n1760428436,1,1\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':3: a time of 1760428436 s follows times counted from a start; a file must hold one kind.',
  },
  {
    what: 'a wrong value behind blank lines, CRLF and quotes',
    content:
      'note,arrived_at,input_tokens,output_tokens\r\n"three\nlines,\nquoted",0,1,1\r\n\r\n"a ""b"", c",1,x,1\r\n',
    code: 'TRACE_BAD_VALUE',
    says: `:6:16: input_tokens is "x": ${whole}`,
  },
  {
    what: 'duplicate ids',
    content: `request_id,${head}a,0,1,1\nb,1,1,1\na,2,1,1\n`,
    code: 'TRACE_DUPLICATE_ID',
    says: /^:4: request_id "a" is already used at .*duplicate-ids\.csv:2; every request needs its own\.$/,
  },
  {
    what: 'an empty id',
    content: 'request_id,arrived_at,input_tokens,output_tokens\n,0,1,1\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:1: request_id is empty: it must be a name.',
  },
  {
    what: 'a row with too few cells',
    content: `${head}0,10\n1,10,20\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2:1: the row has 2 cells where the header has 3.',
  },
  {
    what: 'a row with too many cells',
    content: `${head}0,10,20\n1,10,20,30\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':3:1: the row has 4 cells where the header has 3.',
  },
  {
    what: 'a file that ends within a row',
    content: `${head}0,10,20\n1,10`,
    code: 'TRACE_TRUNCATED',
    says: ':3:1: the row has 2 cells where the header has 3, and the file ends in the middle of it.',
  },
  {
    what: 'a quote that is not closed',
    content: `note,${head}x,0,1,1\n"y,1,1,1\n`,
    code: 'TRACE_TRUNCATED',
    says: ':3:1: the quote that opens here is not closed before the file ends.',
  },
  {
    what: 'a header without rows',
    content: head,
    code: 'TRACE_EMPTY',
    says: ': the trace has no requests.',
  },
  {
    what: 'rows of failed requests only',
    content: `status,${head}failed,0,1,0\nfailed,1,1,0\nlost,2,1,0\n,3,1,0\n`,
    options: {failed: 'drop'},
    code: 'TRACE_EMPTY',
    says: ': all 4 rows are failed requests (2 × failed, 1 × lost, 1 × without output tokens): there is nothing to replay.',
  },
  {
    what: 'a benchmark of failed requests only',
    content: '{"input_lens": [5, 5], "output_lens": [0, 0], "errors": ["x", "y"]}',
    code: 'TRACE_EMPTY',
    says: ': all 2 rows are failed requests (2 × with an error): there is nothing to replay.',
  },
  {what: 'an empty file', content: '', code: 'TRACE_EMPTY', says: ': the file is empty.'},
  {
    what: 'a file of blanks',
    content: '\n \r\n',
    code: 'TRACE_EMPTY',
    says: ': the file is empty.',
  },
  {
    what: 'a binary file',
    content: new Uint8Array([1, 0, 2, 0, 255]),
    code: 'TRACE_BINARY',
    says: ': the file is binary; a trace is UTF-8 text (CSV, JSONL or JSON).',
  },
  {
    what: 'a file compressed with gzip',
    content: new Uint8Array([0x1f, 0x8b, 8, 0]),
    code: 'TRACE_BINARY',
    says: ': the file is compressed with gzip; a trace is UTF-8 text (CSV, JSONL or JSON).',
    suggests: /gunzip/,
  },
  {
    what: 'a file in UTF-16',
    content: Buffer.from(`\ufeff${head}`, 'utf16le'),
    code: 'TRACE_BINARY',
    says: /is text in UTF-16/,
    suggests: /UTF-8/,
  },
  {
    what: 'an unknown header',
    content: 'a,b\n1,2\n',
    code: 'TRACE_FORMAT_UNKNOWN',
    says: /^:1:1: the format is not known: the file begins with the line a, b; known are vidur \(CSV .*llmsim \(CSV/,
    suggests: /--columns arrival=NAME/,
  },
  {
    what: 'no header',
    content: '0,10,20\n',
    code: 'TRACE_FORMAT_UNKNOWN',
    says: /begins with a row of numbers \(0, 10, 20\) where a header belongs/,
  },
  {
    what: 'JSON lines of unknown keys',
    name: 'unknown.jsonl',
    content: '{"prompt": "x", "n": {"input_length": 1}}\n',
    code: 'TRACE_FORMAT_UNKNOWN',
    says: /^:1:1: .* a JSON object with the keys prompt, n; known are/,
  },
  {
    what: 'a JSON array',
    name: 'array.json',
    content: '[{"input_length": 1}]',
    code: 'TRACE_FORMAT_UNKNOWN',
    says: ':1:1: the file is a JSON array, which no known trace format is.',
  },
  {
    what: 'a format that is not the file’s',
    content: head,
    options: {format: 'mooncake'},
    code: 'TRACE_FORMAT_UNKNOWN',
    says: /^:1:1: --format mooncake is JSONL .*, but the file is not JSON\.$/,
  },
  {
    what: 'a truncated line at the end',
    name: 'torn.jsonl',
    content: `${mooncake}{"timestamp": 1, "input_le`,
    code: 'TRACE_TRUNCATED',
    says: /^:2:27: the line ends in the middle of a JSON object, and so does the file\.$/,
  },
  {
    what: 'a truncated line amid others',
    name: 'torn-amid.jsonl',
    content: `${mooncake}{"timestamp": 1, "hash_ids": [1,\n${mooncake}`,
    code: 'TRACE_TRUNCATED',
    says: /^:2:\d+: the line ends in the middle of a JSON object\.$/,
  },
  {
    what: 'a line that is not JSON',
    name: 'not.jsonl',
    content: `${mooncake}{"timestamp": 1, oops}\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2:18: the line is not JSON: oops is no JSON value.',
  },
  {
    what: 'a line that is no object',
    name: 'number.jsonl',
    content: `${flat}7\n`,
    code: 'TRACE_BAD_VALUE',
    says: ':2:1: the line must be a JSON object.',
  },
  {
    what: 'a missing key',
    name: 'missing-key.jsonl',
    content: `${mooncake}{"timestamp": 0, "input_length": 5}\n`,
    code: 'TRACE_MISSING_COLUMN',
    says: ':2: there is no key "output_length"; the object has timestamp, input_length.',
  },
  {
    what: 'a length that is text in JSON',
    name: 'text.jsonl',
    content: flat.replace('10', '"many"'),
    code: 'TRACE_BAD_VALUE',
    says: `:1: input_toks is "many": ${whole}`,
  },
  {
    what: 'a wrong call of a session',
    name: 'call.jsonl',
    content:
      '{"arrival_time_ns": 0, "sub_requests": [{"input_toks": 1, "output_toks": 1}, {"input_toks": 1.5, "output_toks": 1}]}\n',
    code: 'TRACE_BAD_VALUE',
    says: `:1: sub_requests[1].input_toks is 1.5: ${whole}`,
  },
  {
    what: 'two sessions of one name',
    name: 'sessions.jsonl',
    content:
      '{"session_id": "a", "arrival_time_ns": 0, "sub_requests": [{"input_toks": 1, "output_toks": 1}]}\n'.repeat(
        2,
      ),
    code: 'TRACE_DUPLICATE_ID',
    says: ':2: session_id "a" is already used by a line before; every session needs its own.',
  },
  {
    what: 'more hash ids than the prompt has blocks',
    name: 'ids.jsonl',
    content: mooncake.replace('[1, 2]', '[1, 2, 3]'),
    code: 'TRACE_BAD_VALUE',
    says: ':1: hash_ids is "3 ids": a prompt of 600 tokens has 2 blocks of 512.',
  },
  {
    what: 'a hash id that is no number',
    name: 'id.jsonl',
    content: mooncake.replace('[1, 2]', '[1, -2]'),
    code: 'TRACE_BAD_VALUE',
    says: ':1: hash_ids[1] is -2: it must be a whole number of at least 0.',
  },
  {
    what: 'hashes that are not hexadecimal',
    content: 'arrived_at,input_tokens,output_tokens,block_hashes\n0,32,5,0a xyz\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:8: block_hashes is "xyz": hashes must be hexadecimal of up to 16 digits, one space between them.',
  },
  {
    what: 'more hashed blocks than there are tokens',
    content: 'arrived_at,input_tokens,output_tokens,block_hashes_64\n0,60,5,1 2\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:8: block_hashes_64 is "1 2": 2 blocks of 64 tokens do not fit the 65 tokens of prompt and output.',
  },
  {
    what: 'a prefix longer than its request',
    content: 'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n0,10,5,g,16\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:10: prefix_tokens is "16": it must not exceed the 15 tokens of prompt and output.',
  },
  {
    what: 'a prefix that is longer than any model reads',
    content:
      'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n0,200000000,5,g,200000000\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:17: prefix_tokens is "200000000": it must be at most 16777216.',
  },
  {
    what: 'nested prefixes that do not grow',
    content: 'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n0,40,5,g h,32 32\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:12: prefix_tokens is "32 32": the reaches of nested groups must rise.',
  },
  {
    what: 'more nested prefixes than names',
    content: 'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n0,40,5,g,16 32\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:10: prefix_tokens is "16 32": it must hold one number per name in "g".',
  },
  {
    what: 'a prefix without its length',
    content: 'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n0,10,5,g,\n',
    code: 'TRACE_BAD_VALUE',
    says: ':2:8: prefix_group is "g": it needs prefix_tokens: how many tokens the group shares.',
  },
  {
    what: 'a think time that follows nothing',
    content: 'arrived_at,input_tokens,output_tokens,session_id,think_time_s\n0,1,1,a,\n,1,1,b,2\n',
    code: 'TRACE_BAD_VALUE',
    says: ':3: the row has a think time and no arrival time, but it is the first turn of its session; give it an arrival time.',
  },
  {
    what: 'turns in the wrong order',
    content: 'arrived_at,input_tokens,output_tokens,session_id,turn\n0,1,1,a,1\n1,1,1,a,0\n',
    code: 'TRACE_BAD_VALUE',
    says: ':3: turn 0 of session "a" comes after turn 1; the turns of a session must rise in order of arrival.',
  },
  {
    what: 'a mapping of columns for JSON',
    name: 'mapped.jsonl',
    content: mooncake,
    options: {columns: new Map([['input', 'x']])},
    code: 'FLAG_CONFLICT',
    says: /^: --columns maps the columns of CSV files, and this one is mooncake: JSONL/,
  },
  {
    what: 'a bench result of averages only',
    name: 'averages.json',
    content: '{"total_input_tokens": 5, "request_throughput": 1.5}',
    code: 'TRACE_MISSING_COLUMN',
    says: ': the result has no "input_lens": it holds only averages, no single requests.',
    suggests: /--save-detailed/,
  },
  {
    what: 'a bench result that is cut off',
    name: 'cut.json',
    content: '{"input_lens": [1, 2],\n "output_lens": [1,',
    code: 'TRACE_TRUNCATED',
    says: /^:2:\d+: the file ends in the middle of the JSON document\.$/,
  },
  {
    what: 'a bench result of unequal arrays',
    name: 'unequal.json',
    content: '{"input_lens": [1, 2], "output_lens": [1]}',
    code: 'TRACE_TRUNCATED',
    says: ': input_lens holds 2 requests and another array 1; all must be equally long.',
  },
]

const problemOf = async (path: string, options?: ReadOptions): Promise<Problem> => {
  const error = await readTrace([path], options).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error, 'it should have been refused').instanceOf(Problem)
  return error as Problem
}

describe('wrong traces', () => {
  const file = scratch()

  for (const {what, name, content, code, says, options, suggests} of cases) {
    it(`refuses ${what} in one clear line`, async () => {
      const path = file(name ?? `${what.replaceAll(' ', '-')}.csv`, content)
      const problem = await problemOf(path, options)
      expect(problem.code).equal(code)
      expect(problem.message).not.match(/\n/)
      expect(problem.message.startsWith(path), problem.message).equal(true)
      const rest = problem.message.slice(path.length)
      if (typeof says === 'string') expect(rest).equal(says)
      else expect(rest).match(says)
      if (suggests) expect(problem.suggestions.join('\n')).match(suggests)
      expect(problem.oclif.exit).equal(2)
    })
  }

  it('names the closest files for one that is missing', async () => {
    const problem = await problemOf(fixture('vidor.csv'))
    expect(problem.code).equal('TRACE_NOT_FOUND')
    expect(problem.message).equal(`${fixture('vidor.csv')}: there is no such file or folder.`)
    expect(problem.suggestions).deep.equal([fixture('vidur.csv')])
  })

  it('refuses a folder without traces', async () => {
    mkdirSync(file('empty'))
    const problem = await problemOf(file('empty'))
    expect(problem.code).equal('TRACE_NOT_FOUND')
    expect(problem.message).match(/empty: the folder holds no trace/)
  })

  it('refuses a pipe', async () => {
    const path = file('pipe')
    execFileSync('mkfifo', [path])
    // Both ends: opening one alone would wait for the other.
    const ends = openSync(path, 'r+')
    writeSync(ends, `${head}0,10,5\n`)
    const problem = await problemOf(path)
    closeSync(ends)
    expect(problem.code).equal('TRACE_NOT_FOUND')
    expect(problem.message).match(/: a trace is read from files and folders, not from a pipe\.$/)
  })

  it('refuses a file that it may not read', async function () {
    // Root may read everything.
    if (process.getuid?.() === 0) this.skip()
    const path = file('closed.csv', head)
    chmodSync(path, 0)
    expect((await problemOf(path)).message).match(/cannot be read: you have no permission/)
  })

  it('refuses a format and a mapping that do not exist', async () => {
    const path = join(root, 'traces', 'chat.csv')
    const format = await problemOf(path, {format: 'moncake'})
    expect(format.code).equal('FLAG_BAD_VALUE')
    expect(format.message).match(/^--format: there is no trace format "moncake"; it can be azure,/)
    expect(format.suggestions).deep.equal(['mooncake'])
    const columns = await problemOf(path, {columns: new Map([['lenght', 'x']])})
    expect(columns.message).match(
      /^--columns: there is no column "lenght" to map; it can be arrival,/,
    )
  })
})
