// @alone: it kills in the midst of a load.

/** Killed at any moment, the recording has every answer that somebody got, and is a trace. */
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {simulate} from '#llmsim/study/simulate.js'
import {readTrace} from '#llmsim/trace/read.js'
import {
  type Answer,
  endListening,
  listenModel,
  manyConnections,
  post,
  startListen,
} from '../support/listening.js'
import {runRequest} from '../support/run-request.js'

const kills = process.env.LLMSIM_SOAK === '1' ? 20 : 3

/** Id of an answer that its client got to the last byte. */
function finishedId({end, status, text}: Answer): string | undefined {
  if (end !== 'whole' || status !== 200) return undefined
  const isStream = text.startsWith('data: ')
  if (isStream && !text.endsWith('data: [DONE]\n\n')) return undefined
  return /"id":\s*"([^"]+)"/.exec(text)![1]
}

describe('SIGKILL under load', () => {
  afterEach(endListening)

  for (let kill = 0; kill < kills; kill++) {
    const respond = kill % 2 === 0 ? 'modelled' : 'instant'
    it(`leaves a whole recording, ${kill + 1} of ${kills} (${respond})`, async function () {
      this.timeout(60_000)
      const server = await startListen('--respond', respond, '--speed', '20')
      const agent = manyConnections()
      const answers: Answer[] = []
      let isUp = true
      const client = async (number: number): Promise<void> => {
        for (let i = 0; isUp; i++) {
          const body = {
            model: listenModel,
            stream: (number + i) % 2 === 0,
            max_tokens: 1 + ((number * 31 + i * 7) % 60),
            messages: [{role: 'user', content: `${'word '.repeat(150)} ${number} ${i}`}],
          }
          const answer = await post({url: server.url, body, agent})
          answers.push(answer)
          if (answer.end !== 'whole') return
        }
      }
      const clients = Array.from({length: 48}, (_, number) => client(number))
      // Under load, and at another moment each time.
      while (answers.length < 60) await new Promise((resolve) => setTimeout(resolve, 5))
      await new Promise((resolve) => setTimeout(resolve, (kill * 277) % 300))
      server.kill('SIGKILL')
      await server.ended
      isUp = false
      await Promise.all(clients)
      agent.destroy()

      const finished = answers.map(finishedId).filter((id) => id !== undefined)
      expect(finished.length).above(50)
      const trace = await readTrace([server.trace])
      const status = new Map(
        trace.requestId!.map((id, row) => [id, trace.extra!.get('status')![row]!]),
      )
      const missing = finished.filter((id) => status.get(id) !== 'completed')
      expect(missing, 'finished answers that are not in the trace').deep.equal([])
      const {summary} = simulate({trace, deployment: await deploy(runRequest({hardware: 'H100'}))})
      expect(summary.requests.submitted).equal(trace.length)
      const lost = [...status.values()].filter((value) => value === 'lost').length
      this.test!.title +=
        `: ${finished.length} answers received, ${trace.length} rows, ${lost} of them lost`
    })
  }
})
