/**
 * What kernels add to the weights of MXFP4 experts: they want sizes that are multiples of their tiles, and gpt-oss has
 * 2,880 × 2,880.
 */
import type {ArchitectureClass} from './hardware-shape.js'
import type {ModelShape} from './model-shape.js'
import {expertTensorCut, type Parallelism} from './parallelism.js'

/** Multiples to which a rank's share of the intermediate size, and the hidden size, are rounded up. */
export interface Tiles {
  readonly inner: number
  readonly hidden: number
}

/**
 * Marlin, where a device or a release has no kernel for MXFP4 (vLLM, mxfp4.py): a
 * gpt-oss-20b loads 13.72 GiB on an A100 (vLLM 0.19), gpt-oss-120b 65.97 GiB (Marlin on an H100, 0.10.1, issue 23278);
 * 13.6 and 65.9 by this rule.
 */
const marlin: Tiles = {inner: 128, hidden: 256}

/** FlashInfer on data-centre Blackwell, Triton on CDNA 3 (mxfp4.py). */
const both: Tiles = {inner: 256, hidden: 256}

const tilesOf: Partial<Record<ArchitectureClass, Tiles>> = {
  turing: marlin,
  ampere: marlin,
  'ampere-consumer': marlin,
  ada: marlin,
  'ada-consumer': marlin,
  'blackwell-consumer': marlin,
  // Triton's layout for Hopper; from logs alone: 64.38 and 13.47 GiB (llm-d, H100), 64.5 and 13.4 by this rule.
  hopper: {inner: 256, hidden: 1},
  blackwell: both,
  cdna3: both,
  cdna4: {inner: 128, hidden: 128},
}

const upTo = (size: number, multiple: number): number => Math.ceil(size / multiple) * multiple

/** Tiles of a device under a release that runs such experts with Marlin on `onMarlin`; undefined: nobody knows any. */
export const mxfp4Tiles = (
  architecture: ArchitectureClass,
  onMarlin: readonly ArchitectureClass[],
): Tiles | undefined => (onMarlin.includes(architecture) ? marlin : tilesOf[architecture])

/** Bytes that padding adds to the experts of one rank, over all layers; 0 for other formats and without tiles. */
export function expertPaddingBytes(
  {groups, hiddenSize, quantization}: ModelShape,
  {tp, ep = 1}: Parallelism,
  tiles: Tiles | undefined,
): number {
  if (tiles === undefined || quantization?.method !== 'mxfp4') return 0
  if (quantization.unquantized.experts) return 0
  let weights = 0
  for (const {count, mlp} of groups) {
    if (mlp.experts === null) continue
    const inner = mlp.experts.intermediate / expertTensorCut(tp, ep)
    const padded = upTo(inner, tiles.inner) * upTo(hiddenSize, tiles.hidden)
    weights += count * (mlp.experts.count / ep) * 3 * (padded - inner * hiddenSize)
  }
  return weights * quantization.bytesPerWeight
}
