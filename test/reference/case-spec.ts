/**
 * A random case as plain data, which fast-check can shrink and print, and what it stands for.
 * Prompts are real token sequences, so that prefix ids never lie about what requests share.
 */

import type {BatchShape, StepTime} from '#llmsim/latency/step-time.js'
import type {PrefixColumn, Trace} from '#llmsim/trace/trace.js'
import type {KeyView, ReferenceConfig, ReferencePolicy} from './reference-config.js'
import {type ReferenceCase, runReference} from './run-reference.js'

/** Where the tokens of a prompt come from; `of` is taken modulo the requests before it. */
export type Content =
  | {readonly kind: 'fresh'}
  | {readonly kind: 'group'; readonly group: number; readonly shared: number}
  | {readonly kind: 'same prompt'; readonly of: number}
  | {readonly kind: 'identical'; readonly of: number}
  | {readonly kind: 'continued'; readonly of: number}

/** When a client leaves, told by what happens in the same case without any cancel. */
export type Leaving =
  | 'never'
  | 'before arrival'
  | 'on arrival'
  | 'while waiting'
  | 'when scheduled'
  | 'in prefill'
  | 'at first token'
  | 'in decode'
  | 'at a step end'
  | 'at finish'
  | 'after finish'

export interface RequestSpec {
  /** ns after the request before. */
  readonly gap: number
  readonly input: number
  readonly output: number
  readonly content: Content
  readonly known: 'none' | 'part' | 'prompt' | 'all'
  readonly priority: number
  readonly predicted: number
  readonly leaving: Leaving
}

/** Weights of a linear step time, and how it is bent; every bend keeps it monotone. */
export interface StepTimeSpec {
  readonly base: number
  readonly weights: Partial<Record<keyof BatchShape, number>>
  readonly bend: 'none' | 'stairs' | 'roofline'
}

export const keyNames = [
  'longest first',
  'odd lengths last',
  'all alike',
  'late come first',
] as const

export interface CaseSpec {
  readonly requests: readonly RequestSpec[]
  readonly spanTokens: number | 'block size'
  readonly prefixes: boolean
  readonly predictions: boolean
  readonly config: Omit<ReferenceConfig, 'policy' | 'speculation'>
  /** How many drafts, and how many per cent of them are right, by place. Such an engine is synchronous. */
  readonly speculation?: {readonly tokens: number; readonly percent: readonly number[]} | undefined
  /** One stage: no pipeline. Each stage takes `skew` ns more than the one before. */
  readonly pipeline: {readonly stages: number; readonly skew: number; readonly hop: number}
  readonly policy:
    | 'fcfs'
    | 'priority'
    | 'sjf'
    | {readonly key: (typeof keyNames)[number]; readonly victim: ReferencePolicy['victim']}
  readonly stepTime: StepTimeSpec
}

const keys: Record<(typeof keyNames)[number], (view: KeyView) => number> = {
  'longest first': (view) => -view.inputTokens,
  'odd lengths last': (view) => view.inputTokens % 2,
  'all alike': () => 7,
  'late come first': (view) => -view.arrivedAt,
}

/** The case itself. Cancels are placed by a first run without them. */
export const buildCase = (spec: CaseSpec): ReferenceCase => {
  const {policy} = spec
  const named = typeof policy === 'string' ? policy : {...policy, key: keys[policy.key]}
  const {stages} = spec.pipeline
  const depth = stages > 1 ? stages : spec.config.depth
  const config = {...spec.config, depth, stages, policy: named, ...speculationOf(spec)}
  const stepTime = stepTimeOf(spec.stepTime)
  const pipeline = stages > 1 ? {pipeline: stagesOf(spec, stepTime)} : {}
  const trace = traceOf(spec)
  if (spec.requests.every((request) => request.leaving === 'never'))
    return {trace, config, stepTime, ...pipeline}
  const cancelledAt = cancelTimes(spec, {trace, config, stepTime, ...pipeline})
  return {trace: {...trace, cancelledAt}, config, stepTime, ...pipeline}
}

export const speculationOf = ({
  speculation,
}: Pick<CaseSpec, 'speculation'>): Partial<ReferenceConfig> => {
  if (speculation === undefined) return {}
  const {tokens, percent} = speculation
  const accepts = (row: number, position: number, depth: number) =>
    (position * 37 + row * 11) % 100 < percent[Math.min(depth, percent.length - 1)]!
  return {depth: 1, speculation: {tokens, accepts}}
}

const stagesOf = ({pipeline: {stages, skew, hop}}: CaseSpec, stepTime: StepTime) => ({
  stages: Array.from(
    {length: stages},
    (_, stage): StepTime =>
      (shape) =>
        stepTime(shape) + stage * skew,
  ),
  hop: (shape: BatchShape) => hop * shape.tokens,
})

