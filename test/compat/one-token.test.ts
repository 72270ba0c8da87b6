/** Answers of one token where LLMServingSim's prompts run apart: the prefill engine makes the whole answer. */
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {simulate} from '#llmsim/study/simulate.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {runRequest} from '../support/run-request.js'

const traceOf = (outputs: readonly number[], everyMs: number): Trace => ({
  length: outputs.length,
  arrivedAt: Float64Array.from(outputs, (_, i) => i * everyMs * 1e6),
  inputTokens: Int32Array.from(outputs, (_, i) => 100 + ((i * 37) % 900)),
  outputTokens: Int32Array.from(outputs),
  notes: [],
  format: 'test',
})

describe('an answer of one token, prompts apart (--compat llmservingsim)', () => {
  const deployment = deploy(
    runRequest({
      hardware: 'H100',
      compat: 'llmservingsim',
      layout: {prefill: 1, decode: 1},
    }),
  )

  it('ends with its prompt, on the engine that ran it', async () => {
    const trace = traceOf([1, 2], 5000)
    const {run} = simulate({trace, deployment: await deployment, check: true})
    const {outcomes, engines} = run
    expect(outcomes.finishedAt[0]).equal(outcomes.firstTokenAt[0])
    expect(outcomes.finishedAt[1]).above(outcomes.firstTokenAt[1]!)
    expect([...outcomes.instance]).deep.equal([0, 1])
    expect(engines.map(({decodeTokens}) => decodeTokens)).deep.equal([0, 1])
  })

  it('leaves nothing behind and takes nothing from others', async () => {
    for (const everyMs of [0, 1, 7, 30]) {
      const outputs = Array.from({length: 200}, (_, i) => [1, 1, 30, 2, 300][(i * 7) % 5]!)
      const trace = traceOf(outputs, everyMs)
      const {run} = simulate({trace, deployment: await deployment, check: true})
      for (const {freeBlocksAtEnd, blocks} of run.engines) expect(freeBlocksAtEnd).equal(blocks)
      const decoded = outputs.reduce((sum, output) => sum + output - 1, 0)
      expect(run.engines[1]!.decodeTokens).equal(decoded)
    }
  })

  it('lets the next turn of its session come', async () => {
    const trace: Trace = {
      ...traceOf([1, 1, 5, 1], 0),
      arrivedAt: Float64Array.of(0, Number.NaN, Number.NaN, 50e6),
      session: {names: ['a', 'b'], codes: Int32Array.of(0, 0, 0, 1)},
      thinkTime: Float64Array.of(Number.NaN, 0, 1e9, Number.NaN),
    }
    const {run} = simulate({trace, deployment: await deployment, check: true})
    const {arrivedAt, finishedAt} = run.outcomes
    expect(arrivedAt[1]).equal(finishedAt[0])
    expect(arrivedAt[2]).equal(finishedAt[1]! + 1e9)
  })
})
