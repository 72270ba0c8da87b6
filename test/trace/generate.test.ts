import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {type GenerateSpec, generateTrace, parseGenerateSpec} from '#llmsim/trace/generate.js'
import {traceInfo} from '#llmsim/trace/info.js'
import {readTrace} from '#llmsim/trace/read.js'
import {parseDistribution, Randomness, zipf} from '#llmsim/trace/samplers.js'
import {gammaP, inverseGamma, inverseNormal, logGamma} from '#llmsim/trace/special-functions.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {writeTrace} from '#llmsim/trace/write.js'
import {fixture, scratch} from './files.js'

const many = 100_000
const base: GenerateSpec = {
  requests: 1000,
  seed: 7,
  rate: 4,
  arrivals: 'poisson',
  input: 'fixed:500',
  output: 'fixed:100',
}

const generate = async (spec: Partial<GenerateSpec>): Promise<Trace> =>
  generateTrace(await parseGenerateSpec({...base, ...spec}))

interface Moments {
  readonly mean: number
  readonly cv: number
}

function moments(values: ArrayLike<number>): Moments {
  let sum = 0
  let squares = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  const mean = sum / values.length
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2
  return {mean, cv: Math.sqrt(squares / values.length) / mean}
}

const within = (found: number, wanted: number, share = 0.01): void => {
  expect(found).closeTo(wanted, wanted * share)
}

const gaps = ({arrivedAt}: Trace): Float64Array =>
  arrivedAt.slice(1).map((time, i) => time - arrivedAt[i]!)

