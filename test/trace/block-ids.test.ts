import {expect} from 'chai'
import fc from 'fast-check'
import {
  chainId,
  derivedId,
  idOfHex,
  idsOfGroups,
  idsOfTokens,
  idsToHex,
  idToHex,
  nameId,
} from '#llmsim/trace/block-ids.js'

const tokens = fc.array(fc.nat(200_000), {maxLength: 100})

describe('block ids', () => {
  it('are whole numbers below 2^53, one per full block of 16', () => {
    fc.assert(
      fc.property(tokens, (list) => {
        const ids = idsOfTokens(list)
        expect(ids.length).equal(Math.floor(list.length / 16))
        expect(ids.every((id) => Number.isSafeInteger(id) && id >= 0)).equal(true)
      }),
    )
  })

  it('are equal exactly as far as the tokens are', () => {
    fc.assert(
      fc.property(tokens, tokens, fc.nat(100), (list, other, cut) => {
        const mixed = [...list.slice(0, cut), ...other]
        let same = 0
        while (same < Math.min(list.length, mixed.length) && list[same] === mixed[same]) same++
        const [left, right] = [idsOfTokens(list), idsOfTokens(mixed)]
        for (let k = 0; k < Math.min(left.length, right.length); k++)
          expect(left[k] === right[k], `block ${k}`).equal((k + 1) * 16 <= same)
      }),
    )
  })

  it('do not collide among a million neighbours, and use all their bits', () => {
    const seen = new Set<number>()
    let ones = 0
    for (let i = 0; i < 1000; i++)
      for (let k = 0; k < 1000; k++) {
        const id = derivedId(i, k)
        seen.add(id)
        ones += Math.floor(id / 2 ** 52) + (Math.floor(id / 2 ** 31) % 2) + (id % 2)
      }
    expect(seen.size).equal(1_000_000)
    expect(ones / 3_000_000).closeTo(0.5, 0.005)
  })

  it('depend on the order of tokens, on the id before, and on names', () => {
    expect(chainId(0, [1, 2], 0, 2)).not.equal(chainId(0, [2, 1], 0, 2))
    expect(chainId(1, [1, 2], 0, 2)).not.equal(chainId(2 ** 40 + 1, [1, 2], 0, 2))
    expect(nameId('ab')).not.equal(nameId('ba'))
  })

  it('are written side by side as each alone', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat(), {maxLength: 20}), (ids) => {
        expect(idsToHex(ids)).equal(ids.map(idToHex).join(' '))
      }),
    )
  })

  it('survive hexadecimal, and take 64-bit hashes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (id) => {
        expect(idOfHex(idToHex(id))).equal(id)
      }),
    )
    expect(idOfHex('ff')).equal(255)
    expect(idOfHex('00ff')).equal(255)
    const wide = ['ffffffffffffffff', 'fffffffffffffffe', '7fffffffffffffff', '8000000000000000']
    expect(new Set(wide.map(idOfHex)).size).equal(4)
    expect(wide.map(idOfHex).every(Number.isSafeInteger)).equal(true)
    expect(idOfHex('FFFFFFFFFFFFFFFF')).equal(idOfHex('ffffffffffffffff'))
  })

  it('of nested groups are those of the outer group up to its last whole block', () => {
    const outer = idsOfGroups([{name: 'g', tokens: 100}])
    expect(outer.length).equal(7)
    const inner = idsOfGroups([
      {name: 'g', tokens: 100},
      {name: 's', tokens: 200},
    ])
    expect(inner.length).equal(13)
    expect(inner.slice(0, 6)).deep.equal(outer.slice(0, 6))
    // The block from 96 to 112 is the inner group's.
    expect(inner[6]).not.equal(outer[6])
    const other = idsOfGroups([
      {name: 'h', tokens: 100},
      {name: 's', tokens: 200},
    ])
    expect(other.some((id) => inner.includes(id))).equal(false)
    const longer = idsOfGroups([
      {name: 'g', tokens: 100},
      {name: 's', tokens: 300},
    ])
    expect(longer.slice(0, 13)).deep.equal(inner)
  })
})
