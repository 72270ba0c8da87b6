/** The reference engine against runs worked out by hand. Blocks of 4 tokens, steps of 10 ns unless told. */

import {expect} from 'chai'
import type {ReferenceConfig} from './reference-config.js'
import type {RunResult} from './result.js'
import {runReference} from './run-reference.js'
import {caseOf, play, type Row} from './scenario.js'

const spans = (run: Pick<RunResult, 'steps'>) => run.steps.map(({start, end}) => [start, end])
const column = <K extends keyof RunResult['steps'][number]>(run: RunResult, field: K) =>
  run.steps.map((step) => step[field])

describe('reference engine: a request alone', () => {
  it('gets its first token from the prefill and one more from every decode', () => {
    // 5 tokens at once, then contexts 5 and 6. The KV of the third token is never computed.
    const run = play({rows: [{at: 3, input: 5, output: 3}]})
    expect(spans(run)).to.deep.equal([
      [3, 13],
      [13, 23],
      [23, 33],
    ])
    expect(run.requests[0]).to.deep.equal({
      status: 'completed',
      scheduledAt: 3,
      firstTokenAt: 13,
      finishedAt: 33,
      producedTokens: 3,
      cachedTokens: 0,
      preemptions: 0,
      gaps: [10, 10],
    })
    expect(run.steps[0]?.shape).to.include({
      tokens: 5,
      sequences: 1,
      prefills: 1,
      prefillTokens: 5,
      prefillContext: 0,
      prefillWork: 15,
      decodes: 0,
      decodeContextMin: 0,
      paddedTokens: 5,
    })
    expect(run.steps[2]?.shape).to.include({
      tokens: 1,
      prefills: 0,
      decodes: 1,
      decodeContext: 6,
      decodeContextMin: 6,
      decodeContextMax: 6,
    })
  })

  it('takes a block only when a token needs it', () => {
    // 4 + 2: the decode at context 4 opens block 1. 3 + 2: the decode at context 3 fills block 0.
    const edge = play({rows: [{at: 0, input: 4, output: 2}]})
    expect(column(edge, 'freeBlocks')).to.deep.equal([99, 98])
    const before = play({rows: [{at: 0, input: 3, output: 2}]})
    expect(column(before, 'freeBlocks')).to.deep.equal([99, 99])
  })

  it('is cut into chunks by the budget; causal work counts the context', () => {
    // 4 at 0: 4·2.5 = 10; 4 at 4: 4·6.5 = 26; 2 at 8: 2·9.5 = 19. Only the last chunk yields a token.
    const run = play({rows: [{at: 0, input: 10, output: 1}], config: {maxNumBatchedTokens: 4}})
    expect(run.steps.map(({shape}) => shape.prefillTokens)).to.deep.equal([4, 4, 2])
    expect(run.steps.map(({shape}) => shape.prefillContext)).to.deep.equal([0, 4, 8])
    expect(run.steps.map(({shape}) => shape.prefillWork)).to.deep.equal([10, 26, 19])
    expect(run.requests[0]?.firstTokenAt).to.equal(30)
  })

  it('has a chunk of one token counted as a decode', () => {
    const run = play({rows: [{at: 0, input: 5, output: 1}], config: {maxNumBatchedTokens: 4}})
    expect(run.steps[1]?.shape).to.include({prefills: 0, prefillContext: 0, decodes: 1})
    expect(run.steps[1]?.shape.decodeContext).to.equal(4)
  })

  it('is cut by the long-prefill threshold', () => {
    const run = play({rows: [{at: 0, input: 8, output: 1}], config: {longPrefillTokenThreshold: 3}})
    expect(run.steps.map(({shape}) => shape.tokens)).to.deep.equal([3, 3, 2])
  })

  it('never has a step shorter than a nanosecond', () => {
    const run = play({rows: [{at: 0, input: 1, output: 2}], stepTime: () => 0})
    expect(run.requests[0]).to.include({firstTokenAt: 1, finishedAt: 2})
  })
})

