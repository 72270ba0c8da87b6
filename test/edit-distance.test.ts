import {expect} from 'chai'
import fc from 'fast-check'
import {closest, editDistance} from '#llmsim/edit-distance.js'

describe('edit distance', () => {
  it('counts inserts, deletes, replacements and swaps of neighbours', () => {
    const cases: [string, string, number][] = [
      ['', '', 0],
      ['', 'abc', 3],
      ['simulate', 'simulte', 1],
      ['kitten', 'sitting', 3],
      ['hlep', 'help', 1],
      ['ca', 'abc', 3],
    ]
    for (const [from, to, edits] of cases)
      expect(editDistance(from, to), `${from} ${to}`).equal(edits)
  })

  it('is symmetric, zero only for equals, and at most the longer length', () => {
    const word = fc.string({maxLength: 12})
    fc.assert(
      fc.property(word, word, (a, b) => {
        const edits = editDistance(a, b)
        expect(edits).equal(editDistance(b, a))
        expect(edits === 0).equal(a === b)
        expect(edits).within(Math.abs(a.length - b.length), Math.max(a.length, b.length))
      }),
    )
  })
})

describe('closest', () => {
  const devices = ['RTX3090', 'RTX4090', 'RTXPRO6000', 'H100', 'H200', 'A100-80GB', 'A100-40GB']

  it('finds the word that was meant', () => {
    expect(closest('simulte', ['report', 'simulate', 'trace info'])).deep.equal(['simulate'])
    expect(closest('trace inof', ['trace info', 'trace convert'])).deep.equal(['trace info'])
  })

  it('does not mind case, spaces and dashes', () => {
    expect(closest('rtx 3090', devices)).deep.equal(['RTX3090'])
    expect(closest('a100_80gb', devices)).deep.equal(['A100-80GB'])
  })

  it('orders by nearness and keeps to the limit', () => {
    expect(closest('H10', devices, 3)[0]).equal('H100')
    expect(closest('RTX3080', devices, 2)).deep.equal(['RTX3090', 'RTX4090'])
  })

  it('takes a beginning for the word', () => {
    expect(closest('sim', ['simulate', 'report'])).deep.equal(['simulate'])
  })

  it('says nothing when nothing is near', () => {
    expect(closest('xyzzy', ['simulate', 'report', 'hardware list'])).deep.equal([])
    expect(closest('', ['simulate'])).deep.equal([])
    expect(closest('ab', ['xy'])).deep.equal([])
  })
})
