import {expect} from 'chai'
import {readHuggingFaceConfig} from '#llmsim/catalogue/huggingface.js'
import type {Quantization} from '#llmsim/catalogue/model-shape.js'
import {deepseek, gptOss, llama, llama4, qwenMoe} from './configs.js'

const read = (config: object, source: {id?: string; modelOpt?: unknown} = {}) =>
  readHuggingFaceConfig(config, {file: 'config.json', id: 'org/name', ...source})

const quantized = (base: object, section: object): Quantization | null =>
  read({...base, quantization_config: section}).model.quantization

const kept = (quantization: Quantization | null): string =>
  Object.entries(quantization?.unquantized ?? {})
    .filter(([, whole]) => whole)
    .map(([part]) => part)
    .join(' ')

const tensors = (weights: object, rest: object = {}) => ({
  quant_method: 'compressed-tensors',
  config_groups: {
    group_0: {weights, input_activations: {num_bits: 8}, targets: ['Linear'], ...rest},
  },
  ignore: ['lm_head'],
})
const weightOnly = {input_activations: null}

describe('quantised checkpoints', () => {
  const cases: [string, object, string, string, number][] = [
    ['fp8 per tensor', {quant_method: 'fp8'}, 'fp8', 'fp8', 1],
    [
      'fp8 in blocks',
      {quant_method: 'fp8', weight_block_size: [128, 128]},
      'fp8',
      'fp8',
      1 + 4 / 16384,
    ],
    ['fbgemm', {quant_method: 'fbgemm_fp8'}, 'fbgemm_fp8', 'fp8', 1],
    ['fp8 tensors', tensors({num_bits: 8, type: 'float'}), 'compressed-tensors', 'fp8', 1],
    ['int8 tensors', tensors({num_bits: 8, type: 'int'}), 'compressed-tensors', 'int8', 1],
    [
      '8 bits, weights only',
      tensors({num_bits: 8, type: 'int'}, weightOnly),
      'compressed-tensors',
      'bf16',
      1,
    ],
    [
      'int4 in groups of 32',
      tensors({num_bits: 4, type: 'int', group_size: 32, symmetric: true}, weightOnly),
      'compressed-tensors',
      'w4a16',
      0.5625,
    ],
    [
      'int4 with zero points',
      tensors({num_bits: 4, type: 'int', group_size: 128, symmetric: false}, weightOnly),
      'compressed-tensors',
      'w4a16',
      0.5 + 2.5 / 128,
    ],
    [
      'nvfp4 tensors',
      tensors({num_bits: 4, type: 'float', group_size: 16}),
      'compressed-tensors',
      'fp4',
      0.5625,
    ],
    ['awq', {quant_method: 'awq', bits: 4, group_size: 128}, 'awq', 'w4a16', 0.5 + 2.5 / 128],
    ['gptq', {quant_method: 'gptq', bits: 4, group_size: -1}, 'gptq', 'w4a16', 0.5],
    [
      'gptq in 8 bits',
      {quant_method: 'gptq', bits: 8, group_size: 128},
      'gptq',
      'bf16',
      1 + 3 / 128,
    ],
    ['modelopt fp8', {quant_method: 'modelopt', quant_algo: 'FP8'}, 'modelopt', 'fp8', 1],
    ['modelopt nvfp4', {quant_method: 'modelopt', quant_algo: 'NVFP4'}, 'nvfp4', 'fp4', 0.5625],
    [
      'bitsandbytes',
      {quant_method: 'bitsandbytes', load_in_4bit: true},
      'bitsandbytes',
      'w4a16',
      0.5625,
    ],
  ]
  for (const [name, section, method, dtype, bytesPerWeight] of cases) {
    it(name, () => {
      const found = quantized(llama, section)
      expect(found).include({method, dtype})
      expect(found?.bytesPerWeight).closeTo(bytesPerWeight, 1e-12)
      expect(kept(found)).equal('lmHead')
    })
  }

  it('mxfp4 holds only the experts, at 4.25 bits', () => {
    const section = {
      quant_method: 'mxfp4',
      modules_to_not_convert: ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'lm_head'],
    }
    const found = quantized(gptOss, section)
    expect(found).include({method: 'mxfp4', dtype: 'w4a16', bytesPerWeight: 0.53125})
    expect(kept(found)).equal('attention lmHead')
    expect(kept(quantized(gptOss, {quant_method: 'mxfp4'}))).equal('attention lmHead')
  })

  it('reads lists of what stays in 16 bits', () => {
    const attention = [0, 1, 2, 3].map((layer) => `model.layers.${layer}.self_attn`)
    const fp8 = (modules: string[]) => ({quant_method: 'fp8', modules_to_not_convert: modules})
    expect(kept(quantized(llama, fp8(attention)))).equal('attention lmHead')
    expect(kept(quantized(llama, fp8(['self_attn'])))).equal('attention lmHead')
    expect(kept(quantized(llama, fp8(['re:.*self_attn.*'])))).equal('attention lmHead')
    // One layer of four, the router and the norms are no part of their own.
    expect(kept(quantized(llama, fp8(attention.slice(0, 1))))).equal('lmHead')
    expect(kept(quantized(qwenMoe, fp8(['gate', 'model.layers.0.mlp.gate'])))).equal('lmHead')
    expect(kept(quantized(qwenMoe, fp8(['model.layers.0.input_layernorm'])))).equal('lmHead')
  })

  it('tells shared experts, dense layers and routed experts apart', () => {
    const section = {
      ...tensors({num_bits: 4, type: 'int', group_size: 32}, weightOnly),
      ignore: [
        're:.*self_attn.*',
        're:.*shared_experts.*',
        're:.*mlp\\.(gate|up|gate_up|down)_proj.*',
      ],
    }
    expect(kept(quantized(deepseek, section))).equal('attention denseMlp lmHead')
    const onlyDense = {...section, ignore: ['re:.*mlp\\.(gate|up|down)_proj.*']}
    // Four of five layers have shared experts, which stay quantised.
    expect(kept(quantized(deepseek, onlyDense))).equal('lmHead')
  })

  it('looks through the prefixes of wrappers', () => {
    const ignore = Array.from({length: 8}, (_, layer) =>
      ['q', 'k', 'v', 'o'].map(
        (name) => `language_model.model.layers.${layer}.self_attn.${name}_proj`,
      ),
    ).flat()
    const vision = ['vision_model.model.layers.0.mlp.fc1']
    const section = {...tensors({num_bits: 8, type: 'float'}), ignore: [...ignore, ...vision]}
    expect(kept(quantized(llama4, section))).equal('attention lmHead')
    const routedOnly = tensors({num_bits: 8, type: 'float'}, {targets: ['re:.*experts.*']})
    expect(kept(quantized(llama4, routedOnly))).contain('attention')
  })

  it('reads a section inside of text_config', () => {
    const config = {
      ...llama4,
      text_config: {...llama4.text_config, quantization_config: {quant_method: 'fp8'}},
    }
    expect(read(config).model.quantization?.dtype).equal('fp8')
  })

  it('quantises the head only where GPTQ says so', () => {
    const section = {quant_method: 'gptq', bits: 4, group_size: 128, lm_head: true}
    expect(kept(quantized(llama, section))).equal('')
  })

  it('reads the file that ModelOpt writes beside the configuration', () => {
    const modelOpt = {quantization: {quant_algo: 'FP8', exclude_modules: ['lm_head']}}
    expect(read(llama, {modelOpt}).model.quantization).include({method: 'modelopt', dtype: 'fp8'})
  })

  it('believes a name that says FP8, and says so', () => {
    const {model, notes} = read(llama, {id: 'nvidia/Llama-FP8'})
    expect(model.quantization).include({dtype: 'fp8', bytesPerWeight: 1})
    expect(notes.join()).match(/name says so/)
    for (const id of ['org/fp8less', 'org/Llama'])
      expect(read(llama, {id}).model.quantization).equal(null)
  })
})
