import {readFileSync} from 'node:fs'
import {expect} from 'chai'
import {root, spawnProgram} from '../support/cli.js'
import {endListening, listenModel, post, startListen} from '../support/listening.js'

const chat = (more: object) => ({
  model: listenModel,
  messages: [{role: 'user', content: 'Tell me something.'}],
  ...more,
})

describe('Ctrl-C', () => {
  afterEach(endListening)

  it('lets open requests end, prints the tables of simulate, and the command that makes them', async function () {
    this.timeout(60_000)
    const server = await startListen('--hardware', 'L40S', '--max-num-seqs', '8')
    const open = post({url: server.url, body: chat({stream: true, max_tokens: 60})})
    await post({url: server.url, body: chat({max_tokens: 5})})
    server.kill('SIGINT')
    expect((await server.ended).code).equal(0)
    expect((await open).text).match(/data: \[DONE\]\n\n$/)
    const stdout = server.stdout()
    const next = /^next: node \S+run\.js (simulate .*)$/m.exec(stdout)![1]!
    expect(next).equal(`simulate ${server.trace} --hardware L40S --max-num-seqs 8`)
    const simulated = await spawnProgram(process.execPath, [
      `${root}bin/run.js`,
      ...next.split(' '),
      '--no-save',
    ])
    expect(stdout).include(simulated.stdout.trim())
    expect(stdout).include(`2 rows in ${server.trace}`)
  })

  it('twice cuts open requests off; they are recorded as cancelled; exit code 130', async function () {
    this.timeout(60_000)
    const server = await startListen()
    const open = post({
      url: server.url,
      body: chat({stream: true, max_tokens: 2000, min_tokens: 2000}),
    })
    await post({url: server.url, body: chat({max_tokens: 1})})
    server.kill('SIGINT')
    while (!server.stderr().includes('1 request still open'))
      await new Promise((resolve) => setTimeout(resolve, 20))
    server.kill('SIGINT')
    expect((await server.ended).code).equal(130)
    expect((await open).end).equal('broken')
    expect(readFileSync(server.trace, 'utf8')).match(/,cancelled,\/v1\/chat\/completions,stream,/)
  })

  it('without a request says so', async function () {
    this.timeout(60_000)
    const server = await startListen()
    server.kill('SIGTERM')
    expect((await server.ended).code).equal(0)
    expect(server.stdout()).match(/^no requests came$/m)
  })

  it('with nothing but failures says how many came, and with which status they ended', async function () {
    this.timeout(60_000)
    const server = await startListen('--fail', 'rate=100%,type=429|503')
    for (let i = 0; i < 3; i++) await post({url: server.url, body: chat({max_tokens: 5})})
    await post({url: server.url, path: '/chat/completions', body: chat({})})
    server.kill('SIGINT')
    expect((await server.ended).code).equal(0)
    expect(server.stdout()).match(
      /^4 requests came and none was answered: 2 × 429, 1 × 503, 1 × 404$/m,
    )
  })

  it('a port that is taken, a trace that exists, a wrong flag: one clear line', async function () {
    this.timeout(60_000)
    const server = await startListen()
    const {port} = new URL(server.url)
    const wrong: [string[], RegExp][] = [
      [['--port', port], /--port \d+: cannot listen: another program listens there\.$/m],
      [['--port', '0', '--trace', server.trace], /exists already/],
      [['--port', '0', '--compat', 'llmservingsim'], /--compat and listen/],
      [['--port', '0', '--fail', 'rate=2,type=429'], /rate must be 0 % to 100 %/],
      [['--port', '0', '--fail', 'rate=1%,type=418'], /type "418" is none of/],
      [['--port', '0', '--rotate', 'often'], /a size such as 100MB or a time such as 500ms/],
      [['--port', '0', '--warmup', 'soon'], /a time such as 500ms, 60s or 5m/],
      [['--port', '0', '--speed', '-1'], /a number above 0/],
    ]
    for (const [flags, says] of wrong) {
      const {code, stderr} = await spawnProgram(process.execPath, [
        `${root}bin/run.js`,
        'listen',
        ...flags,
      ])
      expect(code, stderr).equal(2)
      expect(stderr).match(says)
      expect(stderr.split('\n')[0]!).match(/^Error: /)
    }
    server.kill('SIGINT')
    await server.ended
  })
})
