/** What the rest of llmsim knows of a language model: sizes that decide bytes and FLOPs, nothing else. */

/** Number formats of weights and activations. `w4a16`: 4-bit weights, 16-bit arithmetic (AWQ, GPTQ, …). */
export type Dtype = 'bf16' | 'fp16' | 'fp32' | 'fp8' | 'int8' | 'w4a16' | 'fp4'

/** Number format of the KV cache. */
export type KvDtype = 'auto' | 'fp8'

/** Multi-head, grouped-query or multi-query attention: keys and values stored per KV head. */
export interface GroupedAttention {
  readonly kind: 'grouped'
  readonly queryHeads: number
  readonly keyValueHeads: number
  /** Size of a query and key head. */
  readonly headDim: number
  /** Size of a value head (equals headDim in most models). */
  readonly valueHeadDim: number
  /** Tokens that a query can see: sliding window or chunk; null is the whole context. */
  readonly window: number | null
  /** Whether q and k are normalised per head (a small extra kernel). */
  readonly qkNorm: boolean
}

/** Multi-head latent attention (DeepSeek): one compressed vector per token, shared by all heads. */
export interface LatentAttention {
  readonly kind: 'latent'
  readonly queryHeads: number
  /** Rank of the compressed query; null when q is projected directly. */
  readonly queryRank: number | null
  readonly keyValueRank: number
  readonly ropeHeadDim: number
  readonly nopeHeadDim: number
  readonly valueHeadDim: number
  /** DeepSeek sparse attention: a query attends at most to this many selected tokens; null is all. */
  readonly sparseTopK: number | null
  /** The selector of sparse attention, which keeps a small key of its own per token; absent when there is none. */
  readonly indexer?: {readonly heads: number; readonly headDim: number}
}

export type AttentionShape = GroupedAttention | LatentAttention

export interface MlpShape {
  /** Intermediate size of the dense gated MLP (3 matrices), or of the shared experts; 0 when there is none. */
  readonly denseIntermediate: number
  /** Routed experts; null for a dense layer. */
  readonly experts: {
    readonly count: number
    readonly perToken: number
    readonly intermediate: number
  } | null
}

/** A run of layers that are all alike. A hybrid model has several groups. */
export interface LayerGroup {
  readonly count: number
  readonly attention: AttentionShape
  readonly mlp: MlpShape
}

export interface Quantization {
  /** As the config names it: fp8, compressed-tensors, awq, gptq, mxfp4, nvfp4, … */
  readonly method: string
  /** Arithmetic of quantised linear layers, as a GEMM class. */
  readonly dtype: Dtype
  /** Bytes per quantised weight, scales included (mxfp4: 4.25 bits = 0.53125). */
  readonly bytesPerWeight: number
  /** Which parts keep the checkpoint's 16-bit format. */
  readonly unquantized: {
    readonly attention: boolean
    readonly denseMlp: boolean
    readonly experts: boolean
    readonly lmHead: boolean
  }
}

export interface ModelShape {
  /** Hugging Face id, or the path that it was read from. */
  readonly id: string
  /** First entry of `architectures`, e.g. LlamaForCausalLM. */
  readonly architecture: string
  /** Hugging Face `model_type`, e.g. llama, qwen3_moe. */
  readonly modelType: string
  readonly hiddenSize: number
  readonly vocabSize: number
  /** Longest context that the model was made for. */
  readonly maxPositionEmbeddings: number
  readonly tiedEmbeddings: boolean
  /** Format of the checkpoint before quantisation. */
  readonly dtype: 'bf16' | 'fp16' | 'fp32'
  readonly quantization: Quantization | null
  readonly groups: readonly LayerGroup[]
}

/** Number of transformer layers. */
export const layerCount = (model: ModelShape): number =>
  model.groups.reduce((sum, group) => sum + group.count, 0)
