/** Figures of hardware files in other units: refused where no device can have them, noted where none has. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {listHardware, loadHardware} from '#llmsim/catalogue/hardware.js'
import {Problem} from '#llmsim/errors.js'
import {hostFrom} from '#llmsim/latency/host.js'

describe('figures of hardware files', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-plausible-'))
  })
  after(() => rmSync(folder, {recursive: true, force: true}))

  const load = (own: string) => {
    const path = join(folder, 'mine.yaml')
    writeFileSync(path, `extends: H100\n${own}\n`)
    return loadHardware(path)
  }

  const impossible: readonly [string, RegExp][] = [
    [
      'bandwidth_gb_s: 3.9',
      /:2:17: bandwidth_gb_s must be between 5 and 50,000,000 GB\/s \(.*\), but is 3\.9\.$/,
    ],
    [
      'bandwidth_gb_s: 80',
      /:2:17: bandwidth_gb_s cannot be: 16-bit peak_tflops over bandwidth_gb_s is 12,400, and must be between 1 and 5,000 FLOP per byte/,
    ],
    [
      'bandwidth_gb_s: 3350000',
      /:2:17: bandwidth_gb_s cannot be: 16-bit peak_tflops over bandwidth/,
    ],
    ['bandwidth_gb_s: 3350000000000', /:2:17: bandwidth_gb_s must be/],
    ['peak_tflops: {bf16: 989000}', /:2:21: peak_tflops\.bf16 must be between/],
    [
      'peak_tflops: {bf16: 0.989}',
      /:2:\d+: peak_tflops.* over 16-bit peak_tflops is|:2:\d+: peak_tflops cannot be/,
    ],
    [
      'peak_tflops: {fp8: 1.979}',
      /:2:20: peak_tflops\.fp8 cannot be: fp8 over 16-bit peak_tflops is 0\.002, and must/,
    ],
    ['multiprocessors: 16896', /:2:18: multiprocessors must be .*not CUDA cores/],
    ['memory_gb: 80000000000', /:2:12: memory_gb must be/],
    [
      'memory_gb: 80 GB',
      /:2:12: memory_gb must be a number above 0 and at most 65536, but is "80 GB"/,
    ],
    [
      'usable_bytes: 80',
      /:2:15: usable_bytes cannot be: usable_bytes over memory_gb is .* between 0\.1 and 1/,
    ],
    ['multiprocessors: 132.5', /:2:18: multiprocessors must be a whole number/],
    [
      'links: {a: {kind: nvlink, gb_s: 450, max_devices: 8.5}}',
      /links\.a\.max_devices must be a whole number/,
    ],
    ['memory_gb: 0.08', /:2:12: memory_gb must be/],
    ['power_w: 0.7', /:2:10: power_w must be between 1 and 50,000 W/],
    ['l2_mb: 52428800', /:2:8: l2_mb must be/],
    ['price_usd_per_hour: 1e9', /:2:21: price_usd_per_hour must be/],
    [
      'links: {a: {kind: nvlink, gb_s: 450000000000, max_devices: 8}}',
      /:2:33: links\.a\.gb_s must be/,
    ],
    [
      'kernels: {decode_attention: {launch_us: 1e300}}',
      /launch_us must be a number between 0 and 10,000,000, but is 1e\+300/,
    ],
  ]
  for (const [own, says] of impossible)
    it(`refuses ${own}`, async () => {
      const error = await load(own).catch((reason: unknown) => reason)
      expect(error).instanceOf(Problem)
      expect((error as Problem).message).match(says)
      expect((error as Problem).message).not.match(/\n/)
    })

  it('notes what is merely unusual, and says nothing of the catalogue', async () => {
    expect((await load('bandwidth_gb_s: 400')).unusual).deep.equal([
      '16-bit peak_tflops over bandwidth_gb_s of mine is unusual: 2,470 FLOP per byte (a CPU has 5, an M4 Max 62, an H100 295, a TPU v6e 560); is the unit right?',
    ])
    expect((await load('power_w: 5000')).unusual).length(1)
    for (const hardware of await listHardware())
      expect(hardware.unusual, hardware.id).equal(undefined)
  })

  it('takes what is small or large, but real', async () => {
    const devices = [
      'memory_gb: 8\nbandwidth_gb_s: 102\nmultiprocessors: 8\nl2_mb: 2\npower_w: 15\npeak_tflops: {bf16: 17, fp8: 17, int8: 33}',
      'memory_gb: 512\nbandwidth_gb_s: 300\nmultiprocessors: 64\nl2_mb: 64\npower_w: 350\npeak_tflops: {bf16: 10, fp8: 10, int8: 20}',
      'memory_gb: 288\nbandwidth_gb_s: 22000\nmultiprocessors: 224\npower_w: 1800\npeak_tflops: {bf16: 4000, fp8: 17000, int8: 4000, fp4: 35000}',
    ]
    for (const own of devices) expect((await load(own)).unusual, own).equal(undefined)
  })

  it('takes a wafer and chips of few matrix units, with a note', async () => {
    const path = join(folder, 'one-core.yaml')
    writeFileSync(path, 'extends: TPU-v6e\nmultiprocessors: 1\n')
    expect((await loadHardware(path)).unusual).length(2)
    const wafer = await load(
      'memory_gb: 44\nbandwidth_gb_s: 21000000\npower_w: 23000\npeak_tflops: {bf16: 62500, fp8: 125000, int8: 125000}',
    )
    expect(wafer.unusual?.length).above(0)
  })

  it('counts the host of a file that extends the H100 as that of an H100', async () => {
    expect(hostFrom(await load('price_usd_per_hour: 3'))).equal('calibrated')
    expect(hostFrom(await loadHardware('A100'))).equal('class default')
  })
})
