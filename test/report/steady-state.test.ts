import {strict as assert} from 'node:assert'
import {servedRate} from '#llmsim/report/served-rate.js'
import {findSteadyState, goodVerdict, growsByRound} from '#llmsim/report/steady-state.js'
import {buildRun, type Row} from './build-run.js'

/** One server, first come first served, a fixed service time; arrivals as given (ms). */
function queueRun(arrivals: readonly number[], serviceMs: number) {
  let free = 0
  const rows = arrivals.map((arrived): Row => {
    const scheduled = Math.max(free, arrived)
    free = scheduled + serviceMs
    return {arrived, scheduled, first: scheduled + 1, finished: free, input: 900, output: 100}
  })
  return findSteadyState(buildRun(rows), 1)
}

const every = (gap: number, count: number): number[] =>
  Array.from({length: count}, (_, i) => i * gap)

/** Exponential gaps from a fixed linear congruence: the same arrivals in every run of the test. */
function poisson(meanGap: number, count: number, seed: number): number[] {
  let state = seed
  let at = 0
  return Array.from({length: count}, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    at += -Math.log((state + 1) / (2 ** 31 + 1)) * meanGap
    return at
  })
}

describe('steady state', () => {
  it('is missed by a trace that asks more than is served', () => {
    // A request of 1,000 tokens every 80 ms asks 12.5k tok/s; one per 130 ms serves 7.7k tok/s.
    const state = queueRun(every(80, 1000), 130)!
    assert.equal(state.growing, true)
    assert.equal(
      state.warning,
      'overloaded: the queue grows as long as requests come; the engine serves 7.7k tok/s, this trace asks 13k',
    )
    assert.ok(Math.abs(state.asked_tokens_per_s - 1e6 / (0.08 * 999)) < 1e-6)
    assert.ok(Math.abs(state.served_tokens_per_s / (1000 / 0.13) - 1) < 0.01)
  })

  it('holds where the server keeps up', () => {
    const state = queueRun(every(130, 1000), 120)!
    assert.equal(state.growing, false)
    assert.equal(state.warning, undefined)
    assert.match(
      goodVerdict(state)!,
      /^keeps up: the queue does not grow; an overload of [\d.]+ % or more would/,
    )
    assert.equal(goodVerdict(null), undefined)
    assert.equal(goodVerdict(queueRun(every(80, 1000), 130)!), undefined)
  })

  it('is not mistaken under a heavy but bearable random load', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const state = queueRun(poisson(100, 3000, seed * 7919), 80)!
      assert.equal(state.growing, false, `seed ${seed}`)
    }
  })

  it('is missed under random overload', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const state = queueRun(poisson(100, 3000, seed * 7919), 125)!
      assert.equal(state.growing, true, `seed ${seed}`)
    }
  })

  it('is not missed because of one burst at the end', () => {
    const calm = every(100, 300)
    const burst = every(1, 60).map((at) => 30_000 + at)
    assert.equal(queueRun([...calm, ...burst], 90)!.growing, false)
  })

  it('is no question when all arrive at once, or too few', () => {
    assert.equal(queueRun(every(0, 500), 10), undefined)
    assert.equal(queueRun(every(10, 20), 100), undefined)
    // All have come before the first is done.
    assert.equal(queueRun(every(0.01, 500), 10), undefined)
  })

  it('hides more where requests come in bursts, and says so', () => {
    const bursts = every(10, 400).map((at) => at + 10_000 * Math.floor(at / 700))
    const state = queueRun(bursts, 100)!
    assert.ok(state.tells_from > 2 / Math.sqrt(400), String(state.tells_from))
    assert.equal(state.growing, false)
  })

  it('is a question of those alone that came by themselves', () => {
    const rows = every(100, 600).map((arrived, i): Row => {
      // Every second request waits longer and longer, the others are served at once.
      const scheduled = arrived + (i % 2 === 0 ? i * 50 : 0)
      return {arrived, scheduled, first: scheduled + 1, finished: scheduled + 2, input: 100}
    })
    const run = buildRun(rows)
    const growing = (isOpen: (row: number) => boolean) =>
      findSteadyState({...run, isOpen}, 1)?.growing
    assert.equal(
      growing((row) => row % 2 === 0),
      true,
    )
    assert.equal(
      growing((row) => row % 2 === 1),
      false,
    )
    assert.equal(
      growing(() => false),
      undefined,
    )
  })

  it('counts what was never scheduled as waiting to the end', () => {
    const rows = every(100, 300).map((arrived, i): Row => {
      if (i < 60) return {arrived, scheduled: arrived, first: arrived + 5, finished: arrived + 90}
      return {arrived, status: 3, finished: arrived + 600 * i}
    })
    const state = findSteadyState(buildRun(rows), 2)!
    assert.equal(state.growing, true)
    assert.match(state.warning!, /the 2 engines serve/)
  })

  it('has no rate to be judged by where hardly anything comes after a burst', () => {
    const burst = [...every(0.1, 500), ...every(1000, 20).map((at) => at + 1000)]
    assert.equal(queueRun(burst, 100), undefined)
  })

  it('says which overloads so few requests tell, and tells those', () => {
    const tells = [30, 100, 400, 2500].map((count) => {
      const state = queueRun(every(100, count), 100)!
      assert.equal(state.verdict, 'keeps up')
      assert.equal(queueRun(every(100, count), 100 * (1 + 2.5 / Math.sqrt(count)))!.growing, true)
      return state.tells_from
    })
    assert.deepEqual(
      tells,
      tells.toSorted((a, b) => b - a),
    )
    assert.equal(tells[3], 0.01)
    assert.equal(queueRun(every(100, 40_000), 98)!.tells_from, 0.01)
  })
})

