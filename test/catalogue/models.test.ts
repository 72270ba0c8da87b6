import {readdirSync, readFileSync} from 'node:fs'
import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {readHuggingFaceConfig} from '#llmsim/catalogue/huggingface.js'
import {indexText, modelFolder, readModelFolder} from '#llmsim/catalogue/model-index.js'
import {matchModelName} from '#llmsim/catalogue/model-names.js'
import {listModels, loadModel} from '#llmsim/catalogue/models.js'
import {llama} from './configs.js'
import {problemOf} from './problem.js'

describe('model names', () => {
  const taken: [string, string, RegExp | null][] = [
    ['meta-llama/Llama-3.1-8B-Instruct', 'meta-llama/Llama-3.1-8B-Instruct', null],
    ['META-LLAMA/llama-3.1-8b', 'meta-llama/Llama-3.1-8B', null],
    [' llama-3.1-8b ', 'meta-llama/Llama-3.1-8B', null],
    ['Meta-Llama-3.1-8B', 'meta-llama/Meta-Llama-3.1-8B', null],
    ['Llama-3.3-70B-Instruct', 'meta-llama/Llama-3.3-70B-Instruct', null],
    ['unsloth/Llama-3.1-8B', 'meta-llama/Llama-3.1-8B', /taken as meta-llama\/Llama-3\.1-8B\.$/],
    ['Llama-3.1-8B-hf', 'meta-llama/Llama-3.1-8B', /not in the catalogue/],
    ['llama-2-7b', 'meta-llama/Llama-2-7b-hf', /Llama-2-7b-hf/],
    ['Mistral-7B-Instruct', 'mistralai/Mistral-7B-Instruct-v0.1', /v0\.1/],
    ['gemma-3-27b', 'google/gemma-3-27b-it', /-it/],
    ['Qwen3-30B-A3B-Base', 'Qwen/Qwen3-30B-A3B', /Qwen3-30B-A3B\.$/],
    ['qwen3-30b-a3b-2507', 'Qwen/Qwen3-30B-A3B-Instruct-2507', /2507/],
    ['Qwen3-30B-A3B-Instruct-FP8', 'Qwen/Qwen3-30B-A3B-Instruct-2507-FP8', /2507-FP8/],
  ]
  for (const [name, id, note] of taken) {
    it(`${name.trim()} is ${id}`, async () => {
      const {model, notes, ids} = await loadModel(name)
      expect(model.id).equal(id)
      expect(ids).contain(id)
      if (note === null) expect(notes).deep.equal([])
      else expect(notes.join()).match(note)
    })
  }

  it('gives FP8 weights to a name that asks for them', async () => {
    const {model, notes} = await loadModel('org/Qwen2.5-7B-Instruct-FP8')
    expect(model.quantization).include({dtype: 'fp8'})
    expect(notes.join()).match(/Qwen2\.5-7B-Instruct with FP8 weights/)
    expect((await loadModel('Qwen2.5-7B-Instruct')).model.quantization).equal(null)
  })

  const quantised: readonly [string, string, string][] = [
    ['Qwen/Qwen3-14B-AWQ', 'Qwen/Qwen3-14B', 'w4a16'],
    ['Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4', 'Qwen/Qwen2.5-72B-Instruct', 'w4a16'],
    ['RedHatAI/Qwen3-32B-quantized.w4a16', 'Qwen/Qwen3-32B', 'w4a16'],
    ['RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8', 'Qwen/Qwen2.5-7B-Instruct', 'int8'],
    ['nvidia/Llama-3.1-405B-Instruct-NVFP4', 'meta-llama/Llama-3.1-405B-Instruct', 'fp4'],
    ['RedHatAI/Qwen2.5-72B-Instruct-FP8-dynamic', 'Qwen/Qwen2.5-72B-Instruct', 'fp8'],
    ['cognitivecomputations/DeepSeek-V3-AWQ', 'deepseek-ai/DeepSeek-V3', 'w4a16'],
  ]
  for (const [name, id, dtype] of quantised) {
    it(`${name} is ${id} in ${dtype}`, async () => {
      const {model, notes} = await loadModel(name)
      expect(model).include({id})
      expect(model.quantization).include({dtype})
      expect(notes.join()).contain(`${id} with`)
    })
  }

  it('keeps the scales of a checkpoint that has the format already', async () => {
    const {model} = await loadModel('someone/DeepSeek-V3-FP8')
    const own = (await loadModel('deepseek-ai/DeepSeek-V3')).model
    expect(model.quantization).deep.equal(own.quantization)
  })

  it('keeps Llama 3 and 3.1 apart', async () => {
    expect((await loadModel('Llama-3-8B')).model.maxPositionEmbeddings).equal(8192)
    expect((await loadModel('Llama-3.1-8B')).model.maxPositionEmbeddings).equal(131072)
  })

  it('suggests what was nearly typed', async () => {
    const problem = await problemOf(() => loadModel('lama-3.1-8b'))
    expect(problem.code).equal('MODEL_UNKNOWN')
    expect(problem.message).contain('lama-3.1-8b')
    expect(problem.suggestions[0]).equal('--model meta-llama/Llama-3.1-8B')
    const far = await problemOf(() => loadModel('zzzzzzzzzzzzzz'))
    expect(far.suggestions[0]).equal('llmsim model list')
  })

  it('asks back when a name could mean two models', () => {
    const entries = [
      {ids: ['a/Some-hf']},
      {ids: ['b/Some-it', 'b/Other']},
      {ids: ['c/Same']},
      {ids: ['d/Same']},
    ]
    expect(matchModelName('some', entries)).deep.equal({
      kind: 'ambiguous',
      ids: ['a/Some-hf', 'b/Some-it'],
    })
    expect(matchModelName('same', entries)).deep.equal({
      kind: 'ambiguous',
      ids: ['c/Same', 'd/Same'],
    })
    expect(matchModelName('D/same', entries)).include({kind: 'exact', id: 'd/Same'})
    expect(matchModelName('some-it', entries)).include({kind: 'exact', id: 'b/Some-it'})
    expect(matchModelName('some-it-base', entries)).include({kind: 'loose', id: 'b/Some-it'})
    expect(matchModelName('-hf', entries)).deep.equal({kind: 'none'})
  })
})

