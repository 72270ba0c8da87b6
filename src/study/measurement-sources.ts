/**
 * Which measurements the catalogue is fitted to: paths below the data root, and what the file says of
 * them. A device's own layer profiles go before kernel tables for what both measure (16-bit products and
 * attention), because they come from the very engine with its own graph of kernels.
 */

/** Layer profile of one model at one degree of tensor parallelism. */
export interface LayerSource {
  readonly folder: string
  readonly model: string
  readonly tp: number
}

export interface MeasurementSources {
  /** Folder of kernel tables. */
  readonly tables?: string
  /** LLMServingSim bundles. */
  readonly bundles?: readonly LayerSource[]
  /** LLMServingSim tables of release 0. */
  readonly layers?: readonly LayerSource[]
  /** The link that the collectives of the tables were measured on. */
  readonly link?: string
  /** Attention kernels do not split the context of ungrouped heads: FlashAttention 2. */
  readonly isUnsplit: boolean
  /** Not even that of grouped ones: kernels of 2024. */
  readonly neverSplits?: boolean
  /** Kernels take tens of µs to start: not a CUDA graph. */
  readonly slowStart: boolean
  /** Sentences for `source`, beside those that name the data. */
  readonly remark?: string
}

const llama = 'meta-llama/Llama-3.1-8B'

const bundle = (hardware: string, tp: number): LayerSource => ({
  folder: `llmservingsim/perf/${hardware}/${llama}/bf16/tp${tp}`,
  model: llama,
  tp,
})

const layers = (hardware: string, tp: number): LayerSource => ({
  folder: `llmservingsim/perf_v0/${hardware}/${llama}/tp${tp}`,
  model: llama,
  tp,
})

const hopper = {isUnsplit: false, slowStart: false}
const ampere = {isUnsplit: true, slowStart: false}

/** By id of the hardware file. */
export const measurementSources: Readonly<Record<string, MeasurementSources>> = {
  A100: {...ampere, tables: 'kernels/a100_sxm', link: 'nvlink3'},
  A6000: {
    ...ampere,
    neverSplits: true,
    layers: [layers('A6000', 1), layers('A6000', 2)],
    remark:
      'Decode attention was measured with a kernel of 2024 that neither splits contexts nor packs grouped heads; its errors are those of that kernel. What it says of the device stays, and later kernels, which do both, are predicted from it.',
  },
  B200: {...hopper, tables: 'kernels/b200_sxm', link: 'nvlink5'},
  B300: {...hopper, tables: 'kernels/b300_sxm', link: 'nvlink5'},
  B60: {isUnsplit: false, slowStart: true, tables: 'kernels/b60', link: 'pcie5x8'},
  GB200: {...hopper, tables: 'kernels/gb200', link: 'nvlink5'},
  H100: {...hopper, tables: 'kernels/h100_sxm', link: 'nvlink4'},
  H200: {...hopper, tables: 'kernels/h200_sxm', link: 'nvlink4'},
  L40S: {...ampere, tables: 'kernels/l40s', link: 'pcie4'},
  RTX3090: {...ampere, layers: [layers('RTX3090', 1), layers('RTX3090', 2)]},
  RTX4090: {...ampere, bundles: [bundle('RTX4090', 1)]},
  RTXPRO6000: {
    ...ampere,
    tables: 'kernels/rtx_pro_6000_server',
    bundles: [bundle('RTXPRO6000', 1), bundle('RTXPRO6000', 2)],
    link: 'pcie5',
    remark:
      'Both sources measured the Server Edition: driver names, 2430 MHz and 97,887 MiB say so. Its memory runs at 1.597 TB/s: matrices of 1 to 2 GB reach 95 % of that in the tables and 96 % in the profiles, and only working sets that fit the 128 MB cache look faster. The Workstation Edition, 1.792 TB/s and 504 TFLOP/s, is RTXPRO6000-WS.',
  },
  'TPU-v6e': {isUnsplit: false, slowStart: true, layers: [layers('TPU-v6e-1', 1)]},
}
