import {expect} from 'chai'
import fc from 'fast-check'
import {Cohort} from '#llmsim/engine/cohort.js'

interface Member {
  readonly slot: number
  context: number
  readonly lastStep: number
  fills: boolean
}

const action = fc.record({
  slot: fc.nat(70),
  context: fc.integer({min: 1, max: 50}),
  remaining: fc.integer({min: 1, max: 12}),
  fills: fc.boolean(),
  does: fc.constantFrom('join', 'join', 'step', 'leave', 'last fill'),
})

describe('Cohort', () => {
  it('without members has sums of nothing', () => {
    const cohort = new Cohort(4)
    expect([
      cohort.size,
      cohort.contextSum(),
      cohort.smallestContext(),
      cohort.largestContext(),
    ]).deep.equal([0, 0, 0, 0])
    expect([cohort.needBlock(), cohort.nextEnd()]).deep.equal([0, Number.POSITIVE_INFINITY])
  })

  it('lets a member need a block when its context ends with one, and fill one a step before', () => {
    const cohort = new Cohort(4)
    cohort.join(0, 6, 0, 99)
    cohort.fills(0)
    const needs: number[] = []
    const fillers: number[][] = []
    for (; cohort.step < 7; cohort.step++) {
      needs.push(cohort.needBlock())
      const slots: number[] = []
      cohort.forEachFiller((slot) => {
        slots.push(slot)
        return 'more'
      })
      fillers.push(slots)
    }
    // Contexts 6, 7, 8, …: 8 tokens are full, the ninth needs a block.
    expect(needs).deep.equal([0, 0, 1, 0, 0, 0, 1])
    expect(fillers).deep.equal([[], [0], [], [], [], [0], []])
  })

  it('joined for a later step, it counts from there', () => {
    const cohort = new Cohort(4)
    cohort.join(0, 10, 1, 5)
    cohort.step++
    expect([cohort.contextSum(), cohort.context(0)]).deep.equal([10, 10])
  })

  it('knows sums, extremes, blocks and ends as a list of members does', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 4, 16),
        fc.array(action, {maxLength: 200}),
        (block, actions) => {
          const cohort = new Cohort(block)
          let members: Member[] = []
          for (const {slot, context, remaining, fills, does} of actions) {
            const member = members.find((one) => one.slot === slot)
            if (does === 'join' && !member) {
              const lastStep = cohort.step + remaining
              cohort.join(slot, context, cohort.step, lastStep)
              if (fills) cohort.fills(slot)
              members.push({slot, context, lastStep, fills})
            } else if (does === 'leave' && member) {
              cohort.leave(slot)
              members = members.filter((one) => one !== member)
            } else if (does === 'step' || does === 'last fill') {
              const visited: number[] = []
              cohort.forEachFiller((filler) => {
                visited.push(filler)
                return does === 'step' ? 'more' : 'last'
              })
              const wanted = members.filter((one) => one.fills && (one.context + 1) % block === 0)
              expect(visited.sort()).deep.equal(wanted.map((one) => one.slot).sort())
              if (does === 'last fill') for (const one of wanted) one.fills = false
              while (cohort.nextEnd() === cohort.step) {
                const ended = cohort.takeEnd()
                expect(members.find((one) => one.slot === ended)?.lastStep).equal(cohort.step)
                members = members.filter((one) => one.slot !== ended)
              }
              cohort.step++
              for (const one of members) one.context++
            }
            const contexts = members.map((one) => one.context)
            expect(cohort.size).equal(members.length)
            expect(cohort.contextSum()).equal(contexts.reduce((a, b) => a + b, 0))
            expect(cohort.smallestContext()).equal(members.length ? Math.min(...contexts) : 0)
            expect(cohort.largestContext()).equal(Math.max(0, ...contexts))
            for (const ahead of [0, 1, 5]) {
              const needy = contexts.filter((tokens) => (tokens + ahead) % block === 0)
              expect(cohort.needBlock(ahead)).equal(needy.length)
            }
            expect(cohort.nextEnd()).equal(
              Math.min(Number.POSITIVE_INFINITY, ...members.map((one) => one.lastStep)),
            )
          }
        },
      ),
      {numRuns: 200, seed: 1},
    )
  })
})
