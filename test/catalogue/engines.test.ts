import {mkdtemp, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {listEngines, loadEngine} from '#llmsim/catalogue/engines.js'
import {readSampling} from '#llmsim/catalogue/generation-config.js'
import {loadModel} from '#llmsim/catalogue/models.js'
import {hostBesideProfile, hostTermsOf} from '#llmsim/latency/host.js'
import {problemOf} from './problem.js'

const fileOf = async (text: string): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), 'llmsim-engine-')), 'mine.yaml')
  await writeFile(path, text)
  return path
}

describe('engine profiles', () => {
  it('come with the catalogue, each release in one of them', async () => {
    const all = await listEngines()
    expect(all.map(({id}) => id)).deep.equal(['vllm-0.11', 'vllm-0.12', 'vllm-0.15', 'vllm-0.19'])
    const releases = all.flatMap((engine) => engine.releases)
    expect(new Set(releases).size).equal(releases.length)
    for (const {source} of all) expect(source).not.equal('')
  })

  it('inherit map by map', async () => {
    const old = (await loadEngine('vllm-0.11')).profile
    const base = (await loadEngine('vllm-0.15')).profile
    const hybridKvCache = {window: true, chunk: false}
    expect(old.defaults).deep.equal({...base.defaults, asyncScheduling: false, hybridKvCache})
    expect(old.host).deep.equal({...base.host, eagerLayerNs: old.host.eagerLayerNs})
    expect([old.host.eagerLayerNs, base.host.eagerLayerNs]).deep.equal([360_000, undefined])
    expect(old.releases).deep.equal(['0.11'])
    const between = (await loadEngine('0.12')).profile
    const own = ['id', 'name', 'releases', 'marlinMxfp4', 'source'] as const
    expect(between).deep.equal({
      ...old,
      ...Object.fromEntries(own.map((key) => [key, between[key]])),
    })
    expect([old.marlinMxfp4, between.marlinMxfp4, base.marlinMxfp4]).deep.equal([
      ['hopper'],
      [],
      [],
    ])
  })

  it('stand for the releases around them, and say so', async () => {
    for (const name of ['0.17.1', 'vllm-0.17.1', 'vLLM 0.17', 'v0.16.0rc1']) {
      const {profile, notes} = await loadEngine(name)
      expect(profile.id, name).equal('vllm-0.15')
      expect(notes.join(), name).match(/taken as vllm-0\.15/)
    }
    // What a server between releases calls itself.
    expect((await loadEngine('0.11.1+cu129')).profile.id).equal('vllm-0.11')
    for (const name of ['0.13.0rc2.dev79+g8f8fda261', '0.12.0.post1'])
      expect((await loadEngine(name)).profile.id, name).equal('vllm-0.12')
    expect((await loadEngine('VLLM_0.19')).notes).deep.equal([])
  })

  it('can be a file of your own', async () => {
    const path = await fileOf('extends: vllm-0.19\nhost: {layer_us: 20}\n')
    const {profile} = await loadEngine(path)
    expect(profile).include({id: 'mine', name: 'mine'})
    expect(profile.host).deep.equal({...profile.host, layerNs: 20_000, stepNs: 0})
    expect(profile.releases).deep.equal([])
  })

  const wrong: [string, string, RegExp][] = [
    [
      'a unit in a number',
      'extends: vllm-0.19\nhost: {layer_us: 14us}',
      /mine\.yaml:2:18: host\.layer_us must be a number .* but is "14us"/,
    ],
    [
      'a negative time',
      'extends: vllm-0.19\nfront_end: {http_ms: -1}',
      /mine\.yaml:2:22: front_end\.http_ms must be .* but is -1/,
    ],
    [
      'an unknown key',
      'extends: vllm-0.19\nhots: {layer_us: 14}',
      /mine\.yaml:2:1: hots is not a known key; known are id, /,
    ],
    [
      'a missing section',
      'id: mine\nreleases: []',
      /the file lacks the key front_end, which must be a map of keys/,
    ],
    [
      'a share above one',
      'extends: vllm-0.19\ndefaults: {gpu_memory_utilization: 90}',
      /gpu_memory_utilization must be a number above 0 and at most 1, but is 90/,
    ],
    [
      'an unknown architecture',
      'extends: vllm-0.19\nexperts: {marlin_mxfp4: [hooper]}',
      /mine\.yaml:2:25: experts\.marlin_mxfp4 must be a list of turing, /,
    ],
    ['no map', '- 1\n', /must be a map/],
    ['no YAML', 'a: [1\n', /mine\.yaml:\d+:\d+: not valid YAML/],
    ['a circle', 'extends: ./mine.yaml', /extends leads back to this file/],
    [
      'an unknown base',
      'extends: vllm-7',
      /mine\.yaml:1:10: extends names "vllm-7", which is no engine profile/,
    ],
  ]
  for (const [name, text, message] of wrong) {
    it(`refuse ${name}`, async () => {
      const path = await fileOf(text)
      const problem = await problemOf(() => loadEngine(path))
      expect(problem.code).equal('ENGINE_BAD_FILE')
      expect(problem.message).match(message)
    })
  }

  it('refuse an unknown name with what there is', async () => {
    const problem = await problemOf(() => loadEngine('vllm-0.91'))
    expect(problem.code).equal('ENGINE_UNKNOWN')
    expect(problem.suggestions).include('--engine vllm-0.19')
  })
})

describe('sampling', () => {
  it('follows generation_config.json', async () => {
    expect(readSampling({temperature: 0.15}, 'g')).equal('plain')
    expect(readSampling({top_p: 1, top_k: 0, repetition_penalty: 1}, 'g')).equal('plain')
    expect(readSampling({top_p: 0.9}, 'g')).equal('filtered')
    expect(readSampling({top_k: 20}, 'g')).equal('filtered')
    expect(readSampling({top_p: 0.8, repetition_penalty: 1.05}, 'g')).equal('penalised')
    expect((await problemOf(() => readSampling({top_p: '0.9'}, 'g.json'))).message).match(
      /g\.json: top_p must be a number, got "0\.9"/,
    )
  })

  it('is known of the shipped models', async () => {
    const of = async (id: string) => (await loadModel(id)).sampling
    expect(await of('mistralai/Mistral-Nemo-Instruct-2407')).equal('plain')
    expect(await of('meta-llama/Llama-3.1-70B-Instruct')).equal('filtered')
    expect(await of('Qwen/Qwen2.5-7B-Instruct')).equal('penalised')
  })

  it('costs most with a penalty, least when greedy, and nothing beside a profile of greedy steps', async () => {
    const {profile} = await loadEngine('vllm-0.15')
    const model = {vocabSize: 128_256, bandwidthGbS: 3350}
    const [plain, filtered, penalised] = (['plain', 'filtered', 'penalised'] as const).map((kind) =>
      hostBesideProfile(profile, kind, model)(64),
    )
    expect(plain).equal(Math.round(profile.host.stepNs + 64 * profile.host.sequenceNs))
    expect(filtered).above(plain!)
    expect(penalised).least(filtered!)
    expect(hostTermsOf(profile, 'filtered').sampler.stepNs).equal(50_000)
  })
})