describe('reference engine: turned away', () => {
  it('by the first rule that it breaks', () => {
    // 4 + 1 needs KV for 4 tokens = 1 block; 4 + 2 for 5 = 2 blocks.
    const rows = [
      {at: 0, input: 4, output: 1},
      {at: 0, input: 4, output: 2},
      {at: 0, input: 9, output: 2},
    ]
    const blocks = play({rows, config: {blocks: 1, maxModelLen: 10}})
    expect(blocks.requests.map(({reason}) => reason)).to.deep.equal([
      undefined,
      'blocks',
      'model-length',
    ])
    expect(blocks.requests[2]).to.include({status: 'rejected', producedTokens: 0})
    const whole = play({rows, config: {enableChunkedPrefill: false, maxNumBatchedTokens: 4}})
    expect(whole.requests.map(({reason}) => reason)).to.deep.equal([undefined, 'batch', 'batch'])
  })
})

describe('reference engine: several requests', () => {
  it('serves running requests first, then admits with what is left of the budget', () => {
    // Budget 4. [0,10] A 2. [10,20] A decodes, B 3 of 5. [20,30] A decodes its last, B 2.
    const run = play({
      rows: [
        {at: 0, input: 2, output: 3},
        {at: 5, input: 5, output: 1},
      ],
      config: {maxNumBatchedTokens: 4},
    })
    expect(run.steps.map(({shape}) => shape.tokens)).to.deep.equal([2, 4, 3])
    expect(run.requests[0]?.finishedAt).to.equal(30)
    expect(run.requests[1]).to.include({scheduledAt: 10, firstTokenAt: 30})
  })

  it('plans an arrival at the end of a step in that instant', () => {
    const run = play({
      rows: [
        {at: 0, input: 4, output: 2},
        {at: 10, input: 4, output: 1},
      ],
    })
    expect(run.requests[1]).to.include({scheduledAt: 10, firstTokenAt: 20})
  })

  it('plans once for all that arrive together', () => {
    const run = play({
      rows: [
        {at: 7, input: 4, output: 1},
        {at: 7, input: 3, output: 1},
      ],
    })
    expect(spans(run)).to.deep.equal([[7, 17]])
    expect(run.steps[0]?.shape).to.include({prefills: 2, prefillTokens: 7})
  })

  it('does not let anybody overtake a blocked head', () => {
    // 4 blocks. A holds 2, from 10 on 3, until 50. B needs 3; C needs 1 and waits behind it.
    const run = play({
      rows: [
        {at: 0, input: 8, output: 5},
        {at: 0, input: 12, output: 1},
        {at: 0, input: 1, output: 1},
      ],
      config: {blocks: 4},
    })
    expect(run.requests.map(({scheduledAt}) => scheduledAt)).to.deep.equal([0, 50, 50])
    expect(column(run, 'waiting')).to.deep.equal([2, 2, 2, 2, 2, 0])
  })

  it('admits part of a prompt without the reservation, and all or nothing with it', () => {
    // 2 blocks, budget 6. A 4 (1 block), B 2 of 8. Without reservation B is in at 0, and at 10 has to
    // give its block to A's decode; A ends at 20, B computes 6 and 2. With it B comes in at 20.
    const rows = [
      {at: 0, input: 4, output: 2},
      {at: 0, input: 8, output: 1},
    ]
    const config = {blocks: 2, maxNumBatchedTokens: 6}
    const off = play({rows, config: {...config, reserveFullPrompt: false}})
    expect(off.requests[1]).to.include({scheduledAt: 0, preemptions: 1, firstTokenAt: 40})
    expect(off.steps.map(({shape}) => shape.tokens)).to.deep.equal([6, 1, 6, 2])
    const on = play({rows, config})
    expect(on.requests[1]).to.include({scheduledAt: 20, preemptions: 0, firstTokenAt: 40})
    expect(on.steps.map(({shape}) => shape.tokens)).to.deep.equal([4, 1, 6, 2])
  })

  it('keeps whole prompts whole without chunked prefill', () => {
    // Budget 8: A 5 leaves 3, B wants 6; C would fit but may not overtake.
    const run = play({
      rows: [
        {at: 0, input: 5, output: 1},
        {at: 0, input: 6, output: 1},
        {at: 0, input: 1, output: 1},
      ],
      config: {enableChunkedPrefill: false, maxNumBatchedTokens: 8},
    })
    expect(run.requests.map(({scheduledAt}) => scheduledAt)).to.deep.equal([0, 10, 10])
  })
})

