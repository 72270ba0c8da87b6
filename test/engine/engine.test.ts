/** One engine, handed the time: what it turns away, shows and sums up. Its plans are compared with the reference. */
import {expect} from 'chai'
import {Engine} from '#llmsim/engine/engine.js'
import type {BatchClock, EngineConfig} from '#llmsim/engine/engine-config.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'
import type {StepTime} from '#llmsim/latency/step-time.js'
import {calm} from '../cluster/serve.js'

const setUp = (config: Partial<EngineConfig> = {}) => {
  const requests = new RequestPool()
  const engine = new Engine({...calm, ...config}, requests)
  const arrive = (input: number, output: number) => {
    const slot = requests.take()
    requests.input[slot] = input
    requests.total[slot] = input + output
    return {slot, verdict: engine.enqueue(slot)}
  }
  return {requests, engine, arrive}
}

describe('Engine: who is turned away', () => {
  it('who is longer than the model, by one token', () => {
    const {arrive} = setUp({maxModelLen: 20})
    expect(arrive(15, 5).verdict).equal(undefined)
    expect(arrive(16, 5).verdict).deep.equal({
      rule: 'model-length',
      message: 'prompt and output are 21 tokens, max_model_len is 20',
    })
  })

  it('who needs more blocks than there are, its last token not counted', () => {
    const {arrive} = setUp({numGpuBlocks: 5})
    expect(arrive(16, 5).verdict).equal(undefined)
    expect(arrive(16, 6).verdict).deep.equal({
      rule: 'blocks',
      message: 'it needs 6 KV blocks of 5',
    })
  })

  it('who does not fit in a batch that may not be cut', () => {
    const {arrive} = setUp({enableChunkedPrefill: false, maxNumBatchedTokens: 20})
    expect(arrive(16, 5).verdict).equal(undefined)
    expect(arrive(16, 6).verdict?.rule).equal('batch')
    expect(setUp({maxNumBatchedTokens: 20}).arrive(16, 6).verdict).equal(undefined)
  })

  it('for the first reason that holds', () => {
    const {arrive} = setUp({
      maxModelLen: 20,
      numGpuBlocks: 2,
      enableChunkedPrefill: false,
      maxNumBatchedTokens: 5,
    })
    expect(
      [arrive(30, 1), arrive(15, 1), arrive(7, 1)].map(({verdict}) => verdict?.rule),
    ).deep.equal(['model-length', 'blocks', 'batch'])
  })

  it('leaves no trace', () => {
    const {engine, arrive} = setUp({maxModelLen: 4})
    arrive(5, 1)
    expect([engine.waiting, engine.plan(0)]).deep.equal([0, undefined])
  })
})

describe('Engine: what it shows', () => {
  it('running, waiting and free blocks, as requests come, run and leave', () => {
    const {engine, arrive} = setUp({maxNumSeqs: 1})
    const look = () => [engine.running, engine.waiting, engine.freeBlocks, engine.inFlight]
    arrive(6, 2)
    arrive(6, 1)
    expect(look()).deep.equal([0, 2, 1000, 0])
    engine.plan(0)
    expect(look()).deep.equal([1, 1, 998, 1])
    engine.complete(10)
    expect(look()).deep.equal([1, 1, 998, 0])
    engine.plan(10)
    engine.complete(20)
    expect(engine.finished).lengthOf(1)
    expect(look()).deep.equal([0, 1, 1000, 0])
    engine.plan(20)
    engine.complete(30)
    expect(look()).deep.equal([0, 0, 1000, 0])
    expect(engine.plan(30)).equal(undefined)
  })

  it('what held the head of the queue back', () => {
    const reasonWhen = (config: Partial<EngineConfig>) => {
      const {engine, arrive} = setUp(config)
      arrive(8, 2)
      arrive(8, 2)
      engine.plan(0)
      return engine.oldest.heldBack
    }
    expect(reasonWhen({})).equal('nobody')
    expect(reasonWhen({maxNumSeqs: 1})).equal('seats')
    expect(reasonWhen({maxNumBatchedTokens: 8})).equal('budget')
    expect(reasonWhen({maxNumBatchedTokens: 15, enableChunkedPrefill: false})).equal('budget')
    expect(reasonWhen({numGpuBlocks: 3})).equal('blocks')
  })
})

