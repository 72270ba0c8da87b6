/** Weights outside of the device: memory and steps by hand, what cannot be, and whole runs. */
import {expect} from 'chai'
import fc from 'fast-check'
import {retyped} from '#llmsim/command-flags/listen-flags.js'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {type DeployedEngine, deploy} from '#llmsim/study/deployment.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {ratesWithin} from '#llmsim/study/weights/memory-shares.js'
import {stepTraffic} from '#llmsim/study/weights/placement.js'
import {ruleOfText} from '#llmsim/study/weights/rules.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim, root} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'
import {temporaryFiles} from '../support/temporary-files.js'

const {fileOf} = temporaryFiles('weights')

const request = runRequest({hardware: 'A6000', frontEnd: 'none'})
const GiB = 2 ** 30
/** Llama-3.1-8B in 16 bit: qkv, o, gate, up and down, two norms. */
const attentionBytes = 2 * (4096 * (4096 + 2 * 1024) + 4096 * 4096)
const mlpBytes = 2 * 3 * 4096 * 14336
const blockBytes = attentionBytes + mlpBytes + 2 * 2 * 4096
const tableBytes = 2 * 128256 * 4096
/** PCIe 4 of the file: 32 GB/s, and 1 µs until the first byte. */
const loadNs = (bytes: number, gbPerS = 32) => 1000 + bytes / gbPerS

const decode = (decodes: number) => ({
  ...emptyShape(),
  ...{tokens: decodes, sequences: decodes, decodes, paddedTokens: decodes},
  ...{decodeContext: 500 * decodes, decodeContextMin: 500, decodeContextMax: 500},
})

type Weights = NonNullable<RunRequest['weights']>
const rules = (texts: readonly string[], prefetch: Weights['prefetch'] = 1): Weights => ({
  place: {rules: texts.map(ruleOfText)},
  prefetch,
})
const gib = (size: number, more: Partial<Weights> = {}): Weights => ({
  place: {gib: size},
  prefetch: 'in place',
  ...more,
})
const engineOf = async (weights?: Weights, more: Partial<RunRequest> = {}) =>
  (await deploy({...request, ...more, weights})).engines[0]!
const memoryOf = ({settled}: DeployedEngine) => settled.memory!
const stepOf = ({latency}: DeployedEngine, decodes = 4) => latency.stepTime(decode(decodes))

describe('--cpu-offload-gb', () => {
  it('leaves its bytes to the KV cache', async () => {
    const plain = memoryOf(await engineOf())
    const less = memoryOf(await engineOf(gib(8)))
    expect(less.blocks - plain.blocks).within(
      Math.floor((8 * GiB) / plain.blockBytes),
      Math.ceil((8 * GiB) / plain.blockBytes),
    )
    expect(less).include({offloadedBytes: 8 * GiB, bufferBytes: 0})
  })

  it('reads whole blocks and a part of one in place, each in the time of the link or its own', async () => {
    const plain = await engineOf()
    const own = stepOf(plain)
    const blockNs = (own - plain.latency.outsideLayers!(decode(4))) / 32
    const share = (2 * GiB) / blockBytes
    const link = (2 * GiB) / 32 + Math.ceil(share) * 1000
    expect(stepOf(await engineOf(gib(2)))).closeTo(own - share * blockNs + link, 1)
    expect(stepOf(await engineOf(gib(0.5, {gbPerS: 1})))).above(own + 4e8)
  })

  it('is taken from the blocks of each stage', async () => {
    const {settled, weights} = await engineOf(gib(2), {layout: {pp: 2}})
    expect(settled.memory!.offloadedBytes).equal(2 * GiB)
    expect(weights!.memory.map(({offloadedBytes}) => offloadedBytes)).deep.equal([2 * GiB, 2 * GiB])
  })
})

