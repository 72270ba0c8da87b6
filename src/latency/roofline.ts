/**
 * Step time without a profile: a few coefficients per device, valid for every model.
 *
 *   step = Σ layers (GEMMs + attention + experts + 2 all-reduces + elementwise bytes + host per layer)
 *        + lm_head and sampler on one row per sequence + host per step
 *
 * A step of more tokens than any CUDA graph takes at least as long as the host launches its layers.
 *
 * What depends on tokens or sequences alone is computed once per value and remembered; attention is a
 * closed form. The remembered figures are the model: no power function runs in a warm step.
 */
import type {Hardware, Link} from '../catalogue/hardware-shape.js'
import {
  type Dtype,
  type KvDtype,
  type LayerGroup,
  layerCount,
  type ModelShape,
} from '../catalogue/model-shape.js'
import type {StageCut} from '../catalogue/parallelism.js'
import {attentionOf} from './attention.js'
import {type AttentionLaw, attentionLaw} from './attention-law.js'
import {type Coefficients, coefficientsFor} from './coefficients.js'
import {type AllReduce, allReduceOf, type Joined, joinedBy} from './collective.js'
import {elementwiseNs, smallKernels} from './elementwise.js'
import {type Exchange, exchangeNs} from './exchange.js'
import {busiestExperts, type ExpertLoad} from './expert-load.js'
import {type CoefficientSource, gemmNs, layerMatrices} from './gemm.js'
import {type HostTerms, launchedNs, samplerNs} from './host.js'
import {type ExpertShare, expertsNs} from './moe.js'
import {type ModelPart, type Mxfp4Kernel, peak16FlopsPerNs, precisionOf} from './precision.js'
import {rooflineNotes, rooflineProvenance} from './roofline-account.js'
import type {BatchShape, Ns, StepTime, StepTimeModel} from './step-time.js'
import {tritonRows} from './triton-attention.js'

export interface RooflineRequest {
  readonly model: ModelShape
  readonly hardware: Hardware
  /** The link between tensor-parallel ranks; null for a device used alone. */
  readonly link: Link | null
  readonly parallelism: {readonly tp: number; readonly ep: number}
  /** How its ranks are joined where a topology says so; absent: by the link. */
  readonly joined?: {readonly tensor: Joined; readonly experts: Joined} | undefined
  /** How tokens reach experts on data-parallel ranks; `gather` when absent. */
  readonly exchange?: Exchange | undefined
  /** Number format of the linear layers; absent: as the checkpoint has it. */
  readonly dtype?: Dtype | undefined
  /** `own` when absent. */
  readonly mxfp4Experts?: Mxfp4Kernel | undefined
  readonly kvDtype: KvDtype
  readonly host: HostTerms
  /** How unevenly experts are used; even when absent. */
  readonly expertLoad?: ExpertLoad | undefined
  /** The part of the model that is timed; absent: all of it. Groups of a mixed model are taken in proportion. */
  readonly stage?: StageCut | undefined
  /** `class` ignores what was measured on this device (`--latency datasheet`); default `measured`. */
  readonly coefficients?: CoefficientSource | undefined
}

/** Parts of a step, in ns. */
export interface StepParts {
  readonly gemm: number
  readonly attention: number
  readonly moe: number
  readonly allReduce: number
  readonly elementwise: number
  /** lm_head, sampler and the gathering of logits. */
  readonly head: number
  readonly host: number
}

export interface RooflineModel extends StepTimeModel {
  readonly outsideLayers: StepTime
  /** Where the time of a step goes; the sum is its step time before rounding. Not for hot loops. */
  readonly partsOf: (shape: BatchShape) => StepParts
}

/** Token and sequence counts up to this size are remembered. */
const mostRemembered = 1 << 17

/**
 * The roofline of one model on one kind of device.
 *
 * @throws Problem PARALLELISM_INVALID when the link does not join `tp` (or `ep`) devices
 */
