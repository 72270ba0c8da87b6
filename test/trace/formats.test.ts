import {readFileSync, writeFileSync} from 'node:fs'
import {expect} from 'chai'
import {readTrace} from '#llmsim/trace/read.js'
import {reuseOf} from '#llmsim/trace/reuse.js'
import {writeTrace} from '#llmsim/trace/write.js'
import {fixture, scratch, sum} from './files.js'

interface Case {
  readonly file: string
  readonly format: string
  readonly rows?: number
}

const cases: readonly Case[] = [
  {file: 'llmsim.csv', format: 'llmsim'},
  {file: 'servegen.csv', format: 'llmsim'},
  {file: 'vidur.csv', format: 'vidur'},
  {file: 'azure-2023.csv', format: 'azure'},
  {file: 'azure-2024.csv', format: 'azure'},
  {file: 'mooncake.jsonl', format: 'mooncake'},
  {file: 'burstgpt.csv', format: 'burstgpt'},
  {file: 'vllm-bench.json', format: 'vllm-bench'},
  {file: 'llmservingsim.jsonl', format: 'llmservingsim'},
]

const times = [0, 0.5e9, 1.25e9, 2e9, 3.5e9]

describe('trace formats', () => {
  const file = scratch()

  for (const {file: name, format} of cases) {
    it(`reads ${name}, writes it as ours and back, and loses nothing`, async () => {
      const trace = await readTrace([fixture(name)])
      expect(trace.format).equal(format)
      expect(trace.length).equal(5)
      expect([...trace.inputTokens]).deep.equal([100, 200, 300, 600, 1100])
      expect(sum(trace.outputTokens)).equal(150)
      if (format !== 'llmservingsim') expect([...trace.arrivedAt]).deep.equal(times)

      const ours = file(`${name}.ours.csv`)
      expect(await writeTrace(trace, ours)).deep.equal([])
      const second = await readTrace([ours])
      expect({...second, format: '', notes: []}).deep.equal({...trace, format: '', notes: []})

      const back = file(`${name}.back`)
      await writeTrace(second, back, format)
      const third = await readTrace([back])
      expect(third.format).equal(format)
      expect([...third.inputTokens]).deep.equal([...trace.inputTokens])
      expect([...third.outputTokens]).deep.equal([...trace.outputTokens])
      expect([...third.arrivedAt]).deep.equal([...trace.arrivedAt])
      expect(third.prefix).deep.equal(trace.prefix)
    })
  }

  it('keeps unknown columns of our CSV', async () => {
    const {extra} = await readTrace([fixture('servegen.csv')])
    expect([...extra!]).deep.equal([['client', ['27', '36', '27', '27', '36']]])
  })

  it('takes Mooncake ids as spans of 512 tokens, known as far as the prompt reaches', async () => {
    const {prefix} = await readTrace([fixture('mooncake.jsonl')])
    expect(prefix!.spanTokens).equal(512)
    expect([...prefix!.ids]).deep.equal([0, 0, 1, 1, 2, 1, 2, 3])
    expect([...prefix!.offsets]).deep.equal([0, 1, 2, 3, 5, 8])
    expect([...prefix!.knownTokens]).deep.equal([100, 200, 300, 600, 1100])
  })

  it('drops the failures of BurstGPT with a note, and keeps models and sessions', async () => {
    const {notes, model, session} = await readTrace([fixture('burstgpt.csv')])
    expect(notes).deep.equal([
      `${fixture('burstgpt.csv')}: 1 row without output tokens (failed requests) left out.`,
    ])
    expect(Array.from(model!.codes, (code) => model!.names[code])).deep.equal([
      'ChatGPT',
      'GPT-4',
      'ChatGPT',
      'ChatGPT',
      'ChatGPT',
    ])
    expect([...session!.codes]).deep.equal([0, -1, 1, 0, -1])
  })

  it('keeps what vLLM bench measured, and drops what failed', async () => {
    const {extra, notes} = await readTrace([fixture('vllm-bench.json')])
    expect(extra!.get('ttft_ms')).deep.equal(['250', '500', '125', '250', '500'])
    // 250 ms and 9 gaps of 500 ms.
    expect(extra!.get('e2e_ms')![0]).equal('4750')
    expect(notes[0]).match(/1 failed requests were left out/)
  })

  it('spaces a vLLM bench result without start times by its rate', async () => {
    const document = JSON.parse(readFileSync(fixture('vllm-bench.json'), 'utf8'))
    delete document.start_times
    document.errors = ['', '', '', '', '', '']
    document.output_lens[2] = 7
    const path = file('no-starts.json', JSON.stringify(document))
    const even = await readTrace([path])
    expect([...even.arrivedAt]).deep.equal([0, 0.5e9, 1e9, 1.5e9, 2e9, 2.5e9])
    expect(even.notes[0]).match(/arrive evenly at its request_rate of 2/)
    document.request_rate = 'inf'
    const once = await readTrace([file('inf.json', JSON.stringify(document))])
    expect(sum(once.arrivedAt)).equal(0)
    expect(once.notes[0]).match(/--concurrency/)
  })

  it('releases the calls of an LLMServingSim session by the ones before', async () => {
    const trace = await readTrace([fixture('llmservingsim.jsonl')])
    expect([...trace.arrivedAt]).deep.equal([0, 0.5e9, Number.NaN, Number.NaN, 3.5e9])
    expect([...trace.thinkTime!]).deep.equal([Number.NaN, Number.NaN, 7, 0.25e9, Number.NaN])
    expect([...trace.turn!]).deep.equal([-1, 0, 1, 2, -1])
    expect([...trace.session!.codes]).deep.equal([-1, 0, 0, 0, -1])
    expect(trace.session!.names).deep.equal(['agent'])
  })

  it('numbers LLMServingSim requests in the order of the file, also when it sorts them', async () => {
    const lines = [
      '{"input_toks":1,"output_toks":1,"arrival_time_ns":50}',
      '{"arrival_time_ns":10,"sub_requests":[{"input_toks":2,"output_toks":1},{"input_toks":3,"output_toks":1}]}',
      '{"input_toks":4,"output_toks":1,"arrival_time_ns":30}',
    ]
    const trace = await readTrace([file('unsorted.jsonl', `${lines.join('\n')}\n`)])
    expect([...trace.inputTokens]).deep.equal([2, 3, 4, 1])
    expect(trace.requestId).deep.equal(['1', '2', '3', '0'])
    expect(trace.session!.names).deep.equal(['session_0'])
  })

  it('chains token ids over prompt and output in blocks of 16', async () => {
    const ids = (from: number, count: number): number[] =>
      Array.from({length: count}, (_, i) => from + i)
    const row = (prompt: number[], answer: number[]): string =>
      JSON.stringify({
        input_toks: prompt.length,
        output_toks: answer.length,
        arrival_time_ns: 0,
        input_tok_ids: prompt,
        output_tok_ids: answer,
      })
    const path = file(
      'ids.jsonl',
      [
        row(ids(0, 20), ids(20, 30)),
        row(ids(0, 48), ids(900, 5)),
        row([1, ...ids(1, 47)], [1]),
      ].join('\n'),
    )
    const {prefix} = await readTrace([path])
    const of = (i: number): number[] => [
      ...prefix!.ids.subarray(prefix!.offsets[i], prefix!.offsets[i + 1]),
    ]
    expect(prefix!.spanTokens).equal(16)
    // Tokens 0 … 47 are equal in both, half of them prompt in one and output in the other.
    expect(of(0)).deep.equal(of(1))
    expect([...prefix!.knownTokens]).deep.equal([48, 48, 48])
    // One other token in the first block makes every block another one.
    expect(of(2).some((id) => of(0).includes(id))).equal(false)
  })

  it('reads several files and folders as one, whatever their formats', async () => {
    const trace = await readTrace([fixture('vidur.csv'), fixture('mooncake.jsonl')])
    expect(trace.format).equal('vidur+mooncake')
    expect(trace.length).equal(10)
    expect([...trace.inputTokens.subarray(0, 4)]).deep.equal([100, 100, 200, 200])
    expect(trace.notes).deep.equal(['rows were not in order of arrival and have been sorted.'])
    expect([...trace.prefix!.knownTokens].filter((known) => known > 0)).length(5)
  })

  it('does not take the blocks of two Mooncake files for one another', async () => {
    const {prefix} = await readTrace([fixture('mooncake.jsonl'), fixture('mooncake.jsonl')])
    expect(new Set(prefix!.ids).size).equal(8)
  })

  it('writes 16-token identity as Mooncake blocks that are shared as far as whole blocks are', async () => {
    const text =
      'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n' +
      '0,1500,1,g,1400\n1,1300,1,g,1100\n2,600,1,other,512\n'
    const trace = await readTrace([file('groups.csv', text)])
    const path = file('groups.jsonl')
    await writeTrace(trace, path, 'mooncake')
    const rows = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rows.map((row) => row.hash_ids.length)).deep.equal([3, 3, 2])
    expect(rows[0].hash_ids.slice(0, 2)).deep.equal(rows[1].hash_ids.slice(0, 2))
    expect(new Set(rows.flatMap((row) => row.hash_ids)).size).equal(6)
  })

  it('writes a Mooncake block as shared only when all of it is known to be', async () => {
    const text =
      'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n' +
      '0,600,1,g,505\n1,600,1,g,505\n2,600,1,h,512\n3,600,1,h,513\n'
    const trace = await readTrace([file('edge.csv', text)])
    const path = file('edge.jsonl')
    await writeTrace(trace, path, 'mooncake')
    const [a, b, c, d] = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).hash_ids[0])
    expect(a).not.equal(b)
    expect(c).equal(d)
  })

  it('says how much of shared prefixes is left in larger blocks, and what columns are lost', async () => {
    const head = 'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens,ttft_ms,mood'
    const path = file('shared.csv')
    writeFileSync(
      path,
      `${head}\n0,600,5,g,256,9,a\n1,600,5,g,256,9,b\n2,1100,5,h,1024,9,c\n3,1100,5,h,1024,9,d\n`,
    )
    const trace = await readTrace([path])
    const out = file('shared.jsonl')
    // 256 and 1024 of 3,400 tokens; in blocks of 512 the first is gone.
    expect(await writeTrace(trace, out, 'mooncake')).deep.equal([
      'mooncake has no place for the columns ttft_ms and mood: left out.',
      'mooncake tells shared prefixes in blocks of 512 prompt tokens: 30.1 % of the prompt tokens can be found in a cache, of 37.6 % in the trace; llmsim keeps all of it.',
    ])
    const again = await readTrace([out])
    expect(reuseOf(again)!.prompt_share).closeTo(1024 / 3400, 1e-9)
    expect(await writeTrace(again, file('same.jsonl'), 'mooncake')).deep.equal([])
  })

  it('says what a format cannot hold, and refuses turns where it has no place for them', async () => {
    const sessions = await readTrace([fixture('llmservingsim.jsonl')])
    let message = ''
    await writeTrace(sessions, file('x.csv'), 'vidur').catch((error) => (message = error.message))
    expect(message).match(/^The format vidur needs a time for every request/)
    const burst = await readTrace([fixture('burstgpt.csv')])
    expect(await writeTrace(burst, file('y.csv'), 'vidur')).deep.equal([
      'vidur has no place for models, sessions: left out.',
    ])
  })
})
