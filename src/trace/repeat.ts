/** A trace that follows itself. */
import {selectRows} from './select.js'
import type {PrefixColumn, Trace} from './trace.js'

/** How often, and how long a round takes in ns. */
export interface Rounds {
  readonly count: number
  readonly ns: number
}

/**
 * The trace so many times in a row. Sessions and shared prefixes of each round are its own: nothing of it was asked
 * before, so that it meets full caches, but none of its own blocks in them.
 */
export function repeat(trace: Trace, rounds: Rounds): Trace {
  const {length} = trace
  const {
    prefixGroup: _,
    prefixTokens: __,
    ...all
  } = selectRows(
    trace,
    Float64Array.from({length: rounds.count * length}, (_, i) => i % length),
  )
  const roundOf = (row: number): number => Math.floor(row / length)
  const later = (times: Float64Array): Float64Array =>
    times.map((ns, row) => ns + roundOf(row) * rounds.ns)
  const renamed = (name: string, round: number): string => (round === 0 ? name : `${name}+${round}`)
  const {requestId, session, prefix} = all
  return {
    ...all,
    arrivedAt: later(all.arrivedAt),
    ...(all.cancelledAt && {cancelledAt: later(all.cancelledAt)}),
    ...(requestId && {requestId: requestId.map((id, row) => renamed(id, roundOf(row)))}),
    ...(session && {
      session: {
        codes: session.codes.map((code, row) =>
          code < 0 ? code : code + roundOf(row) * session.names.length,
        ),
        names: Array.from({length: rounds.count}, (_, round) =>
          session.names.map((name) => renamed(name, round)),
        ).flat(),
      },
    }),
    ...(prefix && {prefix: newIds(prefix, length)}),
  }
}

/** Ids that no two rounds of `length` rows share. */
function newIds(prefix: PrefixColumn, length: number): PrefixColumn {
  const numbers = new Map<number, number>()
  const dense = prefix.ids.map((id) => {
    const known = numbers.get(id)
    if (known === undefined) numbers.set(id, numbers.size)
    return known ?? numbers.size - 1
  })
  const perRound = prefix.offsets[length]!
  return {
    ...prefix,
    ids: dense.map((id, at) => id + Math.floor(at / perRound) * numbers.size),
  }
}