describe('placed weights', () => {
  it('free their bytes, less a buffer for those on their way', async () => {
    const plain = memoryOf(await engineOf())
    const placed = memoryOf(await engineOf(rules(['blocks 16-31:cpu'])))
    expect(placed).include({offloadedBytes: 16 * blockBytes, bufferBytes: 2 * blockBytes})
    const gained = (14 * blockBytes) / plain.blockBytes
    expect(placed.blocks - plain.blocks).within(Math.floor(gained), Math.ceil(gained))
    const three = memoryOf(await engineOf(rules(['blocks 16-31:cpu'], 3)))
    expect(three.bufferBytes).equal(4 * blockBytes)
    // The last block of a step and the first of the next are in it together.
    const ends = memoryOf(await engineOf(rules(['blocks 0,31:cpu', 'blocks 8,16 attention:cpu'])))
    expect(ends.bufferBytes).equal(2 * blockBytes)
    const inPlace = memoryOf(await engineOf(rules(['blocks 16-31:cpu'], 'in place')))
    expect(inPlace.bufferBytes).equal(0)
  })

  it('bound a small step by bytes ÷ bandwidth, and hide behind a large one', async () => {
    const plain = await engineOf()
    const placed = await engineOf(rules(['blocks 0-31:cpu']))
    expect(stepOf(placed)).equal(Math.round(32 * loadNs(blockBytes)))
    const prompt = {
      ...emptyShape(),
      ...{tokens: 8192, sequences: 1, prefills: 1, prefillTokens: 8192, prefillTokensMax: 8192},
      ...{prefillWork: (8192 * 8193) / 2, paddedTokens: 8192},
    }
    const own = plain.latency.stepTime(prompt)
    expect(own).above(2 * 32 * loadNs(blockBytes))
    expect(placed.latency.stepTime(prompt)).equal(own)
  })

  it('wait one after the other without prefetch', async () => {
    const plain = await engineOf()
    const outside = plain.latency.outsideLayers!(decode(4))
    const blocks = stepOf(plain) - outside
    const step = stepOf(await engineOf(rules(['blocks 0-31:cpu'], 0)))
    // What is outside of blocks runs behind the first load of the next step.
    expect(step).closeTo(32 * loadNs(blockBytes) + blocks, 1)
  })

  it('may be parts of blocks', async () => {
    const placed = await engineOf(rules(['blocks 0-3 mlp:cpu', 'blocks 4 attention:cpu']))
    expect(memoryOf(placed).offloadedBytes).equal(4 * mlpBytes + attentionBytes)
    expect(memoryOf(placed).bufferBytes).equal(2 * mlpBytes)
    expect(stepOf(placed)).least(4 * loadNs(mlpBytes) + loadNs(attentionBytes))
  })

  it('may be experts, of the shard that a rank has', async () => {
    const moe = {model: 'Qwen/Qwen3-30B-A3B', hardware: 'H100', layout: {tp: 2}}
    const placed = await engineOf(rules(['experts:cpu']), moe)
    // 128 experts of 768 over 2 ranks, in 48 blocks.
    expect(memoryOf(placed).offloadedBytes).equal((48 * 128 * 3 * 2048 * 768 * 2) / 2)
  })

  it('are read in place for those experts alone that tokens pick', async () => {
    const moe = {model: 'Qwen/Qwen3-30B-A3B', hardware: 'H100'}
    const plain = await engineOf(undefined, moe)
    const placed = await engineOf(rules(['experts:cpu'], 'in place'), moe)
    const {offloadedBytes} = memoryOf(placed)
    const around = plain.latency.outsideLayers!(decode(1))
    const blocks = stepOf(plain, 1) - around
    // One token picks 8 of 128; PCIe 5 is 64 GB/s. Of a block, the experts' part of its bytes hides behind the link.
    const link = offloadedBytes! / 16 / 64 + 48_000
    const share = placed.weights!.streams[0]!.blocks[0]!.share
    expect(stepOf(placed, 1)).closeTo(around + (1 - share) * blocks + link, 2)
    expect(stepTraffic(placed)!.bytes).closeTo(offloadedBytes! / 16, 1)
    expect(stepTraffic(placed)!.linkNs).closeTo(link, 1)
    const all = offloadedBytes! / 64
    expect(stepOf(placed, 4096)).above(all)
    expect(stepOf(await engineOf(rules(['experts:cpu']), moe), 1)).above(all)
  })

  it('may be the head, which is fetched again each time, and the embedding, of which rows are read', async () => {
    const head = await engineOf(rules(['lm_head:cpu']))
    // A place for the only unit: it saves nothing.
    expect(memoryOf(head)).include({offloadedBytes: tableBytes, bufferBytes: tableBytes})
    const plain = await engineOf()
    const outside = plain.latency.outsideLayers!(decode(4))
    expect(stepOf(head)).closeTo(Math.max(stepOf(plain), loadNs(tableBytes) + outside), 1)
    const rows = await engineOf(rules(['embedding:cpu']))
    expect(memoryOf(rows)).include({offloadedBytes: tableBytes, bufferBytes: 0})
    expect(stepOf(rows)).closeTo(stepOf(plain) + 1000 + (4 * 2 * 4096) / 32, 1)
  })

  it('of a tied table are one table', async () => {
    const small = {model: 'Qwen/Qwen3-0.6B'}
    const placed = await engineOf(rules(['embedding:cpu']), small)
    const {offloadedBytes} = memoryOf(placed)
    expect(offloadedBytes).equal(151936 * 1024 * 2)
    expect(stepOf(placed)).least(loadNs(offloadedBytes!))
    const parted = rules(['embedding:cpu', 'lm_head:npu'])
    const {message} = await problemOf(() => engineOf(parted, small))
    expect(message).include('--weights: a rule parts embedding and lm_head, which are one table')
  })

  it('belong to the stage that has the block', async () => {
    const placed = await engineOf(rules(['blocks 14-18:cpu']), {layout: {pp: 2}})
    expect(placed.weights!.memory.map(({offloadedBytes}) => offloadedBytes)).deep.equal([
      2 * blockBytes,
      3 * blockBytes,
    ])
    const {stages} = placed.latency.pipeline!
    expect(stages[0]!(decode(4))).least(2 * loadNs(blockBytes))
    expect(stages[1]!(decode(4))).least(3 * loadNs(blockBytes))
  })

  it('change nothing where rules leave all of them on the device', async () => {
    const placed = await engineOf(rules(['blocks 0-31:npu', 'lm_head:npu']))
    expect(placed.weights).equal(undefined)
    expect(stepOf(placed)).equal(stepOf(await engineOf()))
  })

  it('are never faster with more outside, and never leave less but for the buffer', async () => {
    const some = fc.uniqueArray(fc.nat(31), {minLength: 1, maxLength: 10})
    await fc.assert(
      fc.asyncProperty(some, fc.nat(31), fc.nat(3), async (blocks, more, prefetch) => {
        const of = (all: readonly number[]) =>
          engineOf(rules([`blocks ${[...new Set(all)].join(',')}:cpu`], prefetch))
        const [few, many] = [await of(blocks), await of([...blocks, more])]
        for (const decodes of [1, 64]) expect(stepOf(many, decodes)).least(stepOf(few, decodes))
        const grown = memoryOf(many).bufferBytes! - memoryOf(few).bufferBytes!
        const lost = Math.ceil(grown / memoryOf(few).blockBytes)
        expect(memoryOf(many).blocks).least(memoryOf(few).blocks - lost)
      }),
      {numRuns: 40},
    )
  })

  it('say how much comes over the link, and when it bounds a step', async () => {
    const {latency, settled} = await engineOf(rules(['blocks 16-31:cpu']))
    expect(latency.notes.at(-1)).equal(
      '6.5 GiB of the weights of each device lie outside of it and are fetched 1 block ahead: a step takes at least 218 ms, and may wait for them while its blocks take less than 13.6 ms each.',
    )
    expect(latency.provenance.at(-1)).deep.equal({
      term: 'weights outside',
      from: 'class default',
      detail: 'cpu at 32 GB/s a device, 1 µs; datasheet figures',
    })
    expect(settled.memory!.bufferBytes).equal(2 * blockBytes)
  })
})

