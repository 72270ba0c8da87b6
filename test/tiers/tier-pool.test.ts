/** A pool of runs held to a list of blocks, oldest first. */
import {expect} from 'chai'
import fc from 'fast-check'
import {type Runs, TierPool} from '#llmsim/tiers/tier-pool.js'

const name = (span: number, block: number) => `${span}:${block}`

/** The blocks of runs in their order, the last of each first. */
const blocksOf = (runs: Runs): string[] => {
  const blocks: string[] = []
  for (let at = 0; at < runs.length; at += 3)
    for (let block = runs[at + 2]! - 1; block >= runs[at + 1]!; block--)
      blocks.push(name(runs[at]!, block))
  return blocks
}

class PlainPool {
  blocks: string[] = []
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  renew(runs: Runs): void {
    for (const block of blocksOf(runs)) if (this.blocks.includes(block)) this.#push(block)
  }

  enter(runs: Runs): string[] {
    for (const block of blocksOf(runs)) this.#push(block)
    return this.blocks.splice(0, Math.max(0, this.blocks.length - this.#capacity))
  }

  #push(block: string): void {
    this.blocks = this.blocks.filter((other) => other !== block)
    this.blocks.push(block)
  }
}

const spans = 3
const runs = fc
  .array(fc.tuple(fc.nat(spans - 1), fc.nat(8), fc.integer({min: 1, max: 5})), {maxLength: 4})
  .map((list): Runs => list.flatMap(([span, low, size]) => [span, low, low + size]))
const commands = fc.array(fc.tuple(fc.constantFrom('enter', 'enter', 'renew'), runs), {
  maxLength: 25,
})

describe('TierPool', () => {
  it('is a list of blocks in order of use', () => {
    const property = fc.property(fc.integer({min: 1, max: 20}), commands, (capacity, list) => {
      const pool = new TierPool(capacity)
      const plain = new PlainPool(capacity)
      for (const [command, given] of list) {
        const gone: Runs = []
        if (command === 'renew') {
          pool.renew(given)
          plain.renew(given)
        } else {
          pool.enter(given, gone)
          expect(blocksOf(gone)).deep.equal(plain.enter(given))
        }
        expect(pool.used).equal(plain.blocks.length)
        for (let span = 0; span < spans; span++)
          for (let block = 0; block < 14; block++) {
            const has = plain.blocks.includes(name(span, block))
            expect(pool.runEnd(span, block, 14) > block, name(span, block)).equal(has)
            expect(pool.gapEnd(span, block, 14) === block).equal(has)
          }
      }
    })
    fc.assert(property, {numRuns: 500, seed: 1})
  })

  it('finds where a run ends and where the next begins', () => {
    const pool = new TierPool(100)
    pool.enter([7, 0, 4], [])
    pool.enter([7, 4, 6], [])
    pool.enter([7, 8, 9], [])
    expect([pool.runEnd(7, 0, 50), pool.runEnd(7, 2, 3), pool.runEnd(7, 6, 50)]).deep.equal([
      6, 3, 6,
    ])
    expect([pool.gapEnd(7, 6, 50), pool.gapEnd(7, 6, 7), pool.gapEnd(7, 9, 50)]).deep.equal([
      8, 7, 50,
    ])
    expect(pool.runEnd(8, 0, 50)).equal(0)
  })

  it('keeps the first blocks of a list that is longer than it', () => {
    const pool = new TierPool(3)
    const gone: Runs = []
    pool.enter([7, 0, 5], gone)
    expect(gone).deep.equal([7, 3, 5])
    expect([pool.runEnd(7, 0, 9), pool.used, pool.peak]).deep.equal([3, 3, 3])
  })
})