/** Batches of 1 to 31 requests that come at once, at random times: the number that comes varies by some 21 times its mean. */
function inBatches(count: number, seed: number): number[] {
  const times = poisson(1600, Math.ceil(count / 16), seed)
  return times.flatMap((at, i) => every(0, 1 + ((i * 17 + seed) % 31)).map(() => at))
}

describe('an overload in bursts', () => {
  const verdicts = (count: number, serviceMs: number): string[] =>
    Array.from(
      {length: 24},
      (_, seed) => queueRun(inBatches(count, 7919 * (seed + 1)), serviceMs)!.verdict,
    )
  const shareOf = (all: readonly string[], verdict: string): number =>
    all.filter((one) => one === verdict).length / all.length

  it('is not seen where there is none', () => {
    for (const count of [300, 1600])
      for (const serviceMs of [80, 95])
        assert.equal(shareOf(verdicts(count, serviceMs), 'overloaded'), 0)
  })

  it('is seen once there are requests enough, and is never passed over where it is large', () => {
    assert.equal(shareOf(verdicts(4000, 150), 'overloaded'), 1)
    const few = verdicts(300, 150)
    assert.ok(shareOf(few, 'cannot tell') > 0.5, few.join())
    assert.ok(shareOf(few, 'keeps up') < 0.2, few.join())
  })

  it('is said to need more requests, and those that are named tell it', () => {
    // 25 requests/s for 10 s, nothing for 30 s; 5 a second are served: 1.25 times the capacity is asked for.
    const cycles = (count: number): number[] =>
      every(40, count).map((at) => at + 30_000 * Math.floor(at / 10_000))
    const short = queueRun(cycles(1000), 200)!
    assert.equal(short.verdict, 'cannot tell')
    assert.equal(short.growing, false)
    assert.ok(short.tells_from > 0.25)
    assert.match(String(short.needs_requests), /^[1-9]0*$/)
    assert.match(
      short.warning!,
      /^cannot tell whether this is an overload: \d+ % more came than was served, but with so few requests like these only \d+ % or more is not chance. About [1-9](0|,)* more of them \([1-9]0* (s|min|h)\) would tell$/,
    )
    const long = queueRun(cycles(1000 + short.needs_requests!), 200)!
    assert.equal(long.verdict, 'overloaded')
    assert.equal(long.needs_requests, null)
    assert.equal(queueRun(cycles(1000 + short.needs_requests!), 120)!.verdict, 'keeps up')
  })

  it('is never said to need a number that is finer than what it is made from', () => {
    const needs = Array.from({length: 60}, (_, seed) => {
      const arrivals = poisson(100, 200 + 5 * seed, 7919 * (seed + 1))
      return {count: arrivals.length, ...queueRun(arrivals, 110)!}
    }).filter((one) => one.verdict === 'cannot tell')
    assert.ok(needs.length > 10, `${needs.length}`)
    for (const {count, needs_requests} of needs) {
      assert.match(String(needs_requests), /^[1-9]0*$/)
      assert.ok(needs_requests! >= 0.1 * count, `${needs_requests} of ${count}`)
    }
  })

  /** Nobody waits, and each takes as long as is said. */
  const withLatency = (count: number, latency: (row: number) => number) =>
    findSteadyState(
      buildRun(
        every(100, count).map((arrived, i): Row => {
          const finished = arrived + latency(i)
          return {arrived, scheduled: arrived, first: arrived + 10, finished, output: 50}
        }),
      ),
      1,
    )!

  it('is not ruled out by a trace that is over before half of its requests are', () => {
    const short = withLatency(100, (row) => 6000 + row)
    assert.equal(short.verdict, 'cannot tell')
    assert.match(
      short.warning!,
      /: 6\d % of the requests had not been served when the last one came\. /,
    )
    const long = withLatency(100 + short.needs_requests!, (row) => 6000 + row)
    assert.equal(long.verdict, 'keeps up')
  })

  it('is not ruled out where requests take longer, if not long enough to be sure', () => {
    const slower = withLatency(400, (row) => 11_000 + 25 * row)
    assert.equal(slower.verdict, 'cannot tell')
    assert.match(slower.warning!, /: requests take longer and longer, but the trace is too short/)
    assert.equal(withLatency(400, () => 11_000).verdict, 'keeps up')
  })

  it('is nothing that one burst after calm shows', () => {
    const late = [...every(100, 300), ...every(1, 200).map((at) => 30_000 + at)]
    assert.equal(queueRun(late, 60)!.growing, false)
  })
})

