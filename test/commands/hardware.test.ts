import {execFileSync} from 'node:child_process'
import {expect} from 'chai'

const run = (...args: string[]): string =>
  execFileSync(process.execPath, ['bin/run.js', 'hardware', ...args], {encoding: 'utf8'})

describe('llmsim hardware', () => {
  it('list --json is an array that other tools can rely on', () => {
    const all = JSON.parse(run('list', '--json')) as Record<string, unknown>[]
    expect(all).to.have.length.above(25)
    const card = all.find(({name}) => name === 'RTX3090')!
    expect(card).to.include({
      vendor: 'NVIDIA',
      memory_gb: 24,
      bandwidth_gb_s: 936,
      calibrated: false,
    })
    expect(card.peak_tflops).to.deep.equal({bf16: 71, int8: 284})
    expect(card.source).to.be.a('string')
  })

  it('show prints a card by alias, and its coefficients as JSON', () => {
    expect(run('show', 'h100-sxm')).to.match(/^H100\n/)
    const card = JSON.parse(run('show', 'H100', '--json')) as {
      kernels: {gemm: {bf16: {computeEfficiency: number; meanErrorPercent: number}}}
    }
    expect(card.kernels.gemm.bf16.computeEfficiency).to.be.within(0.78, 0.86)
    expect(card.kernels.gemm.bf16.meanErrorPercent).to.be.below(8)
    expect(run('show', 'H100')).to.include('by size: m 1-16')
  })
})
