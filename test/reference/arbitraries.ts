/** Small nasty cases: tiny pools, equal times, shared prefixes, cancels at the worst moments. */

import fc from 'fast-check'
import type {BatchShape} from '#llmsim/latency/step-time.js'
import {
  type CaseSpec,
  type Content,
  keyNames,
  type Leaving,
  type RequestSpec,
  type StepTimeSpec,
} from './case-spec.js'

/** Mostly the first, now and then the others. */
export const mostly = <T>(weight: number, usual: fc.Arbitrary<T>, ...rare: fc.Arbitrary<T>[]) =>
  fc.oneof({weight, arbitrary: usual}, ...rare.map((arbitrary) => ({weight: 1, arbitrary})))

const content: fc.Arbitrary<Content> = fc.oneof(
  fc.record({kind: fc.constant('fresh' as const)}),
  fc.record({
    kind: fc.constant('group' as const),
    group: fc.integer({min: 1, max: 2}),
    shared: fc.integer({min: 1, max: 40}),
  }),
  fc.record({
    kind: fc.constantFrom('same prompt' as const, 'identical' as const, 'continued' as const),
    of: fc.nat(9),
  }),
)

const leaving: fc.Arbitrary<Leaving> = mostly(
  7,
  fc.constant<Leaving>('never'),
  fc.constantFrom<Leaving>('before arrival', 'on arrival', 'while waiting', 'when scheduled'),
  fc.constantFrom<Leaving>('in prefill', 'at first token', 'in decode', 'at a step end'),
  fc.constantFrom<Leaving>('at finish', 'after finish', 'in decode', 'at a step end'),
)

export const request = (cancels: boolean): fc.Arbitrary<RequestSpec> =>
  fc.record({
    gap: fc.oneof(
      fc.constant(0),
      fc.integer({min: 1, max: 9}),
      fc.integer({min: 0, max: 12}).map((tens) => 10 * tens),
      fc.integer({min: 0, max: 1500}),
    ),
    input: mostly(5, fc.integer({min: 1, max: 16}), fc.integer({min: 1, max: 64})),
    output: mostly(4, fc.integer({min: 1, max: 10}), fc.integer({min: 1, max: 40})),
    content,
    known: fc.constantFrom('none', 'part', 'prompt', 'prompt', 'all', 'all'),
    priority: fc.integer({min: -1, max: 2}),
    predicted: fc.integer({min: -1, max: 8}),
    leaving: cancels ? leaving : fc.constant('never'),
  })

const fields: readonly (keyof BatchShape)[] = [
  'tokens',
  'sequences',
  'prefills',
  'prefillTokens',
  'prefillTokensMax',
  'prefillContext',
  'prefillContextMax',
  'prefillWork',
  'decodes',
  'decodeContext',
  'decodeContextMin',
  'decodeContextMax',
  'paddedTokens',
]

const weights = fc
  .array(fc.tuple(fc.constantFrom(...fields), fc.integer({min: 1, max: 3})), {maxLength: 4})
  .map((pairs) => Object.fromEntries(pairs) as StepTimeSpec['weights'])

export const stepTimeSpecs: fc.Arbitrary<StepTimeSpec> = fc.record({
  base: fc.constantFrom(0, 1, 7, 10, 40),
  weights: fc.oneof(
    fc.constant({}),
    weights,
    fc.constant({decodeContextMin: 2, decodeContextMax: 3}),
    fc.constant(Object.fromEntries(fields.map((field, i) => [field, (i % 3) + 1]))),
  ),
  bend: fc.constantFrom('none', 'stairs', 'roofline'),
})

export const engineConfigs: fc.Arbitrary<CaseSpec['config']> = fc
  .record({
    blockSize: fc.constantFrom(1, 2, 4, 16),
    /** Tokens that the pool holds, about; a request of 16 + 10 should often just fit. */
    poolTokens: mostly(
      5,
      fc.integer({min: 24, max: 90}),
      fc.integer({min: 8, max: 24}),
      fc.integer({min: 90, max: 600}),
    ),
    maxNumSeqs: mostly(4, fc.integer({min: 1, max: 8}), fc.constant(40)),
    maxNumBatchedTokens: fc.oneof(
      fc.integer({min: 1, max: 4}),
      fc.integer({min: 5, max: 32}),
      fc.integer({min: 16, max: 128}),
    ),
    longPrefillTokenThreshold: mostly(2, fc.constant(0), fc.integer({min: 1, max: 9})),
    enableChunkedPrefill: mostly(2, fc.constant(true), fc.constant(false)),
    enablePrefixCaching: mostly(3, fc.constant(true), fc.constant(false)),
    reserveFullPrompt: fc.boolean(),
    ownBlocks: fc.boolean(),
    maxModelLen: mostly(5, fc.constant(100_000), fc.integer({min: 8, max: 60})),
    depth: fc.constantFrom(1 as const, 2 as const),
  })
  .map(({poolTokens, ...config}) => ({
    ...config,
    blocks: Math.ceil(poolTokens / config.blockSize),
    // Whole prompts into tiny batches: nearly everything would be turned away.
    maxNumBatchedTokens: config.maxNumBatchedTokens + (config.enableChunkedPrefill ? 0 : 20),
  }))

