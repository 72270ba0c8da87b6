/** Time series and timeline of whole runs against what the run itself says. */
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {readSeries} from '#llmsim/report/series-file.js'
import {llmsim, root} from '../support/cli.js'

interface Event {
  readonly ph: string
  readonly name: string
  readonly cat?: string
  readonly pid: number
  readonly tid?: number
  readonly ts: number
  readonly dur: number
  readonly args: {readonly [field: string]: number | string}
}

describe('what a run did over time', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-timeline-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  const run = async (name: string, ...flags: string[]) => {
    const out = join(folder, name)
    const argv = ['simulate', join(root, 'traces/chat.csv'), '--hardware', 'H100', '--out', out]
    const {stdout, error} = await llmsim(...argv, ...flags, '--json')
    expect(error).equal(undefined)
    return {out, summary: JSON.parse(stdout).summary}
  }

  it('adds up to the totals of the run, and costs no accuracy: steps one by one give the same', async () => {
    const timeline = join(folder, 'trace.json')
    const fast = await run('fast', '--npu', '2', '--tp', '1')
    const slow = await run('slow', '--npu', '2', '--tp', '1', '--timeline', timeline)
    const text = (out: string, file: string) => readFileSync(join(out, file), 'utf8')
    for (const file of ['timeseries.csv', 'requests.csv'])
      expect(text(slow.out, file)).equal(text(fast.out, file))

    const rows = readSeries(join(fast.out, 'timeseries.csv'))!
    const requests = text(fast.out, 'requests.csv').trimEnd().split('\n').slice(1)
    const [inputs, outputs, cached] = [3, 4, 5].map((i) =>
      requests.reduce((sum, row) => sum + Number(row.split(',')[i]), 0),
    ) as [number, number, number]
    const tokens = (field: 'prefill_tokens_per_s' | 'decode_tokens_per_s') =>
      rows.reduce((sum, row) => sum + row[field]! * (row.end_s! - row.start_s!), 0)
    // The first token of each request comes from its prompt. Rates have three decimals.
    expect(tokens('prefill_tokens_per_s')).closeTo(inputs - cached, 1)
    expect(tokens('decode_tokens_per_s')).closeTo(outputs - requests.length, 1)
    expect(rows.at(-1)).to.deep.include({running: 0, waiting: 0, kv_used_blocks: 0})

    const events: Event[] = JSON.parse(readFileSync(timeline, 'utf8'))
    const steps = events.filter(({ph}) => ph === 'X')
    expect(steps.length).equal(slow.summary.steps)
    const sum = (field: string) => steps.reduce((all, {args}) => all + Number(args[field]), 0)
    expect(sum('prefill_tokens')).equal(inputs - cached)
    expect(sum('tokens')).equal(inputs - cached + outputs - requests.length)
    const begins = events.filter(({ph, cat}) => ph === 'b' && cat === 'request')
    const ends = events.filter(({ph, cat}) => ph === 'e' && cat === 'request')
    expect([begins.length, ends.length]).deep.equal([4 * requests.length, 4 * requests.length])
  })

  it('draws batches that overlap in rows of their own', async () => {
    const timeline = join(folder, 'pipeline.json')
    const halves = ['--pp', '2', '--concurrency', '32', '--max-num-batched-tokens', '2048']
    await run('pipeline', ...halves, '--timeline', timeline)
    const events: Event[] = JSON.parse(readFileSync(timeline, 'utf8'))
    const lastEnd = new Map<number, number>()
    for (const {tid, ts, dur} of events.filter(({ph}) => ph === 'X')) {
      expect(ts).least((lastEnd.get(tid!) ?? 0) - 1e-3)
      lastEnd.set(tid!, ts + dur)
    }
    expect(lastEnd.size).least(2)
  })

  it('draws what tiers load and write, and adds up to the totals of the run', async () => {
    const timeline = join(folder, 'tiers.json')
    const tiers = ['--num-gpu-blocks-override', '800', '--kv-offload', 'cpu:16GiB,nvme:100GB']
    const {summary} = await run('tiers', ...tiers, '--timeline', timeline)
    const events: Event[] = JSON.parse(readFileSync(timeline, 'utf8'))
    const blocks = (name: string) =>
      events
        .filter((event) => event.ph === 'b' && event.name === name)
        .reduce((sum, {args}) => sum + Number(args.blocks), 0)
    const [cpu, nvme] = summary.kv_tiers.tiers
    expect(blocks('load from cpu')).equal(cpu.loaded_blocks).above(0)
    expect(blocks('write to cpu')).equal(cpu.written_blocks).above(0)
    expect(blocks('write to nvme')).equal(nvme.written_blocks).above(0)
    const loads = events.filter(({ph, name}) => ph === 'b' && name.startsWith('load from'))
    expect(loads.length).equal(summary.kv_tiers.loads)
    expect(loads.every(({args}) => args.outcome === 'arrived' && args.request !== undefined)).equal(
      true,
    )
    // Each begins and ends, and the counter goes with it.
    const kv = events.filter(({cat}) => cat === 'kv')
    expect(kv.filter(({ph}) => ph === 'b').length).equal(kv.filter(({ph}) => ph === 'e').length)
    const held = events.filter(({name}) => name === 'KV blocks in cpu').at(-1)!
    expect(Number(held.args.blocks)).within(1, cpu.written_blocks)
  })

  it('draws KV that goes from one engine to another', async () => {
    const timeline = join(folder, 'handed.json')
    const {summary} = await run('handed', '--prefill', '1', '--decode', '1', '--timeline', timeline)
    const events: Event[] = JSON.parse(readFileSync(timeline, 'utf8'))
    const moved = events.filter(({ph, name}) => ph === 'b' && name === 'KV from instance 0')
    expect(moved.length).equal(summary.requests.completed)
    const bytes = moved.reduce((sum, {args}) => sum + Number(args.bytes), 0)
    expect(summary.kv_hand_offs.transfers).equal(moved.length)
    expect(summary.kv_hand_offs.gigabytes).closeTo(bytes / 1e9, 1e-6)
    // 50 GB/s and 10 µs, and some that share a port.
    expect(summary.kv_hand_offs.mean_ms).within(bytes / moved.length / 50e6, 5)
    expect(moved.every(({pid, args}) => pid === 2 && Number(args.bytes) > 0)).equal(true)
  })

  it('is shown by report as a table, CSV and Markdown', async () => {
    const {out} = await run('shown')
    const table = await llmsim('report', out, '--over', 'time')
    expect(table.stdout).match(/from s\s+to s\s+running\s+waiting\s+KV/)
    const csv = await llmsim('report', out, '--over', 'time', '--format', 'csv')
    const lines = csv.stdout.trimEnd().split('\n')
    expect(lines.length - 1).equal(readSeries(join(out, 'timeseries.csv'))!.length)
    const markdown = await llmsim('report', out, '--over', 'time', '--format', 'markdown')
    expect(markdown.stdout).contain('| from s | to s |')
    const both = await llmsim(
      'report',
      out,
      '--over',
      'time',
      '--by',
      'instance',
      '--format',
      'csv',
    )
    expect(both.error?.message).contain('a CSV file holds one table')
  })

  it('names the processes of a timeline for role, devices and model', async () => {
    const timeline = join(folder, 'roles.json')
    await run(
      'roles',
      '--prefill',
      '1',
      '--decode',
      '1',
      '--tp',
      '2',
      '--limit',
      '5',
      '--timeline',
      timeline,
    )
    const events: Event[] = JSON.parse(readFileSync(timeline, 'utf8'))
    const named = events.filter(({name}) => name === 'process_name')
    expect(named.map(({pid, args}) => [pid, args.name]).sort()).deep.equal([
      [1, 'instance 0: prefill: 2 × H100 (tp 2, nvlink4)'],
      [2, 'instance 1: decode: 2 × H100 (tp 2, nvlink4)'],
    ])
  })
})
