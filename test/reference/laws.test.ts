/** What holds for every run of the reference engine, and proof that the random cases go everywhere. */

import {expect} from 'chai'
import fc from 'fast-check'
import {type BatchShape, emptyShape} from '#llmsim/latency/step-time.js'
import {caseSpecs, groupedSpecs, speculatingSpecs, stepTimeSpecs} from './arbitraries.js'
import {buildCase, stepTimeOf} from './case-spec.js'
import {mostBlocks, pagesOf} from './kv-groups.js'
import type {ReferenceEngine} from './reference-engine.js'
import {type ReferenceCase, type ReferenceResult, runReference} from './run-reference.js'

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

const forEveryRun = (law: (run: ReferenceResult, given: ReferenceCase) => void, runs = 300) =>
  [caseSpecs, speculatingSpecs, groupedSpecs].forEach((specs, i) => {
    fc.assert(
      fc.property(specs, (spec) => {
        const given = buildCase(spec)
        law(runReference(given), given)
      }),
      {numRuns: Math.ceil(runs / (i + 1)), seed: 1},
    )
  })

describe('reference engine: laws', () => {
  it('every request ends, with all its tokens unless it left or was turned away', () =>
    forEveryRun(({requests}, {trace}) => {
      for (const [row, request] of requests.entries()) {
        const output = trace.outputTokens[row]!
        expect(request.status).to.not.equal('pending')
        if (request.status === 'completed') expect(request.producedTokens).to.equal(output)
        if (request.status === 'rejected') expect(request.producedTokens).to.equal(0)
        if (request.status === 'cancelled') expect(request.producedTokens).to.be.lessThan(output)
        expect(request.gaps).to.have.length(Math.max(0, request.producedTokens - 1))
      }
    }))

  it('nothing happens before its cause', () =>
    forEveryRun(({requests, steps}, {trace, config}) => {
      // Accepted drafts come together.
      const least = config.speculation === undefined ? 1 : 0
      const ends = new Set(steps.map(({end}) => end))
      for (const [row, request] of requests.entries()) {
        if (request.producedTokens === 0) continue
        expect(request.scheduledAt).to.be.at.least(trace.arrivedAt[row]!)
        expect(request.firstTokenAt).to.be.greaterThan(request.scheduledAt)
        expect(request.gaps.every((gap) => gap >= least)).to.equal(true)
        expect(ends.has(request.firstTokenAt)).to.equal(true)
        if (request.status !== 'completed') continue
        expect(request.firstTokenAt + sum(request.gaps)).to.equal(request.finishedAt)
      }
    }))

  it('steps follow each other within budget, seats and blocks', () =>
    forEveryRun(({steps}, {config}) => {
      for (const [i, step] of steps.entries()) {
        expect(step.end).to.be.greaterThan(step.start)
        if (i > 0 && (config.stages ?? 1) === 1)
          expect(step.start).to.be.at.least(steps[i - 1]!.end)
        if (i > 0) expect(step.end).to.be.greaterThan(steps[i - 1]!.end)
        expect(step.shape.tokens).to.be.within(1, config.maxNumBatchedTokens)
        expect(step.shape.tokens).to.equal(step.shape.prefillTokens + step.shape.decodes)
        expect(step.running).to.be.at.most(config.maxNumSeqs)
        expect(step.shape.sequences).to.be.at.most(step.running)
      }
    }))

  it('all blocks come back', () =>
    forEveryRun((run, {config}) => expect(run.freeBlocksAtEnd).to.equal(config.blocks)))

  it('what was computed is what the requests needed, where nothing was thrown away', () =>
    forEveryRun(({requests, steps}, {trace, config}) => {
      // Drafts are computed to be thrown away.
      if (config.speculation !== undefined) return
      if (requests.some(({status, preemptions}) => status === 'cancelled' || preemptions > 0))
        return
      const needed = requests.map(({status, cachedTokens}, row) =>
        status === 'completed'
          ? trace.inputTokens[row]! + trace.outputTokens[row]! - 1 - cachedTokens
          : 0,
      )
      expect(sum(steps.map(({shape}) => shape.tokens))).to.equal(sum(needed))
    }))

  it('totals agree with the requests', () =>
    forEveryRun((run, {config}) => {
      const {totals} = run
      const shown = sum(run.steps.map(({preempted}) => preempted))
      expect(shown).to.be.at.most(totals.preemptions)
      // A victim that stays comes back, in a step that shows what happened before it.
      if (run.requests.every(({status}) => status !== 'cancelled'))
        expect(shown).to.equal(totals.preemptions)
      expect(totals.peakBlocks).to.be.at.most(config.blocks)
      expect(run.hitTokens).to.equal(sum(run.requests.map(({cachedTokens}) => cachedTokens)))
    }))

  it('the pool counts its holders at every instant', () =>
    fc.assert(
      fc.property(fc.oneof(caseSpecs, groupedSpecs), (spec) => {
        runReference(buildCase(spec), expectSoundPool)
      }),
      {numRuns: 200, seed: 1},
    ))

  it('nobody holds more of a window than it was admitted for', () =>
    fc.assert(
      fc.property(groupedSpecs, (spec) => {
        const given = buildCase(spec)
        runReference(given, ({running}) => {
          for (const [at, group] of given.config.kvGroups!.entries())
            for (const {tables} of running) {
              const held = tables[at]!.filter((block) => block !== undefined).length
              expect(held).to.be.at.most(mostBlocks(group, 1e6, given.config))
            }
        })
      }),
      {numRuns: 100, seed: 1},
    ))

  it('is the same twice', () =>
    forEveryRun((run, given) => expect(runReference(given)).to.deep.equal(run), 50))
})

