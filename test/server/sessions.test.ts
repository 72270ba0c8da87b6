import {expect} from 'chai'
import {Sessions} from '#llmsim/server/sessions.js'
import {blockTokens, idsOfTokens} from '#llmsim/trace/block-ids.js'

/** `count` tokens that belong to `name`. */
const text = (name: number, count: number): number[] =>
  Array.from({length: count}, (_, i) => name * 1000 + i)

const turnOf = (sessions: Sessions, prompt: number[], answer: number[]) => {
  const all = idsOfTokens([...prompt, ...answer], 7)
  return sessions.turnOf(all.slice(0, Math.floor(prompt.length / blockTokens)), all)
}

describe('sessions', () => {
  it('are prompts that continue an earlier prompt and its answer', () => {
    const sessions = new Sessions()
    const system = text(1, 100)
    const first = [...system, ...text(2, 30)]
    const other = [...system, ...text(3, 30)]
    expect(turnOf(sessions, first, text(4, 40))).deep.equal({session: 1, turn: 0})
    expect(turnOf(sessions, other, text(5, 40))).deep.equal({session: 2, turn: 0})
    const second = [...first, ...text(4, 40), ...text(6, 50)]
    expect(turnOf(sessions, second, text(7, 40))).deep.equal({session: 1, turn: 1})
    const third = [...second, ...text(7, 40), ...text(8, 5)]
    expect(turnOf(sessions, third, text(9, 40))).deep.equal({session: 1, turn: 2})
    const fork = [...first, ...text(4, 40), ...text(10, 50)]
    expect(turnOf(sessions, fork, text(11, 40)).session).equal(1)
    const reply = [...other, ...text(5, 40), ...text(12, 50)]
    expect(turnOf(sessions, reply, text(13, 40))).deep.equal({session: 2, turn: 1})
  })

  it('are not what only begins alike', () => {
    const sessions = new Sessions()
    const system = text(1, 640)
    for (let i = 0; i < 5; i++) {
      const turn = turnOf(sessions, [...system, ...text(100 + i, 20)], text(200 + i, 40))
      expect(turn).deep.equal({session: i + 1, turn: 0})
    }
  })
})
