/**
 * How much of the walk along the longest context shows where FlashAttention 2 splits none, from measured batches of
 * unequal contexts. Such a batch takes t(mean) + α·(t(longest) − t(mean)), looked up at equal contexts; where B decodes
 * cost c per token, that is α·B·c per token of longest − mean, and over the walk τ of one thread block the share that
 * the others do not hide. Median over the buckets of α.
 */
import type {SkewSample} from '../../catalogue/kernel-samples.js'
import {type AttentionDevice, type AttentionLaw, attentionLaw} from '../attention-law.js'
import {rounded} from './law-fit.js'

const fewestBuckets = 10

/** null where too little was measured. Beside a chunk the law knows when the longest context is begun. */
export const fitSkew = (samples: readonly SkewSample[], device: AttentionDevice): number | null => {
  const shares: number[] = []
  for (const sample of samples) {
    const law = lawOf(sample, device)
    if (sample.chunk > 0 || law.serialMixedNs === 0 || sample.decodes < law.tailFrom) continue
    shares.push((sample.alpha * sample.decodes * law.contextNs) / law.serialMixedNs)
  }
  return medianOf(shares)
}

const medianOf = (values: readonly number[]): number | null => {
  if (values.length < fewestBuckets) return null
  const middle = [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
  return rounded(Math.min(1, Math.max(0, middle)))
}

const lawOf = ({queryHeads, kvHeads, headDim}: SkewSample, device: AttentionDevice): AttentionLaw =>
  attentionLaw(
    {
      ...{kind: 'grouped', queryHeads, keyValueHeads: kvHeads, headDim, valueHeadDim: headDim},
      ...{window: null, qkNorm: false},
    },
    {layers: 1, tp: 1, kvElementBytes: 2},
    device,
  )
