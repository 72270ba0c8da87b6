/** Blocks and the prefix index of the reference engine, by hand. Blocks of 4 tokens, one request at a time. */

import {expect} from 'chai'
import {play, type Row, type Scenario} from './scenario.js'

const later = (...rows: Omit<Row, 'at'>[]): Row[] => rows.map((row, i) => ({...row, at: 100 * i}))

/** Cached tokens per request. */
const cached = (rows: Row[], more: Omit<Scenario, 'rows'> = {}) => {
  const config = {enablePrefixCaching: true, ...more.config}
  return play({...more, rows, config}).requests.map(({cachedTokens}) => cachedTokens)
}

describe('reference engine: prefix cache', () => {
  it('computes at least one token, however well the prompt is known', () => {
    // 8 tokens: floor(7/4) = 1 block may hit; 9 tokens: 2 blocks.
    const known = {output: 1, ids: [1, 2]}
    expect(cached(later({input: 8, ...known}, {input: 8, ...known}))).to.deep.equal([0, 4])
    expect(cached(later({input: 8, ...known}, {input: 9, ...known}))).to.deep.equal([0, 8])
  })

  it('counts hits over prompt tokens of first admissions, and nothing when off', () => {
    const rows = later({input: 8, output: 1, ids: [1, 2]}, {input: 9, output: 1, ids: [1, 2]})
    const on = play({rows, config: {enablePrefixCaching: true}})
    expect([on.hitTokens, on.lookedUpTokens]).to.deep.equal([8, 17])
    // The second request computes its last token only, with context 8.
    expect(on.steps[1]?.shape).to.include({tokens: 1, decodes: 1, decodeContext: 8})
    const off = play({rows})
    expect([off.hitTokens, off.lookedUpTokens]).to.deep.equal([0, 0])
  })

  it('finds what is being computed in the same batch', () => {
    const row = {at: 0, input: 9, output: 1, ids: [1, 2]}
    const run = play({rows: [row, row], config: {enablePrefixCaching: true}})
    expect(run.requests.map(({cachedTokens}) => cachedTokens)).to.deep.equal([0, 8])
    // A: 3 blocks. B holds two of them too and takes one.
    expect(run.steps[0]?.freeBlocks).to.equal(96)
    expect(run.freeBlocksAtEnd).to.equal(100)
  })

  it('knows the output where the trace does', () => {
    // 4 + 5: KV of 8 tokens is computed, so blocks 0 and 1 are full.
    const rows = later({input: 4, output: 5, ids: [1, 2]}, {input: 12, output: 1, ids: [1, 2, 3]})
    expect(cached(rows)).to.deep.equal([0, 8])
    expect(cached([{...rows[0]!, known: 4}, rows[1]!])).to.deep.equal([0, 4])
  })

  it('stops at the first block that is missing', () => {
    const rows = later(
      {input: 12, output: 1, ids: [1, 2, 3]},
      {input: 13, output: 1, ids: [1, 9, 3]},
    )
    expect(cached(rows)).to.deep.equal([0, 4])
  })

  it('gives the last block back first, so that the start of a prompt is evicted last', () => {
    // 3 blocks. X takes b0 b1, returns b1 b0: free b2 b1 b0. Y takes b2 b1, so 2 is gone and 1 is still there.
    const rows = later(
      {input: 8, output: 1, ids: [1, 2]},
      {input: 8, output: 1, ids: [3, 4]},
      {input: 9, output: 1, ids: [1, 2]},
    )
    expect(cached(rows, {config: {blocks: 3}})).to.deep.equal([0, 0, 4])
  })

  it('points to the newer of two equal blocks, and evicting the older leaves it there', () => {
    // X computes block 1 in b0 (free: b1 b2 b0). Y computes it again in b1 (cap), free: b2 b0 b1. W takes b2 b0.
    const rows = later(
      {input: 4, output: 1, ids: [1]},
      {input: 4, output: 1, ids: [1]},
      {input: 8, output: 1, ids: [7, 8]},
      {input: 5, output: 1, ids: [1]},
    )
    expect(cached(rows, {config: {blocks: 3}})).to.deep.equal([0, 0, 0, 4])
  })

  it('needs room for hits that nobody holds', () => {
    // 3 blocks; X leaves 1 and 2 in free blocks. A (1 block) and Y at 100: Y hits both and needs one more: 3 of 2.
    const rows = [
      {at: 0, input: 8, output: 1, ids: [1, 2]},
      {at: 100, input: 1, output: 1},
      {at: 100, input: 9, output: 1, ids: [1, 2]},
    ]
    const run = play({rows, config: {blocks: 3, enablePrefixCaching: true}})
    expect(run.requests[2]).to.include({scheduledAt: 110, cachedTokens: 8})
  })

  it('lets a preempted request find its own blocks, if it may', () => {
    // At 10 A takes the third block; B, the tail, needs one and goes, leaving its full block. At 30 A ends.
    const rows = [
      {at: 0, input: 4, output: 3},
      {at: 0, input: 4, output: 2},
    ]
    const config = {blocks: 3, enablePrefixCaching: true}
    const own = play({rows, config})
    expect(own.requests[1]).to.include({preemptions: 1, cachedTokens: 0, finishedAt: 40})
    expect(own.steps[3]?.shape).to.include({tokens: 1, decodeContext: 4})
    const none = play({rows, config: {...config, ownBlocks: false}})
    expect(none.steps[3]?.shape).to.include({tokens: 5, prefillContext: 0})
  })
})

describe('reference engine: identity when spans are not blocks', () => {
  it('names two blocks of one longer span by their ends', () => {
    const first = {input: 8, output: 1, ids: [1]}
    const spanTokens = 8
    expect(cached(later(first, {input: 9, output: 1, ids: [1, 5]}), {spanTokens})).to.deep.equal([
      0, 8,
    ])
    // Only 6 tokens of the span are known: block 1 ends at 8.
    const short = {input: 9, output: 1, ids: [1], known: 6}
    expect(cached(later(first, short), {spanTokens})).to.deep.equal([0, 4])
  })

  it('names a block of several spans by the last of them', () => {
    const rows = later(
      {input: 8, output: 1, ids: [1, 2, 3, 4]},
      {input: 9, output: 1, ids: [1, 2, 3, 9]},
    )
    expect(cached(rows, {spanTokens: 2})).to.deep.equal([0, 4])
  })

  it('uses the span that holds the last token of the block, even when it reaches further', () => {
    // Spans of 3: block 0 (tokens 0–3) ends in span 1, block 1 (4–7) in span 2.
    const rows = later({input: 9, output: 1, ids: [1, 2, 3]}, {input: 9, output: 1, ids: [1, 2, 7]})
    expect(cached(rows, {spanTokens: 3})).to.deep.equal([0, 4])
  })
})
