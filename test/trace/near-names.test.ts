/** Names in traces that are nearly ours, twice ours, or nobody's: nothing is lost without a word. */
import {expect} from 'chai'
import {nearMiss} from '#llmsim/edit-distance.js'
import {Problem} from '#llmsim/errors.js'
import {TraceBuilder} from '#llmsim/trace/builder.js'
import {optionalColumns} from '#llmsim/trace/csv-columns.js'
import {traceFormats} from '#llmsim/trace/formats/registry.js'
import {KnownKeys} from '#llmsim/trace/json-keys.js'
import {type ReadOptions, readTrace} from '#llmsim/trace/read.js'
import {fixture, scratch} from './files.js'

const wrong: readonly [string, string, RegExp, RegExp][] = [
  [
    'prioritty',
    'arrived_at,input_tokens,output_tokens,prioritty\n0,1,1,1\n',
    /:1: there is no column "prioritty"; priority is probably meant, and would be lost\.$/,
    /priority in the header.*--columns priority=prioritty/,
  ],
  [
    'sessionId',
    'arrived_at,input_tokens,output_tokens,sessionId\n0,1,1,1\n',
    /"sessionId"; session_id is probably meant/,
    /session=sessionId/,
  ],
  [
    'a blank in a name',
    'arrived_at,input_tokens,output_tokens,Session ID\n0,1,1,1\n',
    /"Session ID"; session_id is probably/,
    /--columns session="Session ID"/,
  ],
  [
    'a unit behind',
    'arrived_at,input_tokens,output_tokens,canceled_at_ms\n0,1,1,1\n',
    /"canceled_at_ms"; cancelled_at is probably/,
    /cancel=canceled_at_ms/,
  ],
  [
    'BurstGPT',
    'Timestamp,Sesion ID,Model,Request tokens,Response tokens\n0,a,m,1,1\n',
    /"Sesion ID"; session.id is probably/,
    /./,
  ],
  [
    'arived_at',
    'arived_at,input_tokens,output_tokens\n0,1,1\n',
    /there is no column arrived_at/,
    /write arrived_at for arived_at, or --columns arrival=arived_at/,
  ],
  [
    'num_prefil_tokens',
    'arrived_at,num_prefil_tokens,num_decode_tokens\n0,1,1\n',
    /the format is not known/,
    /write num_prefill_tokens for num_prefil_tokens/,
  ],
  [
    'two names',
    'arrived_at,timestamp,input_tokens,output_tokens\n0,5,1,1\n',
    /:1: the columns arrived_at and timestamp both mean arrived_at; only one can\.$/,
    /--columns arrival=arrived_at/,
  ],
  [
    'two units',
    'arrived_at,arrived_at_ms,input_tokens,output_tokens\n0,5,1,1\n',
    /arrived_at and arrived_at_ms both mean/,
    /./,
  ],
  [
    'two unknown of one name',
    'arrived_at,input_tokens,output_tokens,a,a\n0,1,1,x,y\n',
    /two columns of the name a\./,
    /rename/,
  ],
  [
    'hash_id',
    '{"timestamp": 0, "input_length": 10, "output_length": 5, "hash_id": [1]}\n',
    /:1: there is no key "hash_id"; hash_ids is probably meant/,
    /write hash_ids/,
  ],
  [
    'a unit that no column has',
    'arrived_at,input_tokens,output_tokens,cancelled_at_min\n0,1,1,5\n',
    /:1: the unit of "cancelled_at_min" is not known; .*: _s, _ms, _us or _ns\.$/,
    /cancelled_at_s/,
  ],
  [
    'seconds in full',
    'arrived_at_sec,input_tokens,output_tokens\n0,1,1\n',
    /:1: the unit of "arrived_at_sec"/,
    /arrived_at_s, and/,
  ],
  [
    'a key of a bench result',
    '{"input_lens": [1], "output_lens": [1], "start_time": [0]}',
    /: there is no key "start_time"; start_times is/,
    /write start_times/,
  ],
  [
    'a key of a call',
    '{"arrival_time_ns": 0, "sub_requests": [{"input_toks": 1, "output_toks": 1, "tool_duration_n": 5}]}\n',
    /:1: there is no key "tool_duration_n"; tool_duration_ns is/,
    /./,
  ],
]

