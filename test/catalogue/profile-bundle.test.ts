/** Profile bundles: found by name without case, read whole, and every fault told with its file and line. */
import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {findBundle, readBundle} from '#llmsim/catalogue/profile-bundle.js'
import {root as project} from '../support/cli.js'
import {problemOf} from './problem.js'

const root = join(project, 'test/fixtures/profiles')
const model = join(root, 'TestGPU/Acme/Tiny-1B')
const key = {hardware: 'TestGPU', model: 'Acme/Tiny-1B', variant: 'bf16', tp: 1}

describe('finding a profile bundle', () => {
  it('goes by hardware, organisation, model, variant and tp', () => {
    expect(findBundle(root, key)).equal(join(model, 'bf16/tp1'))
    expect(findBundle(root, {...key, tp: 2})).equal(join(model, 'bf16/tp2'))
    expect(findBundle(root, {...key, variant: 'fp8-kvfp8'})).equal(join(model, 'fp8-kvfp8/tp1'))
  })

  it('does not mind case', () => {
    const other = {hardware: 'testgpu', model: 'ACME/tiny-1b', variant: 'BF16', tp: 1}
    expect(findBundle(root, other)).equal(join(model, 'bf16/tp1'))
  })

  it('finds nothing where a part is missing', () => {
    const others = [
      {hardware: 'TestGPU2'},
      {model: 'Acme/Tiny-2B'},
      {model: 'Tiny-1B'},
      {variant: 'fp8'},
      {variant: 'bf16-kvfp8'},
      {tp: 4},
    ]
    for (const other of others)
      expect(findBundle(root, {...key, ...other}), JSON.stringify(other)).equal(undefined)
  })

  it('does not look into files', () => {
    expect(findBundle(join(model, 'bf16'), {...key, hardware: 'meta.yaml'})).equal(undefined)
  })

  it('says so when the folder of all bundles does not exist, or is a file', async () => {
    for (const path of [join(root, 'none'), join(model, 'bf16/meta.yaml')]) {
      const problem = await problemOf(() => findBundle(path, key))
      expect(problem.code).equal('PROFILE_BAD_FILE')
      expect(problem.message).include(path).include('folder')
    }
  })
})

describe('a profile bundle', () => {
  it('is read whole', async () => {
    const bundle = await readBundle(join(model, 'bf16/tp1'), 1)
    expect(bundle.hardware).equal('TestGPU')
    expect(bundle.vllmVersion).equal('0.19.0')
    expect([bundle.sweptTokens, bundle.sweptSequences]).deep.equal([64, 4])
    expect(bundle.dense.size).equal(9)
    expect(bundle.dense.get('qkv_proj')).deep.equal({at: [1, 64], timeUs: [10, 20]})
    expect(bundle.perSequence.get('lm_head')).deep.equal({at: [1, 4], timeUs: [100, 110]})
    expect(bundle.attention).length(5)
    expect(bundle.attention[1]).deep.equal({
      prefillChunk: 0,
      kvPrefill: 0,
      decodes: 1,
      kvDecode: 1024,
      timeUs: 9,
    })
    expect(bundle.moe).deep.equal([
      {tokens: 1, activatedExperts: 8, timeUs: 50},
      {tokens: 64, activatedExperts: 8, timeUs: 80},
    ])
  })

  it('has its skew fit, with the default α of its tp', async () => {
    const {skew} = await readBundle(join(model, 'bf16/tp1'), 1)
    expect(skew!.alphaDefault).equal(0.25)
    expect(skew!.decodes).deep.equal({edges: [0, 2, 1e6], labels: ['n<=2', 'n>2']})
    expect(skew!.prefillContext.labels).deep.equal(['kp=0', 'kp>0'])
    expect(skew!.rows[1]).deep.equal({
      prefillChunk: 16,
      labels: ['n>2', 'any', 'any', 'kp>0'],
      alpha: -0.125,
    })
  })

  it('has none where the fit is switched off, though its file is there', async () => {
    expect((await readBundle(join(model, 'fp8-kvfp8/tp1'), 1)).skew).equal(undefined)
  })

  it('corrects nothing for a tp that was not fitted', async () => {
    const {skew} = await readBundle(join(model, 'bf16/tp2'), 2)
    expect([skew!.alphaDefault, skew!.rows.length]).deep.equal([0, 0])
  })

  it('takes from tp1 what does not depend on tp: norms, sampler and experts', async () => {
    const bundle = await readBundle(join(model, 'bf16/tp2'), 2)
    expect(bundle.dense.get('qkv_proj')!.timeUs).deep.equal([6, 11])
    expect(bundle.dense.get('layernorm')!.timeUs).deep.equal([1.5, 3])
    expect(bundle.dense.get('final_layernorm')!.timeUs).deep.equal([1.25])
    expect(bundle.perSequence.get('lm_head')!.timeUs[0]).equal(60)
    expect(bundle.perSequence.get('sampler')!.timeUs).deep.equal([20])
    expect(bundle.attention[0]!.timeUs).equal(4)
    expect(bundle.moe).length(2)
  })

  it('does without tp1: then its own tables serve', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'llmsim-bundle-'))
    cpSync(join(model, 'bf16/meta.yaml'), join(folder, 'meta.yaml'))
    cpSync(join(model, 'bf16/tp2'), join(folder, 'tp2'), {recursive: true})
    const bundle = await readBundle(join(folder, 'tp2'), 2)
    expect(bundle.dense.get('layernorm')!.timeUs[0]).equal(99)
    expect(bundle.moe).equal(undefined)
    rmSync(folder, {recursive: true})
  })
})