describe('reference engine: preemption', () => {
  it('takes from the tail, brings the earliest admitted back first, and shows in the gap', () => {
    // 3 blocks, one each. At 10 A needs a second: C goes. B needs one too: nobody is behind it, it goes.
    // A ends at 30. B then computes 5 (2 blocks) and ends at 40; C needs 2, has room at 40, ends at 50.
    const run = play({
      rows: [
        {at: 0, input: 4, output: 3},
        {at: 0, input: 4, output: 2},
        {at: 0, input: 4, output: 2},
      ],
      config: {blocks: 3},
    })
    expect(run.requests.map(({gaps}) => gaps)).to.deep.equal([[10, 10], [30], [40]])
    expect(run.requests.map(({preemptions}) => preemptions)).to.deep.equal([0, 1, 1])
    expect(column(run, 'preempted')).to.deep.equal([0, 2, 0, 0, 0])
    expect(column(run, 'freeBlocks')).to.deep.equal([0, 1, 1, 1, 1])
    expect(run.steps[3]?.shape).to.include({prefillTokens: 5, prefillContext: 0})
  })

  it('skips admission in the plan that preempted', () => {
    // 3 blocks. At 10 A takes one of the two that B loses; C (shortest, first in line) would fit the other.
    const run = play({
      rows: [
        {at: 0, input: 4, output: 3},
        {at: 0, input: 8, output: 2},
        {at: 5, input: 1, output: 1},
      ],
      config: {blocks: 3, policy: 'sjf'},
    })
    expect(run.steps[1]).to.include({start: 10, running: 1, waiting: 2, freeBlocks: 1})
    expect(run.requests[2]?.scheduledAt).to.equal(20)
    expect(run.requests[1]).to.include({preemptions: 1, firstTokenAt: 10, finishedAt: 40})
  })

  it('by priority undoes a pick of this very plan', () => {
    // A (5) runs since 0, B (1) since 10. At 20 A is picked (context 3), then B needs a block: A goes.
    // B ends at 30; A comes back with its 4 tokens and gets its third at 40.
    const run = play({
      rows: [
        {at: 0, input: 2, output: 4, priority: 5},
        {at: 5, input: 4, output: 2, priority: 1},
      ],
      config: {blocks: 2, policy: 'priority'},
    })
    expect(run.steps[2]).to.include({
      start: 20,
      running: 1,
      waiting: 1,
      preempted: 1,
      freeBlocks: 0,
    })
    expect(run.steps[2]?.shape).to.include({tokens: 1, decodeContext: 4})
    expect(run.requests[0]?.gaps).to.deep.equal([10, 20, 10])
    expect(run.requests[1]?.finishedAt).to.equal(30)
    expect(run.steps[3]?.shape).to.include({prefillTokens: 4, prefillContext: 0})
  })

  it('by priority plans again at once when the only effect was to preempt', () => {
    // At 20 A (5) is first in order, needs a block and is itself the victim: nothing is picked. Then B.
    const run = play({
      rows: [
        {at: 0, input: 3, output: 3, priority: 5},
        {at: 5, input: 4, output: 2, priority: 1},
      ],
      config: {blocks: 2, policy: 'priority'},
    })
    expect(run.steps[2]).to.include({start: 20, end: 30, running: 1, preempted: 1})
    expect(run.requests[0]?.gaps).to.deep.equal([10, 20])
    expect(run.requests[1]?.finishedAt).to.equal(30)
  })
})

