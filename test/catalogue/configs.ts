/** Small configurations made by hand, in the words of Hugging Face. */

export const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  max_position_embeddings: 1024,
  vocab_size: 1000,
  torch_dtype: 'bfloat16',
}

export const qwenMoe = {
  ...llama,
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  head_dim: 16,
  num_experts: 8,
  num_experts_per_tok: 2,
  moe_intermediate_size: 32,
}

export const deepseek = {
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  hidden_size: 64,
  intermediate_size: 160,
  moe_intermediate_size: 32,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  q_lora_rank: 24,
  kv_lora_rank: 16,
  qk_rope_head_dim: 4,
  qk_nope_head_dim: 8,
  v_head_dim: 8,
  n_routed_experts: 8,
  n_shared_experts: 2,
  num_experts_per_tok: 2,
  first_k_dense_replace: 1,
  moe_layer_freq: 1,
  max_position_embeddings: 1024,
  vocab_size: 1000,
}

export const gptOss = {
  ...llama,
  architectures: ['GptOssForCausalLM'],
  model_type: 'gpt_oss',
  head_dim: 8,
  num_local_experts: 8,
  num_experts_per_tok: 2,
  sliding_window: 128,
  layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
  torch_dtype: undefined,
}

export const llama4 = {
  architectures: ['Llama4ForConditionalGeneration'],
  model_type: 'llama4',
  vision_config: {hidden_size: 7},
  text_config: {
    ...llama,
    architectures: undefined,
    model_type: 'llama4_text',
    num_hidden_layers: 8,
    head_dim: 8,
    attention_chunk_size: 256,
    interleave_moe_layer_step: 2,
    intermediate_size_mlp: 320,
    num_local_experts: 4,
    num_experts_per_tok: 1,
    use_qk_norm: true,
  },
}

export const gemma4 = {
  architectures: ['Gemma4ForConditionalGeneration'],
  model_type: 'gemma4',
  text_config: {
    ...llama,
    model_type: 'gemma4_text',
    num_hidden_layers: 6,
    layer_types: [...Array(5).fill('sliding_attention'), 'full_attention'],
    head_dim: 16,
    global_head_dim: 32,
    num_global_key_value_heads: 1,
    attention_k_eq_v: true,
    enable_moe_block: true,
    num_experts: 8,
    top_k_experts: 2,
    moe_intermediate_size: 24,
    sliding_window: 64,
    tie_word_embeddings: true,
  },
}