describe('names in traces', () => {
  const file = scratch()
  const problemOf = async (path: string): Promise<Problem> => {
    const error = await readTrace([path]).catch((reason: unknown) => reason)
    expect(error).instanceOf(Problem)
    return error as Problem
  }

  for (const [what, content, says, tries] of wrong)
    it(`refuses ${what}`, async () => {
      const problem = await problemOf(file(`${what}.txt`, content))
      expect(problem.message).match(says)
      expect(problem.suggestions.join('\n')).match(tries)
    })

  const notes = async (content: string, options: ReadOptions = {}) =>
    (await readTrace([file('t.txt', content), file('u.txt', content)], options)).notes

  it('names what rides along once, however many files have it', async () => {
    expect(await notes('arrived_at,input_tokens,output_tokens,mood\n0,1,1,x\n')).deep.equal([
      'columns that change nothing ride along: mood.',
    ])
  })

  it('names what a format does not read, and how it is read', async () => {
    const vidur = 'arrived_at,num_prefill_tokens,num_decode_tokens,priority\n0,1,1,3\n'
    expect((await notes(vidur))[0]).match(/format vidur does not have were not read: priority;/)
    const columns = new Map([
      ['input', 'num_prefill_tokens'],
      ['output', 'num_decode_tokens'],
    ])
    const trace = await readTrace([file('v.txt', vidur)], {format: 'llmsim', columns})
    expect([...trace.priority!]).deep.equal([3])
    const keyed = '{"timestamp": 0, "input_length": 10, "output_length": 5, "type": "text"}\n'
    expect(await notes(keyed)).deep.equal([
      'the key type of the lines is none of the format mooncake, and was not read.',
    ])
  })

  it('takes the column that --columns names of two, and says so', async () => {
    const two = 'arrived_at,timestamp,input_tokens,output_tokens\n0,5,1,1\n'
    const trace = await readTrace([file('w.txt', two)], {
      columns: new Map([['arrival', 'timestamp']]),
    })
    expect(trace.arrivedAt[0]).equal(5e9)
    expect(trace.extra).equal(undefined)
    expect(trace.notes).deep.equal([
      'columns were not read, as --columns names others: arrived_at.',
    ])
  })

  it('takes the plural of an optional column for one of its own, which rides along', async () => {
    const names = ['turns', 'sessions', 'models', 'adapters']
    const path = file(
      'plural.csv',
      `arrived_at,input_tokens,output_tokens,${names}\n0,1,1,3,2,a b,4\n`,
    )
    const {extra, notes, model, session, turn} = await readTrace([path])
    expect([...extra!.keys()]).deep.equal(names)
    expect(notes.join()).match(/ride along: turns, sessions, models, adapters/)
    expect([model, session, turn]).deep.equal([undefined, undefined, undefined])
  })

  it('notes turns of no session', async () => {
    expect(await notes('arrived_at,input_tokens,output_tokens,turn\n0,1,1,1\n')).deep.equal([
      'turn was not used: it counts the turns of a session, and there is no session_id.',
    ])
  })

  const header = 'arrived_at,input_tokens,output_tokens'
  const reads: readonly [what: string, content: string, extra: readonly string[]][] = [
    ['a rate per second', `${header},output_tokens_s\n0,3,5,7.5\n`, ['output_tokens_s']],
    [
      'the hour beside a time that is ours',
      `timestamp,timestamp_h,input_tokens,output_tokens\n0,7,3,5\n`,
      ['timestamp_h'],
    ],
    ['names that differ by case', `${header},A,a\n0,3,5,x,y\n`, ['A', 'a']],
    [
      'two columns of one name that nobody reads',
      'TIMESTAMP,ContextTokens,GeneratedTokens,x,x\n2023-11-16 18:15:46,3,5,1,2\n',
      [],
    ],
  ]
  for (const [what, content, extra] of reads)
    it(`reads ${what}`, async () => {
      const trace = await readTrace([file(`${what}.csv`, content)])
      expect([trace.arrivedAt[0], trace.inputTokens[0], trace.outputTokens[0]]).deep.equal([
        0, 3, 5,
      ])
      expect([...(trace.extra?.keys() ?? [])]).deep.equal(extra)
    })

  it('takes a column with a unit that is no time for none of ours', async () => {
    const problem = await problemOf(
      file('rate.csv', 'arrived_at,input_tokens,output_tokens_s\n0,3,5\n'),
    )
    expect(problem.message).match(/:1: there is no column output_tokens /)
  })

  it('refuses a column of ours twice whatever the case and the format', async () => {
    const problem = await problemOf(
      file('twice.csv', 'TIMESTAMP,ContextTokens,contexttokens,GeneratedTokens\n0,3,4,5\n'),
    )
    expect(problem.message).match(/two columns of the name contexttokens\./)
  })

  it('says the unit of the key that is meant', async () => {
    const call = '{"input_toks": 1, "output_toks": 1, "tool_duration_ms": 5}'
    const problem = await problemOf(
      file('unit.jsonl', `{"arrival_time_ns": 0, "sub_requests": [${call}]}\n`),
    )
    expect(problem.suggestions[0]).equal('write tool_duration_ns, in nanoseconds')
  })

  it('keeps no more than so many keys where every line has its own', () => {
    const builder = new TraceBuilder()
    const known = new KnownKeys('mine', ['session_id'], builder)
    const row = (key: string) => ({
      line: 1,
      object: {[key]: 1},
      spot: (name: string) => ({name, where: () => 'mine:1'}),
    })
    // Judged while there are few, and no longer when a thousand were kept.
    expect(() => known.check(row('sesion_id'))).throw(Problem, /session_id is probably meant/)
    for (let i = 0; i < 1000; i++) known.check(row(`k${i}`))
    known.check(row('sesion_id'))
  })

  it('says nothing of what publishers write', async () => {
    for (const name of ['vidur.csv', 'burstgpt.csv', 'azure-2023.csv', 'mooncake.jsonl'])
      expect((await readTrace([fixture(name)])).notes.join(), name).not.match(/not read/)
  })

  it('takes no known name for a slip of another', () => {
    const names = traceFormats.flatMap((format) =>
      format.kind === 'csv' ? format.columns.map(({aliases}) => aliases) : [],
    )
    for (const known of [...names, ...optionalColumns.map(({aliases}) => aliases)])
      for (const word of [
        'mode',
        'client',
        'status',
        'ttft_ms',
        'cached_tokens',
        'endpoint',
        'time',
      ])
        expect(nearMiss(word, known), word).equal(undefined)
  })
})
