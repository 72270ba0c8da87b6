/**
 * Step time without a profile: a few coefficients per device, valid for every model.
 *
 *   step = Σ layers (GEMMs + attention + experts + 2 all-reduces + elementwise bytes + host per layer)
 *        + lm_head and sampler on one row per sequence + host per step
 *
 * What depends on tokens or sequences alone is computed once per value and remembered; attention is a
 * closed form. The remembered figures are the model: no power function runs in a warm step.
 */
import type {Hardware, Link} from '../catalogue/hardware-shape.js'
import type {Dtype, KvDtype, LayerGroup, ModelShape} from '../catalogue/model-shape.js'
import {type AttentionTime, attentionTime} from './attention.js'
import {type Coefficients, coefficientsFor} from './coefficients.js'
import {type AllReduce, allReduceOn} from './collective.js'
import {type CoefficientSource, gemmNs, layerMatrices} from './gemm.js'
import type {HostTerms} from './host.js'
import {type ExpertShare, expertsNs} from './moe.js'
import {type ModelPart, peak16FlopsPerNs, precisionOf} from './precision.js'
import {rooflineNotes, rooflineProvenance} from './roofline-account.js'
import type {BatchShape, Ns, StepTimeModel} from './step-time.js'

export interface RooflineRequest {
  readonly model: ModelShape
  readonly hardware: Hardware
  /** The link between tensor-parallel ranks; null for a device used alone. */
  readonly link: Link | null
  readonly parallelism: {readonly tp: number; readonly ep: number}
  /** Number format of the linear layers; absent: as the checkpoint has it. */
  readonly dtype?: Dtype | undefined
  readonly kvDtype: KvDtype
  readonly host: HostTerms
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
  /** Where the time of a step goes; the sum is its step time before rounding. Not for hot loops. */
  readonly partsOf: (shape: BatchShape) => StepParts
}

/** Token and sequence counts up to this size are remembered. */
const mostRemembered = 1 << 17

/** Share of the bandwidth that elementwise kernels reach (aiconfigurator's figure for memory operations). */
const elementwiseEfficiency = 0.8

/**
 * The roofline of one model on one kind of device.
 *
 * @throws Problem PARALLELISM_INVALID when the link does not join `tp` (or `ep`) devices
 */
export const rooflineModel = (request: RooflineRequest): RooflineModel => {
  const coefficients = coefficientsFor(request.hardware, request.coefficients ?? 'measured')
  const rows = rowTerms(request, coefficients)
  const attention = attentionTerms(request, coefficients)
  const denseAt = remembered((tokens) => sumOf(rows.dense(tokens)))
  const headAt = remembered((sequences) => sumOf(rows.perSequence(sequences)))
  // Ranks that pad see more rows than there are tokens, never fewer.
  const rowsOf = (shape: BatchShape) => Math.max(shape.paddedTokens, shape.tokens)

  const stepTime = (shape: BatchShape): Ns => {
    const ns = denseAt(rowsOf(shape)) + headAt(shape.sequences) + attention(shape)
    return Math.max(1, Math.round(ns))
  }
  return {
    source: coefficients.source,
    stepTime,
    partsOf: (shape) => {
      const dense = rows.dense(rowsOf(shape))
      const head = rows.perSequence(shape.sequences)
      return {...dense, ...head, host: dense.host + head.host, attention: attention(shape)}
    },
    provenance: rooflineProvenance(request, coefficients),
    notes: rooflineNotes(request, coefficients),
  }
}

const sumOf = (parts: object): number => {
  let sum = 0
  for (const part of Object.values(parts) as number[]) sum += part
  return sum
}

/** Computes each whole argument once; the table grows by doubling. */
const remembered = (compute: (count: number) => number): ((count: number) => number) => {
  let table = new Float64Array(1024).fill(Number.NaN)
  return (count) => {
    const known = table[count]
    if (known !== undefined && known === known) return known
    const value = compute(count)
    if (count < mostRemembered && Number.isInteger(count)) {
      if (count >= table.length) {
        const larger = new Float64Array(2 ** Math.ceil(Math.log2(count + 1))).fill(Number.NaN)
        larger.set(table)
        table = larger
      }
      table[count] = value
    }
    return value
  }
}

