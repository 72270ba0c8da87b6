import {expect} from 'chai'
import fc from 'fast-check'
import {fairRates, onePortEach, SharedLinks, type Way} from '#llmsim/cluster/shared-links.js'

const ports = (gbPerS = 10, latencyNs = 100) => new SharedLinks(onePortEach({gbPerS, latencyNs}))

/** Every arrival, in order. */
const runDry = (network: SharedLinks): (readonly [id: number, at: number])[] => {
  const arrivals: [number, number][] = []
  for (let at = network.nextEventAt(); at < Number.POSITIVE_INFINITY; at = network.nextEventAt())
    for (const id of network.advanceTo(at)) arrivals.push([id, at])
  return arrivals
}

describe('shared links', () => {
  it('alone: bytes at the rate of the slowest link, then the latency', () => {
    const network = ports()
    network.startTransfer(0, 1, 1000, 50)
    expect(runDry(network)).deep.equal([[0, 50 + 100 + 100]])
    expect(network.aloneNs(0, 1, 1000)).equal(200)
    expect(network.aloneNs(0, 1, 0)).equal(100)
  })

  it('two from one port share it; the second has it alone once the first is sent', () => {
    const network = ports()
    network.startTransfer(0, 1, 1000, 0)
    network.startTransfer(0, 2, 2000, 0)
    // 5 bytes per ns each: the first until 200; the second then has 1000 bytes left, at 10.
    expect(runDry(network)).deep.equal([
      [0, 300],
      [1, 400],
    ])
  })

  it('both directions of a port are independent, and so are other ports', () => {
    const network = ports()
    network.startTransfer(0, 1, 1000, 0)
    network.startTransfer(1, 0, 1000, 0)
    network.startTransfer(2, 3, 1000, 0)
    expect(runDry(network).map(([, at]) => at)).deep.equal([200, 200, 200])
  })

  it('what one cannot use, others get: max-min, not equal parts', () => {
    // Engine 2 receives from 0 and 1, engine 1 sends to 2, 3 and 4: links 0→2 may use what 1→2 leaves.
    const network = ports(12)
    const wide = network.startTransfer(0, 2, 1e6, 0)
    const narrow = [2, 3, 4].map((to) => network.startTransfer(1, to, 1e6, 0))
    expect(narrow.map((id) => network.rateOf(id))).deep.equal([4, 4, 4])
    expect(network.rateOf(wide)).equal(8)
  })

  it('a cancelled transfer leaves its part to the others at once, and never arrives', () => {
    const network = ports()
    const gone = network.startTransfer(0, 1, 1e6, 0)
    network.startTransfer(0, 2, 1000, 0)
    network.cancel(gone, 100)
    // 500 bytes by 100, 500 more at the whole rate.
    expect(runDry(network)).deep.equal([[1, 250]])
  })

  it('nothing to send still takes its latency, and at least a nanosecond', () => {
    const network = ports(10, 0)
    network.startTransfer(0, 1, 0, 7)
    expect(runDry(network)).deep.equal([[0, 8]])
  })

  const transfers = fc.array(
    fc.record({
      from: fc.nat(3),
      to: fc.nat(3),
      bytes: fc.integer({min: 0, max: 50_000}),
      at: fc.integer({min: 0, max: 3000}),
    }),
    {minLength: 1, maxLength: 12},
  )

  it('any transfers: none is lost, none is faster than alone, and no port sends more than it can', () => {
    fc.assert(
      fc.property(transfers, (unordered) => {
        const list = unordered.toSorted((a, b) => a.at - b.at)
        const network = ports()
        const arrivals = new Map<number, number>()
        for (const {from, to, bytes, at} of list) {
          for (let next = network.nextEventAt(); next < at; next = network.nextEventAt())
            for (const id of network.advanceTo(next)) arrivals.set(id, next)
          network.startTransfer(from, to, bytes, at)
        }
        for (const [id, at] of runDry(network)) arrivals.set(id, at)
        expect(arrivals.size).equal(list.length)
        for (const [id, {from, to, bytes, at}] of list.entries())
          expect(arrivals.get(id)! - at).least(network.aloneNs(from, to, bytes))
        for (let port = 0; port < 4; port++) {
          const own = list.flatMap((transfer, id) =>
            transfer.from === port ? [{...transfer, id}] : [],
          )
          if (own.length === 0) continue
          const bytes = own.reduce((sum, transfer) => sum + transfer.bytes, 0)
          const first = Math.min(...own.map(({at}) => at))
          const last = Math.max(...own.map(({id}) => arrivals.get(id)!))
          expect(bytes).most(10 * (last - first) + 1e-6)
        }
      }),
    )
  })

  it('looking more often changes nothing', () => {
    fc.assert(
      fc.property(transfers, fc.integer({min: 1, max: 400}), (unordered, every) => {
        const list = unordered.toSorted((a, b) => a.at - b.at)
        const run = (looks: boolean): [number, number][] => {
          const network = ports()
          const arrivals: [number, number][] = []
          let waiting = 0
          for (
            let now = 0;
            waiting < list.length || network.nextEventAt() < Number.POSITIVE_INFINITY;
          ) {
            const next = Math.min(
              list[waiting]?.at ?? Number.POSITIVE_INFINITY,
              network.nextEventAt(),
            )
            now = looks ? Math.min(next, now + every) : next
            for (const id of network.advanceTo(now)) arrivals.push([id, now])
            while (list[waiting]?.at === now) {
              const {from, to, bytes} = list[waiting++]!
              network.startTransfer(from, to, bytes, now)
            }
          }
          return arrivals
        }
        expect(run(true)).deep.equal(run(false))
      }),
    )
  })

  it('fair rates: every transfer crosses a full link on which nobody has more', () => {
    const way = fc
      .uniqueArray(fc.nat(4), {minLength: 1, maxLength: 3})
      .map((links): Way => ({links: links.map((link) => ({link, share: 1})), latencyNs: 0}))
    const capacities = fc.array(fc.integer({min: 1, max: 100}), {minLength: 5, maxLength: 5})
    fc.assert(
      fc.property(capacities, fc.array(way, {minLength: 1, maxLength: 10}), (links, ways) => {
        const rates = fairRates((link) => links[link]!, ways)
        const on = (link: number) =>
          rates.filter((_, i) => ways[i]!.links.some((crossed) => crossed.link === link))
        const sum = (link: number) => on(link).reduce((all, rate) => all + rate, 0)
        for (const link of links.keys()) expect(sum(link)).most(links[link]! * (1 + 1e-9))
        for (const [i, rate] of rates.entries()) {
          const isBottleneck = ({link}: Way['links'][number]) =>
            sum(link) >= links[link]! * (1 - 1e-9) && Math.max(...on(link)) <= rate * (1 + 1e-9)
          expect(ways[i]!.links.some(isBottleneck)).equal(true)
        }
      }),
    )
  })
})
