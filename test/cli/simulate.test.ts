/** The main job as users run it: tables, JSON, files, comparisons, and what must not change anything. */
import {spawn} from 'node:child_process'
import {existsSync} from 'node:fs'
import {copyFile, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {requestFields} from '#llmsim/report/request-files.js'
import {llmsim, root, spawnCliIn, spawnProgram} from '../support/cli.js'

const chat = join(root, 'traces/chat.csv')
const code = join(root, 'traces/code.csv')

/** A small part of a summary, typed as far as the tests look into it. */
interface Result {
  readonly config: {
    readonly seed: number
    readonly notes: readonly string[]
    readonly engines: readonly {readonly [field: string]: unknown}[]
    readonly layout: unknown
    readonly policy: string
  }
  // biome-ignore lint/suspicious/noExplicitAny: read as JSON, checked field by field
  readonly summary: any
  readonly timing: {readonly wall_s: number; readonly engine_s: number}
}

const simulateJson = async (...argv: string[]): Promise<Result> => {
  const {stdout, error} = await llmsim('simulate', ...argv, '--json')
  expect(error).equal(undefined)
  return JSON.parse(stdout)
}

/** Rows of a CSV without quoted cells, by the names of its header. */
const rowsOf = (text: string): Record<string, string>[] => {
  const [header = '', ...lines] = text.trimEnd().split('\n')
  const names = header.split(',')
  return lines.map((line) =>
    Object.fromEntries(line.split(',').map((cell, i) => [names[i]!, cell])),
  )
}

const spread = {
  mean: 'number',
  p50: 'number',
  p90: 'number',
  p95: 'number',
  p99: 'number',
  max: 'number',
}

/** What other tools rely on: every field and its type. */
const contract = {
  config: 'object',
  summary: {
    requests: {submitted: 'number', completed: 'number', rejected: 'number', preemptions: 'number'},
    duration_s: 'number',
    throughput: {
      requests_per_s: 'number',
      input_tokens_per_s: 'number',
      output_tokens_per_s: 'number',
    },
    ...{ttft_ms: spread, tpot_ms: spread, itl_ms: spread, e2e_ms: spread, queue_ms: spread},
    kv: {blocks: 'number', peak_usage: 'number'},
    prefix_cache: {hit_rate: 'number'},
    steps: 'number',
  },
  timing: {wall_s: 'number', engine_s: 'number'},
}

const expectShape = (value: unknown, shape: unknown, path: string): void => {
  if (typeof shape === 'string') {
    expect(value, path).a(shape)
    return
  }
  for (const [field, part] of Object.entries(shape as object))
    expectShape((value as Record<string, unknown>)[field], part, `${path}.${field}`)
}

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmsim-simulate-'))
})
after(() => rm(folder, {recursive: true, force: true}))

