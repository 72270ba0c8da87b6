/** `--enforce-eager`: no step goes through a CUDA graph. Steps and KV blocks by hand, settings and where they come from. */
import {cpSync} from 'node:fs'
import {join} from 'node:path'
import {expect} from 'chai'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {deploy} from '#llmsim/study/deployment.js'
import {configOf} from '#llmsim/study/describe.js'
import {errorBand} from '#llmsim/study/error-bands.js'
import {requestFor} from '#llmsim/study/measured-request.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {root} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'
import {temporaryFiles} from '../support/temporary-files.js'

const {folder, fileOf} = temporaryFiles('eager')

const request = runRequest({hardware: 'H100', frontEnd: 'none', engineProfile: 'vllm-0.11'})
const deployed = (more: Partial<RunRequest>) => deploy({...request, ...more})
const engineOf = async (more: Partial<RunRequest>) => (await deployed(more)).engines[0]!

const decode = (decodes: number, context = 500) => ({
  ...emptyShape(),
  ...{tokens: decodes, sequences: decodes, decodes, paddedTokens: decodes},
  ...{decodeContext: context * decodes, decodeContextMin: context, decodeContextMax: context},
})

const eager = {enforceEager: true}
/** Llama-3.1-8B: 32 layers of 360 µs. */
const launches = 32 * 360_000
/** Launches, and kernels beside them that take so long. */
const beside = (kernelsNs: number, launchesNs = launches) =>
  (launchesNs ** 4 + kernelsNs ** 4) ** 0.25

