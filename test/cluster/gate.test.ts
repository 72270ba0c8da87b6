import {expect} from 'chai'
import {gateOf} from '#llmsim/cluster/gate.js'

const request = (priority: number, inputTokens = 100) => ({priority, inputTokens, tokens: 200})
const waiting = (...counts: number[]) => counts.map((count) => ({waiting: count}))
const second = 1e9

describe('gate', () => {
  it('lets everybody in who is in no class', () => {
    const gate = gateOf([{name: 'urgent', upToPriority: 0, maxWaiting: 1}])
    expect(gate.check(request(5), waiting(900), 0)).equal(undefined)
  })

  it('sheds less urgent classes at shorter queues', () => {
    const gate = gateOf([
      {name: 'urgent', upToPriority: 0, maxWaiting: 50},
      {name: 'batch', upToPriority: 9, maxWaiting: 5},
    ])
    expect(gate.check(request(0), waiting(3, 3), 0)).equal(undefined)
    expect(gate.check(request(7), waiting(3, 3), 0)).equal(
      'shed: 6 requests wait, class batch allows 5',
    )
    expect(gate.check(request(7), waiting(2, 2), 0)).equal(undefined)
    expect(gate.check(request(0), waiting(25, 25), 0)).match(/class urgent allows 50/)
  })

  it('has a bucket that fills at a rate, up to a burst', () => {
    const rate = {of: 'requests', perSecond: 2, burst: 3} as const
    const gate = gateOf([{name: 'all', upToPriority: 99, rate}])
    const at = (now: number) => gate.check(request(0), [], now) === undefined
    // Three at once, then one each half second; an hour later three again.
    expect([at(0), at(0), at(0), at(0)]).deep.equal([true, true, true, false])
    expect([at(0.5 * second), at(0.6 * second), at(second)]).deep.equal([true, false, true])
    const later = 3600 * second
    expect([at(later), at(later), at(later), at(later)]).deep.equal([true, true, true, false])
  })

  it('can count prompt tokens', () => {
    const rate = {of: 'tokens', perSecond: 100, burst: 250} as const
    const gate = gateOf([{name: 'all', upToPriority: 99, rate}])
    expect(gate.check(request(0), [], 0)).equal(undefined)
    expect(gate.check(request(0), [], 0)).equal(undefined)
    expect(gate.check(request(0), [], 0)).match(/over its rate of 100 tokens per second/)
    expect(gate.check(request(0, 60), [], 0.1 * second)).equal(undefined)
  })
})
