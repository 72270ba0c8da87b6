import {expect} from 'chai'
import {traceInfo} from '#llmsim/trace/info.js'
import {infoLines} from '#llmsim/trace/info-text.js'
import {readTrace} from '#llmsim/trace/read.js'
import {fixture, scratch} from './files.js'

describe('what a trace is like', () => {
  const file = scratch()

  it('counts requests, rates and lengths as a pocket calculator does', async () => {
    const info = traceInfo(await readTrace([fixture('llmsim.csv')]))
    expect(info.requests).equal(5)
    expect(info.span_s).equal(3.5)
    expect(info.rate.mean).equal(4 / 3.5)
    // 0 and 0.5 s; 0.5 and 1.25 s; 1.25 and 2 s lie within one second.
    expect(info.rate.peak_1s).equal(2)
    // The trace has no minute.
    expect(info.rate.peak_60s).equal(null)
    expect(info.rate.timed_mean).equal(info.rate.mean)
    // Gaps 0.5 0.75 0.75 1.5, mean 0.875.
    const squares = 0.375 ** 2 + 2 * 0.125 ** 2 + 0.625 ** 2
    expect(info.rate.burstiness_cv).closeTo(Math.sqrt(squares / 4) / 0.875, 1e-12)
    expect(info.input_tokens).include({total: 2300, min: 100, mean: 460, p50: 300, max: 1100})
    expect(info.output_tokens.p90).closeTo(46, 1e-9)
    expect(info.reuse).equal(null)
    expect(info.sessions).equal(null)
  })

  it('has no busiest second or minute of a shorter trace, and none below its mean rate', async () => {
    const csv = (seconds: readonly number[]) =>
      `arrived_at,input_tokens,output_tokens\n${seconds.map((at) => `${at},1,1\n`).join('')}`
    const infoOf = async (...seconds: readonly number[]) =>
      traceInfo(await readTrace([file('short.csv', csv(seconds))]))
    const short = await infoOf(0, 0.2, 0.4)
    expect(short.rate).include({mean: 5, peak_1s: null, peak_60s: null})
    expect(infoLines(short)[2]).equal('rate            5/s')
    const longer = await infoOf(0, 0.5, 1, 20)
    expect(longer.rate).include({peak_1s: 2, peak_60s: null})
    expect(infoLines(longer)[2]).match(/\/s; busiest second 2\/s$/)
    const minute = await infoOf(...Array.from({length: 121}, (_, i) => i / 2))
    expect(minute.rate).include({mean: 2, peak_60s: 2})
    expect((await infoOf(0, 0)).rate).include({mean: null, peak_1s: null})
  })

  it('tells the rate of the first turns beside that with all turns', async () => {
    const chat = traceInfo(await readTrace(['traces/chat.csv']))
    expect(chat.rate.timed_mean).below(chat.rate.mean!)
    expect(chat.rate.peak_60s).above(chat.rate.timed_mean!)
    const lines = infoLines(chat)
    for (const line of lines) expect(line.length).at.most(80)
    expect(lines[2]).match(/^rate +4\.\d+\/s with turns$/)
    expect(lines[3]).match(/^first turns +2\.\d+\/s; busiest second \S+, minute 2\.\d+\/s$/)
  })

  it('takes arrivals a whole second apart for two busiest seconds, not one', async () => {
    const text = 'arrived_at,input_tokens,output_tokens\n0,1,1\n1,1,1\n2,1,1\n'
    const {rate} = traceInfo(await readTrace([file('apart.csv', text)]))
    expect([rate.peak_1s, rate.burstiness_cv]).deep.equal([1, 0])
  })

  it('counts reuse by hand: groups', async () => {
    const text =
      'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n' +
      '0,100,10,a,64\n' + // nothing before it
      '1,100,10,a,40\n' + // 40 known, 40 held: 2 whole blocks, 32 tokens
      '2,100,10,b,64\n' + // another group
      '3,50,10,a,60\n' + // prompt 50: 50 held: 3 blocks, 48 tokens
      '4,200,10,,\n' // unknown
    const info = traceInfo(await readTrace([file('reuse.csv', text)]))
    expect(info.reuse).deep.equal({
      prompt_share: (32 + 48) / 550,
      prompt_tokens: 550,
      // 4 of a, 4 of b.
      unique_blocks: 8,
      block_tokens: 16,
    })
  })

  it('counts reuse by hand: a conversation below a shared prompt', async () => {
    const text =
      'arrived_at,input_tokens,output_tokens,session_id,think_time_s,prefix_group,prefix_tokens\n' +
      '0,48,16,s,,sys s,32 64\n' +
      ',80,16,s,1,sys s,32 96\n' + // 64 tokens of prompt and answer
      '5,48,16,t,,sys t,32 64\n' // the system prompt only: 32
    const info = traceInfo(await readTrace([file('chat.csv', text)]))
    expect(info.reuse!.prompt_share).equal((64 + 32) / (48 + 80 + 48))
    // 2 shared, 4 more of s, 2 more of t.
    expect(info.reuse!.unique_blocks).equal(8)
    expect(info.sessions).deep.equal({count: 2, turns_mean: 1.5})
  })

  it('counts reuse by hand: blocks of 512 tokens of which the last is partial', async () => {
    // Prompts of 100, 200, 300, 600, 1100 tokens with ids [0] [0] [1] [1,2] [1,2,3].
    const info = traceInfo(await readTrace([fixture('mooncake.jsonl')]))
    // The second shares 100 tokens (96), the fourth 300 (288), the fifth 512 + 88 (592 + 8: 592).
    expect(info.reuse!.prompt_share).equal((96 + 288 + 592) / 2300)
    expect(info.reuse!.unique_blocks).equal(12 + 32 + 32 + 4)
  })

  it('reuses nothing behind a block that is not there', async () => {
    const text =
      'arrived_at,input_tokens,output_tokens,block_hashes\n0,40,1,aa bb\n1,40,1,cc bb\n2,40,1,cc\n'
    const {reuse} = traceInfo(await readTrace([file('hole.csv', text)]))
    expect(reuse!.prompt_share).equal(16 / 120)
    expect(reuse!.unique_blocks).equal(3)
  })

  it('cuts blocks of several sizes to a common one without changing what is shared', async () => {
    const mooncake = [fixture('mooncake.jsonl')]
    const alone = traceInfo(await readTrace(mooncake)).reuse!
    const text =
      'arrived_at,input_tokens,output_tokens,prefix_group,prefix_tokens\n9,100,1,g,90\n9,100,1,g,90\n'
    const both = traceInfo(await readTrace([...mooncake, file('g.csv', text)])).reuse!
    expect(both.prompt_share * both.prompt_tokens).closeTo(
      alone.prompt_share * alone.prompt_tokens + 80,
      1e-6,
    )
    expect(both.unique_blocks).equal(alone.unique_blocks + 5)
  })

  it('prints on 80 columns', async () => {
    for (const name of ['llmservingsim.jsonl', 'burstgpt.csv', 'mooncake.jsonl']) {
      const trace = await readTrace([fixture(name)])
      const lines = infoLines(traceInfo({...trace, notes: []}))
      expect(Math.max(...lines.map((line) => line.length))).at.most(80)
    }
  })
})
