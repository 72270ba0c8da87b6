// @alone: it measures a server through a proxy.

/** What a proxy captures of a real server is what `validate` and `calibrate` take. */
import {existsSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {expect} from 'chai'
import {spawnCli} from '../support/cli.js'
import {
  type Answer,
  endListening,
  listenModel as model,
  post,
  startListen,
} from '../support/listening.js'

/** As many as a calibration needs. */
const requests = 40

/** A little traffic: prompts of 20 to 200 words that share none, answers of 10 to 40 tokens, 40 a second. */
async function traffic(url: string): Promise<Answer[]> {
  const answers: Promise<Answer>[] = []
  for (let i = 0; i < requests; i++) {
    const content = `${i} `.repeat(20 + ((i * 37) % 180))
    const limits = {max_tokens: 10 + ((i * 7) % 31), ignore_eos: true}
    const body = {model, stream: i % 4 !== 3, ...limits, messages: [{role: 'user', content}]}
    answers.push(post({url, body}))
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return await Promise.all(answers)
}

interface Comparison {
  readonly metric: string
  readonly statistic: string
  readonly measured: number
  readonly simulated: number
}

interface Validated {
  readonly runs: readonly {
    readonly device: string
    readonly stages: readonly {
      readonly completed: number
      readonly comparisons: readonly Comparison[]
    }[]
  }[]
}

async function validated(...args: string[]): Promise<Validated['runs'][number]> {
  const {code, stdout, stderr} = await spawnCli('validate', ...args, '--json')
  expect(code, stderr).equal(0)
  const {runs} = JSON.parse(stdout) as Validated
  expect(runs.length).equal(1)
  return runs[0]!
}

describe('a capture', function () {
  this.timeout(60_000)
  afterEach(endListening)

  it('of another listen validates, and calibrates what it is then simulated with', async () => {
    const server = await startListen('--hardware', 'H100')
    const proxy = await startListen('--upstream', `${server.url}/v1`, '--hardware', 'H100')
    const answers = await traffic(proxy.url)
    for (const started of [proxy, server]) started.kill('SIGINT')
    expect((await proxy.ended).code, proxy.stderr()).equal(0)
    expect(answers.map(({status}) => status)).deep.equal(answers.map(() => 200))

    const run = await validated(proxy.trace, '--hardware', 'H100')
    expect(run.device).equal('H100')
    expect(run.stages.map(({completed}) => completed)).deep.equal([requests])
    const mean = (metric: string) =>
      run.stages[0]!.comparisons.find(
        (each) => each.metric === metric && each.statistic === 'mean',
      )!
    // What the proxy measured is what its clients did, but for the way between the two.
    const clientE2e =
      answers.reduce((sum, {sentAt, endedAt}) => sum + endedAt - sentAt, 0) / requests
    expect(mean('e2e_ms').measured).within(clientE2e * 0.7, clientE2e)
    expect(mean('ttft_ms').measured).within(1, mean('e2e_ms').measured)
    // The server is the same model, so only a busy machine makes it slower, and nothing makes it faster.
    const {measured, simulated} = mean('tpot_ms')
    expect(measured / simulated).within(0.8, 3)

    const fitted = join(dirname(proxy.trace), 'fitted')
    const made = await spawnCli('calibrate', proxy.trace, '--hardware', 'H100', '--out', fitted)
    expect(made.code, made.stderr).equal(0)
    const files = [`${fitted}.engine.yaml`, `${fitted}.hardware.yaml`] as const
    expect(files.map((file) => existsSync(file))).deep.equal([true, true])
    const again = await validated(proxy.trace, '--engine', files[0], '--hardware', files[1])
    expect(again.stages[0]!.completed).equal(requests)
  })
})
