import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import fc from 'fast-check'
import type {Answering} from '#llmsim/server/answering.js'
import type {Plan} from '#llmsim/server/plan.js'
import {problemOf} from '../catalogue/problem.js'
import {answeringOf, apiErrorOf, chatBody, streamOf, textIn} from './build-answering.js'

const tokensOf = (plan: Plan, index = 0): number => plan.answers[index]!.outputIds.length

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      properties: {city: {type: 'string'}, unit: {enum: ['c', 'f']}},
      required: ['city', 'unit'],
      additionalProperties: false,
    },
  },
}

describe('what a port answers', () => {
  let answering: Answering
  before(async () => {
    answering = await answeringOf()
  })
  after(() => answering.close())

  const chat = async (fields: object = {}, content?: unknown): Promise<Plan> =>
    await answering.chat(chatBody(fields, content))

  describe('how long it is', () => {
    it('is max_tokens at most, and exactly that with ignore_eos', async () => {
      for (const max of [1, 2, 17, 300]) {
        expect(tokensOf(await chat({max_tokens: max}))).most(max)
        const exact = await chat({max_completion_tokens: max, ignore_eos: true})
        expect([tokensOf(exact), exact.finishReason(0)]).deep.equal([max, 'length'])
      }
    })

    it('is min_tokens at least', async () => {
      for (let i = 0; i < 20; i++) {
        expect(tokensOf(await chat({min_tokens: 900, max_tokens: 4000}))).least(900)
      }
    })

    it('follows --output-tokens: the mean and the 99th percentile are those that were asked for', async () => {
      const lengths: number[] = []
      for (let i = 0; i < 5000; i++) lengths.push(tokensOf(await chat()))
      lengths.sort((a, b) => a - b)
      const mean = lengths.reduce((sum, each) => sum + each, 0) / lengths.length
      expect(mean).within(200, 240)
      expect(lengths[Math.floor(0.99 * lengths.length)]).within(1000, 1450)
    })

    it('is cut by the context', async () => {
      const small = await answeringOf({maxModelLen: 64, outputTokens: 'fixed:1000'})
      const plan = await small.chat(chatBody())
      expect(plan.answers[0]!.promptIds.length + tokensOf(plan)).equal(64)
      expect(plan.finishReason(0)).equal('length')
    })

    it('can be as in a trace', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'llmsim-lengths-'))
      const file = join(folder, 'trace.csv')
      writeFileSync(file, 'arrived_at,input_tokens,output_tokens\n0,5,7\n1,5,70\n2,5,700\n')
      const traced = await answeringOf({outputTokens: file})
      const seen = new Set<number>()
      for (let i = 0; i < 60; i++) seen.add(tokensOf(await traced.chat(chatBody())))
      expect([...seen].sort((a, b) => a - b)).deep.equal([7, 70, 700])
      rmSync(folder, {recursive: true})
    })

    it('is 16 for a completion that does not say', async () => {
      const plan = await answering.completion({model: 'test-model', prompt: 'x', ignore_eos: true})
      expect(tokensOf(plan)).equal(16)
    })
  })

  describe('which text it is', () => {
    it('is the same for the same seed, prompt and place, and another otherwise', async () => {
      const text = async (fields: object, content?: string): Promise<string> =>
        textIn(await chat({max_tokens: 60, ...fields}, content))
      expect(await text({seed: 5})).equal(await text({seed: 5}))
      expect(await text({temperature: 0})).equal(await text({temperature: 0}))
      expect(await text({seed: 5})).not.equal(await text({seed: 6}))
      expect(await text({seed: 5})).not.equal(await text({seed: 5}, 'Good day'))
      expect(await text({})).not.equal(await text({}))
      const several = await chat({n: 3, seed: 5, max_tokens: 60})
      expect(new Set([0, 1, 2].map((i) => textIn(several, i))).size).equal(3)
    })

    it('is the same from two ports with the same seed', async () => {
      const texts = async (seed: number): Promise<string[]> => {
        const one = await answeringOf({seed})
        const plans = [await one.chat(chatBody()), await one.chat(chatBody())]
        return plans.map((plan) => textIn(plan))
      }
      expect(await texts(3)).deep.equal(await texts(3))
      expect(await texts(3)).not.deep.equal(await texts(4))
    })

    it('ends before a stop string, with the tokens up to the one that completes it', async () => {
      const all = textIn(await chat({seed: 1, max_tokens: 80, min_tokens: 80}))
      const stop = all.slice(40, 47)
      const plan = await chat({seed: 1, max_tokens: 80, min_tokens: 80, stop: ['@@', stop]})
      expect(textIn(plan)).equal(all.slice(0, all.indexOf(stop)))
      expect(plan.finishReason(0)).equal('stop')
      const {tokenizer} = answering.tokens
      const ids = Array.from(plan.answers[0]!.outputIds)
      expect(tokenizer.decode(ids)).contain(stop)
      expect(tokenizer.decode(ids.slice(0, -1))).not.contain(stop)
    })

    it('echoes', async () => {
      const echo = await answeringOf({answer: 'echo'})
      expect(textIn(await echo.chat(chatBody({}, 'Say this — ö 漢')))).equal('Say this — ö 漢')
      const longer = await echo.chat(chatBody({min_tokens: 7}, 'one two'))
      expect(textIn(longer)).equal('one twoone twoone twoone')
      const cut = await echo.chat(chatBody({max_tokens: 2}, 'one two three'))
      expect([textIn(cut), cut.finishReason(0)]).deep.equal(['one two', 'length'])
      const completion = await echo.completion({model: 'test-model', prompt: [24912, 2375]})
      expect(textIn(completion)).equal('hello world')
    })

    it('comes from a file: by prompt, or for any prompt', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'llmsim-answers-'))
      const file = join(folder, 'answers.jsonl')
      writeFileSync(
        file,
        '{"prompt": "Who?", "answer": "Me."}\n\n{"prompt": "Why?", "answer": "Because."}\n',
      )
      const told = await answeringOf({answer: file})
      expect(textIn(await told.chat(chatBody({}, 'Who?')))).equal('Me.')
      expect(textIn(await told.chat(chatBody({}, 'Why?')))).equal('Because.')
      const error = await apiErrorOf(() => told.chat(chatBody({}, 'When?')))
      expect([error.status, error.details.code]).deep.equal([400, 'no_answer'])
      writeFileSync(file, '{"answer": "Yes."}\n{"answer": "No."}\n')
      const any = await answeringOf({answer: file})
      const texts = new Set<string>()
      for (let i = 0; i < 30; i++) texts.add(textIn(await any.chat(chatBody())))
      expect([...texts].sort()).deep.equal(['No.', 'Yes.'])
      for (const [text, message] of [
        ['', /holds no answers/],
        ['{"answer": "x"}\n{"answer', /answers\.jsonl:2: it is not JSON/],
        ['{"prompt": "x"}', /answers\.jsonl:1: answer:/],
        ['{"answer": "x", "propmt": "y"}', /answers\.jsonl:1: Unrecognized key: "propmt"/],
      ] as const) {
        writeFileSync(file, text)
        expect((await problemOf(() => answeringOf({answer: file}))).message).match(message)
      }
      rmSync(folder, {recursive: true})
    })

    it('is JSON where it is asked for, of about the usual length', async () => {
      const schema = {
        type: 'object',
        properties: {title: {type: 'string'}, score: {type: 'number', minimum: 0, maximum: 1}},
        required: ['title', 'score'],
        additionalProperties: false,
      }
      const long = await answeringOf({outputTokens: 'fixed:400'})
      const plan = await long.chat(
        chatBody({response_format: {type: 'json_schema', json_schema: {name: 'x', schema}}}),
      )
      const value = JSON.parse(textIn(plan)) as {title: unknown; score: unknown}
      expect(value.title).a('string')
      expect(value.score).within(0, 1)
      expect(tokensOf(plan)).within(380, 410)
      expect(JSON.parse(textIn(await chat({response_format: {type: 'json_object'}})))).an('object')
    })
  })

  describe('calls of tools', () => {
    interface Choice {
      readonly finish_reason: string
      readonly message: {
        readonly content: string | null
        readonly tool_calls: readonly {readonly function: {name: string; arguments: string}}[]
      }
    }
    const calls = async (fields: object, content?: unknown): Promise<Choice> => {
      const plan = await chat({tools: [weather], ...fields}, content)
      const body = JSON.parse(plan.writer.whole({prompt: 1, cached: 0, completion: 1}))
      return body.choices[0]
    }

    it('are made when asked for, with arguments that the schema allows', async () => {
      for (const choice of [
        'required',
        'auto',
        {type: 'function', function: {name: 'get_weather'}},
      ]) {
        const {message, finish_reason} = await calls({tool_choice: choice})
        expect(finish_reason).equal('tool_calls')
        expect(message.content).equal(null)
        const called = message.tool_calls[0]!.function
        expect(called.name).equal('get_weather')
        const args = JSON.parse(called.arguments)
        expect(Object.keys(args)).deep.equal(['city', 'unit'])
        expect(['c', 'f']).include(args.unit)
      }
    })

    it('are not made when forbidden, nor once the tool has answered', async () => {
      expect((await calls({tool_choice: 'none'})).finish_reason).equal('stop')
      const call = {
        id: 'call_1',
        type: 'function',
        function: {name: 'get_weather', arguments: '{}'},
      }
      const plan = await answering.chat({
        model: 'test-model',
        tools: [weather],
        messages: [
          {role: 'user', content: 'Weather?'},
          {role: 'assistant', content: null, tool_calls: [call]},
          {role: 'tool', tool_call_id: 'call_1', content: 'sunny'},
        ],
      })
      expect(plan.finishReason(0)).equal('stop')
    })

    it('end with "length" when they are cut', async () => {
      expect((await calls({max_tokens: 2})).finish_reason).equal('length')
    })

    it('stream their name first and their arguments in pieces', async () => {
      const plan = await chat({tools: [weather], stream: true})
      const chunks = streamOf(plan)
        .slice(0, -1)
        .map((data) => JSON.parse(data))
      const deltas = chunks.flatMap(({choices}) => choices[0].delta.tool_calls ?? [])
      expect(deltas[0].function).deep.equal({name: 'get_weather', arguments: ''})
      const text = deltas.map((delta) => delta.function.arguments).join('')
      expect(Object.keys(JSON.parse(text))).deep.equal(['city', 'unit'])
      expect(deltas.length).greaterThan(4)
    })
  })

  describe('the tokens of a conversation', () => {
    it('are prompt and answer of one turn at the start of the next, whatever was said', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.string({unit: 'grapheme', minLength: 1, maxLength: 60}),
          fc.boolean(),
          async (said, isCall) => {
            const messages: object[] = [
              {role: 'system', content: 'Be kind.'},
              {role: 'user', content: said},
            ]
            const tools = isCall ? [weather] : []
            const plan = await answering.chat({
              model: 'test-model',
              messages,
              tools,
              max_tokens: 200,
            })
            const {message} = JSON.parse(plan.writer.whole({prompt: 1, cached: 0, completion: 1}))
              .choices[0]
            const next = await answering.chat({
              model: 'test-model',
              messages: [...messages, message, {role: 'user', content: 'And?'}],
              tools,
            })
            const [{promptIds, outputIds}] = plan.answers as [Plan['answers'][0]]
            const expected = [...Array.from(promptIds), ...Array.from(outputIds)]
            const ids = Array.from(next.answers[0]!.promptIds)
            expect(ids.slice(0, expected.length)).deep.equal(expected)
            expect(ids.length).greaterThan(expected.length)
          },
        ),
        {numRuns: 60},
      )
    })

    it('count the template: as many as the model card of the family says', async () => {
      const count = async (modelName: string): Promise<number> => {
        const one = await answeringOf({modelName, tokenizer: 'o200k'})
        return (await one.chat(chatBody({}, 'Hello'))).answers[0]!.promptIds.length
      }
      // <|begin_of_text|>, <|start_header_id|> user <|end_header_id|> \n\n Hello <|eot_id|>, and the same three and \n\n for the answer.
      expect(await count('meta-llama/Llama-3.1-8B-Instruct')).equal(1 + 6 + 4)
      // <|im_start|> user \n Hello <|im_end|> \n, <|im_start|> assistant \n.
      expect(await count('Qwen/Qwen3-8B')).equal(6 + 3)
      expect(await count('openai/gpt-oss-20b')).equal(5 + 3)
    })

    it('tell pictures apart', async () => {
      const ids = async (url: string): Promise<number[]> => {
        const content = [
          {type: 'text', text: 'Look:'},
          {type: 'image_url', image_url: {url}},
        ]
        return Array.from((await chat({}, content)).answers[0]!.promptIds)
      }
      const [a, again, b] = [
        await ids('http://x/a.png'),
        await ids('http://x/a.png'),
        await ids('http://x/b.png'),
      ]
      expect(a).deep.equal(again)
      expect(a).not.deep.equal(b)
      expect(a.length - (await chat({}, 'Look:')).answers[0]!.promptIds.length).equal(576)
    })

    it('of a 100,000-token prompt come without holding up others', async () => {
      const long = await answeringOf({maxModelLen: 200_000})
      const text = Array.from({length: 50_000}, (_, i) => `word${i % 997} and`).join(' ')
      const pending = long.chat(chatBody({max_tokens: 5}, text))
      expect(pending).instanceOf(Promise)
      expect(long.chat(chatBody({}, 'short'))).not.instanceOf(Promise)
      expect((await pending).answers[0]!.promptIds.length).greaterThan(100_000)
      await long.close()
    })
  })

  describe('streams', () => {
    it('open with the role, carry one token each, and end with reason, usage and [DONE]', async () => {
      const plan = await chat({
        stream: true,
        stream_options: {include_usage: true},
        n: 2,
        max_tokens: 9,
        ignore_eos: true,
      })
      const data = streamOf(plan)
      expect(data.pop()).equal('[DONE]')
      const chunks = data.map((each) => JSON.parse(each))
      const usage = chunks.pop()
      expect(usage.choices).deep.equal([])
      expect(usage.usage.completion_tokens).equal(18)
      for (const index of [0, 1]) {
        const own = chunks
          .filter(({choices}) => choices[0].index === index)
          .map(({choices}) => choices[0])
        expect(own[0].delta.role).equal('assistant')
        expect(own.at(-1).finish_reason).equal('length')
        expect(own.slice(1, -1).length).equal(9)
        expect(
          own
            .slice(1, -1)
            .map(({delta}: {delta: {content: string}}) => delta.content)
            .join(''),
        ).equal(textIn(plan, index))
      }
    })

    it('carry log probabilities of each token', async () => {
      const asked = {logprobs: true, top_logprobs: 3, seed: 2, max_tokens: 12}
      const stream = streamOf(await chat({...asked, stream: true})).slice(0, -1)
      const streamed = stream.flatMap((each) => JSON.parse(each).choices[0].logprobs?.content ?? [])
      const plan = await chat(asked)
      const whole = JSON.parse(plan.writer.whole({prompt: 1, cached: 0, completion: 1})).choices[0]
        .logprobs.content
      expect(streamed).deep.equal(whole)
      expect(whole.map(({token}: {token: string}) => token).join('')).equal(textIn(plan))
      for (const {logprob, top_logprobs: top} of whole) {
        expect(top.length).equal(3)
        expect(top[0].logprob).equal(logprob)
        const odds: number[] = top.map((each: {logprob: number}) => each.logprob)
        expect(odds).deep.equal(odds.toSorted((a, b) => b - a))
        expect(odds.reduce((sum, each) => sum + Math.exp(each), 0)).most(1.0001)
      }
    })
  })

  describe('bodies that are wrong', () => {
    const message = (fields: object): object => ({model: 'test-model', messages: [fields]})
    const cases: readonly (readonly [string, unknown, string | undefined, string, RegExp])[] = [
      [
        'nothing',
        undefined,
        undefined,
        'invalid_type',
        /The body must be an object, but it is empty/,
      ],
      ['an array', [], undefined, 'invalid_type', /must be an object/],
      [
        'no model',
        {messages: []},
        'model',
        'missing_required_parameter',
        /Missing required parameter: 'model'/,
      ],
      [
        'no messages',
        {model: 'test-model'},
        'messages',
        'missing_required_parameter',
        /'messages'/,
      ],
      [
        'an empty list of messages',
        {model: 'test-model', messages: []},
        'messages',
        'array_below_min_length',
        /at least 1/,
      ],
      [
        'a role that is none',
        message({role: 'usr', content: 'x'}),
        'messages[0].role',
        'invalid_value',
        /"system"/,
      ],
      [
        'a message without content',
        message({role: 'user'}),
        'messages[0].content',
        'missing_required_parameter',
        /content/,
      ],
      [
        'content of the wrong type',
        message({role: 'user', content: 5}),
        'messages[0].content',
        'invalid_type',
        /a string or an array, but got an integer/,
      ],
      [
        'a part without text',
        message({role: 'user', content: [{type: 'text'}]}),
        'messages[0].content[0].text',
        'missing_required_parameter',
        /text/,
      ],
      [
        'a part that is not served',
        message({role: 'user', content: [{type: 'input_audio'}]}),
        'messages[0].content[0].type',
        'invalid_value',
        /"image_url"/,
      ],
      [
        'a tool result for nobody',
        message({role: 'tool', content: 'x'}),
        'messages[0].tool_call_id',
        'missing_required_parameter',
        /tool_call_id/,
      ],
      [
        'negative max_tokens',
        chatBody({max_tokens: -1}),
        'max_tokens',
        'integer_below_min_value',
        />= 1, but got -1/,
      ],
      [
        'max_tokens of 0',
        chatBody({max_tokens: 0}),
        'max_tokens',
        'integer_below_min_value',
        />= 1/,
      ],
      [
        'half a token',
        chatBody({max_tokens: 1.5}),
        'max_tokens',
        'invalid_type',
        /an integer, but got a decimal/,
      ],
      [
        'max_tokens as text',
        chatBody({max_tokens: '5'}),
        'max_tokens',
        'invalid_type',
        /a number, but got a string/,
      ],
      [
        'a hot temperature',
        chatBody({temperature: 2.5}),
        'temperature',
        'decimal_above_max_value',
        /<= 2, but got 2\.5/,
      ],
      ['n of 0', chatBody({n: 0}), 'n', 'integer_below_min_value', />= 1/],
      ['n of 1000', chatBody({n: 1000}), 'n', 'integer_above_max_value', /<= 128/],
      ['stream as text', chatBody({stream: 'yes'}), 'stream', 'invalid_type', /a boolean/],
      ['a number to stop at', chatBody({stop: [1]}), 'stop[0]', 'invalid_type', /a string/],
      [
        'top_logprobs alone',
        chatBody({top_logprobs: 2}),
        'top_logprobs',
        'invalid_value',
        /'logprobs'/,
      ],
      [
        'a format that is none',
        chatBody({response_format: {type: 'xml'}}),
        'response_format.type',
        'invalid_value',
        /"xml"/,
      ],
      [
        'a schema that is missing',
        chatBody({response_format: {type: 'json_schema', json_schema: {name: 'x'}}}),
        'response_format.json_schema.schema',
        'missing_required_parameter',
        /schema/,
      ],
      [
        'a schema that is wrong',
        chatBody({
          response_format: {type: 'json_schema', json_schema: {name: 'x', schema: {type: 'txt'}}},
        }),
        'response_format.json_schema.schema',
        'invalid_schema',
        /there is no type "txt"/,
      ],
      [
        'a tool without name',
        chatBody({tools: [{type: 'function', function: {}}]}),
        'tools[0].function.name',
        'missing_required_parameter',
        /name/,
      ],
      [
        'tool_choice without tools',
        chatBody({tool_choice: 'required'}),
        'tool_choice',
        'invalid_value',
        /'tools'/,
      ],
      [
        'a tool that is not there',
        chatBody({tools: [weather], tool_choice: {type: 'function', function: {name: 'x'}}}),
        'tool_choice',
        'invalid_value',
        /'x'/,
      ],
      [
        'more min_tokens than max_tokens',
        chatBody({min_tokens: 5, max_tokens: 4}),
        'min_tokens',
        'invalid_value',
        /more than 'max_tokens'/,
      ],
      [
        'a context that is too small',
        chatBody({max_tokens: 9000}),
        'messages',
        'context_length_exceeded',
        /maximum context length is 8192 tokens.* 9000 in the completion/,
      ],
    ]
    for (const [what, body, param, code, text] of cases) {
      it(`are refused: ${what}`, async () => {
        const error = await apiErrorOf(() => answering.chat(body))
        expect(error.status).equal(400)
        expect(error.message).match(text)
        expect([error.details.param, error.details.code]).deep.equal([param, code])
        const parsed = JSON.parse(error.body).error
        expect(parsed.type).equal('invalid_request_error')
        expect(parsed.param).equal(param ?? null)
      })
    }

    it('are refused for completions and responses too', async () => {
      const wrong: readonly (readonly ['completion' | 'response', object, string])[] = [
        ['completion', {prompt: ''}, 'prompt'],
        ['completion', {prompt: ['a', '']}, 'prompt[1]'],
        ['completion', {prompt: {}}, 'prompt'],
        ['completion', {prompt: [3_000_000]}, 'prompt'],
        ['completion', {prompt: 'x', suffix: 'y'}, 'suffix'],
        ['completion', {prompt: 'x', best_of: 3}, 'best_of'],
        ['response', {}, 'input'],
        ['response', {input: [{role: 'user'}]}, 'input[0].content'],
        ['response', {input: 'x', previous_response_id: 'resp_1'}, 'previous_response_id'],
        ['response', {input: 'x', background: true}, 'background'],
        ['response', {input: 'x', max_output_tokens: 0}, 'max_output_tokens'],
      ]
      for (const [endpoint, fields, param] of wrong) {
        const error = await apiErrorOf(() => answering[endpoint]({model: 'test-model', ...fields}))
        expect([error.status, error.details.param], JSON.stringify(fields)).deep.equal([400, param])
      }
    })

    it('with unknown fields are served, and null is as nothing', async () => {
      const plan = await chat({
        some_field: {deep: 1},
        max_tokens: null,
        stop: null,
        tools: null,
        seed: null,
        stream: null,
      })
      expect(plan.mode).equal('whole')
    })

    it('with an unknown model are 404, and the message names the ways out', async () => {
      const error = await apiErrorOf(() => answering.chat({...chatBody(), model: 'gpt-9'}))
      expect([error.status, error.details.code, error.details.param]).deep.equal([
        404,
        'model_not_found',
        'model',
      ])
      expect(error.message)
        .contain('--served-model-name gpt-9')
        .contain('--any-model')
        .contain('test-model')
      const any = await answeringOf({served: {names: ['test-model'], others: 'answered'}})
      expect((await any.chat({...chatBody(), model: 'gpt-9'})).model).equal('gpt-9')
    })
  })

  it('refuses flags that are wrong', async () => {
    for (const [options, message] of [
      [{answer: 'poem'}, /--answer poem: it is filler, echo, or/],
      [{outputTokens: 'normal:5'}, /--output-tokens normal:5: there is no distribution/],
      [{outputTokens: './none.csv'}, /--output-tokens \.\/none\.csv: there is no such file/],
      [{tokenizer: 'gpt'}, /--tokenizer gpt/],
    ] as const) {
      const problem = await problemOf(() => answeringOf(options))
      expect(problem.message).match(message)
    }
  })
})
