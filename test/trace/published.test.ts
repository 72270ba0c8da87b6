/** Real traces, where the machine has them: facts about them that their publishers or others state. */
import {existsSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {expect} from 'chai'
import {readTrace} from '#llmsim/trace/read.js'
import {reuseOf} from '#llmsim/trace/reuse.js'
import {root, sum} from './files.js'

const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')

describe('published traces', () => {
  const real = (name: string, check: (path: string) => Promise<void>): void => {
    const path = join(data, name)
    const there = existsSync(path)
    const title = there ? name : `${name} (skipped: no such file below LLMSIM_DATA)`
    it(title, there ? () => check(path) : undefined)
  }

  real('traces/azure-2023-conv.vidur.csv', async (path) => {
    const trace = await readTrace([path])
    expect([trace.format, trace.length, trace.notes.length]).deep.equal(['vidur', 19_366, 0])
    expect([trace.inputTokens[0], trace.outputTokens[0]]).deep.equal([374, 44])
    expect(trace.arrivedAt[1]).equal(4_314_579_000)
  })

  real('traces/azure-2023-code.vidur.csv', async (path) => {
    expect((await readTrace([path])).length).equal(8819)
  })

  real('traces/mooncake-conversation.jsonl', async (path) => {
    const trace = await readTrace([path])
    expect([trace.format, trace.length]).deep.equal(['mooncake', 12_031])
    expect(trace.prefix!.offsets[1]).equal(14)
    expect(sum(trace.prefix!.knownTokens)).equal(sum(trace.inputTokens))
    // Mooncake's paper puts the reuse of an unlimited cache at 512 tokens near 40 %.
    expect(reuseOf(trace)!.prompt_share).within(0.35, 0.42)
  })

  real('traces/servegen-m-small-1h.csv', async (path) => {
    const trace = await readTrace([path])
    expect([...trace.extra!.keys()]).deep.equal(['client'])
    expect(trace.arrivedAt.at(-1)! / 1e9).within(3500, 3600)
  })

  real('llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.jsonl', async (path) => {
    const trace = await readTrace([path])
    expect([trace.format, trace.length]).deep.equal(['llmservingsim', 300])
    expect([sum(trace.inputTokens), sum(trace.outputTokens)]).deep.equal([257_239, 195_753])
    for (let i = 0; i < trace.length; i++) {
      const total = trace.inputTokens[i]! + trace.outputTokens[i]!
      expect(trace.prefix!.knownTokens[i]).equal(Math.floor(total / 16) * 16)
    }
  })

  real('llmservingsim/workloads/workload_me2_01_mixed.jsonl', async (path) => {
    const trace = await readTrace([path])
    expect([trace.length, trace.prefix]).deep.equal([608, undefined])
  })
})