export const rooflineModel = (whole: RooflineRequest): RooflineModel => {
  const request = {...whole, model: stageModel(whole)}
  const coefficients = coefficientsFor(request.hardware, request.coefficients ?? 'measured')
  const rows = rowTerms(request, coefficients)
  // Most models have one kind of attention. It has a name, as V8 compiles in what is called by that and not from a list.
  const [attention, ...others] = attentionLaws(request, coefficients).map(attentionOf)
  const dense = new CountTable((tokens) => denseNs(rows.dense(tokens)))
  const head = new CountTable((sequences) => {
    const parts = rows.perSequence(sequences)
    return parts.head + parts.host
  })

  const launched = launchedNs(request.host, layerCount(request.model))
  const stepTime = (shape: BatchShape): Ns => {
    let ns = dense.at(rowsOf(shape)) + attention!(shape)
    for (let at = 0; at < others.length; at++) ns += others[at]!(shape)
    return Math.max(1, Math.round(launched(shape.tokens, ns) + head.at(shape.sequences)))
  }
  return {
    source: coefficients.source,
    stepTime,
    outsideLayers: (shape) => head.at(shape.sequences),
    partsOf: (shape) => {
      const perToken = rows.dense(rowsOf(shape))
      const perSequence = rows.perSequence(shape.sequences)
      const attentionNs = others.reduce((sum, one) => sum + one(shape), attention!(shape))
      const layers = denseNs(perToken) + attentionNs
      const waiting = launched(shape.tokens, layers) - layers
      const host = perToken.host + perSequence.host + waiting
      return {...perToken, ...perSequence, host, attention: attentionNs}
    },
    provenance: rooflineProvenance(request, coefficients),
    notes: rooflineNotes(request, coefficients),
  }
}

/** The model with the layers of one stage. */
const stageModel = ({model, stage}: RooflineRequest): ModelShape => {
  if (!stage) return model
  const share = stage.layers / layerCount(model)
  return {...model, groups: model.groups.map((group) => ({...group, count: group.count * share}))}
}

const denseNs = ({gemm, moe, elementwise, allReduce, host}: DenseParts): number =>
  gemm + moe + elementwise + allReduce + host

// Ranks that pad see more rows than there are tokens, never fewer.
const rowsOf = (shape: BatchShape): number =>
  shape.paddedTokens > shape.tokens ? shape.paddedTokens : shape.tokens

/** A function of a whole number, computed once for each; the table grows by doubling. */
class CountTable {
  readonly #compute: (count: number) => number
  #values = new Float64Array(1024).fill(-1)

  constructor(compute: (count: number) => number) {
    this.#compute = compute
  }

  /**
   * A number that a call returns is an object each time, and so is one from where a typed array may have ended: what is
   * known is read here, within the table.
   */
  at(count: number): number {
    const values = this.#values
    if (count < values.length && values[count]! >= 0) return values[count]!
    return this.#keep(count) ? this.#values[count]! : Number(this.#compute(count))
  }

  /** Computes the value of a count for the first time, and whether the table may keep it. */
  #keep(count: number): boolean {
    if (!Number.isInteger(count) || count < 0 || count >= mostRemembered) return false
    if (count >= this.#values.length) {
      const larger = new Float64Array(2 ** Math.ceil(Math.log2(count + 1))).fill(-1)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[count] = this.#compute(count)
    return true
  }
}

/** One law per kind of attention: groups that attend alike are added up. */
const attentionLaws = (request: RooflineRequest, coefficients: Coefficients): AttentionLaw[] => {
  const {model, hardware, parallelism, kvDtype} = request
  const layersOf = new Map<string, {layers: number; group: LayerGroup}>()
  for (const group of model.groups) {
    const key = JSON.stringify(group.attention)
    layersOf.set(key, {layers: group.count + (layersOf.get(key)?.layers ?? 0), group})
  }
  const rereadRows = tritonRows(model, hardware)
  const device = {
    peakFlopsPerNs: peak16FlopsPerNs(hardware),
    bandwidthGbS: hardware.bandwidthGbS,
    multiprocessors: hardware.multiprocessors,
    l2Mb: hardware.l2Mb,
    decode: coefficients.decodeAttention.coefficients,
    prefill: coefficients.prefillAttention.coefficients,
    mixed: rereadRows === undefined ? coefficients.mixedAttention.coefficients : null,
    rereadRows,
  }
  const kvElementBytes = kvDtype === 'fp8' ? 1 : 2
  return [...layersOf.values()].map(({layers, group}) =>
    attentionLaw(group.attention, {layers, tp: parallelism.tp, kvElementBytes}, device),
  )
}

type DenseParts = Omit<StepParts, 'attention' | 'head'>
type SequenceParts = Pick<StepParts, 'head' | 'host'>

interface RowTerms {
  readonly dense: (tokens: number) => DenseParts
  readonly perSequence: (sequences: number) => SequenceParts
}

