/** The link between a device and its host: who crosses it, and what each gets, by hand. */
import {expect} from 'chai'
import {kvOffloadOf} from '#llmsim/command-flags/kv-offload-flag.js'
import {weightsOf} from '#llmsim/command-flags/memory-flags.js'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {deploy} from '#llmsim/study/deployment.js'
import {describeEngines} from '#llmsim/study/describe.js'
import {halved} from '#llmsim/study/kv-links.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {runRequest} from '../support/run-request.js'
import {temporaryFiles} from '../support/temporary-files.js'

const {fileOf} = temporaryFiles('links')

/** PCIe 4: 32 GB/s a device. */
const a100: Partial<RunRequest> = {hardware: 'A100', frontEnd: 'none'}
const pair = {...a100, layout: {prefill: 1, decode: 1}}
const cpu = kvOffloadOf({'kv-offload': 'cpu:8GiB'})

/** Llama-3.1-8B: 32 layers, 8 heads of 128 keys and values, 2 bytes, 16 tokens. */
const blockBytes = 32 * 8 * 128 * 2 * 2 * 16
/** Divisible by all rates below. */
const bytes = 32e6

const linksOf = async (given: Partial<RunRequest>) => (await deploy(runRequest(given))).kvLinks!()

/** ns of a transfer between two engines that has all links for itself. */
const aloneNs = async (given: Partial<RunRequest>) =>
  (await linksOf(given)).network!.aloneNs(0, 1, bytes)

describe('two queues of a link', () => {
  it('have half each where both could fill it, and what the other leaves', () => {
    expect(halved(64, {weights: 64, kv: 64})).deep.equal({weights: 32, kv: 32})
    expect(halved(64, {weights: 64, kv: 6.5})).deep.equal({weights: 57.5, kv: 6.5})
    expect(halved(64, {weights: 10, kv: 64})).deep.equal({weights: 10, kv: 54})
    expect(halved(64, {weights: 20, kv: 30})).deep.equal({weights: 20, kv: 44})
  })
})

describe('KV between engines', () => {
  const network = (bandwidthGbS: number) => ({traffic: {network: {bandwidthGbS}}})

  it('is no faster than the host links that its ports are behind', async () => {
    // The default port of 50 GB/s behind a link of 32.
    expect(await aloneNs(pair)).equal(bytes / 32 + 10_000)
    expect(await aloneNs({...pair, ...network(25)})).equal(bytes / 25 + 10_000)
    // Two devices have two links.
    expect(await aloneNs({...pair, layout: {prefill: 1, decode: 1, tp: 2}})).equal(
      bytes / 50 + 10_000,
    )
  })

  it('has what somebody says that no card behind such a link has', async () => {
    expect(await aloneNs({...pair, ...network(320)})).equal(bytes / 320 + 10_000)
  })

  it('crosses them or not as a file says, or its outermost dimension', async () => {
    const file = (rest: string) => ({
      frontEnd: 'none' as const,
      hardware: undefined,
      cluster: fileOf(`hardware: A100\n${rest}\ninstances: [{role: prefill}, {role: decode}]\n`),
    })
    const rate = 'bandwidth_gb_s: 64'
    expect(await aloneNs(file(`network: {${rate}}`))).equal(bytes / 64 + 10_000)
    expect(await aloneNs(file(`network: {${rate}, behind_host_link: true}`))).equal(1_010_000)
    const joined = (kind: string, gbPerS: number) =>
      `topology: [{kind: ${kind}, degree: 2, bandwidth_gb_s: ${gbPerS}}]`
    const shared = `kv_offload: {tiers: [{tier: cpu, capacity_gb: 8}]}\n`
    /** A load, and KV from the other engine at the same time. */
    const together = async (text: string) => {
      const links = await linksOf(file(text))
      links.start({instance: 1, tier: 0, direction: 'read'}, 10, 0)
      links.network!.startTransfer(0, 1, 1.6e6, 0)
      return links.network!.nextEventAt()
    }
    // Of 32 GB/s the load takes half; on NVLink nothing.
    expect(await together(shared + joined('infiniband', 16))).equal(1.6e6 / 16)
    expect(await together(shared + joined('infiniband', 32))).equal(1.6e6 / 16)
    expect(await together(shared + joined('nvlink', 32))).equal(1.6e6 / 32)
  })

  it('shares them with what tiers load and write', async () => {
    const links = await linksOf({...pair, kvOffload: cpu})
    const network = links.network!
    const load = links.start({instance: 1, tier: 0, direction: 'read'}, 8, 0)
    const write = links.start({instance: 0, tier: 0, direction: 'write'}, 8, 0)
    const other = links.start({instance: 1, tier: 0, direction: 'write'}, 8, 0)
    const size = 8 * blockBytes
    // Down from the first engine and up to the second 16 GB/s each; the other direction is free.
    network.startTransfer(0, 1, size, 0)
    expect([load, write, other].map((id) => links.nextOf(id))).deep.equal([
      size / 16,
      size / 16,
      size / 32,
    ])
  })

  it('is of use only to engines of the same model and format', async () => {
    const refusal = async (ofDecode: string) => {
      const path = fileOf(
        `hardware: H100\ninstances: [{role: prefill}, {role: decode, ${ofDecode}}]\n`,
      )
      return (await problemOf(() => deploy(runRequest({cluster: path})))).message
    }
    expect(await refusal('model: Qwen/Qwen3-8B')).match(
      /^prefill and decode: meta-llama.*131072 bytes of KV a token in 32 layers, Qwen.*147456 .* in 36 layers;/,
    )
    expect(await refusal('engine: {kv_cache_dtype: fp8}')).match(/131072 .*65536 /)
  })

  it('is asked for only where KV moves', async () => {
    const path = fileOf('hardware: H100\ninstances: [{}]\n')
    const asked = [
      {network: {bandwidthGbS: 5}},
      {stream: 'by layer'},
      {stayBelow: 64},
      {decodeRouter: 'random'},
    ] as const
    for (const traffic of asked)
      for (const layout of [{cluster: path}, {hardware: 'H100'}]) {
        const {code, message} = await problemOf(() => deploy(runRequest({...layout, traffic})))
        expect(code).equal('FLAG_CONFLICT')
        expect(message).match(/^--[a-z-]+ needs instances that decode what others prefilled\.$/)
      }
  })

  it('is told in the head', async () => {
    const head = describeEngines(await deploy(runRequest(pair))).join('\n')
    expect(head).include('KV over 50 GB/s behind host links of 32 GB/s, 10 µs, at the end')
  })
})

