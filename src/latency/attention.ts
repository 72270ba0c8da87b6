/**
 * Attention of one layer from the sums of a batch, in three regimes.
 *
 * **Decode**: t0 + √((KV bytes/(W·e))² + (f·B·kvHeads)²) + g·[split] + a·B·kvHeads^α + b·√context
 * + c·min(1, B·kvHeads/(2·multiprocessors))·min(1, context/512).
 * An additive floor, not a maximum: each kernel starts, walks and reduces. The last term is what a full device costs to
 * fill and to drain. A thread block takes f at least, as long for one token as for a tile, and contexts of two tiles are
 * split and added up by a second kernel, g. FlashAttention 2 splits contexts only while thread blocks are few; beyond,
 * the longest context outlasts the others, by s·τ·(longest − mean). Without grouped queries it does not split a context
 * over thread blocks at all, so that the walk along the longest one bounds the time.
 *
 * **Prefill**: t0 + 4·heads·headDim·(pairs + ramp·(tokens + d·chunks))/(P·e) + c·tokens·kvHeads + w·(longest chunk), whose
 * last tile walks along all of its keys when the others are done, and whose ramp is the size law
 * MFU = e·s/(s + 2·ramp).
 *
 * **Mixed**: on FlashAttention-2 devices (Ampere, Ada, consumer Blackwell) one prefill token in the step makes every decode
 * row lose GQA packing and split-KV. It then costs a whole 64-row tile,
 * 4·64·headDim·heads·(context + half a tile each)/(P·e_mix) + c·rows, where that is more than the decode law. Its thread
 * blocks run head by head, so that the longest context of the last head, or that of a chunk, is begun when all but the
 * last wave is done, and nothing is faster than that and its walk. FlashAttention 3 (Hopper) pays nothing for the mixture.
 *
 * All are linear in the sums but for roots, so a call takes some nanoseconds. Each term grows with every field of the
 * shape: √ takes the longest decode, as the mean would fall when a short one joins, and the rest of the batch waits for
 * the longest anyway.
 */
import type {AttentionLaw} from './attention-law.js'
import type {BatchShape} from './step-time.js'

/** Contexts shorter than this are over before the device is full (layer profiles of RTX 4090 and RTX PRO 6000). */
const filledContext = 512

/** A context is one tile of so many tokens up to here, and split for certain from twice as many. */
const splitContext = 128

type StepTerm = (shape: BatchShape) => number

/**
 * The law as a function of a step, in ns. It is called millions of times and allocates nothing. All numbers of the law are
 * constants of the functions that it is made of, which V8 compiles in: reading them from an object was a third of a call.
 */
export const attentionOf = (law: AttentionLaw): StepTerm => {
  const decodesNs = decodesOf(law)
  const chunksNs = chunksOf(law)
  // What a call returns is an object to V8 unless it is known to be a number, and then what is compiled in becomes one too.
  return (shape) => (shape.prefills === 0 ? decodesNs(shape) : Number(chunksNs(shape)))
}

const decodesOf = (law: AttentionLaw): StepTerm => {
  const {contextNs, tailNs, tailFrom, blockNs, serialNs} = law
  const [contextOf, longestOf] = [contextsOf(law), longestContextOf(law)]
  const [floorOf, restOf] = [floorsOf(law), restsOf(law)]
  return (shape) => {
    const {decodes} = shape
    if (decodes === 0) return 0
    const context = contextOf(shape)
    const longest = longestOf(shape)
    const isEven = tailNs === 0 || decodes < tailFrom
    const tail = isEven
      ? 0
      : excessOf(longest * tailNs, context * Math.min(tailNs / decodes, contextNs))
    const work = slowerOf(context * contextNs + tail, decodes * blockNs)
    return floorOf(decodes, longest) + Math.max(work + restOf(decodes, longest), longest * serialNs)
  }
}

