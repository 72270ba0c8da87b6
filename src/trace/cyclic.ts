/** The traffic of a load generator that cycles a fixed set of prompts: stages of Poisson arrivals, all prompts alike in length. */
import {Randomness} from './samplers.js'
import type {Trace} from './trace.js'

export interface CyclicTraffic {
  readonly stages: readonly {readonly ratePerS: number; readonly durationS: number}[]
  /** Request n repeats prompt n mod `prompts`, in an order that is shuffled once. */
  readonly prompts: number
  /** Prompts of a group share their first tokens. */
  readonly groups: number
  readonly sharedTokens: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly seed: number
}

const spanTokens = 16

/** The trace, and the stage of each row. Arrivals of a stage are Poisson conditioned on their count. */
export function cyclicTrace(traffic: CyclicTraffic): {trace: Trace; stageOf: Int32Array} {
  const randomness = new Randomness(traffic.seed)
  const order = shuffled(traffic.prompts, randomness)
  const {arrivedAt, stageOf} = arrivals(traffic, randomness)
  const {length} = arrivedAt
  const {inputTokens, sharedTokens, prompts, groups} = traffic
  const spans = Math.floor(inputTokens / spanTokens)
  const shared = Math.floor(sharedTokens / spanTokens)
  const ids = new Float64Array(length * spans)
  const perGroup = Math.ceil(prompts / groups)
  for (let row = 0; row < length; row++) {
    const prompt = order[row % prompts]!
    const group = Math.floor(prompt / perGroup)
    for (let span = 0; span < spans; span++) {
      // Chained ids: those of a group's shared start come before those of single prompts.
      const owner = span < shared ? group : groups + prompt
      ids[row * spans + span] = owner * spans + span
    }
  }
  const trace: Trace = {
    length,
    arrivedAt,
    inputTokens: new Int32Array(length).fill(inputTokens),
    outputTokens: new Int32Array(length).fill(traffic.outputTokens),
    prefix: {
      spanTokens,
      offsets: Float64Array.from({length: length + 1}, (_, row) => row * spans),
      ids,
      knownTokens: new Int32Array(length).fill(spans * spanTokens),
    },
    notes: [],
    format: 'reconstructed',
  }
  return {trace, stageOf}
}

function shuffled(count: number, randomness: Randomness): number[] {
  const keys = randomness.strata(count)
  return Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!)
}

function arrivals({stages}: CyclicTraffic, randomness: Randomness) {
  const times: number[] = []
  const stageOf: number[] = []
  let start = 0
  for (const [stage, {ratePerS, durationS}] of stages.entries()) {
    const count = Math.max(1, Math.round(ratePerS * durationS))
    const gaps = randomness.strata(count).map((u) => -Math.log1p(-u))
    const scale = durationS / gaps.reduce((sum, gap) => sum + gap, 0)
    let at = start
    for (const gap of gaps) {
      at += gap * scale
      times.push(Math.round(at * 1e9))
      stageOf.push(stage)
    }
    start += durationS
  }
  return {arrivedAt: Float64Array.from(times), stageOf: Int32Array.from(stageOf)}
}
