/** Turns of a conversation: known as such, and cheaper than strangers, for their past is in the prefix cache. */
import {expect} from 'chai'
import {readTrace} from '#llmsim/trace/read.js'
import {listenModel, post} from '../support/listening.js'
import {closeTestPorts, openTestPort} from '../support/open-port.js'

interface Message {
  readonly role: string
  readonly content: string
}

const ask = async (url: string, messages: readonly Message[]) => {
  const body = {model: listenModel, messages, max_tokens: 80, min_tokens: 80, ignore_eos: true}
  const {status, text} = await post({url, body})
  expect(status, text).equal(200)
  const {choices, usage} = JSON.parse(text)
  return {
    content: choices[0].message.content as string,
    cached: usage.prompt_tokens_details.cached_tokens as number,
    prompt: usage.prompt_tokens as number,
  }
}

describe('a conversation over the port', () => {
  afterEach(closeTestPorts)

  it('is one session in the trace, and finds its past, answers included, in the cache', async () => {
    const port = await openTestPort({speed: 20})
    const system = {
      role: 'system',
      content: `You are a patient teacher. ${'Be brief. '.repeat(30)}`,
    }
    const messages: Message[] = [system, {role: 'user', content: 'What is a prefix cache?'}]
    const first = await ask(port.url, messages)
    messages.push({role: 'assistant', content: first.content})
    messages.push({role: 'user', content: 'And what is a block?'})
    const second = await ask(port.url, messages)
    const stranger = await ask(port.url, [system, {role: 'user', content: 'Who was Ada Lovelace?'}])
    await port.drain()
    await port.close()

    expect(first.cached).equal(0)
    // All full blocks of the first prompt and its 80 tokens but for the last token, which has no KV yet.
    expect(second.cached).least(Math.floor((first.prompt + 79) / 16) * 16 - 16)
    expect(second.cached).above(first.prompt)
    expect(stranger.cached).above(0).below(first.prompt)
    const {session, turn, requestId, extra} = await readTrace([...port.files])
    expect(requestId!.length).equal(3)
    expect(Array.from(session!.codes, (code) => session!.names[code])).deep.equal([
      's1',
      's1',
      's2',
    ])
    expect([...turn!]).deep.equal([0, 1, 0])
    expect(extra!.get('cached_tokens')!.map(Number)).deep.equal([0, second.cached, stranger.cached])
  })

  it('keeps texts only when it is told to', async () => {
    const asked = [{role: 'user', content: 'Is this, "quoted",\nkept?'}]
    for (const kept of ['texts', 'no texts'] as const) {
      const plain = await openTestPort()
      await plain.close()
      const port = await openTestPort({
        speed: 20,
        trace: {path: `${plain.files[0]!}.text.csv`, kept, meta: {}},
      })
      const {content} = await ask(port.url, asked)
      await port.drain()
      await port.close()
      const {extra} = await readTrace([...port.files])
      if (kept === 'no texts') {
        expect([...extra!.keys()].filter((name) => name.endsWith('_json'))).deep.equal([])
        continue
      }
      expect(extra!.get('prompt_json')![0]).include(JSON.stringify(asked[0]!.content))
      expect(extra!.get('answer_json')![0]).include(JSON.stringify(content).slice(1, -1))
    }
  })
})
