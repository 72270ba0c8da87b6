import {expect} from 'chai'
import {listHardware, loadHardware} from '#llmsim/catalogue/hardware.js'
import {hardwareListTable, hardwarePage, hardwareRecord} from '#llmsim/report/hardware-tables.js'

describe('hardware tables', () => {
  it('list every card in 80 columns', async () => {
    const all = await listHardware()
    const lines = (await hardwareListTable(all)).split('\n')
    expect(lines).to.have.length(all.length + 1)
    for (const line of lines) expect(line.length, line).to.be.at.most(80)
    expect(lines.find((line) => line.startsWith('RTX3090'))).to.match(
      /24 +936 +71 +– +350 +0\.25 +gemm$/,
    )
    expect(lines.findIndex((line) => line.startsWith('A100 '))).to.be.below(
      lines.findIndex((line) => line.startsWith('A100-40GB')),
    )
  })

  it('show one card with its coefficients, their source and error', async () => {
    for (const card of await listHardware())
      for (const line of hardwarePage(card).split('\n')) expect(line.length, line).to.be.at.most(80)
    const page = hardwarePage(await loadHardware('RTX4090'))
    expect(page).to.include('usable 23.52 GiB')
    expect(page).to.match(/gemm bf16 +compute 0.99\d*, memory 0.91\d+/)
    expect(page).to.include('mean error 3.1 %, bias 0 %')
    expect(page).to.include('all-reduce not measured')
    expect(hardwarePage(await loadHardware('M4-Max'))).to.include('  none measured')
  })

  it('make records that --hardware and programs understand', async () => {
    for (const card of await listHardware()) {
      const record = hardwareRecord(card)
      expect((await loadHardware(record.name)).id).to.equal(record.name)
      expect(record.calibrated).to.be.a('boolean')
      expect(record).to.include.all.keys(
        'vendor',
        'memory_gb',
        'bandwidth_gb_s',
        'peak_tflops',
        'source',
      )
    }
    expect(hardwareRecord(await loadHardware('L40S')).measured).to.deep.equal([
      'gemm',
      'attention',
      'moe',
      'all-reduce',
    ])
    expect(hardwareRecord(await loadHardware('RTX3090')).measured).to.deep.equal(['gemm'])
  })
})
