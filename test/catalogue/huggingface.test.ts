import {expect} from 'chai'
import fc from 'fast-check'
import {readHuggingFaceConfig} from '#llmsim/catalogue/huggingface.js'
import type {ModelShape} from '#llmsim/catalogue/model-shape.js'
import {deepseek, gemma4, gptOss, llama, llama4, qwenMoe} from './configs.js'
import {problemOf} from './problem.js'

const read = (config: unknown, id = 'org/name'): ModelShape =>
  readHuggingFaceConfig(config, {file: 'config.json', id}).model

const grouped = (extra: object = {}) => ({
  kind: 'grouped',
  queryHeads: 8,
  keyValueHeads: 2,
  headDim: 8,
  valueHeadDim: 8,
  window: null,
  qkNorm: false,
  ...extra,
})

describe('wrong model configurations', () => {
  const bad = 'MODEL_BAD_CONFIG'
  const unsupported = 'MODEL_UNSUPPORTED'
  const cases: [string, unknown, string, RegExp][] = [
    ['a list', [], bad, /^config\.json: .*must be a JSON object, got \[\]/],
    ['null', null, bad, /must be a JSON object, got null/],
    ['no architecture', {...llama, architectures: undefined}, bad, /architectures must name/],
    [
      'architectures as text',
      {...llama, architectures: 'x'},
      bad,
      /architectures must be a list of texts, got "x"/,
    ],
    [
      'an unknown architecture',
      {...llama, architectures: ['MambaForCausalLM']},
      unsupported,
      /MambaForCausalLM is not modelled/,
    ],
    [
      'an unknown text model',
      {...llama, model_type: 'qwen3_next'},
      unsupported,
      /model_type "qwen3_next"/,
    ],
    [
      'layers as text',
      {...llama, num_hidden_layers: 'x'},
      bad,
      /^config\.json: num_hidden_layers must be a positive whole number, got "x"\.$/,
    ],
    [
      'no hidden size',
      {...llama, hidden_size: undefined},
      bad,
      /hidden_size must be a positive whole number, but it is missing/,
    ],
    [
      'a key that is nearly one that is missing',
      {...llama, num_key_value_heads: undefined, num_key_value_head: 2},
      bad,
      /^config\.json: num_key_value_head is not known; num_key_value_heads is probably meant/,
    ],
    ['no vocabulary', {...llama, vocab_size: null}, bad, /vocab_size must be/],
    [
      'no context',
      {...llama, max_position_embeddings: undefined},
      bad,
      /max_position_embeddings must be/,
    ],
    ['half a head', {...llama, num_attention_heads: 2.5}, bad, /num_attention_heads .* got 2\.5/],
    ['zero KV heads', {...llama, num_key_value_heads: 0}, bad, /num_key_value_heads .* got 0/],
    [
      'negative intermediate',
      {...llama, intermediate_size: -1},
      bad,
      /intermediate_size .* got -1/,
    ],
    [
      'KV heads that do not divide',
      {...llama, num_key_value_heads: 3},
      bad,
      /num_key_value_heads must divide num_attention_heads \(8\), got 3/,
    ],
    [
      'heads that do not divide',
      {...llama, num_attention_heads: 6},
      bad,
      /num_attention_heads must divide hidden_size \(64\)/,
    ],
    [
      'a tie that is no flag',
      {...llama, tie_word_embeddings: 'yes'},
      bad,
      /tie_word_embeddings must be true or false/,
    ],
    [
      'an unknown dtype',
      {...llama, torch_dtype: 'int3'},
      bad,
      /torch_dtype must be one of bfloat16/,
    ],
    [
      'more experts per token than there are',
      {...qwenMoe, num_experts_per_tok: 9},
      bad,
      /must not exceed the 8 experts, got 9/,
    ],
    [
      'a text part that is no object',
      {...llama4, text_config: 7},
      bad,
      /text_config must be an object, got 7/,
    ],
    [
      'a fault in the text part',
      {...llama4, text_config: {...llama4.text_config, head_dim: 'x'}},
      bad,
      /text_config\.head_dim must be/,
    ],
    [
      'too few layer types',
      {...gptOss, layer_types: ['full_attention']},
      bad,
      /layer_types must have 4 entries/,
    ],
    [
      'linear attention',
      {...gptOss, layer_types: Array(4).fill('linear_attention')},
      unsupported,
      /layer_types holds "linear_attention"/,
    ],
    ['no latent rank', {...deepseek, kv_lora_rank: undefined}, bad, /kv_lora_rank must be/],
    [
      'per-layer inputs',
      {...gemma4, text_config: {...gemma4.text_config, hidden_size_per_layer_input: 256}},
      unsupported,
      /hidden_size_per_layer_input is not 0/,
    ],
    [
      'quantisation as text',
      {...llama, quantization_config: 'fp8'},
      bad,
      /quantization_config must be an object/,
    ],
    [
      'an unknown quantisation',
      {...llama, quantization_config: {quant_method: 'aqlm'}},
      unsupported,
      /quantization_config\.quant_method "aqlm" is not modelled/,
    ],
    [
      'three bits',
      {...llama, quantization_config: {quant_method: 'gptq', bits: 3}},
      bad,
      /quantization_config\.bits must be 4 or 8, got 3/,
    ],
    [
      'no groups',
      {...llama, quantization_config: {quant_method: 'compressed-tensors'}},
      bad,
      /config_groups must hold a group/,
    ],
    [
      'a broken expression',
      {...llama, quantization_config: {quant_method: 'fp8', ignore: ['re:(']}},
      bad,
      /quantization_config\.ignore holds an expression/,
    ],
    [
      'a prototype name as method',
      {...llama, quantization_config: {quant_method: 'constructor'}},
      unsupported,
      /"constructor" is not modelled/,
    ],
  ]
  for (const [name, config, code, message] of cases) {
    it(`${name}: ${code}`, async () => {
      const problem = await problemOf(() => read(config))
      expect(problem.code).equal(code)
      expect(problem.message)
        .match(message)
        .and.match(/config\.json/)
        .and.not.match(/\n/)
    })
  }

  it('lists what is modelled', async () => {
    const problem = await problemOf(() => read({...llama, architectures: ['X']}))
    expect(problem.suggestions.join())
      .contain('LlamaForCausalLM')
      .and.contain('DeepseekV3ForCausalLM')
  })
})

