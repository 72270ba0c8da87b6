// @alone: it measures how long a turn takes.

/** A burst of tasks leaves room for others, and what has begun goes on first. */
import {expect} from 'chai'
import {FairQueue} from '#llmsim/server/fair-queue.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Works for so long. */
function work(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

describe('a fair queue', () => {
  it('runs every task once, in order', async () => {
    const queue = new FairQueue()
    const seen: number[] = []
    for (let i = 0; i < 5000; i++) queue.add(() => seen.push(i))
    while (seen.length < 5000) await turn()
    await turn()
    expect(seen).deep.equal(Array.from({length: 5000}, (_, i) => i))
  })

  it('takes a few of a burst in one turn', async () => {
    const queue = new FairQueue()
    let done = 0
    for (let i = 0; i < 40; i++)
      queue.add(() => {
        work(1)
        done++
      })
    expect(done).equal(0)
    await turn()
    expect(done).within(1, 8)
    const before = done
    await turn()
    expect(done - before).within(1, 8)
    while (done < 40) await turn()
  })

  it('says when all that came so far have run', async () => {
    const queue = new FairQueue()
    let done = 0
    for (let i = 0; i < 100; i++) queue.add(() => done++)
    await queue.passed()
    expect(done).equal(100)
  })

  it('ends what it has begun before it begins something else', async () => {
    const queue = new FairQueue()
    const seen: string[] = []
    for (const name of ['a', 'b', 'c'])
      queue.add(() => {
        seen.push(`${name} begins`)
        queue.goOn(() => seen.push(`${name} ends`))
      })
    while (seen.length < 6) await turn()
    expect(seen).deep.equal(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]))
  })
})
