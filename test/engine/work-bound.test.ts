/**
 * The contract of the hot loop, counted and not timed: work per step is O(1 + joins + leaves + chunks +
 * preemptions + shared blocks filled), up to a logarithm for heaps and extremes, and never O(batch).
 */
import {expect} from 'chai'
import {Engine} from '#llmsim/engine/engine.js'
import type {BatchClock} from '#llmsim/engine/engine-config.js'
import {evenSpans, type PrefixIdentity} from '#llmsim/engine/prefix-identity.js'
import {MeteredEngine, type Metering, type StepCost} from './metered-engine.js'

const batches = [16, 256, 4096] as const

/** Operations per unit of the bound; a steady step takes 3. */
const allowance = 2
/** A request that comes or goes has two dozen columns, each used about once. */
const touchAllowance = 25

/**
 * The first step by whose end more was spent than the bound allows, or undefined. Summed up, because a join is
 * paid for again when its token is delivered, and heaps clean up now and then what leaves left behind.
 */
const breach = (costs: readonly StepCost[]): string | undefined => {
  let spent = 0
  let touched = 0
  let events = 0
  for (const [i, cost] of costs.entries()) {
    spent += cost.operations
    touched += cost.touches
    events += 1 + cost.events
    const log = 1 + Math.log2(1 + cost.running)
    if (spent > allowance * events * log)
      return `step ${i}: ${spent} operations for ${events} events`
    if (touched > touchAllowance * events)
      return `step ${i}: ${touched} touches for ${events} events`
  }
  return undefined
}

/** The cost of steps in which nothing happens must be one and the same for all batches. */
const steady = (costs: readonly StepCost[]) => ({
  events: Math.max(...costs.map(({events}) => events)),
  operations: Math.max(...costs.map(({operations}) => operations)),
  touches: Math.max(...costs.map(({touches}) => touches)),
})

/** `size` requests that have long outputs, all of them decoding. */
const decoding = (
  size: number,
  {output = 5000, ...metering}: Partial<Metering> & {readonly output?: number} = {},
): MeteredEngine => {
  const metered = new MeteredEngine({slots: 2 * size + 200, ...metering})
  for (let i = 0; i < size; i++) metered.arrive({input: 1 + (i % 40), output})
  metered.steps(20)
  expect(metered.step().decodes).equal(size)
  return metered
}

/** Everybody knows all tokens, and nobody shares them: each block that fills is entered. */
const ownIdentity = evenSpans({
  knownBlocks: () => 10_000,
  spanBlocks: 1,
  spanId: (row, block) => row * 10_000 + block,
})

/** Prompts that are alike up to the last block of `blocks`, known in spans of `spanBlocks`. */
const sharedIdentity = (blocks: number, spanBlocks = 1): PrefixIdentity =>
  evenSpans({knownBlocks: () => blocks, spanBlocks, spanId: (_row, span) => span})