describe('model configurations', () => {
  it('reads a dense model', () => {
    expect(read(llama)).deep.equal({
      id: 'org/name',
      architecture: 'LlamaForCausalLM',
      modelType: 'llama',
      hiddenSize: 64,
      vocabSize: 1000,
      maxPositionEmbeddings: 1024,
      tiedEmbeddings: false,
      dtype: 'bf16',
      quantization: null,
      groups: [{count: 4, attention: grouped(), mlp: {denseIntermediate: 160, experts: null}}],
    })
  })

  it('takes an explicit head size, one KV head, tied embeddings and fp16', () => {
    const model = read({
      ...llama,
      head_dim: 32,
      num_key_value_heads: 1,
      tie_word_embeddings: true,
      torch_dtype: 'float16',
    })
    expect(model.groups[0]!.attention).deep.equal(
      grouped({headDim: 32, valueHeadDim: 32, keyValueHeads: 1}),
    )
    expect(model).include({tiedEmbeddings: true, dtype: 'fp16'})
  })

  it('gives every query head its own KV head when the file does not say', () => {
    const {num_key_value_heads: _, ...multiHead} = llama
    expect(read(multiHead).groups[0]!.attention).include({keyValueHeads: 8})
  })

  it('slides only when the window is in use', () => {
    const windows = (config: object) =>
      read(config).groups.map(({count, attention}) => [
        count,
        attention.kind === 'grouped' ? attention.window : 'latent',
      ])
    const mistral = {...llama, architectures: ['MistralForCausalLM'], model_type: 'mistral'}
    const qwen = {
      ...llama,
      architectures: ['Qwen2ForCausalLM'],
      model_type: 'qwen2',
      sliding_window: 256,
    }
    expect(windows({...mistral, sliding_window: 256})).deep.equal([[4, 256]])
    expect(windows({...mistral, sliding_window: 1024})).deep.equal([[4, null]])
    expect(windows(qwen)).deep.equal([[4, null]])
    expect(windows({...qwen, use_sliding_window: true, max_window_layers: 3})).deep.equal([
      [3, null],
      [1, 256],
    ])
    expect(windows(gptOss)).deep.equal([
      [2, 128],
      [2, null],
    ])
    const gemma = {...llama, architectures: ['Gemma2ForCausalLM'], model_type: 'gemma2'}
    expect(windows({...gemma, num_hidden_layers: 5, sliding_window: 64})).deep.equal([
      [3, 64],
      [2, null],
    ])
  })

  it('mixes dense and routed layers as Qwen says', () => {
    const model = read({
      ...qwenMoe,
      decoder_sparse_step: 2,
      mlp_only_layers: [1],
      shared_expert_intermediate_size: 48,
    })
    const experts = {count: 8, perToken: 2, intermediate: 32}
    expect(model.groups.map(({count, mlp}) => ({count, mlp}))).deep.equal([
      {count: 3, mlp: {denseIntermediate: 160, experts: null}},
      {count: 1, mlp: {denseIntermediate: 48, experts}},
    ])
    expect(model.groups[0]!.attention).include({qkNorm: true, headDim: 16})
  })

  it('reads Llama 4: chunks, every other layer routed, a shared expert', () => {
    const model = read(llama4)
    expect(model).include({architecture: 'Llama4ForConditionalGeneration', modelType: 'llama4'})
    const experts = {count: 4, perToken: 1, intermediate: 160}
    const chunked = grouped({window: 256, qkNorm: true})
    expect(model.groups).deep.equal([
      {count: 4, attention: chunked, mlp: {denseIntermediate: 320, experts: null}},
      {count: 2, attention: chunked, mlp: {denseIntermediate: 160, experts}},
      {count: 2, attention: grouped({qkNorm: true}), mlp: {denseIntermediate: 160, experts}},
    ])
  })

  it('reads MLA with shared experts and first dense layers', () => {
    const attention = {
      kind: 'latent',
      queryHeads: 8,
      queryRank: 24,
      keyValueRank: 16,
      ropeHeadDim: 4,
      nopeHeadDim: 8,
      valueHeadDim: 8,
      sparseTopK: null,
    }
    expect(read(deepseek).groups).deep.equal([
      {count: 1, attention, mlp: {denseIntermediate: 160, experts: null}},
      {
        count: 4,
        attention,
        mlp: {denseIntermediate: 64, experts: {count: 8, perToken: 2, intermediate: 32}},
      },
    ])
    expect(read({...deepseek, q_lora_rank: null}).groups[0]!.attention).include({queryRank: null})
    expect(read({...deepseek, moe_layer_freq: 2}).groups.map(({count}) => count)).deep.equal([3, 2])
  })

  it('reads the selector of sparse attention', () => {
    const glm = {
      ...deepseek,
      architectures: ['GlmMoeDsaForCausalLM'],
      model_type: 'glm_moe_dsa',
      index_topk: 32,
      index_n_heads: 4,
      index_head_dim: 16,
    }
    expect(read(glm).groups[0]!.attention).deep.include({
      sparseTopK: 32,
      indexer: {heads: 4, headDim: 16},
    })
  })

  it('reads Gemma 4: other heads in full layers, experts beside a dense MLP', () => {
    const model = read(gemma4)
    const mlp = {denseIntermediate: 160, experts: {count: 8, perToken: 2, intermediate: 24}}
    const local = {headDim: 16, valueHeadDim: 16, window: 64, qkNorm: true}
    const full = {headDim: 32, valueHeadDim: 32, keyValueHeads: 1, qkNorm: true}
    expect(model.groups).deep.equal([
      {count: 5, attention: grouped(local), mlp},
      {count: 1, attention: grouped(full), mlp},
    ])
    expect(model.tiedEmbeddings).equal(true)
  })

  it('knows the defaults that Gemma 3 leaves out', () => {
    const model = read({
      architectures: ['Gemma3ForConditionalGeneration'],
      model_type: 'gemma3',
      text_config: {
        model_type: 'gemma3_text',
        hidden_size: 2560,
        intermediate_size: 10240,
        num_hidden_layers: 34,
        sliding_window: 1024,
      },
    })
    expect(model).include({vocabSize: 262208, maxPositionEmbeddings: 131072, tiedEmbeddings: true})
    expect(model.groups.map(({count}) => count)).deep.equal([29, 5])
    expect(model.groups[0]!.attention).include({queryHeads: 8, keyValueHeads: 4, headDim: 256})
  })

  it('says what it assumed and what it left out', () => {
    const notes = (config: object) =>
      readHuggingFaceConfig(config, {file: 'config.json', id: 'org/name'}).notes
    expect(notes(llama)).deep.equal([])
    expect(notes({...llama, torch_dtype: 'float32'}).join()).match(/^org\/name: .*runs as bf16/)
    expect(read({...llama, torch_dtype: 'float32'}).dtype).equal('bf16')
    expect(notes(llama4).join()).match(/only the language model is counted/)
  })

  it('unknown keys never change the shape', () => {
    const bases = [llama, qwenMoe, deepseek, gptOss, llama4, gemma4]
    fc.assert(
      fc.property(
        fc.constantFrom(...bases),
        fc.dictionary(
          fc.string({minLength: 1, maxLength: 12}).map((key) => `x_${key}`),
          fc.jsonValue(),
        ),
        (base, extra) => {
          const inner = 'text_config' in base ? {text_config: {...extra, ...base.text_config}} : {}
          expect(read({...extra, ...base, ...inner})).deep.equal(read(base))
        },
      ),
      {numRuns: 200, seed: 7},
    )
  })
})