/** What waits, in the order of arrival: which of them goes next. */
type Order = (waiting: readonly Row[]) => number

const least =
  (of: (row: Row) => number): Order =>
  (waiting) =>
    waiting.reduce((best, row, i) => (of(row) < of(waiting[best]!) ? i : best), 0)

const orders: readonly [string, Order][] = [
  ['first come first served', () => 0],
  ['last come first served', (waiting) => waiting.length - 1],
  ['shortest prompt first', least((row) => row.input!)],
  ['longest prompt first', least((row) => -row.input!)],
  ['shortest answer first', least((row) => row.output!)],
  ['strict classes', least((row) => row.priority!)],
]

/** Lognormal lengths whose logarithms spread by 1, Poisson arrivals; ms of service are proportional to the tokens. */
function mixedRows(meanGap: number, count: number, seed: number): Row[] {
  let state = seed
  const uniform = (): number => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return (state + 1) / (2 ** 31 + 1)
  }
  const length = (): number =>
    Math.ceil(
      100 * Math.exp(Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())),
    )
  return poisson(meanGap, count, seed + 1).map((arrived) => ({
    arrived,
    input: length(),
    output: length(),
    priority: Math.floor(3 * uniform()),
  }))
}

const work = ({input, output}: Row): number => input! + output!