/** Of a step with chunks, and maybe decodes beside them. */
const chunksOf = (law: AttentionLaw): StepTerm => {
  const {reach, serialNs, serialMixedNs, serialChunkNs, lastHead, slots} = law
  const {pairNs, rampNs, chunkNs, cachedNs, chunkWalkNs} = law
  const {prefillFloorNs, emptyTileNs, exposedShare} = law
  const [longestOf, floorOf, besideChunksNs] = [
    longestContextOf(law),
    floorsOf(law),
    besideChunksOf(law),
  ]
  return (shape) => {
    const {decodes, prefills} = shape
    const longest = decodes === 0 ? 0 : longestOf(shape)
    const floor = decodes === 0 ? 0 : floorOf(decodes, longest)
    const decodeWork = decodes === 0 ? 0 : besideChunksNs(shape)
    const walk = Math.max(longest * serialNs, longest * serialMixedNs)
    const started = decodes === 0 ? 0 : Math.max(0, 1 - lastHead * (0.5 + slots / decodes))
    const tokens = shape.prefillTokens
    const pairs = Math.min(shape.prefillWork, tokens * reach)
    const cached = Math.min(shape.prefillContext, prefills * reach)
    const chunkWork =
      pairs * pairNs +
      tokens * rampNs +
      prefills * chunkNs +
      cached * cachedNs +
      Math.min(shape.prefillTokensMax, reach) * chunkWalkNs
    const chunkWalk = Math.min(shape.prefillContextMax, reach) * serialChunkNs
    const work = decodeWork + chunkWork
    // Of the last head, the longest context starts when all but the last wave is done, and walks on alone. Where all start
    // at once, thread blocks of chunks run while one decode is still walking, and hide most of their work behind it.
    return (
      Math.max(floor, prefillFloorNs) +
      decodes * shape.prefillTokensMax * emptyTileNs +
      Math.max(
        work,
        walk + Math.max(exposedShare * chunkWork, started * work),
        chunkWalk + started * decodeWork,
      )
    )
  }
}

/** Work of the decodes of a step that also prefills. */
const besideChunksOf = (law: AttentionLaw): StepTerm => {
  const {contextNs, blockNs} = law
  const [contextOf, longestOf] = [contextsOf(law), longestContextOf(law)]
  const [restOf, unpackedNs] = [restsOf(law), unpackedOf(law)]
  return (shape) => {
    const {decodes} = shape
    const context = contextOf(shape)
    const packed = slowerOf(context * contextNs, decodes * blockNs)
    return Math.max(packed + restOf(decodes, longestOf(shape)), unpackedNs(context, decodes))
  }
}

/** Tokens that all decodes read, also the one that each has just written. */
const contextsOf =
  ({reach}: AttentionLaw): StepTerm =>
  ({decodes, decodeContext}) =>
    Math.min(decodeContext + decodes, decodes * reach)

const longestContextOf =
  ({reach}: AttentionLaw): StepTerm =>
  ({decodeContextMax}) =>
    Math.min(decodeContextMax + 1, reach)

/** What the kernels of decodes take at least. */
const floorsOf =
  ({decodeFloorNs, combineNs, regroupNs}: AttentionLaw) =>
  (decodes: number, longest: number): number => {
    const split = Math.min(1, Math.max(0, longest / splitContext - 1))
    return decodeFloorNs + split * combineNs + (decodes > 1 ? regroupNs : 0)
  }

/** What decodes add to reading their contexts: their walks, the longest of them, and a device to fill. */
const restsOf =
  ({walkNs, sqrtNs, fillPerDecode, fillNs}: AttentionLaw) =>
  (decodes: number, longest: number): number =>
    decodes * walkNs +
    sqrtNs * Math.sqrt(longest) +
    Math.min(1, decodes * fillPerDecode) * Math.min(1, longest / filledContext) * fillNs

/** Smooth maximum: reading hides most of what thread blocks take anyway, and the other way round. */
const slowerOf = (read: number, blocks: number): number =>
  blocks === 0 ? read : Math.sqrt(read * read + blocks * blocks)

/** Of decodes that lose GQA packing and split-KV beside a chunk; elsewhere only of reading KV again. */
const unpackedOf = (law: AttentionLaw) => {
  const {overhang, mixedContextNs, mixedRowNs, contextNs} = law
  const passesAt = passesOf(law)
  return (context: number, decodes: number): number =>
    bothOf(
      (context + decodes * overhang) * mixedContextNs + decodes * mixedRowNs,
      context * contextNs * passesAt(context, decodes),
    )
}

/** A tile is multiplied while the next one is read, and hides nearly all of it: fourth powers add up. */
const bothOf = (computed: number, read: number): number => {
  const a = computed * computed
  const b = read * read
  return Math.sqrt(Math.sqrt(a * a + b * b))
}

/**
 * What the longest context adds when its thread blocks outlast the others. The mean is taken off, but no context may
 * take off more than it costs: a step never gets faster because somebody's context grows.
 */
const excessOf = (longestNs: number, meanNs: number): number => Math.max(0, longestNs - meanNs)

/** The cache loses its grip between 0.6 and 1.3 of its size (layer profiles of RTX 4090 and RTX PRO 6000). */
const passesOf =
  ({cachedTokens, furtherPasses, passesPerDecode}: AttentionLaw) =>
  (context: number, decodes: number): number => {
    const missed = Math.min(1, Math.max(0, (context / cachedTokens - 0.6) / 0.7))
    return 1 + missed * Math.min(furtherPasses, decodes * passesPerDecode)
  }
