import {expect} from 'chai'
import {parseFaults} from '#llmsim/server/faults.js'

const drawn = (spec: string, seed: number, count = 20_000): string[] => {
  const faults = parseFaults(spec, seed)
  return Array.from({length: count}, () => String(faults.next()?.status ?? 'served'))
}

describe('--fail', () => {
  it('turns away the share that was asked for, the same ones for a seed', () => {
    const statuses = drawn('rate=5%,type=429|500', 1)
    const failed = statuses.filter((status) => status !== 'served')
    expect(failed.length / statuses.length).closeTo(0.05, 0.006)
    expect(new Set(failed)).deep.equal(new Set(['429', '500']))
    expect(drawn('rate=0.05,type=429|500', 1)).deep.equal(statuses)
    expect(drawn('rate=5%,type=429|500', 2)).not.deep.equal(statuses)
    expect(new Set(drawn('rate=0', 1))).deep.equal(new Set(['served']))
    expect(new Set(drawn('rate=100%', 1, 10))).deep.equal(new Set(['500']))
  })
})
