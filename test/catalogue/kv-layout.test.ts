import {expect} from 'chai'
import {type KvGroup, longestRequest, mostPages, unseenBlocks} from '#llmsim/catalogue/kv-groups.js'
import {kvLayoutOf} from '#llmsim/catalogue/kv-layout.js'
import type {ModelShape} from '#llmsim/catalogue/model-shape.js'
import {loadModel} from '#llmsim/catalogue/models.js'

const shape = async (name: string): Promise<ModelShape> => (await loadModel(name)).model

const everything = (pages: number): KvGroup => ({sees: 'everything', window: 0, pages})
const window = (tokens: number, pages: number): KvGroup => ({sees: 'window', window: tokens, pages})

describe('KV layout of models with windows', () => {
  const known: readonly [string, readonly KvGroup[], number][] = [
    ['gpt-oss-120b', [window(128, 1), everything(1)], 18],
    ['gpt-oss-20b', [window(128, 1), everything(1)], 12],
    // 52 sliding layers in groups of 10, the last one with 8 padding layers.
    ['gemma-3-27b-it', [window(1024, 6), everything(1)], 10],
    ['gemma-2-9b', [window(4096, 1), everything(1)], 21],
    // One table for the layers of all groups that see alike, whatever their MLP.
    [
      'Llama-4-Maverick-17B-128E-Instruct',
      [{sees: 'chunk', window: 8192, pages: 3}, everything(1)],
      12,
    ],
    ['Mistral-7B-v0.1', [window(4096, 1)], 32],
    // A page of the sliding layers holds 8 heads of 256, one of the others 2 of 512: two of these are one of those.
    ['gemma-4-26B-A4B', [window(1024, 10), everything(1)], 5],
  ]
  for (const [name, groups, layers] of known)
    it(name, async () => {
      const layout = kvLayoutOf(await shape(name))!
      expect(layout.groups).deep.equal(groups)
      expect(layout.layersPerGroup).equal(layers)
    })

  it('is none where all layers see everything, or the rule is not known', async () => {
    expect(kvLayoutOf(await shape('Llama-3.1-8B'))).equal(undefined)
    expect(kvLayoutOf(await shape('DeepSeek-V3'))).equal(undefined)
    const gemma = await shape('gemma-3-27b-it')
    const [local, full] = gemma.groups
    const attention = (change: object) => ({...local!, attention: {...local!.attention, ...change}})
    const third = {...gemma, groups: [local!, full!, attention({window: 512})]} as ModelShape
    const odd = {...gemma, groups: [attention({headDim: 192}), full!]} as ModelShape
    const chunksAlone = {...gemma, modelType: 'llama4', groups: [local!]} as ModelShape
    for (const model of [third, odd, chunksAlone]) expect(kvLayoutOf(model)).equal(undefined)
  })

  it('pads the smaller kind where the other is hardly larger', async () => {
    const model = await shape('gpt-oss-20b')
    const [local, full] = model.groups
    const drafted = {...model, groups: [local!, {...full!, count: 13}]}
    expect(kvLayoutOf(drafted)!.groups.map(({pages}) => pages)).deep.equal([1, 1])
    expect(kvLayoutOf(drafted)!.layersPerGroup).equal(13)
  })

  it('gives each stage of a pipeline its layers of every group', async () => {
    const model = await shape('gpt-oss-120b')
    const [whole] = kvLayoutOf(model)!.pageBytesPerToken
    expect(kvLayoutOf(model, {pp: 2})!.pageBytesPerToken).deep.equal([whole! / 2, whole! / 2])
    expect(kvLayoutOf(model, {tp: 2})!.pageBytesPerToken).deep.equal([whole! / 2])
  })

  /** Start-up lines of vLLM: memory for KV, and the tokens that it says fit; docs/models.md names the sources. */
  const published: readonly [string, number, number][] = [
    ['gemma-3-27b-it', 109.86, 205_696],
    ['gemma-3-27b-it', 35.31, 66_112],
  ]
  for (const [name, gib, tokens] of published)
    it(`holds ${tokens} tokens of ${name} in ${gib} GiB`, async () => {
      const {pageBytesPerToken, pagesPerBlock} = kvLayoutOf(await shape(name))!
      const pages = Math.floor((gib * 2 ** 30) / (pageBytesPerToken[0]! * 16))
      expect(Math.floor(pages / pagesPerBlock) * 16).equal(tokens)
    })

  it('asks as many pages for a request as the concurrencies say that vLLM prints', async () => {
    const {groups} = kvLayoutOf(await shape('gpt-oss-120b'))!
    const pagesOf = (maxModelLen: number) =>
      mostPages(groups, maxModelLen, {blockSize: 16, maxNumBatchedTokens: 2048, maxModelLen})
    expect([pagesOf(98_304), pagesOf(81_920)]).deep.equal([6281, 5257])
    // The same server with both lengths: 6.51 and 7.77 requests at once.
    expect(7.77 / 6.51).closeTo(pagesOf(98_304) / pagesOf(81_920), 0.005)
  })
})

describe('groups with windows', () => {
  it('leave the blocks that no later token sees', () => {
    const unseen = (group: KvGroup) =>
      [0, 31, 32, 46, 47, 48, 63, 64].map((computed) => unseenBlocks(group, computed, 16))
    expect(unseen(window(32, 1))).deep.equal([0, 0, 0, 0, 1, 1, 2, 2])
    expect(unseen({sees: 'chunk', window: 32, pages: 1})).deep.equal([0, 0, 2, 2, 2, 2, 2, 4])
    expect(unseen(everything(1))).deep.equal([0, 0, 0, 0, 0, 0, 0, 0])
  })

  it('tell the longest request that fits', () => {
    const groups = [window(32, 2), everything(1)]
    const step = {blockSize: 16, maxNumBatchedTokens: 32}
    // 31 + 32 tokens and one block more are 5 blocks of each of two groups, and what the third keeps of them all.
    expect(longestRequest(groups, 10 + 100, 10_000, step)).equal(1600)
    expect(longestRequest(groups, 10 + 100, 1000, step)).equal(1000)
    expect(longestRequest(groups, 2, 1000, step)).equal(0)
    expect(longestRequest(groups, 3, 1000, step)).equal(16)
  })
})
