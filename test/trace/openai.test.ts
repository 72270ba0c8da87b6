import {expect} from 'chai'
import {type ReadOptions, readTrace} from '#llmsim/trace/read.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {fixture, scratch} from './files.js'

describe("lines of OpenAI's answers, as gateways log them", () => {
  const file = scratch()
  const line = (created: unknown, rest: object = {}): string =>
    JSON.stringify({created, usage: {prompt_tokens: 10, completion_tokens: 5}, ...rest})
  const read = (lines: readonly string[], options?: ReadOptions): Promise<Trace> =>
    readTrace([file('g.jsonl', `${lines.join('\n')}\n`)], options)
  const says = async (lines: readonly string[]): Promise<string> => {
    try {
      await read(lines)
    } catch (error) {
      const {message, suggestions = []} = error as Error & {suggestions?: string[]}
      return [message, ...suggestions].join(' ')
    }
    return 'nothing'
  }

  const wrong: readonly (readonly [string, RegExp, ...string[]])[] = [
    ['no usage', /g\.jsonl:2: usage is null: .*--drop-failed/, line(1), line(2, {usage: null})],
    ['usage that is a number', /:1: usage is 3: it must be an object/, line(1, {usage: 3})],
    [
      'a count that is none',
      /:1: usage\.prompt_tokens is "many": it must be a whole number/,
      line(1, {usage: {prompt_tokens: 'many', completion_tokens: 1}}),
    ],
    [
      'no output',
      /:1: usage\.completion_tokens is 0: .*--drop-failed/,
      line(1, {usage: {prompt_tokens: 3, completion_tokens: 0}}),
    ],
    [
      'a slip within usage',
      /:1: there is no key "promt_tokens"; prompt_tokens is probably meant/,
      line(1, {usage: {promt_tokens: 3, completion_tokens: 1}}),
    ],
    ['a slip', /there is no key "creatd"; created is probably meant/, line(undefined, {creatd: 1})],
    [
      'no time, and name one that may be meant',
      /:1: created is missing: it must be a number of seconds.* jq -c '\.created = \.timestamp' /,
      line(undefined, {timestamp: 1.5}),
    ],
    [
      'an embedding',
      /:2: usage\.completion_tokens is missing: .*jq -c 'select\(\.object != "list"\)'/,
      line(1),
      '{"object":"list","created":2,"usage":{"prompt_tokens":3,"total_tokens":3}}',
    ],
    ['a time below zero', /:1: created is -1: a time must not be negative/, line(-1)],
    ['microseconds', /must be in seconds or milliseconds since 1970/, line(1.7e15)],
    [
      'two units',
      /:2: created is 1700000001000: that is milliseconds, and line 1 has seconds.* jq -c 'if \.created >= 1e11/,
      line(1_700_000_000),
      line(1_700_000_001_000),
    ],
    [
      'an answer within something else',
      /the keys custom_id, response; known are .*openai \(.*jq -c '\.response\.body/,
      '{"custom_id":"a","response":{"body":{"created":1}}}',
    ],
    [
      'one key twice',
      /:1: the key "created" is in the line twice/,
      '{"created":null,"choices":[{"id":1}],"created" : 1,"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    ],
    [
      'one id twice',
      /request_id "a" is already used at.* jq -c 'del\(\.id\)'/,
      line(1, {id: 'a'}),
      line(2, {id: 'a'}),
    ],
  ]
  for (const [what, message, ...lines] of wrong)
    it(`refuse ${what}`, async () => expect(await says(lines)).match(message))

  it('are read with model and id; those of one second are spread over it, with a note', async () => {
    const trace = await readTrace([fixture('openai.jsonl')])
    expect(trace.format).equal('openai')
    expect([...trace.arrivedAt]).deep.equal([0, 0.5e9, 1e9, 3e9, 3.5e9])
    expect([...trace.inputTokens]).deep.equal([100, 200, 300, 600, 1100])
    expect([...trace.outputTokens]).deep.equal([10, 20, 30, 40, 50])
    expect(trace.requestId).deep.equal([1, 2, 3, 4, 5].map((n) => `chatcmpl-${n}`))
    expect(trace.model!.names).deep.equal(['llama-3.1-8b'])
    expect(trace.notes.join()).match(
      /whole seconds: 4 of 5 requests share theirs with others and were spread evenly over it, in the order of the file/,
    )
  })

  it('need not stand beside the others of their second', async () => {
    const times = [5, 6, 5, 5, 6].map((second) => line(1_700_000_000 + second))
    const {arrivedAt} = await read(times)
    expect([...arrivedAt]).deep.equal([0, 333_333_333, 666_666_666, 1e9, 1.5e9])
  })

  it('in milliseconds, or with fractions of a second, are taken as they are', async () => {
    const ms = await read(
      [1_700_000_000_250, 1_700_000_000_250, 1_700_000_001_000].map((at) => line(at)),
    )
    expect([...ms.arrivedAt]).deep.equal([0, 0, 0.75e9])
    expect(ms.notes.join()).not.match(/whole seconds/)
    const seconds = [1_700_000_000_000, 1_700_000_000_000, 1_700_000_001_000]
    const scaled = await read(seconds.map((at) => line(at)))
    expect([...scaled.arrivedAt], 'whole seconds, in milliseconds').deep.equal([0, 0.5e9, 1e9])
    const fractions = await read([line(1_700_000_000.5), line(1_700_000_001), line(1_700_000_001)])
    expect([...fractions.arrivedAt]).deep.equal([0, 0.5e9, 0.5e9])
  })

  it('in whole seconds that no two share stay where they are, without a word', async () => {
    const {arrivedAt, notes} = await read([line(1_700_000_000), line(1_700_000_002)])
    expect([...arrivedAt]).deep.equal([0, 2e9])
    expect(notes.join()).not.match(/whole seconds/)
  })

  it('without usage or output are left out with --drop-failed, and counted', async () => {
    const {length, notes} = await read([line(1), line(2, {usage: null, error: {}}), line(3)], {
      failed: 'drop',
    })
    expect(length).equal(2)
    expect(notes.join()).match(/g\.jsonl: 1 row without usage left out \(--drop-failed\)/)
    const gone = [4, 5].map((at) => line(at, {usage: null}))
    const more = await read(
      [line(1), ...gone, line(6, {usage: {prompt_tokens: 3, completion_tokens: 0}})],
      {
        failed: 'drop',
      },
    )
    expect(more.notes.join()).match(/2 rows without usage left out \(--drop-failed\)/)
    expect(more.notes.join()).match(/1 row without output tokens left out \(--drop-failed\)/)
  })

  it('of which a cache had a part are computed whole, with a note', async () => {
    const answer = (cached: unknown, api = 'prompt_tokens'): string =>
      line(1, {
        usage: {
          [api]: 10,
          [api === 'prompt_tokens' ? 'completion_tokens' : 'output_tokens']: 5,
          [`${api}_details`]: cached,
        },
      })
    const {notes, prefix} = await read([
      answer({cached_tokens: 4}),
      answer({cached_tokens: 99}, 'input_tokens'),
      ...[null, {}, {cached_tokens: null}].map((none) => answer(none)),
    ])
    expect(prefix).equal(undefined)
    expect(notes.join()).match(/28 % of the prompt tokens came from a cache \(cached_tokens\)/)
    const none = await read([answer({cached_tokens: 0}), line(2)])
    expect(none.notes.join()).not.match(/cache/)
  })

  it('are known where the first requests failed', async () => {
    const failed = ['status', 'error', 'exception', 'model'].map((key, i) =>
      JSON.stringify({[i % 2 === 0 ? 'created' : 'startTime']: 1_700_000_000.5 + i, [key]: 'x'}),
    )
    for (const first of failed) {
      expect(await says([first, line(1_700_000_009)])).match(
        /:1: usage is missing: .*--drop-failed/,
      )
      const {length, format} = await read([first, line(1_700_000_009)], {failed: 'drop'})
      expect([length, format]).deep.equal([1, 'openai'])
    }
    expect(await says(['{"created": 1, "in": 5, "out": 6}'])).match(/the format is not known/)
  })

  it('may hold the same keys, and texts like them, within their values', async () => {
    const choices = [{id: 'created', message: {content: '"id": "model":', model: {usage: null}}}]
    const {requestId} = await read([line(1, {id: 'id', model: 'created', choices})])
    expect(requestId).deep.equal(['id'])
  })

  it('may be of the other API, or LiteLLM’s payload, with whatever else it holds', async () => {
    const responses = await read([
      '{"object":"response","created_at":1700000000.25,"usage":{"input_tokens":7,"output_tokens":3}}',
    ])
    expect([responses.inputTokens[0], responses.outputTokens[0]]).deep.equal([7, 3])
    const lite = await read([
      '{"startTime":1700000000.25,"endTime":1700000002.5,"prompt_tokens":7,"completion_tokens":3,"api_base":""}',
      '{"startTime":1700000001.5,"endTime":1700000002.5,"prompt_tokens":8,"completion_tokens":3,"end_time":1}',
    ])
    expect([...lite.arrivedAt]).deep.equal([0, 1.25e9])
    expect(lite.notes.join()).not.match(/not read/)
  })
})
