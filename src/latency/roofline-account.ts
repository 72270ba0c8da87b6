/** What the roofline says of itself: where each term's figures come from, and what to mind. */
import type {GemmClass} from '../catalogue/hardware-shape.js'
import type {LayerGroup} from '../catalogue/model-shape.js'
import type {Coefficients} from './coefficients.js'
import {joinedBy} from './collective.js'
import {hostFrom} from './host.js'
import {type ModelPart, precisionOf} from './precision.js'
import type {RooflineRequest} from './roofline.js'
import type {Provenance, StepTimeModel} from './step-time.js'
import {tritonRows, tritonSource} from './triton-attention.js'

const worstFirst: readonly Provenance[] = ['class default', 'calibrated', 'profile']

/** One line per term that a step of this model has. */
export const rooflineProvenance = (
  request: RooflineRequest,
  coefficients: Coefficients,
): StepTimeModel['provenance'] => {
  const {link, model, parallelism} = request
  const lines: StepTimeModel['provenance'][number][] = []
  const add = (term: string, {from, detail}: {from: Provenance; detail: string}) =>
    lines.push({term, from, detail})

  const experts = model.groups.some((group) => group.mlp.experts)
  for (const gemmClass of denseClasses(request))
    add(lines.length === 0 ? 'gemm' : `gemm ${gemmClass}`, coefficients.gemmChoice(gemmClass))
  const attention = [coefficients.prefillAttention, coefficients.decodeAttention]
  const worst = worstFirst.find((from) => attention.some((choice) => choice.from === from))
  const onTriton = tritonRows(model, request.hardware) !== undefined
  if (onTriton) add('attention', {from: 'class default', detail: tritonSource})
  else add('attention', attention.find((choice) => choice.from === worst)!)
  if (coefficients.mixedAttention.coefficients && !onTriton)
    add('attention of mixed steps', coefficients.mixedAttention)
  if (experts) add('moe', coefficients.moeChoice(precisionOf('experts', request).gemmClass))
  const {tp, ep} = parallelism
  const joined = (kind: 'tensor' | 'experts', degree: number) =>
    request.joined?.[kind] ?? joinedBy(link, degree, coefficients.requested)
  if (tp > 1) add('all-reduce', joined('tensor', tp))
  if (experts && ep > tp)
    add(`experts by ${request.exchange ?? 'gather'}`, joined('experts', ep).library)
  add('host', {from: hostFrom(request.hardware), detail: request.host.source})
  return lines
}

/** The formats of attention and dense MLP, each once. */
const denseClasses = (request: RooflineRequest): Set<GemmClass> => {
  const parts: ModelPart[] = ['attention']
  if (request.model.groups.some(({mlp}) => mlp.denseIntermediate > 0)) parts.push('denseMlp')
  return new Set(parts.map((part) => precisionOf(part, request).gemmClass))
}

/** One sentence each, most important first. */
export const rooflineNotes = (request: RooflineRequest, coefficients: Coefficients): string[] => {
  const {hardware, kvDtype, model, parallelism} = request
  const notes = [...(hardware.unusual ?? [])]
  const unmeasured = unmeasuredNote(request, coefficients)
  if (unmeasured) notes.push(unmeasured)
  notes.push(...formatNotes(request))
  const has = (test: (group: LayerGroup) => boolean) => model.groups.some(test)
  if (has(({attention}) => attention.kind === 'latent'))
    notes.push('No latent-attention (MLA) kernel has been measured: expect a wider error.')
  if (has(({attention}) => attention.kind === 'latent' && attention.sparseTopK !== null))
    notes.push('The indexer of sparse attention is not charged.')
  if (kvDtype === 'fp8')
    notes.push('fp8 KV halves the bytes read; its kernels have not been measured.')
  const isEven = (request.expertLoad?.kind ?? 'even') === 'even'
  if (isEven && parallelism.ep > 1 && has(({mlp}) => mlp.experts !== null))
    notes.push('Experts are taken to be evenly loaded over their ranks.')
  return [...notes, ...hardware.notes]
}

const unmeasuredNote = (request: RooflineRequest, coefficients: Coefficients): string | null => {
  const {hardware} = request
  if (coefficients.requested === 'class')
    return `Datasheet figures of ${hardware.id} with the efficiencies of its class (${hardware.architecture}): expect errors of tens of percent.`
  if (coefficients.source === 'datasheet')
    return `${hardware.id} is not calibrated, as it has no kernel measurements: datasheet figures with the efficiencies of its class (${hardware.architecture}), expect errors of tens of percent.`
  const missing: string[] = []
  const {decodeAttention, prefillAttention} = hardware.kernels
  if (!decodeAttention || !prefillAttention) missing.push('attention')
  // Every link counts, also when this run uses one device: it is a property of the card.
  const {link} = request
  if (hardware.links.length > 0 && !(link ?? hardware.links[0])?.allReduce)
    missing.push('all-reduce')
  if (missing.length === 0) return null
  return `${hardware.id} has no ${missing.join(' or ')} measurements yet: those terms use the defaults of its class.`
}

/** Formats that the device has no units for. */
const formatNotes = (request: RooflineRequest): string[] => {
  const parts: readonly ModelPart[] = ['attention', 'denseMlp', 'experts']
  const wanted = request.dtype ?? request.model.quantization?.dtype
  const weightOnly = parts.some((part) => {
    const {gemmClass} = precisionOf(part, request)
    return gemmClass === 'w8a16' || (gemmClass === 'w4a16' && wanted === 'fp4')
  })
  return weightOnly
    ? [
        `${request.hardware.id} has no ${wanted} units: weights are stored in ${wanted} and multiplied in 16 bit.`,
      ]
    : []
}
