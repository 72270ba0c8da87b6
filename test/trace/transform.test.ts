import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {readTrace} from '#llmsim/trace/read.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {meanRate, type TransformOptions, transformTrace} from '#llmsim/trace/transform.js'
import {scratch} from './files.js'

const text = `arrived_at,input_tokens,output_tokens,session_id,think_time_s,cancelled_at,note
0,1,1,,,,a
1,2,1,s,,3,b
,3,1,s,4,,c
2,4,1,,,2.5,d
5,5,1,,,,e
8,6,1,,,,f
`

describe('transforming a trace', () => {
  const file = scratch()
  const inputs = (trace: Trace): number[] => [...trace.inputTokens]
  const seconds = (trace: Trace): number[] => Array.from(trace.arrivedAt, (ns) => ns / 1e9)
  const read = (options: TransformOptions = {}): Promise<Trace> =>
    readTrace([file('t.csv', text)], options)

  it('takes a window with the sessions that begin in it, and counts from its start', async () => {
    const trace = await read({from: 1, to: 5})
    expect(inputs(trace)).deep.equal([2, 3, 4])
    expect(seconds(trace)).deep.equal([0, Number.NaN, 1])
    expect([...trace.cancelledAt!]).deep.equal([2e9, Number.NaN, 1.5e9])
    expect(trace.extra!.get('note')).deep.equal(['b', 'c', 'd'])
    expect(inputs(await read({to: 1}))).deep.equal([1])
    expect(inputs(await read({from: 5}))).deep.equal([5, 6])
  })

  it('takes the first requests, whole sessions only', async () => {
    expect(inputs(await read({limit: 1}))).deep.equal([1])
    const whole = await read({limit: 2})
    expect(inputs(whole)).deep.equal([1, 2, 3])
    expect(whole.notes.at(-1)).equal('--limit 2 took 3 requests: sessions are kept whole.')
    expect(inputs(await read({limit: 3}))).deep.equal([1, 2, 3])
    expect(inputs(await read({limit: 99}))).length(6)
  })

  it('scales times; patience and think times stay', async () => {
    const trace = await read({timeScale: 0.5})
    expect(seconds(trace)).deep.equal([0, 0.5, Number.NaN, 1, 2.5, 4])
    expect(trace.cancelledAt![1]).equal(2.5e9)
    expect(trace.cancelledAt![3]).equal(1.5e9)
    expect(trace.thinkTime![2]).equal(4e9)
  })

  it('stretches to a mean rate', async () => {
    // Five rows have a time: 4 gaps over 8 s, and the sixth row in proportion.
    expect(meanRate(await read())).equal((4 / 8) * (6 / 5))
    const trace = await read({rate: 6})
    expect(meanRate(trace)).closeTo(6, 1e-9)
    expect(trace.arrivedAt[5]).equal(0.8e9)
  })

  it('does one after the other: window, limit, scale, rate', async () => {
    const trace = await read({from: 2, limit: 2, timeScale: 7, rate: 1})
    expect(inputs(trace)).deep.equal([4, 5])
    expect(seconds(trace)).deep.equal([0, 1])
  })

  const wrong: readonly [TransformOptions, string, string | RegExp][] = [
    [{limit: 0}, 'FLAG_BAD_VALUE', '--limit: 0 is not a number above 0.'],
    [{limit: 2.5}, 'FLAG_BAD_VALUE', '--limit: 2.5 is not a whole number.'],
    [{from: -1}, 'FLAG_BAD_VALUE', '--from: -1 is not a number of at least 0.'],
    [{timeScale: Number.NaN}, 'FLAG_BAD_VALUE', '--time-scale: NaN is not a number above 0.'],
    [{rate: -3}, 'FLAG_BAD_VALUE', '--rate: -3 is not a number above 0.'],
    [{from: 3, to: 2}, 'FLAG_CONFLICT', '--to 2 must be later than --from 3.'],
    [{from: 100}, 'TRACE_EMPTY', /^No request arrives between --from 100 .* from 0 to 8 s\.$/],
    [{to: 1, rate: 2}, 'FLAG_CONFLICT', /^--rate 2 cannot be reached: all requests/],
  ]
  for (const [options, code, says] of wrong) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      const trace = await read()
      let problem: unknown
      try {
        transformTrace(trace, options)
      } catch (error) {
        problem = error
      }
      expect(problem).instanceOf(Problem)
      const {code: found, message} = problem as Problem
      expect(found).equal(code)
      if (typeof says === 'string') expect(message).equal(says)
      else expect(message).match(says)
    })
  }
})
