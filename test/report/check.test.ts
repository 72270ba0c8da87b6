import {strict as assert} from 'node:assert'
import {Problem} from '#llmsim/errors.js'
import {type CheckedRun, checkRun} from '#llmsim/report/check.js'
import {type EngineTotals, status} from '#llmsim/stats/outcomes.js'
import {buildRun, engine, gapsOf, sixRequests} from './build-run.js'

const sound = (fields: Partial<EngineTotals> = {}): CheckedRun =>
  buildRun(
    sixRequests.map((row) => ({...row, preemptions: 0})),
    [
      engine({
        busyNs: 4e9,
        runningNs: 8e9,
        // 5 prompts of 10 tokens, 75 output tokens of which the last of each is never computed
        prefillTokens: 50,
        decodeTokens: 70,
        gaps: gapsOf([[1e6, 70]]),
        ...fields,
      }),
    ],
  )

/** The same run with one cell of one column changed. */
function spoil(column: string, row: number, value: number): CheckedRun {
  const run = sound()
  const part = column in run.outcomes ? run.outcomes : run.trace
  ;(part as unknown as Record<string, Float64Array>)[column]![row] = value
  return run
}

const failed = (part: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error))
  assert.equal(error.code, 'CHECK_FAILED')
  assert.equal(error.oclif.exit, 3)
  assert.match(error.message, part)
  return true
}

describe('--check', () => {
  it('passes a sound run', () => {
    checkRun(sound())
  })

  it('passes whole times beyond 2^53 ns, which traces of months have', () => {
    const run = sound()
    const {arrivedAt, scheduledAt, firstTokenAt, finishedAt} = run.outcomes
    for (const column of [arrivedAt, scheduledAt, firstTokenAt, finishedAt])
      for (let row = 0; row < column.length; row++) column[row]! += 2 ** 54
    checkRun(run)
  })

  it('passes a sound run with preemptions and cancels', () => {
    const rows = [
      ...sixRequests,
      {arrived: 0, scheduled: 1, first: 2, finished: 3, output: 9, produced: 3, status: 3 as const},
      {arrived: 0, finished: 3, output: 9, status: 3 as const},
    ]
    checkRun(buildRun(rows, [engine({preemptions: 2})]))
  })

  for (const [column, row, value, message] of [
    ['status', 1, status.pending, /request b \(row 1\): neither completed/],
    ['status', 1, status.rejected, /request b .*rejected without a reason/],
    ['status', 5, status.cancelled, /request f .*is cancelled but has a reason/],
    ['finishedAt', 4, Number.NaN, /request e .*completed without finishedAt/],
    [
      'scheduledAt',
      2,
      1.5e9,
      /request c .*scheduledAt 1500000000 lies before arrivedAt 2000000000/,
    ],
    ['firstTokenAt', 2, 2.4e9, /request c .*firstTokenAt .* before scheduledAt/],
    ['finishedAt', 2, 2.5e9, /request c .*finishedAt .* before firstTokenAt/],
    ['finishedAt', 0, 1.2e9 + 0.5, /request a .*not a whole number of ns/],
    ['arrivedAt', 0, -5, /request a .*arrivedAt -5 is not/],
    ['producedTokens', 4, 40, /request e .*produced 40 of 41/],
    ['producedTokens', 5, 1, /request f .*was rejected but produced tokens/],
    ['cachedTokens', 0, 10, /request a .*took 10 prompt tokens from the cache of 10/],
    ['cachedTokens', 0, 4, /engines computed 120 tokens, .* make 116/],
    ['preemptions', 0, 1, /requests were preempted 1 times, engines preempted 0 times/],
  ] as const) {
    it(`finds ${column} ${value} in row ${row}`, () => {
      assert.throws(() => checkRun(spoil(column, row, value)), failed(message))
    })
  }

  for (const [fields, message] of [
    [{peakBlocks: 101}, /engine 0: held 101 of 100 blocks/],
    [{hitTokens: 1}, /hit 1 of 0/],
    [{heldBack: {seats: 2e9, blocks: 2e9, budget: 1}}, /held requests back/],
    [{runningNs: 257 * 4e9}, /ran more requests than it has seats/],
    [{gaps: gapsOf([[1e6, 69]])}, /there are 69 gaps between tokens, 70 were expected/],
    [{decodeTokens: 71}, /engines computed 121 tokens/],
  ] as const) {
    it(`finds an engine with ${Object.keys(fields)[0]}`, () => {
      assert.throws(() => checkRun(sound(fields)), failed(message))
    })
  }

  it('finds a turn that came before the one before it had ended', () => {
    const run = sound()
    const session = {names: ['s'], codes: Int32Array.of(0, -1, 0, -1, -1, -1)}
    // a ended at 1.2 s, c arrived at 2.0 s
    const after = (ns: number) => ({
      ...run,
      trace: {...run.trace, session, thinkTime: Float64Array.of(Number.NaN, 0, ns, 0, 0, 0)},
    })
    checkRun(after(0.8e9))
    assert.throws(() => checkRun(after(0.8e9 + 1)), failed(/request c .*think time/))
  })
})