export const stepTimeOf = ({base, weights, bend}: StepTimeSpec): StepTime => {
  const terms = Object.entries(weights) as [keyof BatchShape, number][]
  return (shape) => {
    const linear = terms.reduce((sum, [field, weight]) => sum + weight * shape[field], base)
    // Stairs make many steps equally long and ends meet arrivals; the work is whole by itself.
    if (bend === 'stairs') return 10 * Math.ceil(linear / 10)
    return bend === 'roofline' ? Math.max(linear, 3 * shape.tokens + base) : linear
  }
}

export const traceOf = (
  spec: Pick<CaseSpec, 'requests' | 'spanTokens' | 'prefixes' | 'predictions'> & {
    readonly config: {readonly blockSize: number}
  },
): Trace => {
  const {requests} = spec
  const texts = textsOf(requests)
  let clock = 0
  const arrivedAt = Float64Array.from(requests, (request) => {
    clock += request.gap
    return clock
  })
  const span = spec.spanTokens === 'block size' ? spec.config.blockSize : spec.spanTokens
  return {
    length: requests.length,
    arrivedAt,
    inputTokens: Int32Array.from(texts, (text) => text.prompt.length),
    outputTokens: Int32Array.from(texts, (text) => text.output.length),
    priority: Int32Array.from(requests, (request) => request.priority),
    ...(spec.predictions && {
      predictedOutputTokens: Int32Array.from(requests, (request) => request.predicted),
    }),
    ...(spec.prefixes && {prefix: prefixOf(requests, texts, span)}),
    notes: [],
    format: 'test',
  }
}

interface Text {
  readonly prompt: readonly number[]
  readonly output: readonly number[]
}

const textsOf = (requests: readonly RequestSpec[]): Text[] => {
  const texts: Text[] = []
  let next = 1000
  const fresh = (count: number) => Array.from({length: Math.max(0, count)}, () => next++)
  for (const {content, input, output} of requests) {
    const other = texts[('of' in content ? content.of : 0) % Math.max(1, texts.length)]
    texts.push(textOf({content, other, input, output, fresh}))
  }
  return texts
}

const textOf = (given: {
  readonly content: Content
  readonly other: Text | undefined
  readonly input: number
  readonly output: number
  readonly fresh: (count: number) => number[]
}): Text => {
  const {content, other, input, output, fresh} = given
  if (content.kind === 'identical' && other !== undefined) return other
  let head: readonly number[] = []
  if (content.kind === 'group')
    head = Array.from({length: content.shared}, (_, i) => 100 * content.group + i).slice(0, input)
  if (content.kind === 'same prompt' && other !== undefined) head = other.prompt
  // A conversation: what was said and answered, and a little more.
  if (content.kind === 'continued' && other !== undefined)
    return {
      prompt: [...other.prompt, ...other.output, ...fresh(1 + (input % 4))].slice(0, 90),
      output: fresh(output),
    }
  return {
    prompt: [...head, ...fresh(head.length === 0 ? input : input - head.length)],
    output: fresh(output),
  }
}

/** Equal token sequences get equal ids, unequal ones never do. */
const prefixOf = (
  requests: readonly RequestSpec[],
  texts: readonly Text[],
  spanTokens: number,
): PrefixColumn => {
  const names = new Map<string, number>()
  const offsets = [0]
  const ids: number[] = []
  const knownTokens = requests.map(({known}, row) => {
    const {prompt, output} = texts[row]!
    const all = [...prompt, ...output]
    const part = prompt.length - 1 - Math.floor(prompt.length / 3)
    const count = {none: 0, part, prompt: prompt.length, all: all.length}[known]
    for (let start = 0; start < count; start += spanTokens) {
      const name = all.slice(0, start + spanTokens).join()
      if (!names.has(name)) names.set(name, names.size + 1)
      ids.push(names.get(name)!)
    }
    offsets.push(ids.length)
    return count
  })
  return {
    spanTokens,
    offsets: Float64Array.from(offsets),
    ids: Float64Array.from(ids),
    knownTokens: Int32Array.from(knownTokens),
  }
}

const cancelTimes = (spec: CaseSpec, plain: ReferenceCase): Float64Array => {
  const {requests, steps} = runReference(plain)
  return Float64Array.from(spec.requests, ({leaving}, row) => {
    const arrived = plain.trace.arrivedAt[row]!
    const {scheduledAt, firstTokenAt, finishedAt} = requests[row]!
    const middle = (from: number, to: number) => Math.floor((from + to) / 2)
    // A step in the middle of its life, so that the moment is exact.
    const during = steps.filter(({end}) => end > scheduledAt && end < finishedAt)
    const time: Record<Leaving, number> = {
      never: Number.NaN,
      'before arrival': Math.max(0, arrived - 5),
      'on arrival': arrived,
      'while waiting': middle(arrived, scheduledAt),
      'when scheduled': scheduledAt,
      'in prefill': middle(scheduledAt, firstTokenAt),
      'at first token': firstTokenAt,
      'in decode': middle(firstTokenAt, finishedAt),
      'at a step end': during[Math.floor(during.length / 2)]?.end ?? arrived + 10,
      'at finish': finishedAt,
      'after finish': finishedAt + 1,
    }
    return time[leaving]
  })
}