describe('llmsim simulate, on a screen', () => {
  it('prints head, latencies, facts and cause within 80 columns, without colour into a pipe', async () => {
    const {code, stdout, stderr} = await spawnCliIn(
      {cwd: folder, env: {NO_COLOR: '', FORCE_COLOR: '0'}},
      ...['simulate', chat, '--hardware', 'RTX3090', '--npu', '4'],
    )
    expect(code, stderr).equal(0)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
    expect(stdout).not.match(/\u001b/)
    expect(stdout.split('\n').filter((line) => line.length > 80)).deep.equal([])
    for (const part of [
      /^trace chat\.csv: 300 requests \(llmsim\), mean 601 in, 199 out; seed 0$/m,
      /4 × RTX3090 \(tp 4, pcie4\): 256 seats,\s+2,048 tokens a step, vllm-0.19, fcfs, asynchronous/,
      /^memory: 0\.9 × 25\.4 GB − weights/m,
      /^gemm: calibrated; /m,
      /^note: RTX3090 has no attention or all-reduce measurements yet/m,
      /^ms +mean +p50 +p90 +p95 +p99 +max$/m,
      ...['TTFT', 'TPOT', 'ITL', 'E2E', 'queue'].map(
        (name) => new RegExp(`^${name}( +[\\d.,]+){6}$`, 'm'),
      ),
      /^requests {4}300 of 300 completed in \d/m,
      /^throughput +[\d.]+ req\/s, [\d,]+ tok\/s in, [\d,]+ tok\/s out$/m,
      /^KV cache +[\d,]+ blocks, at most [\d.]+ % in use; 0 preemptions$/m,
      /^prefix hits \d+ % of prompt tokens$/m,
      /^engine +[\d,]+ steps, one running \d+ % of the time$/m,
      /^cost +\$[\d.]+: \$[\d.]+ per 1M input tokens, \$[\d.]+ per 1M output tokens \(4\n +devices at \$0\.25\/h\)$/m,
      /^energy +[\d.]+ kWh, [\d,]+ W on average, at most [\d,]+ W; \d+ J per request,\n +[\d.]+ J per output token$/m,
      /^not saturated, latency is step time: no request waited for a seat/m,
    ])
      expect(stdout).match(part)
    expect(stderr).match(/^simulated 300 requests, [\d,]+ tokens, [\d,]+ steps in \d+\.\d\d s$/m)
    expect(stderr).match(/^run kept in \.llmsim\/runs\/\d{8}T\d{6}Z-chat-rtx3090$/m)
  })

  it('is silent when its reader leaves', async () => {
    const run = `'${process.execPath}' '${root}bin/run.js' simulate '${chat}' --hardware H100 --no-save`
    const {code, stdout, stderr} = await spawnProgram(
      'bash',
      ['-o', 'pipefail', '-c', `${run} | head -n 1`],
      {cwd: folder},
    )
    expect(stdout).match(/^trace chat\.csv: .*\n$/)
    expect({code, stderr: stderr.replace(/^(simulated|run kept).*\n/gm, '')}).deep.equal({
      code: 0,
      stderr: '',
    })
  })

  it('ends with 130 on Ctrl-C, and keeps no half a run', async function () {
    this.timeout(60_000)
    const big = join(folder, 'big.csv')
    await llmsim('trace', 'generate', '--out', big, '--requests', '200000', '--rate', '5')
    const argv = ['simulate', big, '--hardware', 'H100', '--out', join(folder, 'half')]
    const child = spawn(process.execPath, [`${root}bin/run.js`, ...argv], {cwd: folder})
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    const ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => resolve({code, signal}))
    })
    // In the midst of the run, however fast the machine is: the first rows are there, most are to come.
    while (!existsSync(join(folder, 'half/requests.csv')) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 10))
    child.kill('SIGINT')
    // A shell reports a program that SIGINT ended as 130.
    expect(await ended).to.deep.be.oneOf([
      {code: 130, signal: null},
      {code: null, signal: 'SIGINT'},
    ])
    expect(stderr).not.match(/Error|at /)
    expect(existsSync(join(folder, 'half/run.json'))).equal(false)
  })
})

describe('llmsim simulate --json', () => {
  it('holds every field that other tools rely on, and stdout holds nothing else', async () => {
    const {stdout, stderr, code} = await spawnCliIn(
      {cwd: folder},
      ...['simulate', chat, '--hardware', 'H100', '--no-save', '--json', '--seed', '7'],
    )
    expect({code, stderr}).deep.equal({code: 0, stderr: ''})
    const result = JSON.parse(stdout) as Result
    expect(Object.keys(result)).deep.equal(['config', 'summary', 'timing'])
    expectShape(result, contract, '$')
    expect(result.config.seed).equal(7)
    const {kv, prefix_cache} = result.summary
    for (const share of [kv.peak_usage, prefix_cache.hit_rate]) expect(share).within(0, 1)
  })

  it('is the same to the byte, twice, apart from timing', async () => {
    const text = async () => {
      const {timing: _, ...rest} = await simulateJson(code, '--hardware', 'A100', '--no-save')
      return JSON.stringify(rest)
    }
    expect(await text()).equal(await text())
  })

  it('gives null where there is no value', async () => {
    const path = join(folder, 'one-token.csv')
    await writeFile(path, 'arrived_at,input_tokens,output_tokens\n0,10,1\n')
    const {summary} = await simulateJson(path, '--hardware', 'H100', '--no-save')
    for (const field of ['mean', 'p50', 'p99', 'max']) {
      expect(summary.tpot_ms[field]).equal(null)
      expect(summary.itl_ms[field]).equal(null)
    }
    expect(summary.ttft_ms.p50).greaterThan(0)
  })
})

