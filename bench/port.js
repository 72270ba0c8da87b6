// node bench/run.js port: what a request costs the port besides its model, and what a proxy adds to a server.
import {spawn} from 'node:child_process'
import {mkdtempSync, rmSync} from 'node:fs'
import {Agent, request} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {buildAnswering} from '../dist/server/answering.js'

const model = 'meta-llama/Llama-3.1-8B-Instruct'
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

/** About 200 tokens, another text for each number. */
const prompt = (i) => Array.from({length: 150}, (_, k) => `word${(i * 7 + k * 13) % 997}`).join(' ')

const body = (i) => ({
  model,
  messages: [{role: 'user', content: prompt(i)}],
  max_tokens: 50,
  ignore_eos: true,
})

/** µs to check a body, count its tokens, make an answer of 50 tokens, and write it. */
async function planning(texts) {
  const answering = await buildAnswering({
    answer: 'filler',
    outputTokens: '50',
    served: {names: [model], others: 'refused'},
    modelName: model,
    maxModelLen: 8192,
    seed: 1,
  })
  const bodies = Array.from({length: 4000}, (_, i) => body(i % texts))
  const micros = []
  for (let round = 0; round < 5; round++) {
    const startedAt = performance.now()
    for (const each of bodies) {
      answering.chat(each).writer.whole({prompt: 200, cached: 0, completion: 50})
    }
    micros.push(((performance.now() - startedAt) / bodies.length) * 1000)
  }
  await answering.close()
  return {first: micros[0], again: median(micros.slice(1))}
}

const serverCode = `require('http').createServer((request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({
      choices: [{index: 0, message: {role: 'assistant', content: 'word '.repeat(50)}}],
      usage: {prompt_tokens: 200, completion_tokens: 50},
    }))
  })
}).listen(0, '127.0.0.1', function () { console.log('listening on http://127.0.0.1:' + this.address().port + ';') })`

/** A process that says where it listens. */
async function started(...argv) {
  const child = spawn(process.execPath, argv, {stdio: ['ignore', 'pipe', 'inherit']})
  const url = await new Promise((resolve) => {
    let text = ''
    child.stdout.on('data', (piece) => {
      text += piece
      const found = /listening on (http:\S+);/.exec(text)
      if (found) resolve(found[1])
    })
  })
  return {child, url}
}

const agent = new Agent({keepAlive: true})

const ask = (url, json) =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const headers = {'content-type': 'application/json', 'content-length': Buffer.byteLength(json)}
    const asked = request(`${url}/v1/chat/completions`, {agent, method: 'POST', headers})
    asked.on('error', reject)
    asked.on('response', (response) => {
      response.resume().on('end', () => resolve(performance.now() - startedAt))
    })
    asked.end(json)
  })

/** ms of a request to a server that answers at once, straight and through a proxy, one after the other. */
async function proxying() {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-bench-'))
  const server = await started('-e', serverCode)
  const run = fileURLToPath(new URL('../bin/run.js', import.meta.url))
  const trace = join(folder, 'trace.csv')
  const proxy = await started(
    run,
    'listen',
    '--port',
    '0',
    '--trace',
    trace,
    '--upstream',
    server.url,
  )
  const direct = []
  const proxied = []
  for (let i = 0; i < 2500; i++) {
    const json = JSON.stringify(body(i))
    const pair = [await ask(server.url, json), await ask(proxy.url, json)]
    if (i < 500) continue
    direct.push(pair[0])
    proxied.push(pair[1])
  }
  server.child.kill()
  proxy.child.kill('SIGKILL')
  agent.destroy()
  rmSync(folder, {recursive: true})
  return {direct: median(direct), proxied: median(proxied)}
}

export async function portBench() {
  const known = await planning(100)
  const other = await planning(4000)
  const {direct, proxied} = await proxying()
  return {
    'planning_us, 100 texts': known.again,
    'planning_us, every text new': other.first,
    'server_ms, median': direct,
    'proxied_ms, median': proxied,
    'added_ms, median': proxied - direct,
  }
}