export const noPipeline = {stages: 1, skew: 0, hop: 0}

export const pipelines: fc.Arbitrary<CaseSpec['pipeline']> = fc.record({
  stages: fc.integer({min: 2, max: 4}),
  skew: mostly(2, fc.constant(0), fc.integer({min: 1, max: 12})),
  hop: fc.constantFrom(0, 0, 1, 3),
})

interface Size {
  readonly maxLength: number
  readonly cancels: boolean
}

const specOf = (size: Size, pipeline: typeof pipelines): fc.Arbitrary<CaseSpec> =>
  fc.record({
    requests: fc.array(request(size.cancels), {
      minLength: 1,
      maxLength: size.maxLength,
      size: 'max',
    }),
    spanTokens: fc.constantFrom('block size' as const, 'block size' as const, 2, 4, 8, 32),
    prefixes: mostly(4, fc.constant(true), fc.constant(false)),
    predictions: fc.boolean(),
    config: engineConfigs,
    pipeline,
    policy: fc.oneof(
      fc.constantFrom('fcfs' as const, 'priority' as const, 'sjf' as const),
      fc.record({
        key: fc.constantFrom(...keyNames),
        victim: fc.constantFrom('last-admitted' as const, 'largest-key' as const),
      }),
    ),
    stepTime: stepTimeSpecs,
  })

/** Every kind of case; half of them have no cancels, as those disturb long runs of plain decoding. */
const everySize = (pipeline: typeof pipelines): fc.Arbitrary<CaseSpec> =>
  fc.oneof(
    specOf({maxLength: 12, cancels: false}, pipeline),
    specOf({maxLength: 40, cancels: false}, pipeline),
    specOf({maxLength: 12, cancels: true}, pipeline),
    specOf({maxLength: 40, cancels: true}, pipeline),
  )

/** Without stages, and with. */
export const plainSpecs = everySize(fc.constant(noPipeline))
export const pipelineSpecs = everySize(pipelines)
export const caseSpecs: fc.Arbitrary<CaseSpec> = mostly(2, plainSpecs, pipelineSpecs)

type Drafts = NonNullable<CaseSpec['speculation']>

function withDrafts([spec, speculation]: [CaseSpec, Drafts]): CaseSpec {
  return {...spec, speculation}
}

export const speculations = fc.record({
  tokens: fc.integer({min: 1, max: 6}),
  percent: fc.array(fc.constantFrom(0, 30, 60, 90, 100), {minLength: 1, maxLength: 3}),
})

/** Layers of which some see a window, or a chunk, and all, some or none everything. */
export const kvGroups: fc.Arbitrary<NonNullable<CaseSpec['config']['kvGroups']>> = fc
  .record({
    local: fc.array(
      fc.record({
        sees: fc.constantFrom('window' as const, 'window' as const, 'chunk' as const),
        window: mostly(3, fc.integer({min: 2, max: 24}), fc.constantFrom(2, 4, 8, 16, 32, 60)),
        pages: fc.integer({min: 1, max: 3}),
      }),
      {minLength: 1, maxLength: 2},
    ),
    everything: mostly(3, fc.constant(1), fc.constantFrom(0, 2)),
  })
  .map(({local, everything}) =>
    // Nothing is needed to go on where a chunk begins, so chunks alone would find what nobody computed.
    everything === 0 && local.every(({sees}) => sees === 'window')
      ? local
      : [...local, {sees: 'everything' as const, window: 0, pages: Math.max(1, everything)}],
  )

/** Engines, some with drafts, whose layers lie in groups. A pool has as many pages as blocks, and some more. */
export const groupedSpecs: fc.Arbitrary<CaseSpec> = fc
  .record({
    spec: fc.oneof(caseSpecs, fc.tuple(plainSpecs, speculations).map(withDrafts)),
    groups: kvGroups,
    share: fc.constantFrom(0.5, 0.7, 1),
  })
  .map(({spec, groups, share}) => {
    const pages = groups.reduce((sum, group) => sum + group.pages, 0)
    const blocks = Math.ceil(spec.config.blocks * pages * share)
    return {...spec, config: {...spec.config, blocks, kvGroups: groups}}
  })

/** Engines of one stage with drafts; on their own, so that the others stay what they are. */
export const speculatingSpecs: fc.Arbitrary<CaseSpec> = fc
  .tuple(plainSpecs, speculations)
  .map(withDrafts)