describe('a kept run', () => {
  let run: string
  before(async () => {
    run = join(folder, 'kept')
    await llmsim('simulate', chat, '--hardware', 'H100', '--out', run)
  })

  it('has run.json and requests.csv, with the exact columns and whole nanoseconds', async () => {
    expect((await readdir(run)).sort()).deep.equal([
      'labels.csv',
      'power.csv',
      'requests.csv',
      'run.json',
      'timeseries.csv',
    ])
    const text = await readFile(join(run, 'requests.csv'), 'utf8')
    expect(text.slice(0, text.indexOf('\n'))).equal(
      'request_id,instance,arrived_at,input_tokens,output_tokens,cached_tokens,queue_ms,ttft_ms,tpot_ms,e2e_ms,finished_at,preemptions,status',
    )
    expect([...requestFields].join(',')).equal(text.slice(0, text.indexOf('\n')))
    const rows = rowsOf(text)
    expect(rows.map((row) => row.request_id)).deep.equal(rows.map((_, i) => String(i)))
    for (const row of rows) {
      expect(`${row.arrived_at} ${row.finished_at}`).match(/^\d+\.\d{9} \d+\.\d{9}$/)
      expect(`${row.queue_ms} ${row.ttft_ms} ${row.e2e_ms}`).match(/^(\d+\.\d{6} ?){3}$/)
      expect(row.tpot_ms).match(row.output_tokens === '1' ? /^$/ : /^\d+\.\d{6}$/)
      expect(row.status).equal('completed')
      const end = Math.round(Number(row.arrived_at) * 1e9) + Math.round(Number(row.e2e_ms) * 1e6)
      expect(end).equal(Math.round(Number(row.finished_at) * 1e9))
    }
  })

  it('keeps configuration and summary, as --json prints them', async () => {
    const stored = JSON.parse(await readFile(join(run, 'run.json'), 'utf8'))
    const {config, summary} = await simulateJson(chat, '--hardware', 'H100', '--no-save')
    expect({config: stored.config, summary: stored.summary}).deep.equal({config, summary})
    expect(JSON.stringify(stored.config)).not.include(folder).and.not.include(root)
  })

  it('is shown again by report, alone and beside another', async () => {
    const other = join(folder, 'other')
    await llmsim('simulate', chat, '--hardware', 'A100', '--out', other)
    const alone = (await llmsim('report', run)).stdout
    const first = await llmsim('simulate', chat, '--hardware', 'H100', '--no-save')
    expect(alone).include(first.stdout.trim())
    const {stdout, error} = await llmsim('report', run, other, '--json')
    expect(error).equal(undefined)
    const report = JSON.parse(stdout)
    const [a, b] = report.runs.map((one: Result) => one.summary.ttft_ms.p99)
    const metric = JSON.stringify(report.metrics)
    expect(metric).include(String(b - a))
    expect((await llmsim('report', run, other)).stdout).match(/^ttft_ms\.p99 /m)
  })

  it('goes to .llmsim/runs, is the newest for report, and is not made by --no-save', async () => {
    const here = await mkdtemp(join(folder, 'here-'))
    const at = (...argv: string[]) => spawnCliIn({cwd: here}, ...argv)
    await at('simulate', chat, '--hardware', 'H100', '--limit', '5', '--no-save')
    expect(existsSync(join(here, '.llmsim'))).equal(false)
    await at('simulate', chat, '--hardware', 'A100', '--limit', '5')
    const {stdout} = await at('report')
    expect(stdout).match(/on A100: 256 seats/)
    const [name] = await readdir(join(here, '.llmsim/runs'))
    expect(name).match(/^\d{8}T\d{6}Z-chat-a100$/)
  })
})