describe('weights outside and KV', () => {
  const offload = (rate: string) =>
    weightsOf({'cpu-offload-gb': '8', 'weight-bandwidth': rate, 'weight-prefetch': '2'})
  const shape = {...emptyShape(), tokens: 1, paddedTokens: 1, sequences: 1, decodes: 1}

  it('a step that begins while KV comes has the half of the link', async () => {
    const both = await deploy(runRequest({...a100, weights: offload('32'), kvOffload: cpu}))
    const half = await deploy(runRequest({...a100, weights: offload('16')}))
    const alone = await deploy(runRequest({...a100, weights: offload('32')}))
    const [{stepTime, whileLoading}] = both.replicas as [(typeof both.replicas)[0]]
    expect(whileLoading!.stepTime(shape)).equal(half.replicas[0]!.stepTime(shape))
    expect(stepTime(shape)).equal(alone.replicas[0]!.stepTime(shape))
    expect(alone.replicas[0]!.whileLoading).equal(undefined)
    // 8 GiB at 32 GB/s are 268 ms, at 16 twice as much.
    expect(whileLoading!.stepTime(shape) / stepTime(shape)).within(1.9, 2)
  })

  it('and the KV the other half, as if weights came all the time', async () => {
    const {tiers} = await deploy(runRequest({...a100, weights: offload('32'), kvOffload: cpu}))
    const links = tiers[0]!.links()
    const read = links.start({instance: 0, tier: 0, direction: 'read'}, 8, 0)
    expect(links.nextOf(read)).equal((8 * blockBytes) / 16)
    const write = links.start({instance: 0, tier: 0, direction: 'write'}, 8, 0)
    expect(links.nextOf(write)).equal((8 * blockBytes) / 32)
  })

  it('a slow tier takes only what it can give', async () => {
    const nvme = kvOffloadOf({'kv-offload': 'nvme:1TB'})
    const {replicas} = await deploy(runRequest({...a100, weights: offload('32'), kvOffload: nvme}))
    const rest = await deploy(runRequest({...a100, weights: offload('25.5')}))
    expect(replicas[0]!.whileLoading!.stepTime(shape)).equal(rest.replicas[0]!.stepTime(shape))
  })

  it('also where the KV is that of another engine', async () => {
    const {replicas} = await deploy(runRequest({...pair, weights: offload('32')}))
    const half = await deploy(runRequest({...a100, weights: offload('16')}))
    const [prefill, decode] = replicas
    expect(prefill!.whileLoading).equal(undefined)
    expect(decode!.whileLoading!.stepTime(shape)).equal(half.replicas[0]!.stepTime(shape))
  })
})