const rowTerms = (request: RooflineRequest, coefficients: Coefficients): RowTerms => {
  const {model, hardware, host} = request
  const {tp} = request.parallelism
  const {isFirst, isLast} = request.stage ?? {isFirst: true, isLast: true}
  const {bandwidthGbS, multiprocessors} = hardware
  const kernelOf = (part: ModelPart) => {
    const precision = precisionOf(part, request)
    const {gemmClass} = precision
    return {precision, coefficients: coefficients.gemm(gemmClass), bandwidthGbS, multiprocessors}
  }
  const groups = model.groups.map((group) => ({
    count: group.count,
    matrices: layerMatrices(group, model.hiddenSize, tp).map((matrix) => ({
      matrix,
      kernel: kernelOf(matrix.part),
    })),
    experts: expertTerm(group, request, coefficients),
    elementwise: elementwiseNs(group, {hiddenSize: model.hiddenSize, tp}, hardware),
    allReduces: layerAllReduces(group, request, coefficients),
    hostNs: host.perLayerNs * smallKernels(group),
  }))
  const tpReduce = tp > 1 ? reduceAmong(request, coefficients) : null
  const lmHead = {k: model.hiddenSize, n: Math.ceil(model.vocabSize / tp)}
  const lmHeadKernel = kernelOf('lmHead')
  const sampler = samplerNs(host.sampler, model.vocabSize, hardware)

  const dense = (tokens: number): DenseParts => {
    const parts = {gemm: 0, moe: 0, elementwise: 0, allReduce: 0, host: 0}
    // The embedding is split over the vocabulary, so its rows are summed once.
    if (tpReduce && isFirst) parts.allReduce += tpReduce(tokens * model.hiddenSize * 2)
    for (const {count, matrices, experts, elementwise, allReduces, hostNs} of groups) {
      for (const {matrix, kernel} of matrices) parts.gemm += count * gemmNs(tokens, matrix, kernel)
      parts.moe += count * experts(tokens)
      parts.elementwise += count * elementwise(tokens)
      parts.allReduce += count * allReduces(tokens)
      parts.host += count * hostNs
    }
    return parts
  }
  const perSequence = (sequences: number): SequenceParts => {
    const hostNs = isFirst ? host.stepNs + sequences * host.perSequenceNs : 0
    if (!isLast) return {head: 0, host: hostNs}
    // Logits are gathered, which moves half of what an all-reduce does.
    const gather = tpReduce ? tpReduce(sequences * model.vocabSize) : 0
    return {
      head: gemmNs(sequences, lmHead, lmHeadKernel) + sampler(sequences) + gather,
      host: hostNs,
    }
  }
  return {dense, perSequence}
}

/** Data-parallel members whose tokens meet in the experts: ranks of the expert group beyond those of tp. */
const membersOf = ({tp, ep}: {tp: number; ep: number}): number => Math.max(1, ep / tp)

const expertTerm = (
  group: LayerGroup,
  request: RooflineRequest,
  coefficients: Coefficients,
): ((tokens: number) => number) => {
  const experts = group.mlp.experts
  if (!experts) return () => 0
  const {tp, ep} = request.parallelism
  const precision = precisionOf('experts', request)
  const load = request.expertLoad ?? {kind: 'even'}
  const share: ExpertShare = {
    hiddenSize: request.model.hiddenSize,
    count: experts.count,
    perToken: experts.perToken,
    expertRanks: ep,
    intermediate: experts.intermediate / Math.max(1, tp / ep),
    // The others wait for the rank whose experts are picked most.
    ...(load.kind === 'even' ? {} : {picks: busiestExperts(load, {...experts, ranks: ep})}),
  }
  const kernel = {
    precision,
    coefficients: coefficients.moe(precision.gemmClass),
    bandwidthGbS: request.hardware.bandwidthGbS,
  }
  const members = membersOf(request.parallelism)
  return (tokens) => expertsNs(tokens * members, share, kernel)
}

/** Collectives of a layer: after attention and after the MLP, and tokens on their way to experts of other members. */
const layerAllReduces = (
  group: LayerGroup,
  request: RooflineRequest,
  coefficients: Coefficients,
): ((tokens: number) => number) => {
  const {tp, ep} = request.parallelism
  const {experts, denseIntermediate} = group.mlp
  const bytes = request.model.hiddenSize * 2
  const none: AllReduce = () => 0
  const within = tp > 1 ? reduceAmong(request, coefficients) : none
  const members = membersOf(request.parallelism)
  if (!experts || members === 1) return (tokens) => 2 * within(tokens * bytes)
  const across = exchangeNs({
    joined: expertsJoined(request, coefficients),
    exchange: request.exchange ?? 'gather',
    ranks: ep,
    hiddenSize: request.model.hiddenSize,
    ...{experts: experts.count, perToken: experts.perToken},
  })
  const shared = denseIntermediate > 0 ? within : none
  return (tokens) => within(tokens * bytes) + shared(tokens * bytes) + across(tokens * members)
}

const expertsJoined = (request: RooflineRequest, {requested}: Coefficients): Joined =>
  request.joined?.experts ?? joinedBy(request.link, request.parallelism.ep, requested)

const reduceAmong = (request: RooflineRequest, {requested}: Coefficients): AllReduce =>
  allReduceOf(request.joined?.tensor ?? joinedBy(request.link, request.parallelism.tp, requested))
    .coefficients