describe('what the head of a run says', () => {
  const noteOf = async (texts: readonly string[], prefetch?: Weights['prefetch']) =>
    (
      await engineOf({...rules(texts), ...(prefetch === undefined ? {} : {prefetch})})
    ).latency.notes.at(-1)

  it('of an embedding alone: nothing waits for a fetch', async () => {
    expect(await noteOf(['embedding:cpu'])).equal(
      '1.0 GiB of the weights of each device lie outside of it, the embedding, of which a step reads rows in place.',
    )
  })

  it('of a buffer as large as what it is for', async () => {
    const vain = /The buffer has room for all that is fetched, so it saves nothing\.$/
    expect(await noteOf(['blocks 0-3:cpu'], 4)).match(vain)
    expect(await noteOf(['lm_head embedding:cpu'], 1)).match(vain)
    expect(await noteOf(['blocks 0-3:cpu'], 2)).not.match(vain)
    expect(await noteOf(['blocks 0-3:cpu'], 'in place')).not.match(vain)
  })
})

describe('rules that cannot be', () => {
  it('are answered with rules as they are typed', async () => {
    const blocks = await problemOf(() => engineOf(rules(['blocks 16-40:cpu'])))
    expect(blocks.suggestions).deep.equal(["--weights 'blocks 16-31:cpu'"])
    const parts = await problemOf(() => engineOf(rules(['experts:cpu'])))
    expect(parts.suggestions).deep.equal(["--weights 'attention, mlp:cpu'"])
  })

  const faults: readonly (readonly [rules: readonly string[], says: string])[] = [
    [['blocks 16-40:cpu'], 'blocks names block 40, and the model has blocks 0 to 31'],
    [['blocks 3-1:cpu'], 'blocks must be numbers and ranges, as 0-3,8, but has "3-1"'],
    [['blocks 0-3,2:cpu'], 'blocks names block 2 twice'],
    [['blocks 0-3:cpu', 'blocks 3:npu'], 'blocks places block 3, which an earlier rule'],
    [['mlp:cpu', 'blocks 3:npu'], 'blocks places block 3, which an earlier rule'],
    [['mlp:cpu', 'blocks 3 mlp:npu'], 'blocks places mlp of block 3, which an earlier rule'],
    [['lm_head:cpu', 'lm_head:npu'], 'a rule places lm_head, which an earlier rule'],
    [['experts:cpu'], 'a rule names experts, and meta-llama/Llama-3.1-8B-Instruct has none'],
    [[':cpu'], 'rule names no weights'],
    [['lm_head:cxl'], 'no CXL memory is described'],
  ]
  for (const [texts, says] of faults)
    it(`say so: ${texts.join(' and ')}`, async () => {
      const {message} = await problemOf(() => engineOf(rules(texts)))
      expect(message).include(`--weights`).include(says)
    })

  for (const [text, says] of [
    ['blocks 0-3', 'it must end in :npu, :cpu, :cxl'],
    ['blocks 0-3:ram', 'it must end in :npu, :cpu, :cxl'],
    ['blocks 0-3 mpl:cpu', '"mpl" is not one of blocks, attention, mlp'],
  ] as const)
    it(`are told from a text: ${text}`, async () => {
      const {message} = await problemOf(async () => ruleOfText(text))
      expect(message).include(`--weights '${text}': `).include(says)
    })

  it('go with no other way to place weights, and no clock of another simulator', async () => {
    const compat = await problemOf(() => engineOf(gib(1), {compat: 'llmservingsim'}))
    expect(compat.code).equal('FLAG_CONFLICT')
    const all = await problemOf(() => engineOf(gib(99)))
    expect(all.message).match(/a device has only 13\.0 GiB of weights in its blocks/)
    const link = await problemOf(() => engineOf(gib(2), {hardware: 'B200'}))
    expect(link.message).include('Missing --weight-bandwidth')
  })

  const flags: readonly (readonly [argv: readonly string[], says: string])[] = [
    [['--weight-prefetch', '1'], '--weight-prefetch without --weights or --cpu-offload-gb'],
    [['--cpu-offload-gb', 'much'], '--cpu-offload-gb much: it must be a number above 0'],
    [['--cpu-offload-gb', '1', '--weights', 'mlp:cpu'], 'both place weights'],
    [['--weights', 'mlp:cpu', '--weight-prefetch', 'all'], 'a number of blocks, or in-place'],
  ]
  for (const [argv, says] of flags)
    it(`are told of flags: ${argv.join(' ')}`, async () => {
      const {error} = await llmsim(
        'simulate',
        `${root}/traces/chat.csv`,
        '--hardware',
        'A6000',
        ...argv,
      )
      expect(error?.message).include(says)
    })
})

