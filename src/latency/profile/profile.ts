/**
 * Step time from a measured bundle: Σ of its layer tables in the order of the model, times the layers, plus
 * whatever the caller adds (collectives, host). docs/latency.md, "profile".
 */

import type {StageCut} from '../../catalogue/parallelism.js'
import type {ProfileBundle} from '../../catalogue/profile-bundle.js'
import type {BatchShape, Ns} from '../step-time.js'
import {AttentionTable, SkewCorrection} from './attention-table.js'
import {Curve, ExpertTable, roundHalfEven} from './tables.js'

export interface ProfileRequest {
  readonly bundle: ProfileBundle
  /** Transformer layers of the model, or of the pipeline stage that is timed. */
  readonly layers: number
  readonly stage?: StageCut
  /** Undefined for a dense model. */
  readonly experts: {readonly count: number; readonly perToken: number} | undefined
  /** Expert-parallel degree; 1 keeps all experts on every rank. */
  readonly ep: number
  /** Data-parallel ranks whose tokens meet in the experts; 1 when absent. */
  readonly members?: number
  /** Work of the busiest rank of experts as a multiple of the mean; 1 when absent. */
  readonly busiest?: number
  /** Layers that this hardware does not run as kernels of their own (TPUs fuse the rotary embedding). */
  readonly skip: readonly string[]
}

/** What runs besides kernels, ns for a number of tokens that dense layers see. */
export interface Collectives {
  /** After the output projection and, in a dense layer, after the MLP: 0 without tensor parallelism. */
  allReduce(tokens: number): Ns
  /** Before the experts of a layer. */
  dispatch(tokens: number): Ns
  /** After them. */
  combine(tokens: number): Ns
  /** Moments inside, as the lengths between them, where somebody looks there; absent: each is one piece. */
  pieces?(kind: 'allReduce' | 'dispatch' | 'combine', tokens: number): readonly Ns[]
}

/** The kernels of a step in order, ns each. */
export interface StepKernels {
  readonly before: readonly Ns[]
  /** Of each layer, up to its output projection. */
  readonly attention: readonly Ns[]
  readonly norm: readonly Ns[]
  /** Of each layer; one for all experts. */
  readonly mlp: readonly Ns[]
  readonly layers: number
  readonly after: readonly Ns[]
}

/** The kernels and collectives of a step one after the other, ns each. */
export interface StepNodes {
  readonly before: readonly Ns[]
  /** Of each layer. */
  readonly block: readonly Ns[]
  readonly layers: number
  readonly after: readonly Ns[]
}

export const noCollectives: Collectives = {allReduce: () => 0, dispatch: () => 0, combine: () => 0}

const prologue = ['embedding']
const beforeAttention = ['layernorm', 'qkv_proj', 'qk_norm', 'rotary_emb']
const afterAttention = ['o_proj', 'layernorm']
const denseMlp = ['gate_up_proj', 'act_fn', 'down_proj']
const epilogue = ['final_layernorm']
const head = ['lm_head', 'sampler']

/** Names of the kernels of a step in their order, as `kernels` has their times. */
export const kernelNames = (hasExperts: boolean) => ({
  before: prologue,
  layer: [...beforeAttention, 'attention', ...afterAttention, ...(hasExperts ? ['moe'] : denseMlp)],
  after: [...epilogue, ...head],
})

export class ProfileTimes {
  /** Layers of the model that the bundle has no table for: they cost nothing, and a note should say so. */
  readonly missing: string[] = []
  readonly #request: ProfileRequest
  readonly #prologue: readonly string[]
  readonly #epilogue: readonly string[]
  readonly #head: readonly string[]
  readonly #collectives: Collectives
  readonly #dense: ReadonlyMap<string, Curve>
  readonly #perSequence: ReadonlyMap<string, Curve>
  readonly #attention: AttentionTable
  readonly #skew: SkewCorrection | undefined
  readonly #experts: ExpertTable | undefined
  /** Everything but attention and the head, by padded tokens. */
  readonly #byTokens: number[] = []
  readonly #bySequences: number[] = []

  constructor(request: ProfileRequest, collectives: Collectives) {
    const {bundle} = request
    this.#request = request
    this.#prologue = (request.stage?.isFirst ?? true) ? prologue : []
    this.#epilogue = (request.stage?.isLast ?? true) ? epilogue : []
    this.#head = (request.stage?.isLast ?? true) ? head : []
    this.#collectives = collectives
    const curves = (tables: ProfileBundle['dense']) =>
      new Map([...tables].map(([layer, samples]) => [layer, new Curve(samples)]))
    this.#dense = curves(bundle.dense)
    this.#perSequence = curves(bundle.perSequence)
    this.#attention = new AttentionTable(bundle.attention)
    this.#skew = bundle.skew && new SkewCorrection(bundle.skew)
    this.#experts = bundle.moe && new ExpertTable(bundle.moe)
    this.#findMissing()
  }

