/** The comparison itself: silent on equal runs, and not to be fooled by an engine that is slightly wrong. */

import {expect} from 'chai'
import type {ReferenceConfig, ReferencePolicy} from '../reference/reference-config.js'
import {caseOf} from '../reference/scenario.js'
import {
  compare,
  type FastResult,
  firstDisagreement,
  type RunFast,
  runReference,
} from './against-reference.js'

const given = caseOf({
  rows: [
    {at: 0, input: 4, output: 3},
    {at: 0, input: 4, output: 2},
  ],
  config: {blocks: 3},
})
const right = runReference(given)
const told = (change: Partial<FastResult>) => compare({...right, ...change}, right)

describe('compare', () => {
  it('says nothing where nothing differs', () => {
    const values = Float64Array.of(10, 30)
    const pooledGaps = {length: 2, values, counts: Float64Array.of(2, 1)}
    expect(told({totals: right.totals, pooledGaps})).to.equal(undefined)
  })

  it('names the step and the field', () => {
    const [first, ...rest] = right.steps
    expect(told({steps: [{...first!, end: 11}, ...rest]})).to.equal(
      'step 0: end is 11, the reference says 10',
    )
    const shape = {...first!.shape, prefillWork: 21}
    expect(told({steps: [{...first!, shape}, ...rest]})).to.equal(
      'the shape of step 0 (start 0): prefillWork is 21, the reference says 20',
    )
    expect(told({steps: rest.slice(0, 0)})).to.match(/^step 0 is missing/)
    expect(told({steps: [...right.steps, first!]})).to.match(/is one more than the reference has$/)
  })

  it('names the request and the field', () => {
    const [first, second] = right.requests
    const requests = [first!, {...second!, preemptions: 0}]
    expect(told({requests})).to.equal('request 1: preemptions is 0, the reference says 1')
    expect(told({requests: [first!, {...second!, gaps: [31]}]})).to.equal(
      'request 1: gaps are [31], the reference has [30]',
    )
    expect(told({requests: [first!]})).to.equal('request 1 is missing')
    const reason = {...second!, reason: 'blocks' as const}
    expect(told({requests: [first!, reason]})).to.match(/^request 1: reason is blocks/)
  })

  it('checks totals and pooled gaps of an engine that keeps no steps', () => {
    const {steps: _, totals: __, ...stepless} = right
    const without = (change: Partial<FastResult>) => compare({...stepless, ...change}, right)
    expect(without({})).to.equal(undefined)
    expect(without({totals: {steps: 5}})).to.equal('the totals: steps is 5, the reference says 4')
    expect(without({hitTokens: 4})).to.equal('the run: hitTokens is 4, the reference says 0')
    const pooledGaps = {length: 1, values: Float64Array.of(10), counts: Float64Array.of(2)}
    expect(without({pooledGaps})).to.equal('gaps of 30 ns: 0, the reference has 1')
  })
})

describe('firstDisagreement', () => {
  it('finds none between the reference and itself', () => {
    expect(firstDisagreement(runReference, {runs: 200, seed: 1})).to.equal(undefined)
  })

  const {fcfs, priority, sjf} = {fcfs: 'fcfs', priority: 'priority', sjf: 'sjf'} as const
  const swapped = {[fcfs]: sjf, [priority]: fcfs, [sjf]: fcfs}
  const otherVictim = (policy: ReferencePolicy): ReferencePolicy => ({
    ...policy,
    victim: policy.victim === 'largest-key' ? 'last-admitted' : 'largest-key',
  })
  const faults: Record<string, (config: ReferenceConfig) => Partial<ReferenceConfig>> = {
    'one block more': ({blocks}) => ({blocks: blocks + 1}),
    'one seat more': ({maxNumSeqs}) => ({maxNumSeqs: maxNumSeqs + 1}),
    'one token more in the budget': (config) => ({
      maxNumBatchedTokens: config.maxNumBatchedTokens + 1,
    }),
    'no threshold': () => ({longPrefillTokenThreshold: 0}),
    'always chunked': () => ({enableChunkedPrefill: true}),
    'never cached': () => ({enablePrefixCaching: false}),
    'always reserved': () => ({reserveFullPrompt: true}),
    'no own blocks': () => ({ownBlocks: false}),
    'a longer model': ({maxModelLen}) => ({maxModelLen: maxModelLen + 1}),
    'always synchronous': () => ({depth: 1}),
    'another policy': ({policy}) => (typeof policy === 'string' ? {policy: swapped[policy]} : {}),
    'the other victim': ({policy}) =>
      typeof policy === 'string' ? {} : {policy: otherVictim(policy)},
  }

  for (const [fault, change] of Object.entries(faults))
    it(`finds an engine with ${fault}, even by its requests alone`, () => {
      const wrong: RunFast = ({config, ...rest}) => {
        const {
          steps: _,
          totals: __,
          ...run
        } = runReference({...rest, config: {...config, ...change(config)}})
        return run
      }
      expect(firstDisagreement(wrong, {seed: 1})).to.match(/the reference/)
    })

  it('counts what an engine throws', () => {
    const broken: RunFast = () => {
      throw new Error('out of order')
    }
    expect(firstDisagreement(broken, {runs: 1, seed: 1})).to.match(/the engine threw Error: out of/)
  })

  it('notices every field of the shape', () => {
    for (const field of Object.keys(right.steps[0]!.shape)) {
      const wrong: RunFast = (it) => {
        const run = runReference(it)
        const steps = run.steps.map((step, i) => {
          const key = field as keyof typeof step.shape
          return i === 0 ? {...step, shape: {...step.shape, [key]: step.shape[key] + 1}} : step
        })
        return {...run, steps}
      }
      expect(firstDisagreement(wrong, {runs: 20, seed: 1})).to.include(`: ${field} is`)
    }
  })
})