const expectSoundPool = ({pool, running, waiting}: ReferenceEngine) => {
  const held = running.flatMap(({tables}) => pagesOf(tables))
  for (const block of pool.blocks) {
    const holders = held.filter((other) => other === block).length
    if (block.holders !== holders) throw new Error(`block ${block.id}: ${block.holders} holders`)
    const free = pool.free.filter((other) => other === block).length
    if (free !== (holders === 0 ? 1 : 0)) throw new Error(`block ${block.id}: ${free} times free`)
  }
  for (const [identity, block] of pool.index)
    if (block.identity !== identity) throw new Error(`${identity} points to ${block.identity}`)
  if (waiting.some(({tables, computed}) => pagesOf(tables).length > 0 || computed > 0))
    throw new Error('a waiting request holds something')
}

describe('random cases', () => {
  /** At least so many of 1,000 cases must visit it. */
  const wanted: Record<string, number> = {
    'admission skipped': 50,
    'blocked by blocks': 50,
    'blocked by reservation': 50,
    'cancelled: draining': 20,
    'cancelled: fresh': 50,
    'cancelled: preempted': 5,
    'cancelled: running': 50,
    'draining victim': 10,
    evicted: 100,
    'hit: free block': 100,
    'hit: held block': 50,
    'hit: own block': 20,
    'identity replaced': 50,
    'no room for the whole prompt': 20,
    'pick undone': 10,
    'planned again': 5,
    'preempted for nothing': 10,
    'rejected: batch': 20,
    'rejected: blocks': 50,
    'rejected: model-length': 20,
    resumed: 100,
    'seats full': 100,
    'token in flight': 5,
    'token lost': 50,
    'victim in flight': 50,
  }

  it('visit every corner of the rules', () => {
    const visits = new Map<string, number>()
    for (const spec of fc.sample(caseSpecs, {numRuns: 1000, seed: 1}))
      for (const corner of runReference(buildCase(spec)).corners.keys())
        visits.set(corner, (visits.get(corner) ?? 0) + 1)
    expect([...visits.keys()].sort()).to.deep.equal(Object.keys(wanted).sort())
    for (const [corner, least] of Object.entries(wanted))
      expect(visits.get(corner), corner).to.be.at.least(least)
  })

  it('have arrivals and cancels at the very end of a step', () => {
    let arrivals = 0
    let cancels = 0
    for (const spec of fc.sample(caseSpecs, {numRuns: 500, seed: 1})) {
      const given = buildCase(spec)
      const ends = new Set(runReference(given).steps.map(({end}) => end))
      arrivals += given.trace.arrivedAt.filter((time) => ends.has(time)).length
      cancels += (given.trace.cancelledAt ?? []).filter((time) => ends.has(time)).length
    }
    expect(arrivals).to.be.at.least(100)
    expect(cancels).to.be.at.least(50)
  })

  it('have step times that are whole and monotone in every field', () => {
    const fields = Object.keys(emptyShape()) as (keyof BatchShape)[]
    const shapes = fc.record(
      Object.fromEntries(fields.map((field) => [field, fc.nat(500)])),
    ) as fc.Arbitrary<BatchShape>
    const more = fc.tuple(fc.constantFrom(...fields), fc.integer({min: 1, max: 50}))
    fc.assert(
      fc.property(stepTimeSpecs, shapes, more, (spec, shape, [field, by]) => {
        const time = stepTimeOf(spec)
        const larger = {...shape, [field]: shape[field] + by}
        return Number.isInteger(time(shape)) && time(larger) >= time(shape)
      }),
      {seed: 1},
    )
  })

  it('with drafts accept none, some and all of them, preempt, and lose some to a client that leaves', () => {
    const visits = new Map<string, number>()
    for (const spec of fc.sample(speculatingSpecs, {numRuns: 1000, seed: 1}))
      for (const corner of runReference(buildCase(spec)).corners.keys())
        visits.set(corner, (visits.get(corner) ?? 0) + 1)
    for (const corner of ['accepted all', 'accepted none', 'accepted some', 'token lost'])
      expect(visits.get(corner), corner).to.be.at.least(50)
    for (const corner of ['resumed', 'pick undone', 'hit: own block'])
      expect(visits.get(corner), corner).to.be.at.least(10)
  })

  it('with windows leave blocks, find what lies behind them, preempt, and turn away', () => {
    const visits = new Map<string, number>()
    for (const spec of fc.sample(groupedSpecs, {numRuns: 500, seed: 1}))
      for (const corner of runReference(buildCase(spec)).corners.keys())
        visits.set(corner, (visits.get(corner) ?? 0) + 1)
    const wanted = ['blocks left by a window', 'hit: behind a window', 'hit: own block', 'resumed']
    for (const corner of [...wanted, 'evicted', 'pick undone', 'rejected: blocks'])
      expect(visits.get(corner), corner).to.be.at.least(10)
  })
})