describe('several devices', () => {
  it('stand in a row each, the one that does not fit too, with what was compared', async () => {
    const argv = [chat, '--model', 'llama-3.1-70b', '--hardware', 'B200, RTX3090,H200']
    const slo = ['--slo', 'ttft=500ms,tpot=50ms', '--no-save']
    const {stdout, stderr, error} = await llmsim('simulate', ...argv, ...slo)
    expect(error).equal(undefined)
    expect(stdout.split('\n').filter((line) => line.length > 80)).deep.equal([])
    expect(stdout).match(/^trace chat\.csv: 300 requests/m)
    expect(stdout).match(
      /^device +fits +TTFT p99 +TPOT p99 +goodput +met +busy +\$\/1M out +bound by/m,
    )
    expect(stdout).match(/^B200 +yes( +[\d.,]+){3} +\d+ % +\d+ % +\$[\d.]+ +\S/m)
    expect(stdout).match(/^RTX3090 +no( +–){7}$/m)
    expect(stdout).match(/^RTX3090: .* does not fit: each accelerator needs/m)
    expect(stdout).match(/^goodput, met: requests within TTFT ≤ 500 ms, TPOT ≤ 50 ms;/m)
    expect(stderr.match(/^simulated/gm)?.length).greaterThan(0)
  })

  it('have the numbers that each has alone', async () => {
    const {stdout} = await llmsim(
      ...['simulate', code, '--hardware', 'H100,RTX4090', '--no-save', '--json'],
    )
    const {devices} = JSON.parse(stdout)
    for (const device of ['H100', 'RTX4090']) {
      const alone = await simulateJson(code, '--hardware', device, '--no-save')
      const row = devices.find((one: {device: string}) => one.device === device)
      expect({fits: row.fits, summary: row.summary}).deep.equal({
        fits: true,
        summary: alone.summary,
      })
    }
  })

  it('keep a run each below --out', async () => {
    const out = join(folder, 'three')
    await llmsim('simulate', code, '--hardware', 'H100,RTX4090', '--limit', '20', '--out', out)
    expect((await readdir(out)).sort()).deep.equal(['H100', 'RTX4090'])
  })
})