const cluster = `hardware: A6000
memory:
  cpu: {capacity_gb: 64, bandwidth_gb_s: 40}
instances:
  - tp: 2
    weights:
      - {blocks: 0-15, on: npu}
      - {blocks: 16-31, on: cpu}
      - {layers: [lm_head], on: npu}
    weight_prefetch: 3
`

describe('weights of a cluster file', () => {
  const deployed = (text: string) => deploy(runRequest({cluster: fileOf(text), frontEnd: 'none'}))

  it('come at the share that each rank has of the memory, if its link allows', async () => {
    const {weights, settled} = (await deployed(cluster)).engines[0]!
    expect(weights!.shares).deep.equal([{cpu: {gbPerS: 20, latencyNs: 1000}}])
    // Norms are whole on each rank.
    const rank = (attentionBytes + mlpBytes) / 2 + 4 * 4096
    expect(settled.memory).include({offloadedBytes: 16 * rank, bufferBytes: 4 * rank})
    const {power} = await deployed(cluster)
    expect(power!.engines[0]!.linkBytesPerStep).equal(2 * 16 * rank)
    const alone = cluster.replace('bandwidth_gb_s: 40', 'bandwidth_gb_s: 40, devices: 1')
    expect((await deployed(alone)).engines[0]!.weights!.shares[0]!.cpu!.gbPerS).equal(32)
  })

  it('of all instances share one memory, or one for so many devices', async () => {
    const text = cluster.replace('- tp: 2', '- tp: 2\n    count: 2')
    expect((await deployed(text)).engines[1]!.weights!.shares[0]!.cpu!.gbPerS).equal(10)
    const nodes = text.replace('bandwidth_gb_s: 40', 'bandwidth_gb_s: 40, devices: 2')
    expect((await deployed(nodes)).engines[1]!.weights!.shares[0]!.cpu!.gbPerS).equal(20)
    // Two and one: the third device has a memory of its own, and its rank waits for the other.
    const odd = text.replace('bandwidth_gb_s: 40', 'bandwidth_gb_s: 40, devices: 3')
    const rates = (await deployed(odd)).engines.map(({weights}) => weights!.shares[0]!.cpu!.gbPerS)
    expect(rates[0]).closeTo(40 / 3, 1e-9)
    expect(rates[1]).closeTo(40 / 3, 1e-9)
  })

  it('count devices by ranks, stages and instances in the order of the file', async () => {
    const text = cluster
      .replace('- tp: 2', '- pp: 2\n    count: 2')
      .replace('bandwidth_gb_s: 40', 'bandwidth_gb_s: 40, devices: 2')
    // Of each two devices the second has blocks outside, and the memory to itself.
    const shares = [{}, {cpu: {gbPerS: 32, latencyNs: 1000}}]
    for (const {weights} of (await deployed(text)).engines)
      expect(weights!.shares).deep.equal(shares)
  })

  it('may lie in CXL memory', async () => {
    const text = cluster
      .replace('on: cpu', 'on: cxl')
      .replace('  cpu: {', '  cxl: {latency_us: 0.5, ')
    expect((await deployed(text)).engines[0]!.weights!.shares).deep.equal([
      {cxl: {gbPerS: 20, latencyNs: 500}},
    ])
  })

  const faults: readonly (readonly [change: string, to: string, says: string])[] = [
    ['16-31', '16-32', '8:18: instances[0].weights[1].blocks names block 32, and the model has'],
    ['16-31', '15-31', '8:18: instances[0].weights[1].blocks places block 15, which an earlier'],
    ['16-31', '[16]', '8:18: instances[0].weights[1].blocks must be numbers and ranges, as 0-3,8.'],
    ['on: cpu', 'on: cxl', '8:29: instances[0].weights[1].on is cxl, and the file describes no'],
    ['on: cpu', 'on: host', '8:29: instances[0].weights[1].on must be one of npu, cpu, cxl.'],
    ['[lm_head]', '[head]', '9:19: instances[0].weights[2].layers[0] must be one of embedding,'],
    ['layers:', 'layer:', '9:10: instances[0].weights[2].layer is not a known key.'],
    ['blocks: 16-31, ', '', '8:9: instances[0].weights[1] names no weights.'],
    ['prefetch: 3', 'prefetch: -1', '10:22: instances[0].weight_prefetch must be at least 0.'],
    [
      'capacity_gb: 64',
      'capacity_gb: 6.4',
      '3:22: memory.cpu.capacity_gb is 6.4 GB, and the weights placed there come to 7.0 GB: 0.6 GB too many.',
    ],
  ]
  for (const [change, to, says] of faults)
    it(`say where they are wrong: ${to || 'nothing named'}`, async () => {
      expect(cluster.includes(change)).equal(true)
      const path = fileOf(cluster.replace(change, to))
      const {code, message} = await problemOf(() => deploy(runRequest({cluster: path})))
      expect(code).equal('CLUSTER_BAD_FILE')
      expect(message.replace(`${path}:`, '')).include(says)
    })

  it('share the size of a memory with the KV that is kept there', async () => {
    const tier = (size: number, shared = false) =>
      `kv_offload: {tiers: [{tier: cpu, capacity_gb: ${size}, shared: ${shared}}]}\n`
    const twice = cluster.replace('- tp: 2', '- tp: 2\n    count: 2')
    const fits = [cluster + tier(57), twice + tier(25), twice + tier(50, true)]
    for (const text of fits) await deployed(text)
    const faults: readonly (readonly [string, string])[] = [
      [cluster + tier(58), 'the weights and KV placed there come to 65.0 GB: 1.0 GB too many'],
      [twice + tier(26), 'the weights and KV placed there come to 66.0 GB'],
      [twice + tier(51, true), 'the weights and KV placed there come to 65.0 GB'],
      [
        `hardware: A6000\nmemory: {cpu: {capacity_gb: 9}}\ninstances: [{tp: 1}]\n${tier(10)}`,
        '2:29: memory.cpu.capacity_gb is 9.0 GB, and the KV placed there come to 10.0 GB',
      ],
    ]
    for (const [text, says] of faults) {
      const {message} = await problemOf(() => deployed(text))
      expect(message).include(says)
    }
  })

  it('need weights to fetch ahead', async () => {
    const path = fileOf('hardware: A6000\ninstances:\n  - {weight_prefetch: 2}\n')
    const {message} = await problemOf(() => deploy(runRequest({cluster: path})))
    expect(message).include('instances[0].weight_prefetch needs weights, which it fetches')
  })
})

