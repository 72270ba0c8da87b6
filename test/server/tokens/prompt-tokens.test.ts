import {expect} from 'chai'
import {PromptTokens} from '#llmsim/server/tokens/prompt-tokens.js'
import {loadTokenizer} from '#llmsim/server/tokens/tokenizer.js'

const words = (count: number): string =>
  Array.from({length: count}, (_, i) => `word${i % 997} and`).join(' ')

describe('the tokens of prompts', () => {
  let tokens: PromptTokens
  before(async () => {
    tokens = new PromptTokens(await loadTokenizer('o200k'), 'o200k')
  })
  after(() => tokens.close())

  it('are made on the spot when the text is short, and remembered', () => {
    const first = tokens.encode('a short text')
    expect(first).instanceOf(Uint32Array)
    expect(tokens.encode('a short text')).equal(first)
  })

  it('come from another thread when the text is long, and are the same', async () => {
    const text = words(50_000)
    const pending = tokens.encode(text)
    expect(pending).instanceOf(Promise)
    let turns = 0
    const ticking = setInterval(() => turns++, 1)
    const ids = await pending
    clearInterval(ticking)
    expect(ids.length).greaterThan(100_000)
    expect(turns, 'turns of the event loop meanwhile').greaterThan(10)
    const expected = tokens.tokenizer.encode(text)
    expect(Buffer.from(ids.buffer).equals(Buffer.from(expected.buffer))).equal(true)
    expect(tokens.encode(text)).equal(ids)
  })

  it('of several long texts come to whom they belong', async () => {
    const texts = [6_000, 5_000, 7_000].map(words)
    const all = await Promise.all(texts.map((text) => tokens.encode(text)))
    expect(all.map(({length}) => length)).deep.equal(
      texts.map((text) => tokens.tokenizer.encode(text).length),
    )
  })

  it('do not fill the memory', async () => {
    const few = new PromptTokens(await loadTokenizer('estimate'), 'estimate')
    const text = (i: number): string => `${i}`.padEnd(16_000, 'x')
    const first = few.encode(text(0))
    for (let i = 1; i < 3_000; i++) void few.encode(text(i))
    expect(few.encode(text(2_999))).equal(few.encode(text(2_999)))
    expect(few.encode(text(0)), 'forgotten long ago').not.equal(first)
  })

  it('are refused when the thread has ended, and made by a new one afterwards', async () => {
    const own = new PromptTokens(await loadTokenizer('estimate'), 'estimate')
    const pending = Promise.resolve(own.encode(words(9_000))).then(
      () => 'made',
      () => 'refused',
    )
    await own.close()
    expect(['made', 'refused']).include(await pending)
    expect((await own.encode(words(9_001))).length).greaterThan(1)
    await own.close()
  })
})
