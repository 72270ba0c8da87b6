import {execFile} from 'node:child_process'
import {promisify} from 'node:util'
import {expect} from 'chai'
import OpenAI from 'openai'
import {zodResponseFormat, zodTextFormat} from 'openai/helpers/zod'
import {z} from 'zod'
import {parseFaults} from '#llmsim/server/faults.js'
import type {Port} from '#llmsim/server/port.js'
import {listenModel as model} from '../support/listening.js'
import {openTestPort} from '../support/open-port.js'
import {openaiChecks, type WireType} from '../support/openai-schemas.js'

const messages: OpenAI.ChatCompletionMessageParam[] = [
  {role: 'user', content: 'What is the weather in Paris?'},
]

const weatherParameters = {
  type: 'object',
  properties: {city: {type: 'string'}, days: {type: 'integer', minimum: 1, maximum: 7}},
  required: ['city', 'days'],
  additionalProperties: false,
}

const clientOf = (port: Port, options: object = {}): OpenAI =>
  new OpenAI({baseURL: `${port.url}/v1`, apiKey: 'any', maxRetries: 0, ...options})

const cosine = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0)

/** The error that a call of the client rejects with. */
async function errorOf(
  run: () => PromiseLike<unknown>,
): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await run()
  } catch (error) {
    if (error instanceof OpenAI.APIError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe("OpenAI's client", function () {
  this.timeout(60_000)
  let port: Port
  let client: OpenAI
  let check: (type: WireType, value: unknown) => string
  const expectValid = (type: WireType, value: unknown): void => {
    expect(check(type, value)).equal('')
  }

  before(async () => {
    check = await openaiChecks()
    port = await openTestPort({speed: 20})
    client = clientOf(port)
  })
  after(() => port.close())

  it('does not take anything for an answer', () => {
    expect(check('Chat', {})).contain("must have required property 'choices'")
    expect(
      check('ChatChunk', {
        id: 'x',
        choices: [{}],
        created: 1,
        model: 'm',
        object: 'chat.completion.chunk',
      }),
    ).contain('delta')
    expect(check('ResponseEvent', {type: 'response.output_text.delta', delta: 'x'})).not.equal('')
  })

  describe('chat completions', () => {
    it('come whole', async () => {
      const answer = await client.chat.completions.create({
        model,
        messages: messages,
        max_tokens: 12,
        n: 2,
      })
      expectValid('Chat', answer)
      expect(answer.choices.length).equal(2)
      expect(answer.choices[0]!.message.content).a('string').not.equal('')
      expect(answer.usage!.total_tokens).equal(
        answer.usage!.prompt_tokens + answer.usage!.completion_tokens,
      )
    })

    it('come with log probabilities', async () => {
      const answer = await client.chat.completions.create({
        model,
        messages: messages,
        max_tokens: 5,
        logprobs: true,
        top_logprobs: 2,
      })
      expectValid('Chat', answer)
      expect(answer.choices[0]!.logprobs!.content!.length).equal(answer.usage!.completion_tokens)
    })

    it('come in a stream, token by token, and say when the first one was there', async () => {
      const asked = {
        model,
        messages: messages,
        max_tokens: 9,
        stream: true,
        stream_options: {include_usage: true},
      } satisfies OpenAI.ChatCompletionCreateParamsStreaming
      const {data, response} = await client.chat.completions.create(asked).withResponse()
      expect(Number(response.headers.get('x-llmsim-ttft-ms'))).greaterThan(0)
      let text = ''
      let usage: OpenAI.CompletionUsage | null | undefined
      for await (const chunk of data) {
        expectValid('ChatChunk', chunk)
        text += chunk.choices[0]?.delta.content ?? ''
        usage = chunk.usage ?? usage
      }
      expect(text).not.equal('')
      expect(usage!.completion_tokens).most(9)
      expect(usage!.prompt_tokens_details!.cached_tokens).a('number')
    })

    it('say what was found in the prefix cache', async () => {
      const long = [{role: 'system' as const, content: 'Be brief. '.repeat(60)}, ...messages]
      const ask = () => client.chat.completions.create({model, messages: long, max_tokens: 2})
      await ask()
      const {usage} = await ask()
      expect(usage!.prompt_tokens_details!.cached_tokens).within(96, usage!.prompt_tokens)
    })

    it('run tools to the end', async () => {
      const asked: unknown[] = []
      const runner = client.chat.completions.runTools({
        model,
        messages: messages,
        tools: [
          {
            type: 'function',
            function: {
              name: 'get_weather',
              description: 'The weather of a city',
              parameters: weatherParameters,
              parse: JSON.parse,
              function: (args: unknown) => {
                asked.push(args)
                return 'sunny'
              },
            },
          },
        ],
      })
      expect(await runner.finalContent())
        .a('string')
        .not.equal('')
      expect(asked.length).equal(1)
      expect((asked[0] as {days: number}).days).within(1, 7)
    })

    it('call tools', async () => {
      const answer = await client.chat.completions.create({
        model,
        messages,
        tools: [{type: 'function', function: {name: 'get_weather', parameters: weatherParameters}}],
      })
      expectValid('Chat', answer)
      expect(answer.choices[0]!.finish_reason).equal('tool_calls')
    })

    it('stream the calls of tools', async () => {
      const tools = [
        {type: 'function', function: {name: 'get_weather', parameters: weatherParameters}},
      ] as const
      const stream = client.chat.completions.stream({
        model,
        messages: messages,
        tools: [...tools],
        tool_choice: 'required',
      })
      for await (const chunk of stream) expectValid('ChatChunk', chunk)
      const {choices} = await stream.finalChatCompletion()
      expect(choices[0]!.finish_reason).equal('tool_calls')
      const [call] = choices[0]!.message.tool_calls!
      expect(
        call?.type === 'function' && Object.keys(JSON.parse(call.function.arguments)),
      ).deep.equal(['city', 'days'])
    })

    it('have the structure that is asked for', async () => {
      const schema = z.object({
        steps: z.array(z.object({say: z.string(), tone: z.enum(['warm', 'cold'])})),
        sure: z.boolean(),
        score: z.number().min(0).max(1),
      })
      const answer = await client.chat.completions.parse({
        model,
        messages: messages,
        response_format: zodResponseFormat(schema, 'answer'),
      })
      expect(schema.safeParse(answer.choices[0]!.message.parsed).success).equal(true)
    })
  })

  describe('completions', () => {
    it('come whole, for texts and for token ids', async () => {
      for (const prompt of ['Once', ['Once', 'Twice'], [5, 6, 7]]) {
        const answer = await client.completions.create({model, prompt, max_tokens: 4, logprobs: 1})
        expectValid('Completion', answer)
        expect(answer.choices.length).equal(
          Array.isArray(prompt) && typeof prompt[0] === 'string' ? 2 : 1,
        )
      }
    })

    it('come in a stream, with the prompt before them if asked', async () => {
      const stream = await client.completions.create({
        model,
        prompt: 'Once',
        echo: true,
        max_tokens: 4,
        stream: true,
      })
      let text = ''
      for await (const chunk of stream) {
        expectValid('Completion', {
          ...chunk,
          choices: chunk.choices.map((each) => ({
            ...each,
            finish_reason: each.finish_reason ?? 'stop',
          })),
        })
        text += chunk.choices[0]!.text
      }
      expect(text.startsWith('Once')).equal(true)
      expect(text.length).greaterThan(4)
    })
  })

  describe('responses', () => {
    it('come whole', async () => {
      const answer = await client.responses.create({
        model,
        input: 'Hello',
        instructions: 'Be kind.',
        max_output_tokens: 300,
      })
      expectValid('Response', answer)
      expect(answer.output_text).not.equal('')
      expect(answer.usage!.total_tokens).greaterThan(answer.usage!.input_tokens)
    })

    it('come as named events in the right order', async () => {
      const types: string[] = []
      const stream = client.responses.stream({
        model,
        input: [{role: 'user', content: 'Hello'}],
        max_output_tokens: 5,
      })
      for await (const event of stream) {
        const {...plain} = event
        // What the client adds to the event.
        if ('snapshot' in plain) delete (plain as {snapshot?: unknown}).snapshot
        expectValid('ResponseEvent', withText(plain))
        if (types.at(-1) !== event.type) types.push(event.type)
      }
      const final = await stream.finalResponse()
      expect(final.status).equal('incomplete')
      expect(types).deep.equal([
        'response.created',
        'response.in_progress',
        'response.output_item.added',
        'response.content_part.added',
        'response.output_text.delta',
        'response.output_text.done',
        'response.content_part.done',
        'response.output_item.done',
        'response.incomplete',
      ])
    })

    it('call tools, and answer when these have', async () => {
      const tools = [
        {type: 'function', name: 'get_weather', parameters: weatherParameters, strict: true},
      ] as const
      const first = await client.responses.create({
        model,
        input: 'Weather?',
        tools: [...tools],
        tool_choice: 'required',
      })
      expectValid('Response', first)
      const call = first.output.find(({type}) => type === 'function_call')
      if (call?.type !== 'function_call') throw new Error('no call')
      expect(JSON.parse(call.arguments)).keys('city', 'days')
      const second = await client.responses.create({
        model,
        tools: [...tools],
        input: [
          {role: 'user', content: 'Weather?'},
          call,
          {type: 'function_call_output', call_id: call.call_id, output: 'sunny'},
        ],
      })
      expect(second.output_text).not.equal('')
    })

    it('have the structure that is asked for', async () => {
      const schema = z.object({title: z.string(), tags: z.array(z.string()).min(1)})
      const answer = await client.responses.parse({
        model,
        input: 'Hello',
        text: {format: zodTextFormat(schema, 'note')},
      })
      expect(schema.safeParse(answer.output_parsed).success).equal(true)
    })
  })

  it('gets embeddings: equal texts are equal, related ones are near', async () => {
    const input = [
      'the cat sat on the mat',
      'the cat sat on the mat',
      'the cat sat on a mat',
      'taxes were raised in spring',
    ]
    const answer = await client.embeddings.create({model, input, dimensions: 256})
    expectValid('Embeddings', answer)
    const [a, b, c, d] = answer.data.map(({embedding}) => embedding) as [
      number[],
      number[],
      number[],
      number[],
    ]
    expect(a.length).equal(256)
    expect(cosine(a, b)).within(0.9999, 1.0001)
    expect(cosine(a, c)).greaterThan(cosine(a, d) + 0.3)
    const plain = await client.embeddings.create({model, input: 'x', encoding_format: 'float'})
    expect(plain.data[0]!.embedding.length).equal(1536)
  })

  it('finds the models', async () => {
    const {data} = await client.models.list()
    for (const each of data) {
      // vLLM tells these too.
      const {root, parent, max_model_len, ...plain} = each as unknown as Record<string, unknown>
      expectValid('Model', plain)
      expect([root, parent, max_model_len]).deep.equal([model, null, 8192])
    }
    expect((await client.models.retrieve(model)).id).equal(model)
    expect((await errorOf(() => client.models.retrieve('gpt-9'))).status).equal(404)
  })

  describe('errors', () => {
    it('have their class, code and field', async () => {
      const unknown = await errorOf(() =>
        client.chat.completions.create({model: 'gpt-9', messages: messages}),
      )
      expect(unknown).instanceOf(OpenAI.NotFoundError)
      expect([unknown.code, unknown.param, unknown.type]).deep.equal([
        'model_not_found',
        'model',
        'invalid_request_error',
      ])
      expect(unknown.message).contain('--any-model')
      expect(unknown.requestID).match(/^req_/)
      const bad = await errorOf(() =>
        client.chat.completions.create({model, messages: messages, max_tokens: -1}),
      )
      expect(bad).instanceOf(OpenAI.BadRequestError)
      expect(bad.param).equal('max_tokens')
      const long = await errorOf(() =>
        client.completions.create({model, prompt: 'word '.repeat(9000)}),
      )
      expect([long.status, long.code]).deep.equal([400, 'context_length_exceeded'])
    })

    it('keep their status when a stream was asked for', async () => {
      const error = await errorOf(() =>
        client.chat.completions.create({model, messages: [], stream: true}),
      )
      expect(error.status).equal(400)
    })

    it('of keys and of injected faults are what clients wait for', async () => {
      const guarded = await openTestPort({apiKey: 'right'})
      const wrong = await errorOf(() => clientOf(guarded).models.list())
      expect(wrong).instanceOf(OpenAI.AuthenticationError)
      expect((await clientOf(guarded, {apiKey: 'right'}).models.list()).data.length).equal(1)
      await guarded.close()
      const failing = await openTestPort({faults: parseFaults('rate=100%,type=429', 1)})
      const limited = await errorOf(() =>
        clientOf(failing).chat.completions.create({model, messages: messages}),
      )
      expect(limited).instanceOf(OpenAI.RateLimitError)
      expect(limited.headers!.get('retry-after')).equal('1')
      await failing.close()
    })
  })

  it('can hang up: the request is taken out of the engine', async () => {
    const slow = await openTestPort({speed: 1})
    const rows: string[] = []
    slow.serving.observers.push({ended: ({status}) => rows.push(status)})
    const stream = await clientOf(slow).chat.completions.create({
      model,
      messages: messages,
      max_tokens: 4000,
      ignore_eos: true,
      stream: true,
    } as never)
    for await (const _ of stream as unknown as AsyncIterable<unknown>) break
    await until(() => rows.length > 0)
    expect(rows).deep.equal(['cancelled'])
    expect(slow.serving.backend.status().usedBlocks).equal(0)
    expect(slow.serving.open).equal(0)
    await slow.close()
  })

  it('gets the same from curl', async () => {
    const run = async (...argv: string[]): Promise<string> =>
      (await promisify(execFile)('curl', ['-sS', '-m', '20', ...argv])).stdout
    const body = JSON.stringify({model, messages, max_tokens: 5, ignore_eos: true})
    const json = ['-H', 'content-type: application/json', '-d']
    const url = `${port.url}/v1/chat/completions`
    const whole = JSON.parse(await run(url, ...json, body)) as {usage: {completion_tokens: number}}
    expectValid('Chat', whole)
    expect(whole.usage.completion_tokens).equal(5)
    const stream = await run('-N', url, ...json, body.replace('{', '{"stream": true,'))
    const events = stream.trimEnd().split('\n\n')
    expect(events.at(-1)).equal('data: [DONE]')
    expect(events.length).equal(1 + 5 + 1 + 1)
    const {error} = JSON.parse(await run(url, ...json, '{"model": ')) as {error: {type: string}}
    expect(error.type).equal('invalid_request_error')
  })
})

/** The client computes `output_text` for whole responses, and the types have it everywhere. */
function withText(event: object): object {
  if (!('response' in event)) return event
  return {...event, response: {output_text: '', ...(event.response as object)}}
}
