import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import fc from 'fast-check'
import {Dice} from '#llmsim/server/answers/dice.js'
import {fillerOf} from '#llmsim/server/answers/filler.js'
import {capitalised, words} from '#llmsim/server/answers/words.js'
import {loadTokenizer, type Tokenizer, tokenizerOf} from '#llmsim/server/tokens/tokenizer.js'
import {problemOf} from '../../catalogue/problem.js'

/** The 256 characters that stand for bytes in byte-level vocabularies (GPT-2's table). */
function byteCharacters(): string[] {
  const own = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let next = 256
  return Array.from({length: 256}, (_, byte) => String.fromCodePoint(own(byte) ? byte : next++))
}

/** A byte-level BPE as small as it can be: bytes, and the merges of "Ġthe". */
function smallTokenizer(): object {
  const merged = ['th', 'the', 'Ġthe']
  const vocab = Object.fromEntries([...byteCharacters(), ...merged].map((token, i) => [token, i]))
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: 'ByteLevel',
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    },
    post_processor: null,
    decoder: {type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true},
    model: {type: 'BPE', dropout: null, unk_token: null, vocab, merges: ['t h', 'th e', 'Ġ the']},
  }
}

/** Words with the blank before them, as SentencePiece has it (Llama 2, Mistral, Gemma). */
function blankTokenizer(): object {
  const blank = '\u2581'
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?']
  const whole = [...words, ...words.map(capitalised)].map((word) => blank + word)
  const vocab = [
    ['<unk>', 0],
    [blank, -4],
    ...letters.map((letter) => [letter, -9]),
    ...[...new Set(whole)].map((word) => [word, -5]),
  ]
  const metaspace = {type: 'Metaspace', replacement: blank, prepend_scheme: 'always', split: true}
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: metaspace,
    post_processor: null,
    decoder: metaspace,
    model: {type: 'Unigram', unk_id: 0, vocab},
  }
}

describe('tokenizers', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-tokens-'))
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(smallTokenizer()))
    writeFileSync(join(folder, 'blank.json'), JSON.stringify(blankTokenizer()))
    writeFileSync(join(folder, 'torn.json'), '{"model": {')
    writeFileSync(join(folder, 'other.json'), '{"name": "package"}')
  })
  after(() => rmSync(folder, {recursive: true, force: true}))

  const known: readonly (readonly [string, string, readonly number[]])[] = [
    // Published by OpenAI: https://github.com/openai/tiktoken, and the cookbook on counting tokens.
    ['cl100k', 'tiktoken is great!', [83, 1609, 5963, 374, 2294, 0]],
    ['cl100k', 'hello world', [15339, 1917]],
    ['o200k', 'hello world', [24912, 2375]],
  ]
  for (const [name, text, ids] of known) {
    it(`${name} makes of "${text}" what OpenAI makes of it`, async () => {
      expect([...(await loadTokenizer(name)).encode(text)]).deep.equal(ids)
    })
  }

  it('keeps the blanks of a vocabulary whose words begin with them', async () => {
    const tokenizer = await loadTokenizer(join(folder, 'blank.json'))
    const {ids, pieces} = tokenizer.split('The water of a river, and so on.')
    expect(pieces.slice(0, 4)).deep.equal(['The', ' water', ' of', ' '])
    expect(pieces.join('')).equal('The water of a river, and so on.')
    expect(pieces.length).equal(ids.length)
    const filler = fillerOf(tokenizer).take(300, new Dice(4))
    expect(filler.ids.length).equal(300)
    const text = filler.pieces.join('')
    expect(text.split(' ').length).greaterThan(200)
    expect(Array.from(tokenizer.encode(text))).deep.equal(Array.from(filler.ids))
  })

  it('reads a tokenizer.json by its path or its folder', async () => {
    for (const path of [join(folder, 'tokenizer.json'), `${folder}/`]) {
      const {ids, pieces} = (await loadTokenizer(path)).split('the the é')
      expect(pieces).deep.equal(['the', ' the', ' ', '', 'é'])
      expect(Array.from(ids).slice(0, 2)).deep.equal([257, 258])
    }
  })

  const specs = (): [string, string][] => [
    ['o200k', 'o200k'],
    ['cl100k', 'cl100k'],
    ['estimate', 'estimate'],
    ['tokenizer.json', join(folder, 'tokenizer.json')],
  ]
  for (const [i, name] of ['o200k', 'cl100k', 'estimate', 'tokenizer.json'].entries()) {
    it(`${name}: pieces are as many as ids and make up the text`, async () => {
      const tokenizer: Tokenizer = await loadTokenizer(specs()[i]![1])
      const check = (text: string): void => {
        const {ids, pieces} = tokenizer.split(text)
        expect(pieces.length).equal(ids.length)
        expect(pieces.join('')).equal(text)
        expect([...tokenizer.encode(text)]).deep.equal(Array.from(ids))
        for (let k = 0; k < ids.length; k++) expect(ids[k]).lessThan(tokenizer.size)
        if (tokenizer.whyNotDecoded === undefined) {
          expect(tokenizer.decode(Array.from(ids))).equal(text)
        }
      }
      for (const text of [
        '',
        '👩‍👩‍👧 <|endoftext|>',
        'naïve\n\n  漢字',
        'x'.repeat(2500),
        ' '.repeat(1200),
      ])
        check(text)
      fc.assert(fc.property(fc.string({unit: 'grapheme', maxLength: 80}), check), {numRuns: 60})
    })
  }

  it('cuts words without end, which would take minutes, and counts them nearly the same', async () => {
    const tokenizer = await loadTokenizer('o200k')
    const long = 'abcdefghij'.repeat(20_000)
    const each = tokenizer.encode('abcdefghij'.repeat(100)).length
    expect(tokenizer.encode(long).length).within(200 * each - 200, 200 * each + 200)
    expect(tokenizer.decode([...tokenizer.encode(long)])).equal(long)
  })

  const wrong: readonly (readonly [string, () => string, RegExp])[] = [
    ['an unknown name', () => 'gpt5', /--tokenizer gpt5: there is no such tokenizer; it is o200k/],
    ['a missing file', () => join(folder, 'none.json'), /none\.json: there is no such file/],
    ['torn JSON', () => join(folder, 'torn.json'), /torn\.json: it is not JSON/],
    ['other JSON', () => join(folder, 'other.json'), /other\.json: it is not a tokenizer/],
  ]
  for (const [what, spec, message] of wrong) {
    it(`refuses ${what}`, async () => {
      const problem = await problemOf(() => loadTokenizer(spec()))
      expect(problem.code).equal('FLAG_BAD_VALUE')
      expect(problem.message).match(message)
    })
  }

  it('says which vocabulary counts for a model, and how well', () => {
    expect(tokenizerOf('meta-llama/Llama-3.1-8B-Instruct').spec).equal('o200k')
    expect(tokenizerOf('meta-llama/Llama-3.1-8B-Instruct').note).match(/Llama 3 .* 0\.15 %/)
    expect(tokenizerOf('gpt-4')).deep.equal({spec: 'cl100k'})
    expect(tokenizerOf('openai/gpt-oss-20b')).deep.equal({spec: 'o200k'})
    expect(tokenizerOf('Qwen/Qwen3-8B').note).match(/--tokenizer PATH/)
  })
})
