import {expect} from 'chai'
import fc from 'fast-check'
import {noPrefixes, type PrefixIdentity, prefixIdentity} from '#llmsim/engine/prefix-identity.js'
import type {PrefixColumn} from '#llmsim/trace/trace.js'

const column = (
  spanTokens: number,
  rows: readonly {ids: number[]; known?: number}[],
): PrefixColumn => {
  const offsets = [0]
  for (const {ids} of rows) offsets.push(offsets.at(-1)! + ids.length)
  return {
    spanTokens,
    offsets: Float64Array.from(offsets),
    ids: Float64Array.from(rows.flatMap(({ids}) => ids)),
    knownTokens: Int32Array.from(rows, ({ids, known}) => known ?? ids.length * spanTokens),
  }
}

/** What a block is known by: its span, and its place in it. */
const nameOf = (identity: PrefixIdentity, row: number, block: number): string => {
  const span = identity.spanAt(row, block)
  return `${identity.spanId(row, span)}:${block - identity.spanStart(row, span)}`
}

const spansOf = (identity: PrefixIdentity, row: number): [number, number, number][] => {
  const spans: [number, number, number][] = []
  const known = identity.knownBlocks(row)
  for (let block = 0; block < known; ) {
    const span = identity.spanAt(row, block)
    const [start, end] = [identity.spanStart(row, span), identity.spanEnd(row, span)]
    spans.push([identity.spanId(row, span), start, end])
    block = end
  }
  return spans
}

describe('prefixIdentity', () => {
  it('of nobody knows nothing', () => {
    expect(noPrefixes.knownBlocks(0)).equal(0)
  })

  it('joins blocks to the longest spans that no request leaves for another block', () => {
    const identity = prefixIdentity(
      column(16, [{ids: [5, 6, 9]}, {ids: [5, 6, 7, 2 ** 53 - 1]}, {ids: [5, 6]}, {ids: [8]}]),
      16,
    )
    expect(spansOf(identity, 0)).deep.equal([
      [5, 0, 2],
      [9, 2, 3],
    ])
    expect(spansOf(identity, 1)).deep.equal([
      [5, 0, 2],
      [7, 2, 4],
    ])
    expect(spansOf(identity, 2)).deep.equal([[5, 0, 2]])
    expect(spansOf(identity, 3)).deep.equal([[8, 0, 1]])
  })

  it('joins nothing behind blocks that follow different ones, at whatever place they are', () => {
    const identity = prefixIdentity(
      column(16, [{ids: [1, 3, 4]}, {ids: [2, 3, 4]}, {ids: [4]}]),
      16,
    )
    expect(spansOf(identity, 0)).deep.equal([
      [1, 0, 1],
      [3, 1, 2],
      [4, 2, 3],
    ])
    expect(spansOf(prefixIdentity(column(16, [{ids: [1, 1, 1]}]), 16), 0)).deep.equal([
      [1, 0, 1],
      [1, 1, 2],
      [1, 2, 3],
    ])
  })

  it('counts only blocks that are known to their end', () => {
    const known = (spanTokens: number, block: number, tokens: number) =>
      prefixIdentity(column(spanTokens, [{ids: [1, 2, 3], known: tokens}]), block).knownBlocks(0)
    expect(known(16, 16, 47)).equal(2)
    expect(known(512, 16, 1535)).equal(95)
    expect(known(16, 32, 48)).equal(1)
  })

  it('takes the ids as they are where several blocks are a span', () => {
    const identity = prefixIdentity(column(512, [{ids: [1]}, {ids: [1, 8]}, {ids: [2]}]), 16)
    expect([identity.spanStart(1, 1), identity.spanEnd(1, 1)]).deep.equal([32, 64])
    expect([identity.spanId(0, 0), identity.spanId(1, 0), identity.spanId(2, 0)]).deep.equal([
      1, 1, 2,
    ])
    expect(identity.spanId(1, 1)).equal(8)
    expect(identity.knownBlocks(1)).equal(64)
  })

  it('tells blocks in a span that they do not fill apart by where they end', () => {
    const identity = prefixIdentity(column(40, [{ids: [1]}, {ids: [1, 8]}, {ids: [2]}]), 16)
    expect(identity.spanEnd(0, 0)).equal(1)
    const of = (row: number) => [0, 1].map((block) => identity.spanId(row, block))
    expect(of(1)).deep.equal(of(0))
    expect(new Set([...of(0), ...of(2)]).size).equal(4)
  })

  it('knows a block of several spans by its last', () => {
    // Ids are chained: equal last spans are equal from the start.
    const identity = prefixIdentity(column(8, [{ids: [1, 2]}, {ids: [1, 3]}]), 16)
    expect(identity.spanEnd(0, 0)).equal(1)
    expect(identity.spanId(0, 0)).not.equal(identity.spanId(1, 0))
  })

  it('gives whole numbers below 2^53, different ones to 160,000 blocks', () => {
    const spans = 5000
    const ids = Array.from({length: spans}, (_, i) => i * 2 ** 33 + i)
    const identity = prefixIdentity(column(513, [{ids}]), 16)
    const seen = new Set<number>()
    for (let block = 0; block < spans * 32; block++) {
      const id = identity.spanId(0, block)
      if (!Number.isSafeInteger(id) || id < 0) throw new Error(`${id} is no whole number`)
      seen.add(id)
    }
    expect(seen.size).equal(spans * 32)
  })

  it('invents no reuse: blocks are equal only where all tokens up to their ends are', () => {
    const text = fc.array(fc.integer({min: 0, max: 1}), {minLength: 1, maxLength: 24})
    fc.assert(
      fc.property(
        fc.array(text, {minLength: 2, maxLength: 6}),
        fc.constantFrom(1, 2, 3, 4, 8),
        fc.constantFrom(1, 2, 4, 6),
        (texts, span, block) => {
          const names = new Map<string, number>()
          const rows = texts.map((tokens) => {
            const ids: number[] = []
            for (let end = span; end <= tokens.length; end += span) {
              const name = tokens.slice(0, end).join()
              if (!names.has(name)) names.set(name, names.size + 1)
              ids.push(names.get(name)!)
            }
            return {ids}
          })
          const identity = prefixIdentity(column(span, rows), block)
          const found = new Map<string, string>()
          for (const [row, tokens] of texts.entries())
            for (let k = 0; k < identity.knownBlocks(row); k++) {
              const id = nameOf(identity, row, k)
              const content = tokens.slice(0, (k + 1) * block).join()
              expect(found.get(id) ?? content).equal(content)
              found.set(id, content)
            }
        },
      ),
      {numRuns: 300, seed: 1},
    )
  })
})