describe('what is measured', () => {
  it('--slo: goodput is what a count over requests.csv gives', async () => {
    const out = join(folder, 'slo')
    const {summary} = await simulateJson(
      ...[code, '--hardware', 'RTX3090', '--slo', 'ttft=5s,tpot=100ms', '--out', out],
    )
    const rows = rowsOf(await readFile(join(out, 'requests.csv'), 'utf8'))
    const good = rows.filter(
      (row) =>
        row.status === 'completed' && Number(row.ttft_ms) <= 5000 && Number(row.tpot_ms) <= 100,
    )
    expect(good.length).within(1, rows.length - 1)
    expect(summary.goodput.requests).equal(good.length)
    expect(summary.goodput.attainment).equal(good.length / rows.length)
  })

  it('--slo itl: every request is held to its largest gap', async () => {
    const slo = ['--slo', 'itl=60ms', '--no-save']
    const {summary} = await simulateJson(code, '--hardware', 'RTX4090', ...slo)
    expect(summary.goodput.attainment).within(0.01, 0.99)
  })

  for (const [warmup, isLeftOut] of [
    ['60s', (at: number) => at < 60],
    ['100', (_: number, i: number) => i < 100],
  ] as const)
    it(`--warmup ${warmup}: latencies are those of the others`, async () => {
      const out = join(folder, `warm-${warmup}`)
      const {summary} = await simulateJson(
        ...[code, '--hardware', 'RTX3090', '--warmup', warmup, '--out', out],
      )
      const rows = rowsOf(await readFile(join(out, 'requests.csv'), 'utf8'))
      const start = Number(rows[0]!.arrived_at)
      const kept = rows.filter((row, i) => !isLeftOut(Number(row.arrived_at) - start, i))
      expect(summary.warmup.left_out)
        .equal(rows.length - kept.length)
        .and.greaterThan(0)
      const mean = kept.reduce((sum, row) => sum + Number(row.ttft_ms), 0) / kept.length
      expect(summary.ttft_ms.mean).closeTo(mean, 1e-6)
      expect(summary.requests.submitted).equal(rows.length)
    })

  it('--steps: a row per step whose tokens add up, and the results stay the same', async () => {
    const steps = join(folder, 'steps.csv')
    const argv = [code, '--hardware', 'RTX3090', '--no-save']
    const plain = await simulateJson(...argv)
    const {summary} = await simulateJson(...argv, '--steps', steps)
    expect(summary).deep.equal(plain.summary)
    const text = await readFile(steps, 'utf8')
    expect(text.slice(0, text.indexOf('\n'))).equal(
      'start_s,end_s,tokens,prefill_tokens,decode_tokens,running,waiting,free_blocks,preempted,instance',
    )
    const rows = rowsOf(text)
    expect(rows.length).equal(summary.steps)
    let tokens = 0
    let end = 0
    for (const row of rows) {
      expect(Number(row.prefill_tokens) + Number(row.decode_tokens)).equal(Number(row.tokens))
      expect(Number(row.start_s)).at.least(end)
      end = Number(row.end_s)
      tokens += Number(row.tokens)
    }
    const rates = summary.throughput
    const asked = (rates.input_tokens_per_s + rates.output_tokens_per_s) * summary.duration_s
    // The KV of a last token is never computed; what was preempted is computed again.
    const again = summary.engines[0].recomputed_tokens
    if (summary.requests.preemptions === 0)
      expect(tokens).closeTo(asked - summary.requests.completed, 1e-3)
    else
      expect(tokens)
        .greaterThan(asked - summary.requests.completed)
        .at.most(asked + again)
  })

  it('--itl: the gaps of each request add up to first → last token', async () => {
    const itl = join(folder, 'itl.csv')
    const out = join(folder, 'itl-run')
    await llmsim('simulate', code, '--hardware', 'A100', '--itl', itl, '--out', out)
    const rows = rowsOf(await readFile(join(out, 'requests.csv'), 'utf8'))
    const gaps = rowsOf(await readFile(itl, 'utf8'))
    expect(gaps.length).equal(rows.length)
    for (const [i, row] of rows.entries()) {
      const own = gaps[i]!.itl_ns!.split(' ').filter(Boolean).map(Number)
      expect(own.length).equal(Number(row.output_tokens) - 1)
      const span = Math.round((Number(row.e2e_ms) - Number(row.ttft_ms)) * 1e6)
      expect(own.reduce((sum, gap) => sum + gap, 0)).equal(span)
    }
  })
})

describe('what arrives', () => {
  /** Times as they came, replayed as an open loop, must give the same to the nanosecond. */
  const replayed = async (name: string, ...argv: string[]): Promise<void> => {
    const base = ['--hardware', 'RTX4090', '--no-enable-prefix-caching', '--check']
    const [first, second] = [join(folder, `${name}-a`), join(folder, `${name}-b`)]
    expect((await llmsim('simulate', ...argv, ...base, '--out', first)).error).equal(undefined)
    const rows = await readFile(join(first, 'requests.csv'), 'utf8')
    const arrivals = rowsOf(rows)
      .map((row) => `${row.arrived_at},${row.input_tokens},${row.output_tokens},${row.request_id}`)
      .join('\n')
    const path = join(folder, `${name}.csv`)
    await writeFile(path, `arrived_at,input_tokens,output_tokens,request_id\n${arrivals}\n`)
    expect((await llmsim('simulate', path, ...base, '--out', second)).error).equal(undefined)
    const byId = (text: string) =>
      Object.fromEntries(rowsOf(text).map((row) => [row.request_id!, row]))
    expect(byId(await readFile(join(second, 'requests.csv'), 'utf8'))).deep.equal(byId(rows))
  }

  it('in a closed loop does not wait as the turns of a session do', async () => {
    const flags = ['--hardware', 'H100', '--concurrency', '8', '--no-save', '--check']
    expect((await llmsim('simulate', chat, ...flags)).error).equal(undefined)
  })

  it('turns of sessions are served as if their times had been known', () => replayed('turns', chat))

  it('so are the requests of a closed loop', () => replayed('loop', code, '--concurrency', '7'))

  it('--concurrency: never more than N at once, never fewer while there are any', async () => {
    const steps = join(folder, 'loop-steps.csv')
    const argv = [code, '--hardware', 'H100', '--concurrency', '8', '--no-save']
    const {summary} = await simulateJson(...argv, '--steps', steps, '--front-end', 'none')
    const busy = rowsOf(await readFile(steps, 'utf8')).map(
      (row) => Number(row.running) + Number(row.waiting),
    )
    expect(Math.max(...busy)).equal(8)
    expect(summary.requests.completed).equal(400)
    expect(summary.steady_state).equal(null)
  })

  const growing = async (...argv: string[]): Promise<boolean> => {
    const {stdout, error} = await llmsim('simulate', ...argv, '--no-save')
    expect(error).equal(undefined)
    expect(stdout).match(/bound: /)
    return /^overloaded: /m.test(stdout)
  }

  it('a closed loop never claims that the queue grows: it waits for the system', async () => {
    expect(await growing(code, '--hardware', 'RTX3090', '--concurrency', '300')).equal(false)
  })

  it('sessions claim it only where more of them begin than are served', async () => {
    expect(await growing(chat, '--hardware', 'H100', '--max-num-seqs', '6')).equal(false)
    expect(await growing(chat, '--hardware', 'H100', '--max-num-seqs', '2')).equal(true)
  })

  it('an overload that so few sessions may show by chance is told as that', async () => {
    const argv = ['simulate', chat, '--hardware', 'H100', '--max-num-seqs', '4', '--no-save']
    const {stdout} = await llmsim(...argv)
    expect(stdout.replaceAll(/\s+/g, ' '))
      .match(/cannot tell whether this is an overload: \d+ % more came than was served/)
      .match(/About \d00 more of them \(\d min\) would tell/)
  })
})

