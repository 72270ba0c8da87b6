import {expect} from 'chai'
import fc from 'fast-check'
import {EnteringQueue} from '#llmsim/cluster/entering-queue.js'

describe('EnteringQueue', () => {
  it('is a list that is taken from its front', () => {
    const step = fc.oneof(
      {weight: 3, arbitrary: fc.constant('push' as const)},
      {weight: 2, arbitrary: fc.constant('take' as const)},
      {weight: 1, arbitrary: fc.nat(300)},
    )
    fc.assert(
      fc.property(fc.array(step, {maxLength: 400}), (steps) => {
        const queue = new EnteringQueue()
        let plain: {slot: number; at: number}[] = []
        for (const [i, does] of steps.entries()) {
          if (does === 'push') {
            queue.push(i, 10 * i)
            plain.push({slot: i, at: 10 * i})
          } else if (does === 'take') {
            if (plain.length > 0) expect(queue.take()).equal(plain.shift()!.slot)
          } else {
            const isThere = plain.some(({slot}) => slot === does)
            expect(queue.remove(does)).equal(isThere)
            plain = plain.filter(({slot}) => slot !== does)
          }
          expect(queue.size).equal(plain.length)
          expect(queue.nextAt()).equal(plain[0]?.at ?? Number.POSITIVE_INFINITY)
        }
      }),
    )
  })

  it('grows while it goes round', () => {
    const queue = new EnteringQueue()
    for (let i = 0; i < 40; i++) queue.push(i, i)
    for (let i = 0; i < 40; i++) queue.take()
    for (let i = 0; i < 200; i++) queue.push(i, i)
    expect(Array.from({length: 200}, () => queue.take())).deep.equal([...Array(200).keys()])
  })
})
