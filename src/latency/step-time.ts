/** The seam between what runs (engine) and how long it takes (latency). */

/** Whole nanoseconds, held in a float64. */
export type Ns = number

/**
 * The sums over one batch that step time depends on. One object per engine, reused: read it, never keep it.
 * A chunk of one token counts as a decode, as a kernel cannot tell them apart.
 */
export interface BatchShape {
  /** Tokens computed: prefillTokens + decodes. */
  tokens: number
  /** Requests in the batch; each gets one row of logits. */
  sequences: number
  /** Chunks of more than one token. */
  prefills: number
  /** Σ n over chunks. */
  prefillTokens: number
  /** Largest n of a chunk; 0 when there is none. */
  prefillTokensMax: number
  /** Σ c over chunks: tokens already in the cache. */
  prefillContext: number
  /** Largest c of a chunk; 0 when there is none. */
  prefillContextMax: number
  /** Σ n·(c + (n+1)/2) over chunks: query–key pairs of causal attention. */
  prefillWork: number
  decodes: number
  /** Σ c over decodes, before this step. */
  decodeContext: number
  /** Smallest and largest c of a decode; 0 when there is none. */
  decodeContextMin: number
  decodeContextMax: number
  /** Tokens that dense layers see when ranks pad to their largest member; equals tokens otherwise. */
  paddedTokens: number
}

/** Duration of one step in whole ns, at least 1: pure, and monotone in every field of the shape. */
export type StepTime = (shape: BatchShape) => Ns

/** One step time per pipeline stage, and the way of a batch from one to the next. */
export interface PipelineTime {
  readonly stages: readonly StepTime[]
  readonly hop: StepTime
  /** Of each stage, what is outside of its layers; not rounded. */
  readonly outsideLayers?: readonly StepTime[]
  /**
   * Absent: batches are planned ahead and a stage is free when it has sent. `polled`: a stage is busy until its hop
   * has arrived, and a batch is planned when the first stage is free (LLMServingSim).
   */
  readonly style?: 'polled'
  /** Within a stage, only where somebody looks inside a step. */
  readonly nodeEnds?: readonly NodeEnds[]
}

/** Within a step of this shape: the first moment, `elapsed` ns after its start or later, at which a kernel or copy ends. */
export type NodeEnds = (shape: BatchShape, elapsed: Ns) => Ns

/** An empty shape, for an engine to fill. */
export const emptyShape = (): BatchShape => ({
  tokens: 0,
  sequences: 0,
  prefills: 0,
  prefillTokens: 0,
  prefillTokensMax: 0,
  prefillContext: 0,
  prefillContextMax: 0,
  prefillWork: 0,
  decodes: 0,
  decodeContext: 0,
  decodeContextMin: 0,
  decodeContextMax: 0,
  paddedTokens: 0,
})

/** Where a number of the model came from, worst last. */
export type Provenance = 'profile' | 'calibrated' | 'class default'

/** A step-time source with what it can say of itself. */
export interface StepTimeModel {
  readonly source: 'profile' | 'roofline' | 'datasheet'
  /** Of the whole model; with stages, of the first. */
  readonly stepTime: StepTime
  /** In place of `stepTime`, where the model is cut into stages. */
  readonly pipeline?: PipelineTime
  /** Only where somebody looks inside a step (docs/compat.md). */
  readonly nodeEnds?: NodeEnds
  /** Of a step, what is outside of its layers: head, sampler, host; not rounded. */
  readonly outsideLayers?: StepTime
  /** One line per term (gemm, attention, all-reduce, host, …): where its figures come from. */
  readonly provenance: readonly {
    readonly term: string
    readonly from: Provenance
    readonly detail: string
  }[]
  /** What a user should know before trusting the figures, one sentence each. */
  readonly notes: readonly string[]
}