describe('reference engine: policies', () => {
  const order = (config: object, rows: {priority?: number; predicted?: number}[]) => {
    const inputs = [5, 9, 2]
    const run = play({
      rows: rows.map((row, i) => ({at: i === 0 ? 0 : 1, input: inputs[i]!, output: 1, ...row})),
      config: {maxNumSeqs: 1, ...config},
    })
    return run.requests.map(({scheduledAt}) => scheduledAt)
  }

  it('fcfs takes them as they come', () => {
    expect(order({}, [{}, {}, {}])).to.deep.equal([0, 10, 20])
  })

  it('sjf goes by the predicted output, else by the prompt', () => {
    expect(order({policy: 'sjf'}, [{}, {}, {}])).to.deep.equal([0, 20, 10])
    const predicted = [{predicted: 1}, {predicted: 1}, {predicted: 7}]
    expect(order({policy: 'sjf'}, predicted)).to.deep.equal([0, 10, 20])
    // Without a prediction of its own, row 2 counts with its prompt of 2.
    expect(order({policy: 'sjf'}, [{}, {predicted: 3}, {}])).to.deep.equal([0, 20, 10])
  })

  it('priority takes the lower first', () => {
    const rows = [{priority: 9}, {priority: 2}, {priority: 1}]
    expect(order({policy: 'priority'}, rows)).to.deep.equal([0, 20, 10])
  })

  it('a key of one’s own decides', () => {
    const key = (view: {inputTokens: number}) => -view.inputTokens
    expect(order({policy: {key, victim: 'last-admitted'}}, [{}, {}, {}])).to.deep.equal([0, 10, 20])
  })
})

describe('reference engine: asynchronous scheduling', () => {
  it('lets an arrival during a step wait for the batch behind it too', () => {
    // A is prefilled in [0,10] and decodes in [10,20], planned at 0. B comes at 5, is planned at 10, runs in
    // [20,30]. Synchronous, it would have run in [10,20].
    const rows = [
      {at: 0, input: 4, output: 5},
      {at: 5, input: 4, output: 1},
    ]
    expect(play({rows}).requests[1]).to.include({scheduledAt: 10, firstTokenAt: 20})
    const run = play({rows, config: {depth: 2}})
    expect(run.requests[1]).to.include({scheduledAt: 10, firstTokenAt: 30})
    expect(run.requests[0]?.gaps).to.deep.equal([10, 10, 10, 10])
  })

  it('keeps the seat of a request whose last token is in flight', () => {
    const rows = [
      {at: 0, input: 4, output: 1},
      {at: 0, input: 4, output: 1},
    ]
    const run = play({rows, config: {depth: 2, maxNumSeqs: 1}})
    expect(run.requests[1]).to.include({scheduledAt: 10, finishedAt: 20})
    expect(column(run, 'running')).to.deep.equal([1, 1])
  })

  it('lets a draining victim finish with its batch', () => {
    // 2 blocks. B's only token is in flight when A's decode, planned at 0 too, takes B's block.
    const run = play({
      rows: [
        {at: 0, input: 4, output: 3},
        {at: 0, input: 4, output: 1},
      ],
      config: {depth: 2, blocks: 2},
    })
    expect(run.requests[1]).to.include({status: 'completed', finishedAt: 10, preemptions: 1})
    expect(run.steps[1]).to.include({start: 10, running: 1, waiting: 0, preempted: 1})
    expect(run.requests[0]?.finishedAt).to.equal(30)
    expect(run.freeBlocksAtEnd).to.equal(2)
  })

  it('delivers the token in flight of a victim that goes on', () => {
    // As above, but B wants 2: it gets its first at 10 with batch 0, returns when A ends at 30 with 5 tokens.
    const run = play({
      rows: [
        {at: 0, input: 4, output: 3},
        {at: 0, input: 4, output: 2},
      ],
      config: {depth: 2, blocks: 2},
    })
    expect(run.requests[1]).to.deep.include({firstTokenAt: 10, gaps: [30], finishedAt: 40})
    expect(run.steps[3]?.shape.prefillTokens).to.equal(5)
  })

  it('carries preemptions of a plan without picks to the next step', () => {
    // 2 blocks, A drains, B needs a second block and is the tail: it goes, nothing is left to plan at 0.
    const run = play({
      rows: [
        {at: 0, input: 4, output: 1},
        {at: 0, input: 4, output: 2},
      ],
      config: {depth: 2, blocks: 2},
    })
    expect(spans(run)).to.deep.equal([
      [0, 10],
      [10, 20],
    ])
    expect(column(run, 'preempted')).to.deep.equal([0, 1])
    expect(run.requests[1]).to.deep.include({gaps: [10], preemptions: 1})
  })
})

