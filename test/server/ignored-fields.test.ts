/** A misspelt field is answered as if it were not there, and told. */
import {expect} from 'chai'
import {type GenerationPath, IgnoredFields} from '#llmsim/server/requests/ignored-fields.js'
import {listenModel, post} from '../support/listening.js'
import {closeTestPorts, openTestPort} from '../support/open-port.js'

describe('fields that nothing reads', () => {
  after(closeTestPorts)

  const told = (path: GenerationPath, ...bodies: unknown[]): string[] => {
    const lines: string[] = []
    const ignored = new IgnoredFields((line) => lines.push(line))
    for (const body of bodies) expect(ignored.watch(path, body)).equal(body)
    return lines
  }

  it('are told once for each path, with the one that may be meant', () => {
    const body = {model: 'x', messages: [], max_token: 5}
    expect(told('/v1/chat/completions', body, body, {...body, strem: true, foo: 1})).deep.equal([
      'warning: /v1/chat/completions: nothing reads the field "max_token"; is max_tokens meant?',
      'warning: /v1/chat/completions: nothing reads the field "strem"; is stream meant?',
      'warning: /v1/chat/completions: nothing reads the field "foo"',
    ])
    expect(told('/v1/responses', {max_outputtokens: 1})).deep.equal([
      'warning: /v1/responses: nothing reads the field "max_outputtokens"; is max_output_tokens meant?',
    ])
  })

  it('are not told where OpenAI or vLLM know them, or the body is none', () => {
    const known = {top_k: 1, logit_bias: {}, store: true, chat_template_kwargs: {}, user: 'me'}
    expect(told('/v1/chat/completions', known, null, 'x', [1], undefined)).deep.equal([])
  })

  it('fill neither memory nor screen', () => {
    const bodies = Array.from({length: 300}, (_, i) => ({[`${'x'.repeat(999)}${i}`]: 1}))
    const lines = told('/v1/completions', ...bodies)
    expect(lines.length).equal(100)
    expect(Math.max(...lines.map((line) => line.length))).below(150)
  })

  it('are told by the port, which answers all the same', async () => {
    const port = await openTestPort({respond: 'instant'})
    const body = {model: listenModel, prompt: 'Hi', max_token: 5}
    const answer = await post({url: port.url, path: '/v1/completions', body})
    expect(answer.status).equal(200)
    expect(port.logged).deep.equal([
      'warning: /v1/completions: nothing reads the field "max_token"; is max_tokens meant?',
    ])
  })
})
