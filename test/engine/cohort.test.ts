import {expect} from 'chai'
import fc from 'fast-check'
import {Cohort} from '#llmsim/engine/cohort.js'

interface Member {
  readonly slot: number
  context: number
  readonly lastStep: number
  fills: boolean
}

/** Steps to the last token: mostly near. */
const remaining = fc.oneof(
  {weight: 4, arbitrary: fc.integer({min: 0, max: 12})},
  {weight: 1, arbitrary: fc.integer({min: 4094, max: 4102})},
  {weight: 1, arbitrary: fc.integer({min: 8190, max: 8196})},
)

const action = fc.record({
  slot: fc.nat(140),
  context: fc.integer({min: 0, max: 50}),
  remaining,
  fills: fc.boolean(),
  does: fc.constantFrom('join', 'join', 'step', 'leave', 'last fill'),
})

const cohortOf = (blockSize: number): Cohort => new Cohort(blockSize, {seat: new Int32Array(2000)})

/** Slots that get their last token in the next step; they leave. */
const takeEnding = (cohort: Cohort): number[] => {
  const ended: number[] = []
  for (let slot = cohort.takeEnding(); slot >= 0; slot = cohort.takeEnding()) ended.push(slot)
  return ended
}

const fillers = (cohort: Cohort, answer: 'more' | 'last' = 'more'): number[] => {
  const slots: number[] = []
  cohort.forEachFiller((slot) => {
    slots.push(slot)
    return answer
  })
  return slots
}

describe('Cohort', () => {
  it('without members has sums of nothing', () => {
    const cohort = cohortOf(4)
    expect([
      cohort.size,
      cohort.contextSum(),
      cohort.smallestContext(),
      cohort.largestContext(),
    ]).deep.equal([0, 0, 0, 0])
    expect([cohort.needBlock(), cohort.hasEnding(), takeEnding(cohort)]).deep.equal([0, false, []])
  })

  it('lets a member need a block when its context ends with one, and fill one a step before', () => {
    const cohort = cohortOf(4)
    cohort.join(0, 6, 0, 99)
    cohort.fills(0)
    const needs: number[] = []
    const filled: number[][] = []
    for (; cohort.step < 7; cohort.advance()) {
      needs.push(cohort.needBlock())
      filled.push(fillers(cohort))
    }
    // Contexts 6, 7, 8, …: 8 tokens are full, the ninth needs a block.
    expect(needs).deep.equal([0, 0, 1, 0, 0, 0, 1])
    expect(filled).deep.equal([[], [0], [], [], [], [0], []])
  })

  it('joined for a later step, it counts from there', () => {
    const cohort = cohortOf(4)
    cohort.join(0, 10, 1, 5)
    cohort.advance()
    expect([cohort.contextSum(), cohort.context(0)]).deep.equal([10, 10])
  })

  it('forgets what a slot filled once it left, though it joins again', () => {
    const cohort = cohortOf(4)
    cohort.join(0, 3, 0, 99)
    cohort.fills(0)
    cohort.leave(0)
    cohort.join(0, 3, 0, 99)
    expect(fillers(cohort)).deep.equal([])
    cohort.fills(0)
    expect(fillers(cohort, 'last')).deep.equal([0])
    expect(fillers(cohort)).deep.equal([])
  })

  it('ends each member in its step', () => {
    const cohort = cohortOf(16)
    const lastSteps = [2, 4098, 2, 8194, 3, 4098]
    for (const [slot, lastStep] of lastSteps.entries()) cohort.join(slot, 1, 0, lastStep)
    const ends: Record<number, number[]> = {}
    for (; cohort.size > 0 && cohort.step < 10_000; cohort.advance()) {
      const has = cohort.hasEnding()
      const ended = takeEnding(cohort).sort()
      expect(has).equal(ended.length > 0)
      if (has) ends[cohort.step] = ended
    }
    expect(ends).deep.equal({2: [0, 2], 3: [4], 4098: [1, 5], 8194: [3]})
  })

  it('pays a logarithm for each that ends, and nothing for those that stay', () => {
    const cohort = cohortOf(16)
    const count = 1000
    for (let slot = 0; slot < count; slot++) cohort.join(slot, 1, 0, 1)
    for (let slot = count; slot < 2 * count; slot++) cohort.join(slot, 1, 0, 4097)
    cohort.advance()
    const before = cohort.operations
    expect(takeEnding(cohort)).lengthOf(count)
    // Each also leaves the extremes.
    expect(cohort.operations - before).lessThan(count * (2 + Math.log2(2 * count)))
  })

  it('knows sums, extremes, blocks and ends as a list of members does', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 4, 16),
        fc.array(action, {maxLength: 200, size: 'max'}),
        (block, actions) => {
          const cohort = cohortOf(block)
          let members: Member[] = []
          const step = () => {
            const ending = members.filter((one) => one.lastStep === cohort.step)
            expect(cohort.hasEnding()).equal(ending.length > 0)
            expect(takeEnding(cohort).sort()).deep.equal(ending.map((one) => one.slot).sort())
            members = members.filter((one) => !ending.includes(one))
            cohort.advance()
            for (const one of members) one.context++
          }
          const check = () => {
            const contexts = members.map((one) => one.context)
            expect(cohort.size).equal(members.length)
            expect(cohort.contextSum()).equal(contexts.reduce((a, b) => a + b, 0))
            expect(cohort.smallestContext()).equal(members.length ? Math.min(...contexts) : 0)
            expect(cohort.largestContext()).equal(Math.max(0, ...contexts))
            expect(cohort.needBlock()).equal(contexts.filter((n) => n % block === 0).length)
            for (const {slot, context} of members) expect(cohort.context(slot)).equal(context)
          }
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
              const visited = fillers(cohort, does === 'step' ? 'more' : 'last')
              const wanted = members.filter((one) => one.fills && (one.context + 1) % block === 0)
              expect(visited.sort()).deep.equal(wanted.map((one) => one.slot).sort())
              if (does === 'last fill') for (const one of wanted) one.fills = false
              step()
            }
            check()
          }
          // The far ends come as well, each in its step.
          const last = Math.max(0, ...members.map((one) => one.lastStep))
          while (cohort.step <= last) step()
          check()
        },
      ),
      {numRuns: 60, seed: 1},
    )
  })
})