describe('shares of a memory', () => {
  it('are fair: nobody above its link, nobody who could have more', () => {
    expect(ratesWithin([32, 32], 40)).deep.equal([20, 20])
    expect(ratesWithin([64, 8, 64], 40)).deep.equal([16, 8, 16])
    expect(ratesWithin([32, 32], Number.POSITIVE_INFINITY)).deep.equal([32, 32])
    const [none, some] = ratesWithin([Number.POSITIVE_INFINITY, 5], Number.POSITIVE_INFINITY)
    expect([none, some]).deep.equal([Number.POSITIVE_INFINITY, 5])
    const limits = fc.array(fc.integer({min: 1, max: 100}), {minLength: 1, maxLength: 8})
    fc.assert(
      fc.property(limits, fc.integer({min: 1, max: 300}), (links, whole) => {
        const rates = ratesWithin(links, whole)
        const sum = rates.reduce((all, rate) => all + rate, 0)
        expect(sum).closeTo(
          Math.min(
            whole,
            links.reduce((all, link) => all + link, 0),
          ),
          1e-6,
        )
        const most = Math.max(...rates)
        for (const [i, rate] of rates.entries()) {
          expect(rate).most(links[i]!)
          if (rate < most - 1e-6) expect(rate).equal(links[i])
        }
      }),
      {numRuns: 200},
    )
  })
})