describe('model paths', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmsim-models-'))
  })
  afterEach(() => rm(folder, {recursive: true}))
  const put = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }

  it('reads a config.json, its folder, and one with a byte-order mark', async () => {
    const path = await put('config.json', `\ufeff${JSON.stringify(llama)}`)
    for (const name of [path, folder]) {
      const {model} = await loadModel(name)
      expect(model).include({id: name, hiddenSize: 64})
    }
  })

  it('reads the ModelOpt file beside it', async () => {
    await put('config.json', JSON.stringify(llama))
    await put('hf_quant_config.json', '{"quantization": {"quant_algo": "NVFP4"}}')
    expect((await loadModel(folder)).model.quantization?.dtype).equal('fp4')
  })

  it('reads a model file of ours', async () => {
    const path = await put(
      'mine.yaml',
      await readFile(new URL('openai--gpt-oss-20b.yaml', modelFolder), 'utf8'),
    )
    expect((await loadModel(path)).model).deep.equal((await loadModel('gpt-oss-20b')).model)
  })

  const wrong: [string, string, string, RegExp][] = [
    [
      'config.json',
      '{"a": 1,\n "b": }',
      'MODEL_BAD_CONFIG',
      /config\.json:2:7: not valid JSON: expected a value, found "}"/,
    ],
    ['config.json', '', 'MODEL_BAD_CONFIG', /config\.json:1:1: .*it ends there/],
    [
      'config.json',
      '{"a": 1',
      'MODEL_BAD_CONFIG',
      /config\.json:1:8: .*expected ',' or '}', it ends there/,
    ],
    [
      'config.json',
      '{"a": 1} x',
      'MODEL_BAD_CONFIG',
      /config\.json:1:10: .*expected the end, found "x"/,
    ],
    ['config.json', "{'a': 1}", 'MODEL_BAD_CONFIG', /config\.json:1:2: .*a name in double quotes/],
    ['config.json', '[1, 2,]', 'MODEL_BAD_CONFIG', /config\.json:1:7: /],
    ['config.json', '{"a" 1}', 'MODEL_BAD_CONFIG', /config\.json:1:6: .*expected ':'/],
    ['mine.yaml', 'ids: [a\nb: 1', 'MODEL_BAD_CONFIG', /mine\.yaml:\d+:\d+: not valid YAML/],
    ['mine.yaml', 'ids: [a]\nhiddensize: 3', 'MODEL_BAD_CONFIG', /hiddensize is not a field/],
    ['mine.yaml', 'ids: []', 'MODEL_BAD_CONFIG', /ids must list at least one name/],
    ['mine.yaml', '- 1', 'MODEL_BAD_CONFIG', /must be a mapping, got \[1\]/],
  ]
  for (const [name, text, code, message] of wrong) {
    it(`${name} with ${JSON.stringify(text)}`, async () => {
      const path = await put(name, text)
      const problem = await problemOf(() => loadModel(path))
      expect(problem.code).equal(code)
      expect(problem.message).match(message).and.not.match(/\n/)
    })
  }

  it('names a path that does not exist and a folder without a configuration', async () => {
    const gone = await problemOf(() => loadModel('./nowhere/config.json'))
    expect([gone.code, gone.message]).deep.equal([
      'MODEL_UNKNOWN',
      'Model ./nowhere/config.json: there is no such file or folder.',
    ])
    expect((await problemOf(() => loadModel(folder))).message).match(/holds no config\.json/)
    await mkdir(join(folder, 'config.json'))
    expect((await problemOf(() => loadModel(folder))).message).match(/holds no config\.json/)
  })

  it('checks every field of a model file', async () => {
    const good = await readFile(new URL('openai--gpt-oss-20b.yaml', modelFolder), 'utf8')
    const changes: [string, string, RegExp][] = [
      ['count: 12', 'count: 0', /groups\[0\]\.count must be a positive whole number, got 0/],
      [
        'kind: grouped',
        'kind: linear',
        /groups\[0\]\.attention\.kind must be one of grouped, latent, got "linear"/,
      ],
      ['queryHeads: 64', 'queryHead: 64', /groups\[0\]\.attention\.queryHead is not a field/],
      ['perToken: 4', 'perToken: four', /groups\[0\]\.mlp\.experts\.perToken must be/],
      ['dtype: bf16', 'dtype: int3', /dtype must be one of bf16, fp16, fp32, got "int3"/],
      [
        'bytesPerWeight: 0.53125',
        'bytesPerWeight: 0',
        /quantization\.bytesPerWeight must be a positive number/,
      ],
      ['[attention, lmHead]', '[attention, norm]', /quantization\.unquantized must hold only/],
      ['tiedEmbeddings: false', 'tiedEmbeddings: no', /tiedEmbeddings must be true or false/],
      ['architecture: GptOssForCausalLM', 'architecture: 7', /architecture must be a text/],
    ]
    for (const [from, to, message] of changes) {
      expect(good).contain(from)
      const path = await put('mine.yaml', good.replace(from, to))
      expect((await problemOf(() => loadModel(path))).message).match(message)
    }
  })
})