describe('a profile bundle with a fault', () => {
  /** File below the variant, what to replace in it, and what the message must say. */
  type Fault = readonly [what: string, file: string, edit: (text: string) => string, says: string]

  const faults: readonly Fault[] = [
    ['no column of layers', 'tp1/dense.csv', (t) => t.replace('layer,', 'name,'), 'dense.csv:1: '],
    ['no time', 'tp1/dense.csv', (t) => t.replace('time_us', 'time_ms'), '"time_us"'],
    [
      'a text for a time',
      'tp1/dense.csv',
      (t) => t.replace('qkv_proj,64,20', 'qkv_proj,64,x'),
      'dense.csv:6: time_us must be a number, got "x"',
    ],
    [
      'an empty cell',
      'tp1/dense.csv',
      (t) => t.replace('qkv_proj,64,20', 'qkv_proj,64,'),
      'dense.csv:6: time_us must be a number, got ""',
    ],
    [
      'NaN',
      'tp1/dense.csv',
      (t) => t.replace('qkv_proj,64,20', 'qkv_proj,NaN,20'),
      'dense.csv:6: tokens must be a number, got "NaN"',
    ],
    [
      'Infinity',
      'tp1/attention.csv',
      (t) => t.replace('1024,9', '1024,Infinity'),
      'attention.csv:3: time_us',
    ],
    [
      'a negative time',
      'tp1/attention.csv',
      (t) => t.replace('1024,9', '1024,-9'),
      'attention.csv:3: time_us must not be negative',
    ],
    [
      'a row cut short',
      'tp1/per_sequence.csv',
      (t) => t.replace('lm_head,4,110', 'lm_head,4'),
      'per_sequence.csv:3: it has 2 cells, the header has 3',
    ],
    [
      'a row too long',
      'tp1/attention.csv',
      (t) => t.replace('0,0,4,16,6', '0,0,4,16,6,1'),
      'attention.csv:4: it has 6 cells',
    ],
    ['no rows', 'tp1/attention.csv', (t) => t.split('\n')[0]!, 'attention.csv: it has no rows'],
    ['no text at all', 'tp1/dense.csv', () => '', 'dense.csv:1: '],
    [
      'experts without their number',
      'tp1/moe.csv',
      (t) => t.replace('activated_experts', 'experts'),
      'moe.csv:1: there is no column "activated_experts"',
    ],
    [
      'a skew table without α',
      'tp1/skew_fit.csv',
      (t) => t.replace('alpha', 'beta'),
      'skew_fit.csv:1: there is no column "alpha"',
    ],
    [
      'a torn meta.yaml',
      'meta.yaml',
      (t) => t.replace('tp_degrees: [1, 2]', 'tp_degrees: [1, 2'),
      'meta.yaml:7:',
    ],
    [
      'a list for meta.yaml',
      'meta.yaml',
      () => '- 1\n- 2\n',
      'meta.yaml: it must be a table of keys',
    ],
    [
      'bins without labels',
      'meta.yaml',
      (t) => t.replace('n_labels: [n<=2, n>2]', 'n_labels: [n<=2]'),
      'n_bins must have one edge more than n_labels',
    ],
    [
      'bins that do not rise',
      'meta.yaml',
      (t) => t.replace('n_bins: [0, 2,', 'n_bins: [0, -2,'),
      'n_bins must be rising numbers',
    ],
    [
      'bins that are no list',
      'meta.yaml',
      (t) => t.replace('n_bins: [0, 2, 1000000]', 'n_bins: 3'),
      'n_bins must have one edge more',
    ],
    [
      'a fit without its axes',
      'meta.yaml',
      (t) => t.replace('bucket_axes', 'axes'),
      'no bucket_axes',
    ],
    [
      'a default α that is no number',
      'meta.yaml',
      (t) => t.replace('0.25', 'much'),
      'alpha_default must be a number',
    ],
  ]

  for (const [what, file, edit, says] of faults) {
    it(what, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'llmsim-bundle-'))
      cpSync(join(model, 'bf16'), folder, {recursive: true})
      const path = join(folder, file)
      const text = readFileSync(path, 'utf8')
      expect(edit(text), 'the edit').not.equal(text)
      writeFileSync(path, edit(text))
      const problem = await problemOf(() => readBundle(join(folder, 'tp1'), 1))
      expect(problem.code).equal('PROFILE_BAD_FILE')
      expect(problem.message).include(folder).include(says)
      expect(problem.message).not.include('\n')
      rmSync(folder, {recursive: true})
    })
  }

  for (const file of ['meta.yaml', 'tp1/dense.csv', 'tp1/per_sequence.csv', 'tp1/attention.csv']) {
    it(`no ${file}`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'llmsim-bundle-'))
      cpSync(join(model, 'bf16'), folder, {recursive: true})
      rmSync(join(folder, file))
      const problem = await problemOf(() => readBundle(join(folder, 'tp1'), 1))
      expect(problem.code).equal('PROFILE_BAD_FILE')
      expect(problem.message).include(join(folder, file))
      rmSync(folder, {recursive: true})
    })
  }

  it('lines may end as Windows ends them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'llmsim-bundle-'))
    cpSync(join(model, 'bf16'), folder, {recursive: true})
    const path = join(folder, 'tp1/dense.csv')
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('\n', '\r\n'))
    const bundle = await readBundle(join(folder, 'tp1'), 1)
    expect(bundle.dense.get('qkv_proj')).deep.equal({at: [1, 64], timeUs: [10, 20]})
    rmSync(folder, {recursive: true})
  })
})