describe('what holds requests back is named', () => {
  const cases: readonly (readonly [string, RegExp, ...string[]])[] = [
    ['nothing', /^not saturated, latency is step time/m, chat, '--rate', '0.05', '--limit', '40'],
    [
      'seats',
      /^seat-bound: 4 of 4 seats \(max_num_seqs\), .*held\s+back/ms,
      chat,
      '--max-num-seqs',
      '4',
    ],
    [
      'KV blocks',
      /^KV-bound: \d+ of 1,024 seats, 8\d % of\s+blocks/m,
      code,
      '--num-gpu-blocks-override',
      '600',
    ],
    [
      'the token budget',
      /^budget-bound: prompts waited for the token budget/m,
      code,
      '--max-num-seqs',
      '256',
      '--max-num-batched-tokens',
      '256',
    ],
    [
      'overload',
      /^overloaded: the queue grows as long as requests come; the\s+engine\s+serves\s+\S+\s+tok\/s/m,
      code,
      '--rate',
      '40',
    ],
  ]
  it('overload, under every policy (README: compare two schedulers)', async () => {
    for (const policy of ['fcfs', 'sjf', 'priority']) {
      const argv = ['simulate', code, '--hardware', 'RTX3090', '--policy', policy, '--no-save']
      const {stdout} = await llmsim(...argv)
      expect(stdout.replaceAll(/\s+/g, ' '), policy).match(
        /overloaded: the queue grows as long as requests come; the engine serves 3\.\dk tok\/s, this trace asks 6\.6k/,
      )
    }
  })
  for (const [what, says, ...argv] of cases)
    it(what, async () => {
      const {stdout, error} = await llmsim('simulate', ...argv, '--hardware', 'H100', '--no-save')
      expect(error).equal(undefined)
      expect(stdout).match(says)
    })

  it('a request that can never run is rejected, counted and explained', async () => {
    const argv = [code, '--hardware', 'H100', '--num-gpu-blocks-override', '300', '--no-save']
    const {stdout} = await llmsim('simulate', ...argv)
    expect(stdout).match(/^requests +\d+ of 400 completed in .*, (\d+) rejected$/m)
    expect(stdout).match(
      /^rejected +\d+, the first: prompt and output are \d+ tokens, max_model_len is\s+4800$/m,
    )
  })
})