describe('--enforce-eager', () => {
  it('is refused where another simulator is repeated, whose clock has kernels alone', async () => {
    const {code, message} = await problemOf(() =>
      deployed({engine: eager, compat: 'llmservingsim'}),
    )
    expect(code).equal('FLAG_CONFLICT')
    expect(message).match(/--enforce-eager and --compat llmservingsim/)
    await deployed({engine: {enforceEager: false}, compat: 'llmservingsim'})
  })

  it('must be true or false in a cluster file', async () => {
    const text = 'hardware: H100\ninstances: [{}]\nengine: {enforce_eager: never}\n'
    const wrong = runRequest({cluster: fileOf(text)})
    const {code, message} = await problemOf(() => deploy(wrong))
    expect(code).equal('CLUSTER_BAD_FILE')
    expect(message).match(/3:\d+: engine\.enforce_eager must be true or false/)
  })

  it('makes each step wait for the launch of its layers', async () => {
    const [graphs, none] = [await engineOf({}), await engineOf({engine: eager})]
    for (const decodes of [1, 16, 128]) {
      const shape = decode(decodes)
      const outside = graphs.latency.outsideLayers!(shape)
      expect(none.latency.outsideLayers!(shape)).equal(outside)
      const kernels = graphs.latency.stepTime(shape) - outside
      expect(kernels).below(launches)
      const step = none.latency.stepTime(shape)
      expect(step, `${decodes} decodes`).closeTo(beside(kernels) + outside, 2)
      expect(step).above(launches + outside)
    }
    // Layers that take longer on the device hide their launches.
    const long = decode(256, 8000)
    const ratio = none.latency.stepTime(long) / graphs.latency.stepTime(long)
    expect(ratio).within(1, 1.002)
  })

  it('counts the layers of each stage, and the passes of a draft model', async () => {
    const [graphs, none] = [
      await engineOf({layout: {pp: 4}}),
      await engineOf({engine: eager, layout: {pp: 4}}),
    ]
    const {stages, outsideLayers} = none.latency.pipeline!
    for (const [at, stage] of stages.entries()) {
      const outside = outsideLayers![at]!(decode(4))
      const kernels = graphs.latency.pipeline!.stages[at]!(decode(4)) - outside
      expect(stage(decode(4))).closeTo(beside(kernels, launches / 4) + outside, 2)
    }
    const speculation = {tokens: 2, rates: [0.5], draftModel: 'meta-llama/Llama-3.2-1B-Instruct'}
    const drafted = (await engineOf({engine: eager, speculation})).latency.stepTime(decode(4))
    const alone = (await engineOf({engine: eager})).latency.stepTime(decode(4))
    // Two passes of 16 layers, each with the head and the sampler of the draft model.
    expect(drafted - alone).within(2 * 16 * 360_000, 2 * 16 * 360_000 + 1.6e6)
  })

  it('holds for measured layers, too', async () => {
    const profiles = join(folder, 'profiles')
    const bundle = join(root, 'test/fixtures/profiles/TestGPU/Acme/Tiny-1B/bf16')
    const place = `${profiles}/H100/meta-llama/Llama-3.1-8B-Instruct/bf16`
    cpSync(bundle, place, {recursive: true})
    const of = async (engine: RunRequest['engine']) =>
      (await engineOf({engine, latency: 'profile', profiles})).latency
    const [graphs, none] = [await of({maxNumSeqs: 16}), await of({...eager, maxNumSeqs: 16})]
    expect(graphs.source).equal('profile')
    const [fits, larger] = [decode(16), {...decode(16), tokens: 33}]
    const outside = graphs.outsideLayers!(fits)
    const kernels = graphs.stepTime(fits) - outside
    expect(kernels).below(launches)
    expect(none.stepTime(fits)).closeTo(beside(kernels) + outside, 2)
    // Beyond the largest graph, here of 2 × 16 tokens, nothing differs.
    expect(graphs.stepTime(larger)).closeTo(beside(kernels) + outside, 1000)
    expect(none.stepTime(larger)).equal(graphs.stepTime(larger))
  })

  it('takes the figure of vllm-0.11 where a profile has none, and says so once', async () => {
    const of = async (engineProfile: string, more: Partial<RunRequest> = {}) =>
      deployed({engineProfile, engine: eager, ...more})
    const newer = await of('vllm-0.19', {layout: {instances: 2}})
    const shape = decode(8)
    const {latency} = newer.engines[0]!
    const graphs = (await of('vllm-0.19', {engine: {}})).engines[0]!
    const outside = latency.outsideLayers!(shape)
    const gaps = 32 * graphs.instance.profile.host.launchGapNs
    const kernels = graphs.latency.stepTime(shape) - outside + gaps
    expect(latency.stepTime(shape)).closeTo(beside(kernels) + outside, 2)
    const notes = newer.notes.filter((note) => note.startsWith('--enforce-eager'))
    expect(notes).deep.equal([
      '--enforce-eager: nobody has measured what the launch of a layer takes in vLLM 0.18 to 0.24; the 360 µs of vllm-0.11 are taken.',
    ])
    const lineOf = ({engines}: typeof newer) =>
      engines[0]!.latency.provenance.filter(({term}) => term === 'launch of layers')
    expect(lineOf(newer)).deep.equal([
      {
        term: 'launch of layers',
        from: 'class default',
        detail: 'no CUDA graphs: 360 µs a layer, engine profile vllm-0.11, carried over',
      },
    ])
    const older = await of('vllm-0.11')
    expect(older.notes.join()).not.include('--enforce-eager')
    expect(lineOf(older)).deep.equal([
      {
        term: 'launch of layers',
        from: 'calibrated',
        detail: 'no CUDA graphs: 360 µs a layer, engine profile vllm-0.11',
      },
    ])
    expect(lineOf(await of('vllm-0.11', {hardware: 'A6000'}))[0]!.from).equal('class default')
    expect(lineOf(await of('vllm-0.19', {engine: {}}))).deep.equal([])
  })

  it("keeps a profile's own figure, also if it is none", async () => {
    for (const us of [0, 100]) {
      const engineProfile = fileOf(`extends: vllm-0.19\nhost: {eager_layer_us: ${us}}\n`)
      const {latency, instance} = await engineOf({engineProfile, engine: eager})
      expect(instance.profile.host.eagerLayerNs).equal(us * 1000)
      const plain = (await engineOf({engineProfile: 'vllm-0.19'})).latency
      const outside = latency.outsideLayers!(decode(1))
      const gaps = 32 * instance.profile.host.launchGapNs
      const kernels = plain.stepTime(decode(1)) - outside + gaps
      const step = beside(kernels, us * 1000 * 32) + outside
      expect(latency.stepTime(decode(1))).closeTo(step, 2)
    }
  })

  it('leaves the KV blocks as they are: graphs are captured after these are counted', async () => {
    const [graphs, none] = [await engineOf({}), await engineOf({engine: eager})]
    const {memory, config} = none.settled
    const kvToken = 32 * 2 * 8 * 128 * 2
    const room =
      Math.floor(0.9 * memory!.memoryBytes) -
      memory!.weights.total -
      // Hidden states and residual of 8,192 tokens; the sampler at 1,024 seats; what the runtime keeps.
      2 * 8192 * 4096 * 2 -
      1024 * 128_256 * 38 -
      0.55e9
    expect(config.numGpuBlocks).equal(Math.floor(room / (16 * kvToken)))
    expect(config.numGpuBlocks).equal(graphs.settled.config.numGpuBlocks)
  })

  it('is in the configuration, by flag and by instance of a cluster file', async () => {
    const cluster = fileOf(
      'hardware: H100\ninstances: [{engine: {enforce_eager: true}}, {engine: {enforce_eager: false}}, {}]\n',
    )
    const trace = {length: 1, format: 'x', notes: [], models: [], guides: []} as never
    const of = async (more: RunRequest) => {
      const {engines} = configOf(trace, await deploy(more), 'x')
      return engines.map(({enforce_eager}) => enforce_eager)
    }
    const fromFile = runRequest({cluster})
    expect(await of(fromFile)).deep.equal([true, false, false])
    expect(await of({...fromFile, engine: eager})).deep.equal([true, false, true])
    expect(await of(request)).deep.equal([false])
  })

  it('has no error band, as the bands come from servers with graphs', async () => {
    expect(errorBand(await deployed({}))).not.equal(undefined)
    expect(errorBand(await deployed({engine: eager}))).equal(undefined)
  })

  it('comes from a measured run, unless a flag says otherwise', async () => {
    const run = {name: 'x', settings: {model: 'x', hardware: 'H100', enforceEager: true}} as never
    const of = async (enforceEager?: boolean) => {
      const flags = {request: {...request, engine: {enforceEager}}, given: new Set<string>()}
      return (await requestFor(run, flags)).engine.enforceEager
    }
    expect(await of()).equal(true)
    expect(await of(false)).equal(false)
  })
})