describe('the command that comes next', () => {
  it('has each rule again', () => {
    const typed = {weights: ['blocks 16-31:cpu', 'mlp:npu'], 'weight-prefetch': '2'}
    const raw = Object.keys(typed).map((flag) => ({type: 'flag', flag}))
    expect(retyped(Object.keys(typed), raw, typed).join(' ')).equal(
      "--weights 'blocks 16-31:cpu' --weights mlp:npu --weight-prefetch 2",
    )
  })
})

describe('runs with weights outside', () => {
  const argv = ['simulate', `${root}/traces/chat.csv`, '--hardware', 'RTX4090', '--no-save']
  const model = ['--model', 'Qwen/Qwen3-14B', '--limit', '5']
  const resultOf = async (...flags: string[]) => {
    const {stdout, error} = await llmsim(...argv, ...model, ...flags, '--check', '--json')
    expect(error).equal(undefined)
    return JSON.parse(stdout)
  }

  it('let a model run that would not fit, at the pace of the link', async () => {
    const without = await llmsim(...argv, ...model)
    expect(without.error?.message).contain('does not fit')
    // vLLM's own default, which scripts say.
    const none = await llmsim(...argv, ...model, '--cpu-offload-gb', '0')
    expect(none.error?.message).equal(without.error?.message)
    const offloaded = await resultOf('--cpu-offload-gb', '12')
    expect(offloaded.summary.requests.completed).equal(5)
    expect(offloaded.config.notes.join()).contain(
      '12.0 GiB of the weights of each device lie outside',
    )
    const placed = await resultOf('--weights', 'blocks 20-39:cpu', '--weights', 'lm_head:cpu')
    const {weights_elsewhere: away, weight_buffer: buffer} = placed.config.engines[0].memory_bytes
    expect(away).above(12e9)
    expect(buffer).within(1, away / 4)
    expect(placed.summary.itl_ms.p50).least(away / 32e6)
    expect(placed.summary.weights.bytes_per_step).equal(away)
    expect(placed.summary.weights.bytes).equal(away * placed.summary.steps)
    // Few steps are so large that they hide it.
    expect(placed.summary.weights.link_busy).within(0.95, 1)
  }).timeout(20_000)

  it('pay for the bytes that cross links', async () => {
    const without = await resultOf('--dtype', 'fp8')
    const {summary, config} = await resultOf('--dtype', 'fp8', '--weights', 'blocks 0-9:cpu')
    // 4 pJ a bit, of both ways of a link.
    const bytes = config.engines[0].memory_bytes.weights_elsewhere
    const steps = summary.engines[0].steps
    const moved = steps * bytes * 8 * 4e-12
    expect(summary.energy.links_j - without.summary.energy.links_j).closeTo(moved, 1e-6 * moved)
  }).timeout(20_000)
})