/** Served one after the other; in all the time of service is `load` of the span of arrivals. */
function serve(rows: readonly Row[], order: Order, load: number): Row[] {
  const perToken = (load * rows.at(-1)!.arrived) / rows.reduce((sum, row) => sum + work(row), 0)
  const served: Row[] = []
  const waiting: Row[] = []
  let next = 0
  let now = 0
  while (served.length < rows.length) {
    if (waiting.length === 0) now = Math.max(now, rows[next]!.arrived)
    while (next < rows.length && rows[next]!.arrived <= now) waiting.push(rows[next++]!)
    const [row] = waiting.splice(order(waiting), 1)
    const finished = now + perToken * work(row!)
    served.push({...row!, scheduled: now, first: (now + finished) / 2, finished})
    now = finished
  }
  return served
}

describe('an overload', () => {
  for (const [name, order] of orders) {
    const verdicts = (load: number): string[] =>
      Array.from({length: 12}, (_, seed) => {
        const rows = mixedRows(100, 600, (seed + 1) * 7919)
        return findSteadyState(buildRun(serve(rows, order, load)), 1)!.verdict
      })

    it(`is seen under ${name}`, () => {
      const seen = verdicts(1.25)
      assert.ok(seen.filter((verdict) => verdict === 'overloaded').length >= 11, seen.join())
      assert.ok(!seen.includes('keeps up'), seen.join())
    })

    it(`is not seen under ${name} where there is none`, () => {
      assert.ok(!verdicts(0.8).includes('overloaded'))
    })
  }

  /** As many in the batch as come, each so much slower: nobody waits for a seat. */
  function shared(arrivals: readonly number[], serviceMs: number): Row[] {
    const left = new Map<number, number>()
    const finished = new Float64Array(arrivals.length)
    let now = 0
    let next = 0
    while (next < arrivals.length || left.size > 0) {
      // Infinity times no one is NaN.
      const soonest =
        left.size > 0 ? Math.min(...left.values()) * left.size : Number.POSITIVE_INFINITY
      const until = Math.min(now + soonest, arrivals[next] ?? Number.POSITIVE_INFINITY)
      for (const [row, ms] of left) {
        const rest = ms - (until - now) / left.size
        if (rest > 1e-9) left.set(row, rest)
        else {
          left.delete(row)
          finished[row] = until
        }
      }
      now = until
      if (next < arrivals.length && arrivals[next]! <= now) left.set(next++, serviceMs)
    }
    return arrivals.map((arrived, row) => ({
      arrived,
      scheduled: arrived,
      first: arrived,
      finished: finished[row]!,
    }))
  }

  it('is seen where all are served at once, ever slower', () => {
    const growing = (serviceMs: number, seed: number) =>
      findSteadyState(buildRun(shared(poisson(100, 500, seed), serviceMs)), 1)!.growing
    for (let seed = 1; seed <= 10; seed++) {
      assert.equal(growing(150, seed * 7919), true, `seed ${seed}`)
      assert.equal(growing(80, seed * 7919), false, `seed ${seed}`)
    }
  })

  it('of the second of two stations is seen, and one of neither is not', () => {
    const twoStations = (second: number) => {
      let free = 0
      let freeThen = 0
      const rows = poisson(100, 600, 4242).map((arrived): Row => {
        const scheduled = Math.max(free, arrived)
        const first = scheduled + 50
        const finished = Math.max(freeThen, first) + second
        free = first
        freeThen = finished
        return {arrived, scheduled, first, finished, output: 100}
      })
      return findSteadyState(buildRun(rows), 2)!.growing
    }
    for (const second of [130, 400, 1500]) assert.equal(twoStations(second), true, `${second}`)
    assert.equal(twoStations(80), false)
  })

  it('of the second station is seen in a trace that is three times as long as a request', () => {
    // 64 seats for 3,400 ms each: 18.8 requests/s; 150 come, for 10 s.
    const run = (gap: number, count: number) => {
      const seats = new Float64Array(64)
      const rows = every(gap, count).map((arrived): Row => {
        const seat = seats.indexOf(Math.min(...seats))
        const finished = Math.max(seats[seat]!, arrived + 20) + 3400
        seats[seat] = finished
        return {arrived, scheduled: arrived, first: arrived + 20, finished, output: 400}
      })
      return findSteadyState(buildRun(rows), 2)!.growing
    }
    assert.equal(run(1000 / 150, 1500), true)
    // 17 a second, for as long: all seats fill up, and nobody waits.
    assert.equal(run(1000 / 17, 170), false)
  })

  it('is not seen in a system that only fills up', () => {
    const rows = every(10, 300).map((arrived, i): Row => {
      const finished = arrived + 2000 + (i % 7) * 100
      return {arrived, scheduled: arrived, first: arrived + 5, finished, output: 200}
    })
    assert.equal(findSteadyState(buildRun(rows), 1)!.growing, false)
  })

  it('is not seen in a trace that gets busier and is served as fast as before', () => {
    const arrivals = Array.from({length: 1000}, (_, i) => 1000 * Math.sqrt(i) * 3)
    const rows = arrivals.map((arrived): Row => {
      const finished = arrived + 4000 + arrived / 50
      return {arrived, scheduled: arrived + 20, first: arrived + 100, finished, output: 200}
    })
    assert.equal(findSteadyState(buildRun(rows), 1)!.growing, false)
  })
})

