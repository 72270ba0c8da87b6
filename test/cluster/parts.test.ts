/** A trace that is fed in parts gives what the whole one gives, to the nanosecond. */
import {expect} from 'chai'
import fc from 'fast-check'
import {type FinishedPart, Replayer, replay} from '#llmsim/cluster/replay.js'
import {openLoop} from '#llmsim/cluster/workload.js'
import {PartedIdentity} from '#llmsim/engine/parted-identity.js'
import {prefixIdentity} from '#llmsim/engine/prefix-identity.js'
import type {PrefixColumn, Trace} from '#llmsim/trace/trace.js'
import {type Row, simulationOf, traceOf} from './serve.js'

const columns = [
  'status',
  'instance',
  'arrivedAt',
  'scheduledAt',
  'firstTokenAt',
  'finishedAt',
  'producedTokens',
  'cachedTokens',
  'preemptions',
] as const

type Rows = Record<(typeof columns)[number], number[]> & {reasons: [number, string][]}

const noRows = (): Rows => ({
  ...(Object.fromEntries(columns.map((name) => [name, []])) as unknown as Rows),
  reasons: [],
})

const append = (rows: Rows, {outcomes, base}: Omit<FinishedPart, 'trace'>): void => {
  for (const name of columns) rows[name].push(...outcomes[name])
  for (const [row, reason] of outcomes.reasons) rows.reasons.push([base + row, reason])
}

/** Half of the prompts begin with one of three prefixes of 8 tokens, which are alike in their first 4. */
const prefixesOf = (trace: Trace): PrefixColumn => {
  const of = (row: number) => (trace.inputTokens[row]! >= 8 ? [1, 2 + (row % 3)] : [])
  const ids = Array.from({length: trace.length}, (_, row) => of(row))
  const offsets = [0]
  for (const own of ids) offsets.push(offsets.at(-1)! + own.length)
  return {
    spanTokens: 4,
    offsets: Float64Array.from(offsets),
    ids: Float64Array.from(ids.flat()),
    knownTokens: Int32Array.from(ids, (own) => 4 * own.length),
  }
}

const rowArbitrary: fc.Arbitrary<Row & {gap: number}> = fc.record({
  gap: fc.constantFrom(0, 0, 1, 10, 35),
  input: fc.integer({min: 1, max: 30}),
  output: fc.integer({min: 1, max: 12}),
  leaves: fc.option(fc.nat(400), {nil: Number.NaN, freq: 5}),
})

describe('a trace in parts', () => {
  it('gives what the whole one gives', () => {
    fc.assert(
      fc.property(
        fc.array(rowArbitrary, {minLength: 2, maxLength: 60}),
        fc.array(fc.nat(60), {maxLength: 6}),
        fc.record({
          instances: fc.constantFrom(1, 3),
          depth: fc.constantFrom(1, 2),
          delayNs: fc.constantFrom(0, 15),
          // Of a client that leaves a token may still be on its way.
          afterNs: fc.constantFrom(0, 25),
          numGpuBlocks: fc.constantFrom(9, 14, 1000),
        }),
        (drawn, cuts, {instances, depth, delayNs, afterNs, numGpuBlocks}) => {
          let at = 0
          const all = drawn.map(({gap, ...row}) => {
            at += gap
            return {...row, at}
          })
          const whole = traceOf(all)
          const prefix = prefixesOf(whole)
          const simulation = () =>
            simulationOf({
              instances,
              engine: {depth, numGpuBlocks, enablePrefixCaching: true},
              frontEnd: {delayNs, afterNs},
            })
          const expected = replay({
            trace: whole,
            simulation: {...simulation(), prefixes: (size) => prefixIdentity(prefix, size)},
          })
          const expectedRows = noRows()
          append(expectedRows, {outcomes: expected.outcomes, base: 0})

          const borders = [...new Set([0, ...cuts.filter((cut) => cut < all.length), all.length])]
          borders.sort((a, b) => a - b)
          const rows = noRows()
          const identity = new PartedIdentity()
          let replayer: Replayer | undefined
          for (const [i, to] of borders.slice(1).entries()) {
            const from = borders[i]!
            const trace = traceOf(all.slice(from, to))
            identity.add(from, to, {
              ...prefix,
              offsets: prefix.offsets.slice(from, to + 1),
              knownTokens: prefix.knownTokens.slice(from, to),
            })
            replayer ??= new Replayer({
              workload: openLoop(trace),
              simulation: {...simulation(), prefixes: (size) => identity.at(size)},
              onPart: (part) => {
                append(rows, part)
                identity.dropOldest()
              },
            })
            replayer.feed({trace, place: to === all.length ? 'last' : 'more follows'})
          }
          const {engines} = replayer!.finish()
          expectedRows.reasons.sort(([a], [b]) => a - b)
          rows.reasons.sort(([a], [b]) => a - b)
          expect(rows).deep.equal(expectedRows)
          const totals = (of: typeof engines) => of.map(({gaps: _, ...rest}) => rest)
          expect(totals(engines)).deep.equal(totals([...expected.engines]))
        },
      ),
      {numRuns: 300},
    )
  })

  it('lets parts go as soon as their last request has left', () => {
    const part = (from: number) =>
      traceOf(Array.from({length: 10}, (_, i) => ({at: 1000 * (from + i), output: 2})))
    const gone: number[] = []
    const replayer = new Replayer({
      workload: openLoop(part(0)),
      simulation: simulationOf({}),
      onPart: ({base, outcomes}) => gone.push(base, outcomes.length),
    })
    replayer.feed({trace: part(0), place: 'more follows'})
    expect(gone).deep.equal([])
    replayer.feed({trace: part(10), place: 'more follows'})
    expect(gone).deep.equal([0, 10])
    replayer.feed({trace: part(20), place: 'last'})
    expect(gone).deep.equal([0, 10, 10, 10, 20, 10])
  })
})