describe('generated traces', () => {
  const file = scratch()

  describe('have their moments within 1 % at 100,000 rows, at any seed', () => {
    for (const seed of [0, 1, 12_345]) {
      it(`lengths, seed ${seed}`, async () => {
        const trace = await generate({
          requests: many,
          seed,
          input: 'lognormal:mean=500,p99=3000',
          output: 'lognormal:mean=200,cv=1.5',
        })
        const {input_tokens: input} = traceInfo(trace)
        within(input.mean, 500)
        within(input.p99, 3000)
        const output = moments(trace.outputTokens)
        within(output.mean, 200)
        within(output.cv, 1.5)
      })

      it(`arrivals, seed ${seed}`, async () => {
        for (const [arrivals, cv] of [
          ['poisson', 1],
          ['gamma:cv=2', 2],
          ['gamma:cv=0.5', 0.5],
        ] as const) {
          const found = moments(gaps(await generate({requests: many, seed, arrivals})))
          within(found.mean, 0.25e9)
          within(found.cv, cv)
        }
      })
    }

    it('uniform and exponential lengths', async () => {
      const trace = await generate({
        requests: many,
        input: 'uniform:100,300',
        output: 'exponential:400',
      })
      const input = moments(trace.inputTokens)
      within(input.mean, 200)
      within(input.cv * input.mean, Math.sqrt((201 ** 2 - 1) / 12))
      const output = moments(trace.outputTokens)
      within(output.mean, 400)
      within(output.cv, 1)
    })

    it('a rate of requests, also when they come in sessions', async () => {
      const trace = await generate({
        requests: many,
        turns: 'uniform:1,5',
        rate: 3,
        input: 'fixed:20',
        output: 'fixed:9',
      })
      within(traceInfo(trace).rate.mean!, 3)
      within(traceInfo(trace).sessions!.turns_mean, 3)
    })
  })

  it('come at even distances, or in bursts with nothing between them', async () => {
    const constant = await generate({arrivals: 'constant'})
    expect(new Set(gaps(constant))).deep.equal(new Set([0.25e9]))
    const bursty = await generate({requests: 10_000, arrivals: 'bursty:on=10,off=30'})
    expect(bursty.arrivedAt.every((ns) => (ns / 1e9) % 40 <= 10)).equal(true)
    within(traceInfo(bursty).rate.mean!, 4, 0.02)
    // Within a burst the rate is that of the whole time four times over.
    within(traceInfo(bursty).rate.peak_60s!, (20 * 16) / 60, 0.25)
  })

  it('draw gaps that do not remember: neighbours are not correlated, halves are alike', async () => {
    const found = gaps(await generate({requests: many}))
    const {mean} = moments(found)
    let products = 0
    let squares = 0
    for (let i = 1; i < found.length; i++) {
      products += (found[i]! - mean) * (found[i - 1]! - mean)
      squares += (found[i]! - mean) ** 2
    }
    expect(Math.abs(products / squares)).lessThan(0.015)
    within(moments(found.subarray(0, many / 2)).mean, mean, 0.02)
  })

  it('are the same for the same seed, and others for another', async () => {
    const spec = {turns: 'uniform:1,4', prefixes: {groups: 3, tokens: 64, skew: 1}}
    const first = await generate(spec)
    expect(await generate(spec)).deep.equal(first)
    const other = await generate({...spec, seed: 8})
    expect([...other.arrivedAt]).not.deep.equal([...first.arrivedAt])
  })

  it('share prefixes with the shares of Zipf', async () => {
    const trace = await generate({
      requests: 6000,
      input: 'fixed:36',
      prefixes: {groups: 3, tokens: 64, skew: 1},
    })
    expect(trace.inputTokens.every((tokens) => tokens === 100)).equal(true)
    const counts = new Map<string, number>()
    for (const code of trace.prefixGroup!.codes) {
      const name = trace.prefixGroup!.names[code]!
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    // 1 : 1/2 : 1/3 of 6000.
    within(counts.get('g0')!, 3273, 0.001)
    within(counts.get('g1')!, 1636, 0.001)
    within(counts.get('g2')!, 1091, 0.001)
    // All but the first of each group find their 4 blocks.
    expect(traceInfo(trace).reuse!.prompt_share).equal(((6000 - 3) * 64) / 600_000)
  })

  it('let a session grow: each prompt repeats all that was said, and is known to', async () => {
    const trace = await generate({
      requests: 12,
      turns: 'fixed:4',
      thinkTime: 'fixed:2.5',
      prefixes: {groups: 1, tokens: 32, skew: 1},
    })
    expect([...trace.turn!]).deep.equal([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    expect([...trace.inputTokens.subarray(0, 4)]).deep.equal([532, 1132, 1732, 2332])
    expect([...trace.prefix!.knownTokens.subarray(0, 4)]).deep.equal([632, 1232, 1832, 2432])
    expect(Number.isNaN(trace.arrivedAt[1]!) && !Number.isNaN(trace.arrivedAt[4]!)).equal(true)
    expect(trace.thinkTime![1]).equal(2.5e9)
    // A turn finds the prompt and the answer before it, in whole blocks; a new session the 32.
    const found = [0, 624, 1232, 1824, 32, 624, 1232, 1824, 32, 624, 1232, 1824]
    const total = found.reduce((sum, tokens) => sum + tokens, 0)
    const {reuse} = traceInfo(trace)
    expect(reuse!.prompt_share * reuse!.prompt_tokens).closeTo(total, 1e-6)
  })

  it('take lengths from a trace, both of the same row', async () => {
    const empirical = `empirical:${fixture('vidur.csv')}`
    const trace = await generate({input: empirical, output: empirical})
    for (let i = 0; i < trace.length; i++) {
      const row = [100, 200, 300, 600, 1100].indexOf(trace.inputTokens[i]!)
      expect(trace.outputTokens[i]).equal((row + 1) * 10)
    }
    expect(moments(trace.inputTokens).mean).equal(460)
  })

  it('are written and read without loss', async () => {
    const trace = await generate({
      turns: 'uniform:1,4',
      prefixes: {groups: 3, tokens: 50, skew: 1},
      input: 'exponential:80',
    })
    const path = file('generated.csv')
    await writeTrace(trace, path)
    expect({...(await readTrace([path])), format: ''}).deep.equal({...trace, format: ''})
  })

  const wrong: readonly [Partial<GenerateSpec>, RegExp][] = [
    [{requests: 0}, /^--requests 0: it must be a whole number of at least 1\.$/],
    [{rate: 0}, /^--rate 0: it must be above 0 requests per second\.$/],
    [{arrivals: 'weekly'}, /^--arrivals weekly: there is no process "weekly"; it can be poisson,/],
    [{arrivals: 'gamma'}, /^--arrivals gamma: it needs cv=/],
    [{arrivals: 'bursty:on=0,off=3'}, /on must be above 0/],
    [{input: 'normal:5'}, /^--input normal:5: there is no distribution "normal"; it can be fixed/],
    [{input: 'lognormal:mean=5'}, /^--input lognormal:mean=5: it needs cv=/],
    [{input: 'lognormal:mean=500,p99=400'}, /must lie between the mean and 15\.0 times the mean/],
    [{input: 'lognormal:mean=5,cv=1,p99=6'}, /p99 and cv cannot both be given/],
    [{output: 'uniform:9,2'}, /^--output uniform:9,2: the second number must be the larger/],
    [
      {input: 'fixed:0'},
      /^--input fixed:0: a length is a whole number of tokens, and at least 1\.$/,
    ],
    [{output: '2.5'}, /^--output 2\.5: a length is a whole number of tokens/],
    [
      {input: 'fixed:4294967396'},
      /^--input: it makes a request of 4294967396 tokens, and one has at/,
    ],
    [
      {prefixes: {groups: 1, tokens: 5e9, skew: 1}},
      /^--prefix-tokens 5000000000: it must be at most/,
    ],
    [{output: 'fixed:x'}, /^--output fixed:x: "x" is not a number\.$/],
    [{output: 'fixed:5,mean=3'}, /"mean" means nothing to fixed/],
    [{turns: 'fixed:0'}, /^--turns fixed:0: a session has a whole number of turns/],
    [{turns: 'fixed:1.5'}, /^--turns fixed:1\.5: a session has a whole/],
    [
      {turns: 'fixed:2', thinkTime: 'fixed:1e15'},
      /^--think-time fixed:1e15: a pause is at most 104 days/,
    ],
    [
      {arrivals: 'bursty:on=1e300,off=30'},
      /^--arrivals .*: "on=1e300" is more than 9007199254740991/,
    ],
    [{input: 'lognormal:mean=5,mean=6,cv=1'}, /^--input .*: "mean" is there twice/],
    [{thinkTime: 'fixed:3'}, /^--think-time needs --turns/],
    [{prefixes: {groups: 0, tokens: 5, skew: 1}}, /^--prefix-groups 0:/],
    [{input: 'empirical:/no/such.csv'}, /^\/no\/such\.csv: there is no such file/],
  ]
  for (const [spec, says] of wrong) {
    it(`refuse ${JSON.stringify(spec)}`, async () => {
      const problem: unknown = await generate(spec).catch((error) => error)
      expect(problem).instanceOf(Problem)
      expect((problem as Problem).message).match(says)
    })
  }
})

describe('samplers', () => {
  it('draw one number from each part of the unit interval', () => {
    const values = new Randomness(3).strata(1000)
    expect([...values].sort((a, b) => a - b).every((u, i) => Math.floor(u * 1000) === i)).equal(
      true,
    )
    expect([...values]).not.deep.equal([...values].sort((a, b) => a - b))
  })

  it('clamp where they are told to', () => {
    const lengths = parseDistribution('lognormal:mean=500,cv=1,min=100,max=900', 'input')
    expect(lengths.quantile(0.0001)).equal(100)
    expect(lengths.quantile(0.9999)).equal(900)
  })

  it('pick every group of a Zipf share, the last one included', () => {
    const share = zipf(3, 0)
    expect([0, 0.34, 0.67, 0.999999].map((u) => share.quantile(u))).deep.equal([0, 1, 2, 2])
  })

  it('stand on functions that agree with published values', () => {
    // Abramowitz and Stegun, tables 6.1 and 26.1; Γ(1/2) = √π.
    expect(logGamma(0.5)).closeTo(Math.log(Math.PI) / 2, 1e-12)
    expect(logGamma(10)).closeTo(Math.log(362_880), 1e-12)
    expect(inverseNormal(0.975)).closeTo(1.959963984540054, 1e-14)
    expect(inverseNormal(1e-10)).closeTo(-6.361340902404056, 1e-12)
    expect(inverseGamma(1, 0.5)).closeTo(Math.LN2, 1e-12)
    for (const shape of [0.04, 0.25, 1, 4, 100])
      for (const p of [1e-6, 0.1, 0.5, 0.9, 0.999_999])
        expect(gammaP(shape, inverseGamma(shape, p))).closeTo(p, 1e-11)
  })
})