describe('from round to round', () => {
  /** Five bursts of 40 in 100 s, three times in a row. */
  const grows = (serviceMs: number): boolean => {
    let free = 0
    const rows = Array.from({length: 600}, (_, i): Row => {
      const arrived = 20_000 * Math.floor(i / 40) + (i % 40)
      free = Math.max(free, arrived) + serviceMs
      const one = {arrived, first: free, finished: free}
      return i % 50 === 7 ? {arrived, status: 2, reason: 'too long'} : one
    })
    return growsByRound({outcomes: buildRun(rows).outcomes, rounds: {count: 3, ns: 100e9}})
  }

  it('a queue grows by what is asked beyond what is served', () => {
    for (const overload of [1.03, 1.25, 3]) assert.equal(grows(500 * overload), true, `${overload}`)
  })

  it('none grows, however long the queue that each round leaves', () => {
    for (const load of [0.2, 0.9, 1]) assert.equal(grows(500 * load), false, `${load}`)
  })
})

describe('the rate that is served', () => {
  it('is that of a full server, in any order', () => {
    for (const [name, order] of orders) {
      const rows = mixedRows(100, 600, 4711)
      const {trace, outcomes} = buildRun(serve(rows, order, 3))
      const capacity = 600 / ((3 * rows.at(-1)!.arrived) / 1000)
      const rate = servedRate(trace, outcomes)
      assert.ok(rate > 0.95 * capacity && rate < 1.1 * capacity, `${name}: ${rate} of ${capacity}`)
    }
  })

  it('does not count that the last one takes long', () => {
    const rows = every(100, 200).map(
      (arrived): Row => ({
        arrived,
        scheduled: arrived,
        first: arrived + 10,
        finished: arrived + 50,
        output: 10,
      }),
    )
    const last = {...rows.at(-1)!, finished: 120_000, output: 100}
    const {trace, outcomes} = buildRun([...rows.slice(0, -1), last])
    assert.ok(servedRate(trace, outcomes) > 9.5)
  })

  it('of nothing is 0', () => {
    const {trace, outcomes} = buildRun([{arrived: 5, status: 2, reason: 'too long'}])
    assert.equal(servedRate(trace, outcomes), 0)
  })

  it('never says that no more requests would tell', () => {
    // Nobody queues, and each request takes 4 ms longer than the one 100 ms before it: the load is 4 % too high.
    for (const late of [0.03, 0.04, 0.05]) {
      const rows = every(100, 1000).map(
        (arrived): Row => ({
          arrived,
          scheduled: arrived,
          first: arrived + 1,
          finished: arrived + 2000 + late * arrived,
          input: 100,
          output: 100,
        }),
      )
      const state = findSteadyState(buildRun(rows), 1)!
      assert.equal(state.verdict, 'cannot tell', `${late}`)
      assert.ok(state.needs_requests! >= 1000, `${late}: ${state.needs_requests}`)
    }
  })
})