describe('work per step does not grow with the batch', function () {
  this.timeout(60_000)

  for (const depth of [1, 2])
    for (const size of batches) {
      const name = `${size} decodes, depth ${depth}`

      it(`${name}: nothing but decodes`, () => {
        const costs = decoding(size, {config: {depth}}).steps(300)
        expect(steady(costs)).deep.equal({events: 0, operations: 3, touches: 0})
      })

      it(`${name}: nothing but decodes, skipped`, () => {
        const metered = decoding(size, {config: {depth}})
        const {steps, operations, touches} = metered.skip(1000)
        expect(steps).within(998, 1002)
        // One a step, and one for each run of blocks that is taken; once to see that steps may be skipped.
        expect(operations).within(steps, 2 * steps + 2)
        expect(touches).equal(0)
      })

      it(`${name}: blocks fill that others may share, in steps that are skipped`, () => {
        const metered = decoding(size, {config: {depth}, identity: ownIdentity})
        const {steps, operations} = metered.skip(160)
        expect(steps).within(158, 162)
        // Every request fills ten blocks: a filler, an enterer and its piece each, and what is sorted.
        expect(operations).at.most(2 * steps + 2 + 10 * size * allowance * (1 + Math.log2(size)))
      })

      it(`${name}: somebody comes and somebody goes in every step`, () => {
        const metered = new MeteredEngine({slots: 2 * size + 200, config: {depth}})
        for (let i = 0; i < size; i++) metered.arrive({input: 10, output: 50 + i})
        const costs = metered.steps(30)
        for (let i = 0; i < size + 300; i++) {
          metered.arrive({input: 1 + (i % 50), output: size})
          costs.push(metered.step())
        }
        expect(costs.at(-1)!.decodes).within(size / 2, size)
        expect(breach(costs)).equal(undefined)
      })

      it(`${name}: a long prompt is computed in chunks beside them`, () => {
        const config = {depth, maxNumBatchedTokens: size + 64}
        const metered = new MeteredEngine({slots: 2 * size + 200, config})
        for (let i = 0; i < size; i++) metered.arrive({input: 1, output: 5000})
        metered.steps(Math.ceil(size / (size + 64)) + 20)
        metered.arrive({input: 64 * 200, output: 3})
        const costs = metered.steps(180)
        expect(costs.at(-1)!.decodes).equal(size)
        expect(costs.every(({events}) => events > 0)).equal(true)
        expect(breach(costs)).equal(undefined)
      })

      it(`${name}: blocks fill that others may share`, () => {
        const costs = decoding(size, {config: {depth}, identity: ownIdentity}).steps(100)
        expect(Math.max(...costs.map(({events}) => events))).greaterThan(0)
        expect(breach(costs)).equal(undefined)
      })

      for (const spanBlocks of [1, 25])
        it(`${name}: everybody shares a long prefix, known in spans of ${spanBlocks} blocks`, () => {
          const metered = new MeteredEngine({
            slots: 2 * size + 200,
            config: {depth},
            identity: sharedIdentity(100, spanBlocks),
          })
          metered.arrive({input: 1600, output: 5000})
          const costs = metered.steps(2)
          for (let i = 1; i < size; i++) metered.arrive({input: 1601 + (i % 40), output: 5000})
          costs.push(...metered.steps(10))
          expect(metered.engine.totals.hitTokens).equal((size - 1) * 1600)
          expect(breach(costs)).equal(undefined)
          expect(steady(metered.steps(100))).deep.equal({events: 0, operations: 3, touches: 0})
        })

      it(`${name}: 10,000 wait for a seat`, () => {
        const slots = size + 10_100
        const metered = decoding(size, {config: {depth, maxNumSeqs: size}, slots})
        for (let i = 0; i < 10_000; i++) metered.arrive({input: 1 + (i % 300), output: 10})
        expect(steady(metered.steps(300))).deep.equal({events: 0, operations: 3, touches: 0})
        expect(metered.engine.waiting).equal(10_000)
      })

      it(`${name}: 10,000 wait for blocks, with a prefix that is looked up once`, () => {
        const blocks = size * 9 + 510
        const metered = decoding(size, {
          output: 500,
          config: {depth, numGpuBlocks: blocks},
          identity: evenSpans({
            knownBlocks: (row) => (row < size ? 0 : 500),
            spanBlocks: 1,
            spanId: (_row, block) => block,
          }),
          slots: size + 10_100,
        })
        // One of them gets in and is the prefix of the rest, whose tail does not fit.
        metered.arrive({input: 8001, output: 500})
        metered.steps(3)
        for (let i = 0; i < 10_000; i++) metered.arrive({input: 8001 + 16 * (size * 8), output: 1})
        const [first, ...costs] = metered.steps(60)
        expect(first!.events).equal(500)
        expect(metered.engine.waiting).equal(10_000)
        // The head of the queue is read, whoever is behind it.
        const {events, operations, touches} = steady(costs)
        expect({events, operations}).deep.equal({events: 0, operations: 3})
        expect(touches).at.most(5)
      })
    }

  it('half of the batch ends at once, and the other half much later', () => {
    const size = 4000
    const metered = new MeteredEngine({slots: 2 * size})
    for (let i = 0; i < size; i++) metered.arrive({input: 1, output: i < size / 2 ? 60 : 60 + 4096})
    const costs = metered.steps(100)
    expect(costs.at(-1)!.decodes).equal(size / 2)
    expect(breach(costs)).equal(undefined)
  })

  it('walks the batch when blocks run out, and only then', () => {
    const size = 256
    const metered = decoding(size, {config: {numGpuBlocks: size * 4}})
    let walked = 0
    for (const {operations, events} of metered.steps(400)) {
      if (operations > allowance * (1 + events) * (1 + Math.log2(size))) walked++
    }
    const {preemptions} = metered.engine.totals
    expect(preemptions).greaterThan(100)
    expect(walked).within(1, preemptions)
  })
})

describe('the guard of the work per step', () => {
  it('sees an engine that looks at every running request', () => {
    class Walking extends Engine {
      #extra = 0
      override plan(now: number) {
        this.#extra += this.running
        return super.plan(now)
      }
      override get operations(): number {
        return super.operations + this.#extra
      }
    }
    for (const size of [256, 4096]) {
      const costs = decoding(size, {make: Walking}).steps(300)
      expect(steady(costs).operations).equal(3 + size)
      expect(breach(costs)).match(/operations for/)
    }
  })

  it('sees a skip that looks at every running request', () => {
    class Looking extends Engine {
      override runDecodes(until: number, clock: BatchClock) {
        super.runDecodes(until, {
          add: (batch, now) => {
            for (let slot = 0; slot < this.running; slot++) void metered?.requests.computed[slot]
            clock.add(batch, now)
          },
        })
      }
    }
    let metered: MeteredEngine | undefined
    metered = decoding(256, {make: Looking})
    const {steps, touches} = metered.skip(100)
    expect(touches).equal(256 * steps)
  })

  it('sees one that does so without counting it', () => {
    const metered = decoding(256)
    const {requests} = metered
    const {engine} = metered
    const plan = engine.plan.bind(engine)
    engine.plan = (now) => {
      for (let slot = 0; slot < engine.running; slot++) void requests.computed[slot]
      return plan(now)
    }
    expect(breach(metered.steps(3))).match(/^step 0: 256 touches for 1 events/)
  })

  it('sees one that looks at every waiting request', () => {
    class Searching extends Engine {
      #extra = 0
      override plan(now: number) {
        this.#extra += this.waiting
        return super.plan(now)
      }
      override get operations(): number {
        return super.operations + this.#extra
      }
    }
    const metered = decoding(16, {config: {maxNumSeqs: 16}, make: Searching, slots: 400})
    for (let i = 0; i < 300; i++) metered.arrive({input: 5, output: 5})
    expect(breach(metered.steps(3))).match(/operations for/)
  })
})