describe('Engine: run', () => {
  it('hands out those who are done by a batch of its own, and nobody twice', () => {
    const {engine, arrive} = setUp({depth: 1})
    const clock: BatchClock = {
      add(batch, now) {
        batch.start = now
        batch.end = now + 10
      },
    }
    const first = arrive(6, 1).slot
    engine.plan(0)
    engine.time(0, clock)
    engine.complete(10)
    expect(engine.finished).deep.equal([first])
    const second = arrive(6, 3).slot
    engine.plan(10)
    engine.time(10, clock)
    const left: number[][] = []
    const ended = engine.run(1000, clock, {
      nextEnters: Float64Array.of(Number.POSITIVE_INFINITY),
      enterBy: () => undefined,
      left: (now) => left.push([now, ...engine.finished]),
    })
    expect(left).deep.equal([[40, second]])
    expect(ended).equal(40)
  })
})

describe('Engine: cancel', () => {
  it('gives seat and blocks back at once, and says how many tokens were delivered', () => {
    const {engine, arrive} = setUp()
    const {slot} = arrive(6, 9)
    arrive(6, 9)
    engine.plan(0)
    engine.complete(10)
    engine.plan(10)
    engine.complete(20)
    engine.plan(20)
    expect(engine.cancel(slot, 0)).equal(2)
    expect([engine.running, engine.freeBlocks]).deep.equal([1, 998])
    // The batch in flight keeps its shape.
    expect(engine.oldest.shape.decodes).equal(2)
    engine.complete(30)
    expect(engine.plan(30)?.decodes).equal(1)
  })

  it('of a waiting request lets the next one go first', () => {
    const {engine, arrive} = setUp({maxNumSeqs: 1})
    const {slot} = arrive(6, 1)
    const next = arrive(7, 1).slot
    expect(engine.cancel(slot, 0)).equal(0)
    expect(engine.plan(0)?.tokens).equal(7)
    engine.complete(10)
    expect(engine.finished).deep.equal([next])
  })
})

describe('Engine: runDecodes', () => {
  const decoding = (config: Partial<EngineConfig> = {}) => {
    const {engine, arrive} = setUp(config)
    arrive(6, 10)
    let freeAt = 0
    let time: StepTime = () => 10
    const clock: BatchClock = {
      add(batch, now) {
        batch.start = Math.max(now, freeAt)
        batch.end = batch.start + time(batch.shape)
        freeAt = batch.end
      },
    }
    const plan = (now: number) => {
      while (engine.inFlight < engine.config.depth && engine.plan(now)) engine.time(now, clock)
    }
    plan(0)
    engine.complete(10)
    plan(10)
    /** Skips up to `until`; returns the end of the batch that executes then. */
    const skip = (until: number, stepTime: StepTime = time) => {
      time = stepTime
      engine.runDecodes(until, clock)
      return engine.oldest.end
    }
    return {engine, arrive, skip}
  }

  it('ends the batches due by then, and returns the end of the next', () => {
    const {engine, skip} = decoding()
    // The batch that runs ends at 20; the next ones take their context in ns: 7, 8, 9, …
    const end = skip(37, (shape) => shape.decodeContext)
    expect(end).equal(20 + 7 + 8 + 9)
    expect(engine.totals.steps).equal(1 + 3)
    expect(engine.oldest.shape.decodeContext).equal(9)
  })

  it('does nothing when nothing is due', () => {
    const {engine, skip} = decoding()
    expect(skip(19)).equal(20)
    expect(engine.totals.steps).equal(1)
  })

  it('stops before a request ends', () => {
    const {engine, skip} = decoding()
    skip(1e9)
    expect(engine.running).equal(1)
    expect(engine.totals.steps).within(8, 9)
  })

  it('refuses where a request prefills, or could be admitted', () => {
    for (const config of [{depth: 1}, {depth: 2}]) {
      const {arrive, skip} = decoding(config)
      arrive(5, 1)
      expect(skip(1e9)).equal(20)
    }
  })
})
