/** What every scheduling policy must hold to, ours and a user's own: `behavesAsPolicy('mine', () => loadPolicy(…))`. */
import {expect} from 'chai'
import fc from 'fast-check'
import type {SchedulingPolicy, WaitingView} from '#llmsim/engine/policy.js'
import {type Row, type Served, type Setting, serve, statusesOf, timesOf} from '../cluster/serve.js'

const stepTime: Setting['stepTime'] = (shape) => 5 + shape.tokens

const rows: fc.Arbitrary<Row[]> = fc
  .array(
    fc.record({
      gap: fc.oneof(fc.constant(0), fc.integer({min: 0, max: 40})),
      input: fc.integer({min: 1, max: 40}),
      output: fc.integer({min: 1, max: 30}),
      priority: fc.integer({min: -1, max: 3}),
      predicted: fc.integer({min: 0, max: 30}),
    }),
    {minLength: 1, maxLength: 40},
  )
  .map((list) => {
    let at = 0
    return list.map(({gap, ...row}) => {
      at += gap
      return {at, ...row}
    })
  })

const tight = {numGpuBlocks: 20, maxNumSeqs: 6, maxNumBatchedTokens: 32}

/** Registers the tests for one policy; `given` may load it. */
export const behavesAsPolicy = (
  name: string,
  given: () => SchedulingPolicy | Promise<SchedulingPolicy>,
): void => {
  describe(`the policy ${name}`, () => {
    let policy: SchedulingPolicy
    before(async () => {
      policy = await given()
    })

    const run = (setting: Setting): Served =>
      serve({stepTime, ...setting, engine: {...setting.engine, policy}})

    const holds = (check: (rows: Row[], depth: number) => void) =>
      fc.assert(fc.property(rows, fc.constantFrom(1, 2), check), {numRuns: 60, seed: 1})

    it('lets every request come to its end, however short blocks are', () => {
      let preemptions = 0
      holds((rows, depth) => {
        const served = run({rows, engine: {...tight, depth}})
        expect(statusesOf(served)).deep.equal(rows.map(() => 'completed'))
        expect(served.engines[0]!.freeBlocksAtEnd).equal(tight.numGpuBlocks)
        preemptions += served.engines[0]!.preemptions
      })
      expect(preemptions).greaterThan(100)
    })

    it('never idles while there is work', () => {
      holds((rows, depth) => {
        const served = run({rows, engine: {...tight, depth}})
        const times = timesOf(served)
        let free = 0
        for (const {start, end} of served.steps) {
          if (start > free)
            for (const [arrived, , , finished] of times)
              expect(arrived! >= start || finished! <= free, `${arrived} to ${finished}`).equal(
                true,
              )
          free = end
        }
      })
    })

    it('leaves nobody waiting while seats, tokens and blocks are left', () => {
      holds((rows) => {
        const engine = {maxNumSeqs: 5, maxNumBatchedTokens: 24}
        for (const {waiting, running, shape} of run({rows, engine}).steps)
          if (waiting > 0) expect(running === engine.maxNumSeqs || shape.tokens === 24).equal(true)
      })
    })

    it('sees four fields of a request, and no output length', () => {
      const keysWhen = (output: number) => {
        const seen: [WaitingView, number][] = []
        const spy: SchedulingPolicy = {
          ...policy,
          key(request) {
            const key = policy.key(request)
            seen.push([{...request}, key])
            return key
          },
        }
        const rows = Array.from({length: 20}, (_, i): Row => {
          const of = {at: i, input: 1 + ((7 * i) % 20), priority: i % 3, output}
          return i % 2 === 0 ? of : {...of, predicted: 1 + ((5 * i) % 9)}
        })
        serve({rows, engine: {policy: spy}})
        return seen
      }
      const seen = keysWhen(1)
      expect(seen).lengthOf(20)
      for (const [view] of seen)
        expect(Object.keys(view).sort()).deep.equal([
          'arrivedAt',
          'inputTokens',
          'predictedOutputTokens',
          'priority',
        ])
      expect(keysWhen(50)).deep.equal(seen)
    })

    it('decides the same when asked again', () => {
      holds((rows, depth) => {
        const setting = {rows, engine: {...tight, depth}}
        expect(run(setting)).deep.equal(run(setting))
      })
    })

    it('takes equals in the order in which they came', () => {
      const rows = Array.from({length: 12}, (): Row => ({at: 0, input: 8, output: 3, priority: 1}))
      for (const maxNumSeqs of [1, 2, 5]) {
        const scheduled = timesOf(run({rows, engine: {maxNumSeqs}})).map(([, time]) => time!)
        expect(scheduled).deep.equal([...scheduled].sort((a, b) => a - b))
        expect(new Set(scheduled).size).equal(Math.ceil(12 / maxNumSeqs))
      }
    })

    it('brings a preempted request back before its equals', () => {
      // Two of three fit until they grow; the second gives way, and the third must not take its place.
      const rows = Array.from({length: 3}, (): Row => ({at: 0, input: 8, output: 9}))
      const served = run({rows, engine: {numGpuBlocks: 5, maxNumSeqs: 2}})
      expect([...served.outcomes.preemptions].slice(0, 2)).deep.equal([0, 1])
      expect(served.left).deep.equal([0, 1, 2])
      const [first, , third] = timesOf(served)
      expect(third![1]).at.least(first![3]!)
    })
  })
}
