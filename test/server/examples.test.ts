import {execFile} from 'node:child_process'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {expect} from 'chai'
import type {Port} from '#llmsim/server/port.js'
import {root} from '../support/cli.js'
import {listenModel} from '../support/listening.js'
import {openTestPort} from '../support/open-port.js'

const run = promisify(execFile)

describe('the examples of other clients', function () {
  this.timeout(90_000)
  let port: Port
  before(async () => {
    port = await openTestPort({speed: 50}, {served: {names: [listenModel], others: 'answered'}})
  })
  after(() => port.close())

  const outputOf = async (file: string): Promise<string[]> => {
    const env = {...process.env, OPENAI_BASE_URL: `${port.url}/v1`, NODE_OPTIONS: ''}
    const {stdout} = await run(process.execPath, [join(root, 'docs/examples', file)], {env})
    return stdout.trimEnd().split('\n')
  }

  it('LangChain streams, calls tools and gets objects', async () => {
    const [said, calls, joke] = await outputOf('langchain.mjs')
    expect(said!.split(' ').length).greaterThan(5)
    expect(calls).equal('calls get_weather with city')
    expect(joke).equal('a joke with setup,punchline')
  })

  it('the AI SDK streams, runs tools, gets objects and vectors', async () => {
    const lines = await outputOf('ai-sdk.mjs')
    expect(lines[0]!.split(' ').length).greaterThan(5)
    expect(lines.slice(1).map((line) => line.replace(/^\d+ tokens/, 'N tokens'))).deep.equal([
      'N tokens',
      '2 steps, then an answer',
      'a book with title,tags',
      '2 vectors of 1536',
    ])
  })
})