/** The sum over layer groups; groups that attend alike share one closed form. */
const attentionTerms = (request: RooflineRequest, coefficients: Coefficients): AttentionTime => {
  const {model, hardware, parallelism, kvDtype} = request
  const byShape = new Map<string, {count: number; group: LayerGroup}>()
  for (const group of model.groups) {
    const key = JSON.stringify(group.attention)
    byShape.set(key, {count: group.count + (byShape.get(key)?.count ?? 0), group})
  }
  const rank = {tp: parallelism.tp, kvElementBytes: kvDtype === 'fp8' ? 1 : 2}
  const device = {
    peakFlopsPerNs: peak16FlopsPerNs(hardware),
    bandwidthGbS: hardware.bandwidthGbS,
    decode: coefficients.decodeAttention.coefficients,
    prefill: coefficients.prefillAttention.coefficients,
    mixed: coefficients.mixedAttention.coefficients,
  }
  const counts: number[] = []
  const times: AttentionTime[] = []
  for (const {count, group} of byShape.values()) {
    counts.push(count)
    times.push(attentionTime(group.attention, rank, device))
  }
  return (shape) => {
    let ns = 0
    for (let at = 0; at < times.length; at++) ns += counts[at]! * times[at]!(shape)
    return ns
  }
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
  const {bandwidthGbS} = hardware
  const kernelOf = (part: ModelPart) => {
    const precision = precisionOf(part, request)
    return {precision, coefficients: coefficients.gemm(precision.gemmClass), bandwidthGbS}
  }
  const groups = model.groups.map((group) => ({
    count: group.count,
    matrices: layerMatrices(group, model.hiddenSize, tp).map((matrix) => ({
      matrix,
      kernel: kernelOf(matrix.part),
    })),
    experts: expertTerm(group, request, coefficients),
    elements: elementsPerToken(group, model.hiddenSize, tp),
    allReduces: layerAllReduces(group, request, coefficients),
  }))
  const tpReduce = tp > 1 ? reduceAmong(tp, request, coefficients) : null
  const lmHead = {k: model.hiddenSize, n: Math.ceil(model.vocabSize / tp)}
  const lmHeadKernel = kernelOf('lmHead')

  const dense = (tokens: number): DenseParts => {
    const parts = {gemm: 0, moe: 0, elementwise: 0, allReduce: 0, host: 0}
    // The embedding is split over the vocabulary, so its rows are summed once.
    if (tpReduce) parts.allReduce += tpReduce(tokens * model.hiddenSize * 2)
    for (const {count, matrices, experts, elements, allReduces} of groups) {
      for (const {matrix, kernel} of matrices) parts.gemm += count * gemmNs(tokens, matrix, kernel)
      parts.moe += count * experts(tokens)
      parts.elementwise += (count * tokens * elements * 2) / (bandwidthGbS * elementwiseEfficiency)
      parts.allReduce += count * allReduces(tokens)
      parts.host += count * host.perLayerNs
    }
    return parts
  }
  const perSequence = (sequences: number): SequenceParts => {
    const {stepNs, perEntryNs, perSequenceEntryNs} = host.sampler
    const entryNs = (perSequenceEntryNs * h100BandwidthGbS) / bandwidthGbS
    const sampler = stepNs + model.vocabSize * (perEntryNs + sequences * entryNs)
    // Logits are gathered, which moves half of what an all-reduce does.
    const gather = tpReduce ? tpReduce(sequences * model.vocabSize) : 0
    return {
      head: gemmNs(sequences, lmHead, lmHeadKernel) + sampler + gather,
      host: host.stepNs + sequences * host.perSequenceNs,
    }
  }
  return {dense, perSequence}
}

/** The sampler's figure per sequence was measured on this device. */
const h100BandwidthGbS = 3350

/**
 * Elements that the small kernels of a layer move per token: two residual norms (2 hidden sizes each, as
 * the other half stays in cache), the gated activation (3 intermediate sizes), rotary and cache write.
 */
const elementsPerToken = (group: LayerGroup, hiddenSize: number, tp: number): number => {
  const {attention, mlp} = group
  const heads =
    attention.kind === 'grouped'
      ? (attention.queryHeads * attention.headDim) / tp +
        Math.ceil(attention.keyValueHeads / tp) * (attention.headDim + attention.valueHeadDim)
      : (attention.queryHeads * (attention.nopeHeadDim + attention.ropeHeadDim)) / tp +
        attention.keyValueRank +
        attention.ropeHeadDim
  return 4 * hiddenSize + (3 * mlp.denseIntermediate) / tp + heads
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
  const share: ExpertShare = {
    hiddenSize: request.model.hiddenSize,
    count: experts.count,
    perToken: experts.perToken,
    expertRanks: ep,
    intermediate: experts.intermediate / Math.max(1, tp / ep),
  }
  const kernel = {
    precision,
    coefficients: coefficients.moe(precision.gemmClass),
    bandwidthGbS: request.hardware.bandwidthGbS,
  }
  const members = membersOf(request.parallelism)
  return (tokens) => expertsNs(tokens * members, share, kernel)
}

/**
 * Collectives of a layer: after attention and after the MLP. Experts that are spread over data-parallel
 * members gather the tokens of all and scatter the sums, which together move what one all-reduce does.
 */
const layerAllReduces = (
  group: LayerGroup,
  request: RooflineRequest,
  coefficients: Coefficients,
): ((tokens: number) => number) => {
  const {tp, ep} = request.parallelism
  const bytes = request.model.hiddenSize * 2
  const none: AllReduce = () => 0
  const within = tp > 1 ? reduceAmong(tp, request, coefficients) : none
  const members = membersOf(request.parallelism)
  if (!group.mlp.experts || members === 1) return (tokens) => 2 * within(tokens * bytes)
  const across = reduceAmong(ep, request, coefficients)
  const shared = group.mlp.denseIntermediate > 0 ? within : none
  return (tokens) =>
    within(tokens * bytes) + shared(tokens * bytes) + across(tokens * members * bytes)
}

const reduceAmong = (
  degree: number,
  request: RooflineRequest,
  coefficients: Coefficients,
): AllReduce => allReduceOn(request.link, degree, coefficients.requested).coefficients