  #findMissing(): void {
    // qk_norm is optional: only some models have it.
    const dense = [...prologue, ...beforeAttention, ...afterAttention, ...epilogue].filter(
      (layer) => layer !== 'qk_norm' && !this.#request.skip.includes(layer),
    )
    if (this.#request.experts === undefined) dense.push(...denseMlp)
    else if (this.#experts === undefined) this.missing.push('moe')
    this.missing.push(...dense.filter((layer) => !this.#dense.has(layer)))
    this.missing.push(...head.filter((layer) => !this.#perSequence.has(layer)))
  }

  /** Kernels and collectives of one step, whole ns. */
  at(shape: BatchShape): Ns {
    const {layers} = this.#request
    return (
      this.#tokenPart(shape.paddedTokens) +
      layers * this.#attentionTime(shape) +
      this.#headPart(shape.sequences)
    )
  }

  /** Of these, the ones behind the layers that work on one row per sequence. */
  head(shape: BatchShape): Ns {
    return this.#headPart(shape.sequences)
  }

  /** The kernels of the same step. */
  kernels(shape: BatchShape): StepKernels {
    const {paddedTokens: tokens, sequences} = shape
    const {layers, experts} = this.#request
    const dense = (names: readonly string[]) => names.map((name) => this.#denseAt(name, tokens))
    return {
      before: dense(this.#prologue),
      attention: [
        ...dense(beforeAttention),
        this.#attentionTime(shape),
        ...dense(afterAttention.slice(0, 1)),
      ],
      norm: dense(afterAttention.slice(1)),
      mlp: experts === undefined ? dense(denseMlp) : [this.#expertKernel(tokens)],
      layers,
      after: [
        ...dense(this.#epilogue),
        ...this.#head.map((layer) => this.#perSequenceAt(layer, sequences)),
      ],
    }
  }

  /** The same step in its parts; they add up to `at`. */
  nodes(shape: BatchShape): StepNodes {
    const tokens = shape.paddedTokens
    const {before, attention, norm, mlp, layers, after} = this.kernels(shape)
    const reduced = this.#piecesOf('allReduce', tokens)
    return {
      before,
      block: [
        ...attention,
        ...reduced,
        ...norm,
        ...(this.#request.experts === undefined
          ? [...mlp, ...reduced]
          : this.#expertPieces(tokens)),
      ],
      layers,
      after,
    }
  }

  #piecesOf(kind: 'allReduce' | 'dispatch' | 'combine', tokens: number): readonly Ns[] {
    return this.#collectives.pieces?.(kind, tokens) ?? [this.#collectives[kind](tokens)]
  }

  #expertPieces(tokens: number): readonly Ns[] {
    const nodes = this.#expertNodes(tokens)
    if (nodes.length < 3) return nodes
    const inTurn = [
      ...this.#piecesOf('dispatch', tokens),
      nodes[1]!,
      ...this.#piecesOf('combine', tokens),
    ]
    if (this.#collectives.pieces === undefined) return inTurn
    // Where somebody looks inside: the experts of a second rank do not wait for what is dispatched.
    let end = 0
    const ends = inTurn.map((piece) => (end += piece))
    const seen = [...ends, nodes[1]!].sort((a, b) => a - b)
    return seen.map((at, i) => at - (seen[i - 1] ?? 0))
  }

  #tokenPart(tokens: number): Ns {
    const known = this.#byTokens[tokens]
    if (known !== undefined) return known
    const {layers, experts} = this.#request
    const sum = (names: readonly string[]) =>
      names.reduce((total, layer) => total + this.#denseAt(layer, tokens), 0)
    const block =
      sum(beforeAttention) +
      sum(afterAttention) +
      this.#collectives.allReduce(tokens) +
      (experts === undefined
        ? sum(denseMlp) + this.#collectives.allReduce(tokens)
        : this.#expertNodes(tokens).reduce((total, node) => total + node, 0))
    const time = sum(this.#prologue) + layers * block + sum(this.#epilogue)
    this.#byTokens[tokens] = time
    return time
  }

  #denseAt(layer: string, tokens: number): Ns {
    if (this.#request.skip.includes(layer)) return 0
    return this.#dense.get(layer)?.at(tokens) ?? 0
  }

  #expertNodes(tokens: number): Ns[] {
    const {experts, ep} = this.#request
    if (!experts || !this.#experts) return []
    const kernel = this.#expertKernel(tokens)
    if (ep === 1) return [kernel]
    return [this.#collectives.dispatch(tokens), kernel, this.#collectives.combine(tokens)]
  }

  /** Balanced routing: each rank sees the tokens that pick one of its experts, and as many experts as they can reach. */
  #expertKernel(tokens: number): Ns {
    const {experts, ep, members = 1, busiest = 1} = this.#request
    if (!experts || !this.#experts) return 0
    const {count, perToken} = experts
    const all = tokens * members
    const mean = all * (1 - ((ep - 1) / ep) ** perToken)
    const local = roundHalfEven(Math.min(all, mean * busiest))
    const activated = Math.min(roundHalfEven((all * perToken) / ep), count / ep)
    return this.#experts.at(local, Math.max(1, activated))
  }

  #headPart(sequences: number): Ns {
    const known = this.#bySequences[sequences]
    if (known !== undefined) return known
    const time = this.#head.reduce(
      (total, layer) => total + this.#perSequenceAt(layer, sequences),
      0,
    )
    this.#bySequences[sequences] = time
    return time
  }

  #perSequenceAt(layer: string, sequences: number): Ns {
    return this.#perSequence.get(layer)?.at(sequences) ?? 0
  }

  #attentionTime(shape: BatchShape): Ns {
    const {prefillTokens, prefillContext, decodes} = shape
    if (prefillTokens === 0 && decodes === 0) return 0
    const mean = decodes === 0 ? 0 : Math.floor(shape.decodeContext / decodes)
    const lookUp = (context: number) =>
      this.#attention.at(prefillTokens, prefillContext, decodes, context)
    const atMean = lookUp(mean)
    if (!this.#skew) return atMean
    return this.#skew.apply(shape, atMean, () => lookUp(shape.decodeContextMax))
  }
}
