import {expect} from 'chai'
import fc from 'fast-check'
import {BlockNames} from '#llmsim/engine/block-names.js'

const block = fc.integer({min: 0, max: 12})
const stretch = fc.constantFrom(3, 2 ** 50)

describe('names of blocks', () => {
  it('say which block comes first of those that are missing, whatever was asked before', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            what: fc.constantFrom('set', 'set', 'set', 'delete', 'ask'),
            of: stretch,
            at: block,
          }),
          {minLength: 1, maxLength: 80},
        ),
        (operations) => {
          const names = new BlockNames()
          const there = new Set<string>()
          for (const {what, of, at} of operations) {
            if (what === 'set') {
              names.set(of, at, at + 100)
              there.add(`${of}/${at}`)
            } else if (what === 'delete') {
              names.delete(of, at)
              there.delete(`${of}/${at}`)
            } else {
              let missing = at
              while (there.has(`${of}/${missing}`)) missing++
              expect(names.firstMissing(of, at)).equal(missing)
            }
            expect(names.find(of, at)).equal(there.has(`${of}/${at}`) ? at + 100 : -1)
          }
        },
      ),
      {numRuns: 500},
    )
  })

  it('know a stretch again after a block was lost and came back', () => {
    const names = new BlockNames()
    for (let at = 0; at < 5; at++) names.set(1, at, at)
    expect(names.firstMissing(1, 0)).equal(5)
    names.delete(1, 3)
    expect(names.firstMissing(1, 0)).equal(3)
    names.set(1, 3, 9)
    expect(names.firstMissing(1, 2)).equal(5)
    expect([...names.nodesOf(1)!.values()]).members([0, 1, 2, 9, 4])
    expect(names.nodesOf(2)).equal(undefined)
  })
})