describe('the model catalogue', () => {
  it('has a fresh index (node models/build-index.js writes it)', async () => {
    const written = await readFile(new URL('index.json', modelFolder), 'utf8')
    expect(written).equal(indexText(await readModelFolder(modelFolder)))
  })

  it('names no id twice, and every file after its first id', async () => {
    const models = await listModels()
    const ids = models.flatMap((each) => each.ids.map((id) => id.toLowerCase()))
    expect(new Set(ids).size).equal(ids.length)
    const names = (await readdir(modelFolder)).filter((name) => name.endsWith('.yaml'))
    expect(models.map(({ids: [first]}) => `${first!.replace('/', '--')}.yaml`).sort()).deep.equal(
      names.sort(),
    )
    for (const {source} of models) expect(source).match(/huggingface\.co/)
  })

  it('finds every model by each of its ids', async () => {
    for (const {ids, model} of await listModels()) {
      for (const id of ids) {
        const found = await loadModel(id)
        expect(found.model).deep.equal({...model, id})
        expect(found.notes).deep.equal([])
      }
    }
  })

  const data = process.env.LLMSIM_DATA ?? '../shared/data'
  const configs = (folder: string, nested: boolean): [string, string][] => {
    try {
      const names = readdirSync(join(data, folder), {recursive: nested, encoding: 'utf8'})
      return names
        .filter((name) => name.endsWith('.json'))
        .map((name) => [name.slice(0, -5).replace('--', '/'), join(data, folder, name)])
    } catch {
      return []
    }
  }
  const real = [...configs('models', false), ...configs('llmservingsim/configs/model', true)]
  it('says what the publishers say', async function () {
    if (real.length === 0) {
      console.log(`      skipped: no model configurations under ${data} (set LLMSIM_DATA)`)
      return this.skip()
    }
    for (const [id, path] of real) {
      const config: unknown = JSON.parse(readFileSync(path, 'utf8'))
      const {model} = readHuggingFaceConfig(config, {file: path, id})
      expect((await loadModel(id)).model, id).deep.equal(model)
    }
  })
})