describe('reference engine: cancels', () => {
  const rows = (leaves: number) => [
    {at: 0, input: 4, output: 5},
    {at: 0, input: 4, output: 5, leaves},
  ]
  // Steps take 10 ns per sequence: [0,20], [20,40], …
  const stepTime = ({sequences}: {sequences: number}) => 10 * sequences

  it('free the blocks at once and leave the batch its length', () => {
    const run = play({rows: rows(30), stepTime})
    expect(spans(run).slice(0, 3)).to.deep.equal([
      [0, 20],
      [20, 40],
      [40, 50],
    ])
    expect(column(run, 'freeBlocks').slice(0, 3)).to.deep.equal([98, 96, 98])
    expect(run.requests[1]).to.deep.include({status: 'cancelled', producedTokens: 1, gaps: []})
    expect(run.requests[1]?.finishedAt).to.equal(30)
    expect(run.requests[0]?.gaps).to.deep.equal([20, 10, 10, 10])
  })

  it('at the end of a step come before its tokens', () => {
    expect(play({rows: rows(40), stepTime}).requests[1]?.producedTokens).to.equal(1)
    expect(play({rows: rows(41), stepTime}).requests[1]?.producedTokens).to.equal(2)
  })

  it('on or before arrival let nothing be scheduled; after the finish they change nothing', () => {
    const early = play({rows: [{at: 9, input: 4, output: 2, leaves: 3}]})
    expect(early.requests[0]).to.include({status: 'cancelled', producedTokens: 0})
    expect(early.requests[0]?.scheduledAt).to.be.NaN
    expect(early.steps).to.have.length(0)
    const late = play({rows: [{at: 0, input: 4, output: 2, leaves: 21}]})
    expect(late.requests[0]).to.include({status: 'completed', finishedAt: 20})
  })

  it('keep the length of a batch that waits behind the one in flight', () => {
    const run = play({rows: rows(5), stepTime, config: {depth: 2}})
    expect(spans(run).slice(0, 3)).to.deep.equal([
      [0, 20],
      [20, 40],
      [40, 50],
    ])
    expect(run.requests[1]?.producedTokens).to.equal(0)
  })
})

describe('reference engine: pipelines', () => {
  const pipeline = (stages: number, hop = 0) => ({
    stages: Array.from({length: stages}, () => () => 10),
    hop: () => hop,
  })
  const run = (rows: Row[], stages: number, config: Partial<ReferenceConfig> = {}, hop = 0) =>
    runReference({
      ...caseOf({rows, config: {...config, depth: stages, stages}}),
      pipeline: pipeline(stages, hop),
    })

  it('has a batch in flight for each stage, each with decodes of its own', () => {
    // Budget 4: A alone in [0, 20], B behind it in [10, 30]; then each comes back when its token is there.
    const rows = [
      {at: 0, input: 4, output: 3},
      {at: 0, input: 4, output: 2},
    ]
    const {steps, requests} = run(rows, 2, {maxNumBatchedTokens: 4})
    expect(spans({steps})).to.deep.equal([
      [0, 20],
      [10, 30],
      [20, 40],
      [30, 50],
      [40, 60],
    ])
    expect(requests[0]?.gaps).to.deep.equal([20, 20])
    expect(requests[1]).to.deep.include({firstTokenAt: 30, gaps: [20], finishedAt: 50})
  })

  it('lets the chunks of one prompt follow each other', () => {
    const {steps} = run([{at: 0, input: 8, output: 1}], 2, {maxNumBatchedTokens: 4}, 3)
    expect(spans({steps})).to.deep.equal([
      [0, 23],
      [10, 33],
    ])
  })

  it('keeps a victim out until its token in flight is there', () => {
    // 2 blocks: A in [0, 20], B in [10, 30]. At 20 A needs a second block: B goes, with its token due at 30.
    const rows = [
      {at: 0, input: 4, output: 2},
      {at: 0, input: 4, output: 2},
    ]
    const {requests} = run(rows, 2, {maxNumBatchedTokens: 4, blocks: 2})
    expect(requests[0]).to.deep.include({finishedAt: 40, preemptions: 0})
    expect(requests[1]).to.deep.include({firstTokenAt: 30, preemptions: 1})
  })
})
