import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {expect} from 'chai'
import {readTrace} from '#llmsim/trace/read.js'
import {endListening, listenModel, post, startListenWith} from '../support/listening.js'

/** A shell that lets its programs write files of at most 16 KiB, and have an error instead of a signal. */
const limits = 'trap "" XFSZ; ulimit -f 16; exec "$@"'

describe('a disk that is full', () => {
  afterEach(endListening)

  it('turns requests away with 503 and says why; the trace is whole up to there', async function () {
    this.timeout(60_000)
    if (spawnSync('bash', ['-c', 'trap "" XFSZ; ulimit -f 16']).status !== 0) {
      this.test!.title += ' (no bash with limits here)'
      this.skip()
    }
    const server = await startListenWith(['bash', '-c', limits, 'limited'], '--respond', 'instant')
    const ask = () =>
      post({
        url: server.url,
        body: {
          model: listenModel,
          max_tokens: 100,
          messages: [{role: 'user', content: 'word '.repeat(300)}],
        },
      })
    let kept = 0
    let answer = await ask()
    for (; answer.status === 200 && kept < 1000; kept++) answer = await ask()
    expect(kept).above(5).below(1000)
    const told = JSON.parse(answer.text).error
    expect([answer.status, answer.headers['retry-after'], told.type]).deep.equal([
      503,
      '1',
      'server_error',
    ])
    const later = await ask()
    expect(later.status).equal(503)
    expect(later.text).include('cannot be recorded')
    expect((await fetch(`${server.url}/health`)).status).equal(503)
    expect(server.stderr()).match(/trace\.csv cannot be written \(EFBIG\): requests get 503/)
    expect(readFileSync(server.trace, 'utf8').endsWith('\n')).equal(true)
    const {requestId, extra} = await readTrace([server.trace])
    const status = extra!.get('status')!
    expect(status.filter((value) => value === 'completed').length).equal(kept)
    expect(requestId!.length - kept, 'the one that got no answer is open').most(1)
    server.kill('SIGKILL')
    await server.ended
  })
})
