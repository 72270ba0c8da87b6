import {mkdtemp, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import type {MeasuredRun} from '#llmsim/measured/measured-run.js'
import {withPrefixesOf} from '#llmsim/measured/prefixes.js'
import {readMeasured} from '#llmsim/measured/read.js'
import {problemOf} from '../catalogue/problem.js'

const folderOf = async (files: Readonly<Record<string, string>>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'llmsim-measured-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

const only = async (name: string, text: string): Promise<MeasuredRun> => {
  const [run] = await readMeasured(join(await folderOf({[name]: text}), name))
  return run!
}

const lines = (rows: readonly unknown[]): string =>
  rows.map((row) => JSON.stringify(row)).join('\n')

/** The second request came first; 10 and 20 ms to the first token, 110 and 220 to the last of 11. */
const expectTwo = (run: MeasuredRun): void => {
  expect([...run.trace.arrivedAt]).deep.equal([0, 500_000_000])
  expect([...run.trace.inputTokens]).deep.equal([7, 5])
  expect([...run.trace.outputTokens]).deep.equal([11, 11])
  const close = (values: Float64Array, truth: readonly number[]) => {
    for (const [i, value] of truth.entries()) expect(values[i]).closeTo(value, 1e-3)
  }
  close(run.requests!.ttft, [20, 10])
  close(run.requests!.e2e, [220, 110])
  close(run.requests!.tpot, [20, 10])
  expect(run.stages[0]!.spreads.ttft!.mean).closeTo(15, 1e-3)
}

describe('measured runs', () => {
  it('reads inference-perf', async () => {
    const item = (start: number, input: number, first: number, last: number) => ({
      start_time: start,
      end_time: start + last,
      info: {input_tokens: input, output_tokens: 11, output_token_times: [start + first]},
    })
    const failed = {...item(2, 5, 1, 1), error: {error_type: 'Timeout'}}
    const run = await only(
      'per_request_lifecycle_metrics.json',
      JSON.stringify([item(100.5, 5, 0.01, 0.11), item(100, 7, 0.02, 0.22), failed]),
    )
    expectTwo(run)
    expect(run.format).equal('inference-perf')
    expect(run.notes.join()).include('1 failed')
  })

  it('reads aiperf', async () => {
    const item = (start: number, input: number, first: number, last: number) => ({
      metadata: {request_start_ns: start * 1e9, benchmark_phase: 'profiling'},
      metrics: {
        input_sequence_length: {value: input, unit: 'tokens'},
        output_sequence_length: {value: 11, unit: 'tokens'},
        time_to_first_token: {value: first, unit: 'ms'},
        request_latency: {value: last, unit: 'ms'},
      },
    })
    const warm = {...item(0, 5, 1, 1), metadata: {request_start_ns: 0, benchmark_phase: 'warmup'}}
    const cancelled = {
      ...item(0, 5, 1, 1),
      metadata: {request_start_ns: 0, was_cancelled: true},
    }
    const rows = [warm, item(3.5, 5, 10, 110), item(3, 7, 20, 220), cancelled]
    const run = await only('profile_export.jsonl', lines(rows))
    expectTwo(run)
    expect(run.notes.join()).include('1 failed')
  })

  it('reads both generations of GuideLLM', async () => {
    const old = (start: number, input: number, first: number, last: number) => ({
      start_time: start,
      end_time: start + last / 1e3,
      first_token_time: start + first / 1e3,
      prompt_tokens: input,
      output_tokens: 11,
    })
    const young = (start: number, input: number, first: number, last: number) => ({
      info: {timings: {request_start: start}},
      request_latency: last / 1e3,
      time_to_first_token_ms: first,
      prompt_tokens: input,
      output_tokens: 11,
    })
    for (const item of [old, young]) {
      const successful = [item(3.5, 5, 10, 110), item(3, 7, 20, 220)]
      const document = {benchmarks: [{requests: {successful, errored: [], incomplete: []}}]}
      expectTwo(await only('benchmarks.json', JSON.stringify(document)))
    }
  })

  it('reads a trace with measured columns, and vllm bench serve', async () => {
    const csv = [
      'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,status',
      '0,7,11,20,220,completed',
      '0.5,5,11,10,110,completed',
      '0.6,5,11,1,2,cancelled',
    ].join('\n')
    const run = await only('trace.csv', `${csv}\n`)
    expect(run.trace.length).equal(3)
    expect([...run.requests!.ttft]).deep.equal([20, 10, Number.NaN])
    const bench = await only(
      'result.json',
      JSON.stringify({
        input_lens: [7, 5],
        output_lens: [11, 11],
        ttfts: [0.02, 0.01],
        itls: [Array(10).fill(0.02), Array(10).fill(0.01)],
        start_times: [3, 3.5],
      }),
    )
    expectTwo(bench)
  })

  it("reads LLMServingSim's bench folder, with its clocks joined", async () => {
    const item = (arrival: number, queued: number, input: number, first: number, last: number) => ({
      request_id: `r${arrival}`,
      input_toks: input,
      output_toks: 11,
      arrival_time: 1e9 + arrival,
      queued_ts: 50 + queued,
      first_token_ts: 50 + arrival + first,
      last_token_ts: 50 + arrival + last,
    })
    const meta = {
      model: 'meta-llama/Llama-3.1-8B',
      vllm_version: '0.19.0',
      engine_kwargs: {max_num_seqs: 64, tensor_parallel_size: 2},
      kv_cache: {num_gpu_blocks: 2588},
      hardware: {device_name: 'NVIDIA GeForce RTX 4090'},
    }
    const rows = [item(1, 1, 7, 0.02, 0.22), item(1.5, 1.7, 5, 0.01, 0.11)]
    const folder = await folderOf({
      'meta.json': JSON.stringify(meta),
      'requests.jsonl': lines(rows),
      'timeseries.csv': 't,running,waiting,kv_cache_pct\n1.0,2,0,13.2\n',
    })
    const [run] = await readMeasured(folder)
    expectTwo(run!)
    expect(run!.settings).include({tp: 2, maxNumSeqs: 64, numGpuBlocks: 2588, sampling: 'plain'})
    expect(run!.timeline).deep.equal([{at: 1, running: 2, waiting: 0, kv: 0.132}])
  })

  it('reads whether the server of a bench folder had CUDA graphs', async () => {
    const row = {request_id: 'r', input_toks: 7, output_toks: 11}
    const times = {arrival_time: 1, queued_ts: 1, first_token_ts: 1.1, last_token_ts: 1.2}
    const eagerOf = async (asked: object, resolved?: object) => {
      const resolved_config = resolved && {model_config: resolved}
      const folder = await folderOf({
        'meta.json': JSON.stringify({model: 'x', engine_kwargs: asked, resolved_config}),
        'requests.jsonl': JSON.stringify({...row, ...times}),
      })
      return (await readMeasured(folder))[0]!.settings.enforceEager
    }
    expect(await eagerOf({})).equal(undefined)
    expect(await eagerOf({enforce_eager: true})).equal(true)
    expect(await eagerOf({}, {enforce_eager: true})).equal(true)
    // What the engine made of it counts.
    expect(await eagerOf({enforce_eager: true}, {enforce_eager: false})).equal(false)
  })

  it('takes prefixes from the trace that was replayed, if it is that one', async () => {
    const header = 'arrived_at,input_tokens,output_tokens'
    const folder = await folderOf({
      'run.csv': `${header},ttft_ms,e2e_ms\n0,64,11,20,220\n1,64,11,20,220\n`,
      'same.csv': `${header},prefix_group,prefix_tokens\n0,64,11,a,64\n1,64,11,a,64\n`,
      'other.csv': `${header},prefix_group,prefix_tokens\n0,64,11,a,64\n1,65,11,a,64\n`,
    })
    const [run] = await readMeasured(join(folder, 'run.csv'))
    const lent = await withPrefixesOf(run!, join(folder, 'same.csv'))
    expect(lent.trace.prefix).not.equal(undefined)
    for (const [name, message] of [
      [
        'other.csv',
        /request 2 in order of arrival has 65 and 11 tokens, and 64 and 11 were measured/,
      ],
      ['run.csv', /no prefix identity/],
    ] as const) {
      const problem = await problemOf(() => withPrefixesOf(run!, join(folder, name)))
      expect(problem.message).match(message)
    }
  })

  it('tells requests of sessions apart by their id, as turns come when others end', async () => {
    const folder = await folderOf({
      // Two sessions; the file has one after the other.
      'trace.csv':
        'arrived_at,input_tokens,output_tokens,session_id,turn,think_time_s,prefix_group,prefix_tokens\n0,32,16,s,0,,a,48\n,64,16,s,1,1,a,80\n0.5,48,16,t,0,,b,64\n',
      'run.csv':
        'request_id,arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,cached_tokens\n0,0,32,16,9,99,0\n2,0.5,48,16,9,99,0\n1,1.1,64,16,9,99,48\n',
      'other.csv':
        'request_id,arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms\nx,0,32,16,9,99\ny,0.5,48,16,9,99\nz,1.1,64,16,9,99\n',
    })
    const [run] = await readMeasured(join(folder, 'run.csv'))
    expect(run!.notes.join()).match(/without prefix identity.* 33 % of the prompt tokens/)
    const {trace, notes} = await withPrefixesOf(run!, join(folder, 'trace.csv'))
    expect(notes).deep.equal([])
    const {offsets, ids, knownTokens} = trace.prefix!
    expect([...knownTokens]).deep.equal([48, 64, 80])
    // The second turn begins as the first one of its own session.
    const first = (row: number) => ids[offsets[row]!]
    expect(first(2)).equal(first(0))
    expect(first(1)).not.equal(first(0))
    const [other] = await readMeasured(join(folder, 'other.csv'))
    const problem = await problemOf(() => withPrefixesOf(other!, join(folder, 'trace.csv')))
    expect(problem.message).match(/turns of its sessions .* only request_id tells/)
  })

  it('counts the rates from the first arrival, wherever the clock stood then', async () => {
    for (const from of [0, 0.853, 60, 1.7e9]) {
      const run = await only(
        'trace.csv',
        [
          'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,status',
          `${from},7,11,,,cancelled`,
          `${from + 0.5},7,11,20,220,completed`,
          `${from + 1},5,9,10,1000,completed`,
          `${from + 1.25},5,9,10,100,completed\n`,
        ].join('\n'),
      )
      const {requestsPerS, outputTokensPerS} = run.stages[0]!.throughput
      expect(requestsPerS).closeTo(3 / 2, 1e-6)
      expect(outputTokensPerS).closeTo(29 / 2, 1e-5)
    }
  })

  it('says how many requests are not compared, and why', async () => {
    const rows = ['0,7,11,20,220,completed', '1,7,11,20,220,Cancelled', '2,7,11,20,220,503']
    const more = ['3,7,11,,,ok', '4,7,11,20,220,', '5,7,11,20,220,200']
    const folder = await folderOf({
      'run.csv': `arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,status\n${[...rows, ...more].join('\n')}\n`,
    })
    const [run] = await readMeasured(join(folder, 'run.csv'))
    expect([...run!.requests!.e2e].map(Number.isNaN)).deep.equal([
      ...[false, true, true],
      ...[true, false, false],
    ])
    expect(run!.notes[0]).equal(
      '3 of 6 requests are simulated and not compared: 1 cancelled, 1 503, 1 without e2e_ms.',
    )
  })

  const wrong: [string, Readonly<Record<string, string>>, string, RegExp][] = [
    [
      'a status that is none',
      {
        't.csv':
          'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,status\n0,7,11,20,220,completed\n1,7,11,21,221,complted\n',
      },
      't.csv',
      /t\.csv:3: status is "complted", which is none: completed, ok/,
    ],
    [
      'a column that is nearly one that counts',
      {
        't.csv':
          'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,Statsu\n0,7,11,20,220,completed\n',
      },
      't.csv',
      /t\.csv: nothing reads its column "Statsu"/,
    ],
    ['nothing', {}, '', /nothing in this folder is a measured run/],
    [
      'a run that was simulated, but names its requests',
      {'run.json': '{}', 'requests.csv': 'request_id\n'},
      '',
      /: this folder is a run that was simulated; its requests\.csv may stand for one\.$/,
    ],
    ['no file', {}, 'gone.json', /gone\.json: there is no such file/],
    [
      'a trace that was never served',
      {'t.csv': 'arrived_at,input_tokens,output_tokens\n0,7,11\n'},
      't.csv',
      /no column ttft_ms/,
    ],
    [
      'a time that is none',
      {'t.csv': 'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms\n0,7,11,fast,3\n'},
      't.csv',
      /t\.csv:2: ttft_ms must be ms, got "fast"/,
    ],
    [
      'a trace that was only predicted',
      {'t.csv': 'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms\n0,7,11,,\n'},
      't.csv',
      /e2e_ms is empty in every completed row/,
    ],
    [
      'a torn line',
      {'profile_export.jsonl': '{"metadata":{"request_start_ns":0}'},
      'profile_export.jsonl',
      /profile_export\.jsonl:1: it is not valid JSON/,
    ],
    [
      'a metric without value',
      {'profile_export.jsonl': '{"metadata":{"request_start_ns":0},"metrics":{}}'},
      'profile_export.jsonl',
      /:1: metrics: input_sequence_length must be an object/,
    ],
    [
      'several benchmarks',
      {'b.json': '{"benchmarks":[{},{}]}'},
      'b.json',
      /it holds 2 benchmarks; one run is validated at a time/,
    ],
    [
      'no tokens',
      {
        'b.json':
          '[{"start_time":0,"end_time":1,"info":{"input_tokens":0,"output_tokens":1,"output_token_times":[1]}}]',
      },
      'b.json',
      /b\.json: \[0\]: 0 prompt and 1 output tokens/,
    ],
    [
      'half a token, in a line after an empty one',
      {
        'profile_export.jsonl':
          '\n{"metadata":{"request_start_ns":0},"metrics":{"input_sequence_length":3.5,"output_sequence_length":3,"request_latency":5}}\n',
      },
      'profile_export.jsonl',
      /profile_export\.jsonl:2: 3\.5 prompt and 3 output tokens/,
    ],
    [
      'a line without metrics, after an empty one',
      {'profile_export.jsonl': '\n{"metadata":{"request_start_ns":0}}\n'},
      'profile_export.jsonl',
      /profile_export\.jsonl:2: metrics must be an object/,
    ],
    [
      'an end before the first token',
      {
        't.csv':
          'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms\n5,7,11,20,90\n\n"1",7,11,20,10\n',
      },
      't.csv',
      /t\.csv:4: the request ends 10 ms after it was sent, and its first token comes after 20 ms/,
    ],
    [
      'an end before the first token, of vllm bench serve',
      {
        'r.json':
          '{"input_lens":[7],"output_lens":[1],"ttfts":[0.02],"itls":[[-0.01]],"start_times":[3]}',
      },
      'r.json',
      /r\.json/,
    ],
    [
      'an end before the first token, of a client',
      {
        'b.json':
          '[{"start_time":0,"end_time":1,"info":{"input_tokens":5,"output_tokens":1,"output_token_times":[2]}}]',
      },
      'b.json',
      /b\.json: \[0\]: the request ends 1000 ms after it was sent, and its first token comes after 2000 ms/,
    ],
    [
      'broken JSON',
      {'b.json': '{\n  "benchmarks": [1,,2]\n}\n'},
      'b.json',
      /b\.json:2:20: not valid JSON: expected a value, found ","\.$/,
    ],
    [
      'JSON of something else',
      {'b.json': '{"colour": "blue"}\n'},
      'b.json',
      /b\.json:1:1: the format is not known: the file begins with a JSON object with the keys colour, which is no measured run\.$/,
    ],
    [
      'meta.json without a model',
      {
        'meta.json': '{"engine_kwargs":{}}',
        'requests.jsonl':
          '{"arrival_time":0,"queued_ts":0,"first_token_ts":0,"last_token_ts":0,"input_toks":1,"output_toks":1}',
      },
      '',
      /meta\.json: model must be a text, got nothing/,
    ],
  ]
  for (const [name, files, path, message] of wrong) {
    it(`refuses ${name}`, async () => {
      const folder = await folderOf(files)
      const problem = await problemOf(() => readMeasured(join(folder, path)))
      expect(problem.code).equal('MEASURED_BAD_FILE')
      expect(problem.message).match(message)
    })
  }
})
