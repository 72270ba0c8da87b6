import {existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {linkOf, listHardware, loadHardware} from '#llmsim/catalogue/hardware.js'
import {type Hardware, peakDtypes} from '#llmsim/catalogue/hardware-shape.js'
import {Problem} from '#llmsim/errors.js'

const problemOf = async (work: () => unknown): Promise<Problem> => {
  try {
    await work()
  } catch (error) {
    expect(error).to.be.instanceOf(Problem)
    return error as Problem
  }
  throw new Error('no Problem was thrown')
}

describe('hardware catalogue', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-hardware-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  const write = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }

  const card = `id: Mine
name: My card
vendor: Me
architecture: ada
memory_gb: 24
bandwidth_gb_s: 500
peak_tflops: {bf16: 100}
power_w: 200
price_usd_per_hour: 0.5
links:
  pcie4: {kind: pcie, gb_s: 32, max_devices: 8}
calibrated: false
source: my own bench
`

  const prices: readonly (readonly [string, string, number | null])[] = [
    ['a price', card, 0.5],
    ['no price', card.replace(/price.*\n/, ''), null],
    ['a price of 0', card.replace('hour: 0.5', 'hour: 0'), null],
    ['the price of what it extends', 'extends: RTX3090\n', 0.25],
    ['no price of its own', 'extends: RTX3090\nprice_usd_per_hour: 0\n', null],
  ]
  for (const [what, text, price] of prices)
    it(`takes a card with ${what}`, async () => {
      const {priceUsdPerHour} = await loadHardware(write('priced.yaml', text))
      expect(priceUsdPerHour).to.equal(price)
    })

  it('knows the cards that a file extends, nearest first', async () => {
    write('middle.yaml', 'extends: A100-40GB\nid: Middle\n')
    const {id, extended} = await loadHardware(write('last.yaml', 'extends: ./middle.yaml\n'))
    expect([id, ...extended]).deep.equal(['last', 'Middle', 'A100-40GB', 'A100'])
    expect((await loadHardware('A100')).extended).deep.equal([])
  })

  describe('wrong files', () => {
    const cases: readonly (readonly [string, string, string, string])[] = [
      [
        'negative bandwidth',
        card.replace('500', '-500'),
        ':6:17',
        'bandwidth_gb_s must be a number of at least 0.001 (10^9 bytes per second), but is -500',
      ],
      [
        'a text for a number',
        card.replace('200', 'lots'),
        ':8:10',
        'power_w must be a number above 0, but is "lots"',
      ],
      ['a missing key', card.replace('memory_gb: 24\n', ''), ':1:1', 'lacks the key memory_gb'],
      [
        'an unknown key',
        card.replace('vendor: Me', 'vendor: Me\nvendr: Me'),
        ':4:1',
        'vendr is not a known key',
      ],
      [
        'an unknown class',
        card.replace('architecture: ada', 'architecture: adda'),
        ':4:15',
        'must be one of turing, ampere',
      ],
      [
        'no peak',
        card.replace('{bf16: 100}', '{fp8: 100}'),
        ':7:14',
        'lacks the key peak_tflops.bf16',
      ],
      [
        'an unknown dtype',
        card.replace('{bf16: 100}', '{bf16: 100, fp6: 1}'),
        ':7:26',
        'peak_tflops.fp6 is not a known key',
      ],
      [
        'calibrated as a text',
        card.replace('calibrated: false', 'calibrated: maybe'),
        ':12:13',
        'must be true or false',
      ],
      [
        'calibrated without fits',
        card.replace('calibrated: false', 'calibrated: true'),
        ':12:13',
        'may be true only when',
      ],
      [
        'an unknown kind of link',
        card.replace('kind: pcie', 'kind: string'),
        ':11:17',
        'links.pcie4.kind must be one of',
      ],
      [
        'a link without a rate',
        card.replace('gb_s: 32, ', ''),
        ':11:10',
        'lacks the key links.pcie4.gb_s',
      ],
      [
        'more memory than sold',
        `${card}usable_bytes: 99000000000\n`,
        ':14:15',
        'usable_bytes must be a number above 0 and at most',
      ],
      [
        'an efficiency above 1',
        `${card}kernels:\n  gemm:\n    bf16: {compute_efficiency: 1.2, memory_efficiency: 0.9, launch_us: 4, exponent: 2, source: x}\n`,
        ':16:32',
        'kernels.gemm.bf16.compute_efficiency must be a number above 0 and at most 1',
      ],
      [
        'a fit without a source',
        `${card}kernels:\n  prefill_attention: {launch_us: 4, compute_efficiency: 0.5, ramp_tokens: 9}\n`,
        ':15:22',
        'lacks the key kernels.prefill_attention.source',
      ],
      [
        'power without a source',
        `${card}power: {idle_w: 20}\n`,
        ':14:8',
        'lacks the key power.source',
      ],
      [
        'a draw below nothing',
        `${card}power: {idle_w: -1, source: x}\n`,
        ':14:17',
        'power.idle_w must be a number of at least 0, but is -1',
      ],
      [
        'a device that draws more while it idles',
        `${card}power: {idle_w: 90, standby_w: 50, source: x}\n`,
        ':14:17',
        'power.idle_w must not be above standby_w',
      ],
      [
        'a load above 1',
        `${card}power: {host: {cpu_idle_load: 15}, source: x}\n`,
        ':14:31',
        'power.host.cpu_idle_load must be a share',
      ],
      ['a list', '- a\n- b\n', ':1:1', 'the file must be a map of keys'],
      ['nothing', '', ':1:1', 'the file must be a map of keys, but is empty'],
      ['bad YAML', 'id: [a\nname: b\n', ':', 'not valid YAML'],
      ['two equal keys', 'id: a\nid: b\n', ':2:1', 'not valid YAML'],
      [
        'extends nobody',
        'extends: H101\n',
        ':1:10',
        'extends names "H101", which is not in the catalogue',
      ],
      ['extends a number', 'extends: 100\n', ':1:10', 'extends must name an accelerator or a file'],
      ['extends itself', 'extends: ./wrong.yaml\n', ':1:10', 'extends leads back to this file'],
      [
        'a wrong change to another card',
        'extends: H100\npeak_tflops: {bf16: 0}\n',
        ':2:21',
        'peak_tflops.bf16 must be a number above 0',
      ],
      [
        'a curve that falls',
        card.replace(
          'max_devices: 8}',
          'max_devices: 8, all_reduce: {source: x, message_bytes: [1000, 2000], degrees: {2: {floor_us: 1, bus_gb_s: [1, 9]}}}}',
        ),
        ':11:',
        'must not make a larger message faster',
      ],
      [
        'a curve that is too short',
        card.replace(
          'max_devices: 8}',
          'max_devices: 8, all_reduce: {source: x, message_bytes: [1000, 2000], degrees: {2: {floor_us: 1, bus_gb_s: [1]}}}}',
        ),
        ':11:',
        'one figure per message size (2)',
      ],
      [
        'a degree of one',
        card.replace(
          'max_devices: 8}',
          'max_devices: 8, all_reduce: {source: x, message_bytes: [1000], degrees: {1: {floor_us: 1, bus_gb_s: [1]}}}}',
        ),
        ':11:',
        'whole number of devices from 2',
      ],
    ]
    for (const [name, text, place, rule] of cases) {
      it(name, async () => {
        const path = write('wrong.yaml', text)
        const problem = await problemOf(() => loadHardware(path))
        expect(problem.code).to.equal('HARDWARE_BAD_FILE')
        expect(problem.message).to.include(`wrong.yaml${place}`).and.to.include(rule)
        expect(problem.message).not.to.include('\n')
      })
    }

    it('a file that is not there, a folder, a binary', async () => {
      const missing = await problemOf(() => loadHardware(join(folder, 'no.yaml')))
      expect(missing.message).to.include('no.yaml: there is no such file')
      const isFolder = await problemOf(() => loadHardware(`${folder}/`))
      expect(isFolder.message).to.include('it is a folder, not a file')
      const binary = write('binary.yaml', 'id: a\0b')
      expect((await problemOf(() => loadHardware(binary))).message).to.include('not a text file')
    })

    it('two files that extend each other', async () => {
      write('one.yaml', 'extends: ./two.yaml\n')
      const two = write('two.yaml', 'extends: ./one.yaml\n')
      const problem = await problemOf(() => loadHardware(two))
      expect(problem.message).to.include('extends leads back to this file')
    })
  })

  it('names the nearest of an unknown card', async () => {
    const problem = await problemOf(() => loadHardware('H1000'))
    expect(problem.code).to.equal('HARDWARE_UNKNOWN')
    expect(problem.message).to.include('"H1000"')
    expect(problem.suggestions[0]).to.equal('H100')
    const none = await problemOf(() => loadHardware('abacus'))
    expect(none.suggestions).to.deep.equal([])
  })

  it('names the flag of how many cards, and the cards of a number', async () => {
    const tries = async (name: string) => (await problemOf(() => loadHardware(name))).suggestions
    for (const name of ['4xRTX3090', '4 x rtx 3090', '4×RTX3090', '4*RTX-3090'])
      expect(await tries(name), name).to.deep.equal(['--hardware RTX3090 --npu 4'])
    expect(await tries('3090')).to.include('RTX3090')
    expect(await tries('2xabacus')).to.deep.equal([])
  })

  it('knows names and aliases without case, spaces, dashes and underscores', async () => {
    const pairs: readonly (readonly [string, string])[] = [
      ['rtx 3090', 'RTX3090'],
      ['RTX-4090', 'RTX4090'],
      ['RTXA6000', 'A6000'],
      ['A100-80GB', 'A100'],
      ['A100-SXM', 'A100'],
      ['a100_40gb', 'A100-40GB'],
      ['H100-SXM', 'H100'],
      ['h100 pcie', 'H100-PCIe'],
      ['RTX-PRO-6000', 'RTXPRO6000'],
      ['TPU-v6e-1', 'TPU-v6e'],
      ['arc pro b60', 'B60'],
      ['mi300x', 'MI300X'],
    ]
    for (const [name, id] of pairs) expect((await loadHardware(name)).id, name).to.equal(id)
  })

  it('has no two cards of one name, and every file is named after its id', async () => {
    const all = await listHardware()
    const plain = (text: string) => text.toLowerCase().replaceAll(/[\s_-]/g, '')
    const names = all.flatMap((card) => [card.id, ...card.aliases]).map(plain)
    expect(new Set(names).size).to.equal(names.length)
    expect(all.map((card) => `${card.id}.yaml`)).to.have.members(readdirSync('hardware'))
  })

  it('calls nobody calibrated whose errors are not in the file, and whoever has them', async () => {
    const all = await listHardware()
    for (const {id, kernels, calibrated, source} of all) {
      const fits = [kernels.gemm.bf16, kernels.decodeAttention, kernels.prefillAttention]
      const own = fits.every((fit) => (fit?.errorBySize?.length ?? 0) > 0)
      expect(calibrated, id).to.equal(own && !source.includes('Not calibrated'))
    }
    expect(all.filter(({calibrated}) => calibrated).map(({id}) => id)).to.include.members([
      ...['A100', 'H100', 'H200', 'B200', 'B300', 'GB200', 'L40S', 'RTXPRO6000', 'B60', 'RTX4090'],
      ...['A6000', 'TPU-v6e'],
    ])
    const half = all.find(({id}) => id === 'RTX3090')!
    expect(half.kernels.gemm.bf16?.meanErrorPercent).to.be.below(10)
    expect(half.source).to.include('Not calibrated: decode attention and prefill attention')
  })

  /** What a card that extends the H100 says of kernels that it takes over. */
  const ofH100 = <Kernels>(kernels: Kernels): Kernels =>
    JSON.parse(
      JSON.stringify(kernels).replaceAll('"source":"', '"source":"measured on H100: '),
    ) as Kernels

  it('extends a card, changing some figures only', async () => {
    const path = write(
      'half-h100.yaml',
      'extends: H100-SXM\nbandwidth_gb_s: 1675\npeak_tflops: {fp8: 1000}\n',
    )
    const [half, whole] = [await loadHardware(path), await loadHardware('H100')]
    expect(half.id).to.equal('half-h100')
    expect(half.aliases).to.deep.equal([])
    expect(half.bandwidthGbS).to.equal(1675)
    expect(half.peakTflops).to.deep.equal({...whole.peakTflops, fp8: 1000})
    expect(half.kernels).to.deep.equal(ofH100(whole.kernels))
    expect(half.calibrated).to.equal(false)
  })

  it('extends memory: of another amount the same share is usable', async () => {
    const base = await loadHardware('H100')
    const card = (own: string) => loadHardware(write('more.yaml', `extends: H100\n${own}\n`))
    const share = base.usableBytes / base.memoryGib
    for (const gib of [8, 141]) {
      const {memoryGib, usableBytes} = await card(`memory_gb: ${gib}`)
      expect(memoryGib).to.equal(gib)
      expect(usableBytes / gib).to.be.closeTo(share, 1)
    }
    const own = await card('memory_gb: 96\nusable_bytes: 99000000000')
    expect(own.usableBytes).to.equal(99e9)
    expect((await card('bandwidth_gb_s: 3900')).usableBytes).to.equal(base.usableBytes)
  })

  it('extends single coefficients: the others are inherited, their errors are not', async () => {
    const whole = (await loadHardware('H100')).kernels
    const changedFrom = (path: string) => loadHardware(path).then(({kernels}) => kernels)
    const fewer = await changedFrom(
      write(
        'slow-h100.yaml',
        `extends: H100
kernels:
  gemm: {bf16: {compute_efficiency: 0.5}}
  decode_attention: {launch_us: 20, combine_us: null, source: my bench, samples: 7}
`,
      ),
    )
    const {bf16, ...others} = fewer.gemm
    const {bf16: own, ...same} = whole.gemm
    expect(others).to.deep.equal(ofH100(same))
    expect(bf16).to.deep.equal({
      computeEfficiency: 0.5,
      memoryEfficiency: own!.memoryEfficiency,
      launchUs: own!.launchUs,
      exponent: own!.exponent,
      tileWalkUs: own!.tileWalkUs,
      source: `changed from H100: ${own!.source}`,
    })
    const decode = fewer.decodeAttention!
    expect(decode).to.include({launchUs: 20, source: 'my bench', samples: 7})
    expect(decode.memoryEfficiency).to.equal(whole.decodeAttention!.memoryEfficiency)
    expect(decode).to.not.have.any.keys('combineUs', 'meanErrorPercent', 'errorBySize')
    expect(fewer.prefillAttention).to.deep.equal(ofH100(whole.prefillAttention))
    // A class that the card does not have is said in full.
    const path = write('new-class.yaml', 'extends: H100\nkernels: {gemm: {fp4: {exponent: 2}}}\n')
    const problem = await problemOf(() => loadHardware(path))
    expect(problem.message).match(
      /new-class\.yaml:2:23: kernels\.gemm\.fp4 lacks the key .*compute_efficiency/,
    )
    // What is no map is refused, not lost.
    const flat = write('flat.yaml', 'extends: H100\nkernels: {gemm: 5}\n')
    expect((await problemOf(() => loadHardware(flat))).message).match(/kernels\.gemm must be a map/)
  })

  it('reads a file that needs the full parser', async () => {
    const path = write('full.yaml', card.replace('name: My card', 'name: "My\\tcard"'))
    expect((await loadHardware(path)).name).to.equal('My\tcard')
    expect((await loadHardware(path)).usableBytes).to.equal(Math.floor(24 * 2 ** 30 * 0.985))
  })

  it('picks a link by name or the first, and lists them for a wrong name', async () => {
    const ampere = await loadHardware('RTX3090')
    expect(linkOf(ampere)?.name).to.equal('pcie4')
    expect(linkOf(ampere, 'NVLink_bridge')?.name).to.equal('nvlink-bridge')
    const problem = await problemOf(() => linkOf(ampere, 'nvlink5'))
    expect(problem.code).to.equal('LINK_UNKNOWN')
    expect(problem.message).to.include('RTX3090 has no link "nvlink5"; it has pcie4, nvlink-bridge')
    const alone = await loadHardware('M4-Max')
    expect(linkOf(alone)).to.equal(null)
    expect((await problemOf(() => linkOf(alone, 'pcie4'))).message).to.include('has no links')
  })

  it('holds the memory that drivers report', async () => {
    expect((await loadHardware('RTX4090')).usableBytes).to.equal(25_250_627_584)
    const h100 = (await loadHardware('H100')).usableBytes / 2 ** 30
    expect(h100).to.be.within(79.1, 79.6)
  })

  describe('against the datasheet table', () => {
    const page = join(process.env.LLMSIM_DATA ?? '../shared/data', '../reference/datasheets.md')
    before(function () {
      if (existsSync(page)) return
      console.log(`      no datasheet table at ${page}: skipped`)
      this.skip()
    })

    /** Whether a cell such as `468–504`, `71 (fp32 accumulate)` or `–` allows the figure. */
    const allows = (cell: string, value: number | undefined): boolean => {
      if (/^–/.test(cell)) return value === undefined || value === 0
      const figures = (cell.match(/\d+(\.\d+)?/g) ?? []).map(Number)
      if (cell.includes('–')) return value! >= figures[0]! && value! <= figures[1]!
      if (cell.includes('/')) return figures.includes(value!)
      return value === figures[0]
    }

    it('every figure is the one of the table', async () => {
      const rows = readFileSync(page, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('| ') && !line.startsWith('| id'))
        .map((line) =>
          line
            .split('|')
            .slice(1, -1)
            .map((cell) => cell.trim()),
        )
      expect(rows).to.have.length.above(20)
      for (const row of rows) {
        const [id, half, fp8, int8, fp4, tbS, gib, watts, , price] = row as string[]
        const found: Hardware = await loadHardware(id!.replaceAll(/ ?†| ?\(.*\)/g, ''))
        const {peakTflops: peak} = found
        expect(allows(half!, peak.bf16 ?? peak.fp16), `${id} 16 bit`).to.equal(true)
        for (const [dtype, cell] of [
          ['fp8', fp8],
          ['int8', int8],
          ['fp4', fp4],
        ] as const)
          expect(allows(cell!, peak[dtype]), `${id} ${dtype}`).to.equal(true)
        expect(allows(tbS!, found.bandwidthGbS / 1000), `${id} TB/s`).to.equal(true)
        expect(allows(gib!, found.memoryGib), `${id} GiB`).to.equal(true)
        expect(allows(watts!, found.powerW), `${id} W`).to.equal(true)
        expect(allows(price!, found.priceUsdPerHour ?? 0), `${id} price`).to.equal(true)
      }
    })
  })

  it('has 16-bit units and a price on every card but those nobody rents', async () => {
    for (const card of await listHardware()) {
      expect(
        peakDtypes.some((dtype) => card.peakTflops[dtype]! > 0),
        card.id,
      ).to.equal(true)
      if (card.architecture === 'apple') expect(card.priceUsdPerHour, card.id).to.equal(null)
      else expect(card.priceUsdPerHour, card.id).to.be.above(0)
      expect(card.usableBytes, card.id).to.be.within(
        0.7 * card.memoryGib * 2 ** 30,
        card.memoryGib * 2 ** 30,
      )
    }
  })
})