describe('what can be named', () => {
  it('a model by a part of its name, with a note of what was taken', async () => {
    const named = async (model: string) => {
      const {config} = await simulateJson(
        ...[chat, '--limit', '3', '--hardware', 'H100', '--model', model, '--no-save'],
      )
      return {model: config.engines[0]!.model, notes: config.notes.join('\n')}
    }
    expect((await named('META-LLAMA/llama-3.1-8b-instruct')).model).equal(
      'meta-llama/Llama-3.1-8B-Instruct',
    )
    const near = await named('mistral-7b')
    expect(near.model).match(/^mistralai\/Mistral-7B/)
    expect(near.notes).include(near.model)
  })

  it('a model by its config.json, and a card by its yaml', async () => {
    const model = join(folder, 'config.json')
    await writeFile(
      model,
      JSON.stringify({
        architectures: ['LlamaForCausalLM'],
        model_type: 'llama',
        hidden_size: 4096,
        intermediate_size: 14336,
        num_attention_heads: 32,
        num_hidden_layers: 32,
        num_key_value_heads: 8,
        vocab_size: 128256,
        max_position_embeddings: 131072,
        torch_dtype: 'bfloat16',
      }),
    )
    const card = join(folder, 'my-card.yaml')
    await writeFile(card, 'extends: H100\nprice_usd_per_hour: 5.2\n')
    const argv = [chat, '--limit', '20', '--no-save']
    const own = await simulateJson(...argv, '--hardware', card, '--model', model)
    const known = await simulateJson(...argv, '--hardware', 'H100')
    expect(own.config.engines[0]!.hardware).equal('my-card')
    expect(own.summary.ttft_ms).deep.equal(known.summary.ttft_ms)
    expect(own.summary.cost.usd_per_hour).equal(5.2)
  })

  it('a trace of which a request is rejected, and counts what ran', async () => {
    const trace = join(folder, 'long.csv')
    await writeFile(trace, 'arrived_at,input_tokens,output_tokens\n0,200000,5\n1,100,5\n')
    const {stderr} = await llmsim('simulate', trace, '--hardware', 'H100', '--no-save')
    expect(stderr).match(/^simulated 1 request, 105 tokens, [1-9] steps? in /m)
  })

  it('a cluster by LLMServingSim’s JSON, without its artefacts', async () => {
    const cluster = join(folder, 'cluster.json')
    const instance = {
      model_name: 'meta-llama/Llama-3.1-8B',
      hardware: 'RTX4090',
      npu_mem: {mem_size: 24, mem_bw: 1008, mem_latency: 0},
      num_npus: 2,
      tp_size: 2,
      pd_type: null,
    }
    await writeFile(
      cluster,
      JSON.stringify({
        num_nodes: 1,
        link_bw: 16,
        link_latency: 20000,
        nodes: [
          {
            num_instances: 2,
            cpu_mem: {mem_size: 128, mem_bw: 256, mem_latency: 0},
            instances: [instance, instance],
          },
        ],
      }),
    )
    const {config, summary} = await simulateJson(chat, '--cluster', cluster, '--no-save')
    expect(config.engines.length).equal(2)
    expect(config.layout).deep.include({npu: 4, tp: 2, instances: 2})
    expect(summary.requests.completed).equal(300)
    expect(summary.engines.every((engine: {steps: number}) => engine.steps > 0)).equal(true)
  })

  it('a policy of one’s own by its path, which decides the order', async () => {
    await copyFile(code, join(folder, 'code.csv'))
    await writeFile(
      join(folder, 'shortest.mjs'),
      'export default {key: (request) => request.inputTokens}\n',
    )
    const at = async (policy: string) => {
      const {stdout, stderr} = await spawnCliIn(
        {cwd: folder},
        ...['simulate', 'code.csv', '--hardware', 'RTX3090', '--max-num-seqs', '4'],
        ...['--policy', policy, '--no-save', '--json'],
      )
      expect(stderr).equal('')
      return JSON.parse(stdout).summary
    }
    const own = await at('./shortest.mjs')
    expect(own).deep.equal(await at('sjf'))
    expect(own.ttft_ms.mean).lessThan((await at('fcfs')).ttft_ms.mean)
  })
})
