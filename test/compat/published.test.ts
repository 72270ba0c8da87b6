/** `--compat llmservingsim` against results that LLMServingSim's authors published: equal to the nanosecond. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import type {Summary} from '#llmsim/report/summary.js'
import {llmsim} from '../support/cli.js'
import {inData, mostOfSum, published, readOurs, readPublished, sumOfColumn} from './published.js'

const perf = 'llmservingsim/perf'
const clusters = 'llmservingsim/configs/cluster'
const sharegpt = 'llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.jsonl'
const qwen = 'llmservingsim/workloads/sharegpt-qwen3-300-sps10.jsonl'
const example = 'llmservingsim/workloads/example_trace.jsonl'

const folder = mkdtempSync(join(tmpdir(), 'llmsim-published-'))
after(() => rmSync(folder, {recursive: true}))

interface Run {
  readonly rows: ReturnType<typeof readOurs>
  readonly summary: Summary
  readonly folder: string
}

let runs = 0
/** Runs the command as a user would; paths as given. */
const runCompat = async (trace: string, cluster: string, ...flags: string[]): Promise<Run> => {
  const out = join(folder, `run-${++runs}`)
  const itl = `${out}.itl.csv`
  const common = ['--profiles', inData(perf), '--latency', 'profile', '--compat', 'llmservingsim']
  const files = ['--out', out, '--itl', itl, '--check', '--json']
  const argv = ['simulate', inData(trace), '--cluster', cluster, ...common, ...flags, ...files]
  const {stdout, exitCode, error} = await llmsim(...argv)
  expect(exitCode, error?.message ?? stdout).equal(0)
  return {rows: readOurs(out, itl), summary: JSON.parse(stdout).summary, folder: out}
}

/** All rows, every column and every gap. */
const expectEqual = ({rows}: Run, resultFile: string): void => {
  const theirs = readPublished(resultFile)
  expect(rows.size).equal(theirs.size)
  for (const [id, row] of theirs) expect(rows.get(id), `request ${id}`).deep.equal(row)
}

const lastEnd = ({rows}: Run): number => Math.max(...[...rows.values()].map(({end}) => end))

interface Serving {
  readonly folder: string
  readonly seats: string
  readonly clock: number
  readonly hits: number
  readonly preemptions: number
  readonly recomputed: number
}

const serving: readonly Serving[] = [
  {
    folder: 'serving/vllm-0.19-rtx4090-llama-3.1-8b',
    seats: '256',
    clock: 183_706_634_969,
    hits: 4848,
    preemptions: 194,
    recomputed: 110_596,
  },
  {
    folder: 'serving/vllm-0.19-rtxpro6000-llama-3.1-8b',
    seats: '128',
    clock: 64_679_407_283,
    hits: 19_520,
    preemptions: 0,
    recomputed: 0,
  },
]

describe("LLMServingSim's published runs of 300 requests", () => {
  for (const {folder: name, seats, clock, hits, preemptions, recomputed} of serving) {
    const cluster = `${name}/llmservingsim-cluster.json`
    const result = `${name}/llmservingsim-sim.csv`
    published(name, [perf, sharegpt, cluster, result], async () => {
      const run = await runCompat(sharegpt, inData(cluster), '--max-num-seqs', seats)
      expectEqual(run, result)
      expect(lastEnd(run)).equal(clock)
      expect(sumOfColumn(run.folder, 'cached_tokens')).equal(hits)
      expect(run.summary.requests.preemptions).equal(preemptions)
      expect(run.summary.engines[0]!.recomputed_tokens).equal(recomputed)
    })
  }
})

describe("LLMServingSim's published examples", () => {
  const examples = [
    ['single', 'single_node_single'],
    ['power', 'single_node_power'],
    ['multi', 'single_node_multi'],
    ['pd', 'single_node_pd'],
    ['cxl', 'single_node_cxl'],
    ['pp', 'single_node_pp'],
    ['tp_pp', 'single_node_tp_pp'],
    ['dp', 'single_node_dp'],
    ['moe', 'single_node_moe_single'],
    ['moe_pp', 'single_node_moe_pp'],
    ['moe_dp_tp', 'single_node_moe_dp_tp'],
    ['moe_dp_pp', 'single_node_moe_dp_pp'],
    ['moe_dp_tp_pp', 'single_node_moe_dp_tp_pp'],
    ['dual_moe_dp_ep', 'dual_node_moe_dp_ep_intra_inter'],
  ] as const
  for (const [name, config] of examples) {
    const cluster = `${clusters}/${config}_instance.json`
    const result = `llmservingsim/outputs/example_${name}_run.csv`
    published(`example_${name}_run.csv`, [perf, example, cluster, result], async () => {
      expectEqual(await runCompat(example, inData(cluster)), result)
    })
  }
})

describe("LLMServingSim's published examples of prefix pools", () => {
  // No request has a chunk of 256 tokens, which is what a pool keeps: its flags change nothing in them.
  for (const [name, config] of [
    ['prefix_cpu_mem_pool', 'single_node_multi'],
    ['dual_prefix_cpu_mem_pool', 'dual_node_multi'],
  ]) {
    const cluster = `${clusters}/${config}_instance.json`
    const result = `llmservingsim/outputs/example_${name}_run.csv`
    published(`example_${name}_run.csv`, [perf, example, cluster, result], async () => {
      const run = await runCompat(example, inData(cluster))
      expectEqual(run, result)
      const {folder: at} = run
      expect(mostOfSum(at, 'input_tokens', 'output_tokens')).below(256)
    })
  }
})

describe("LLMServingSim's published example of PIM", () => {
  const cluster = `${clusters}/single_node_pim_instance.json`
  const result = 'llmservingsim/outputs/example_pim_run.csv'
  published('example_pim_run.csv', [perf, example, cluster, result], async () => {
    // Its flag --enable-attn-offloading is a key of the instance as well.
    const path = clusterWith({enable_attn_offloading: true}, 'single_node_pim_instance')
    expectEqual(await runCompat(example, path), result)
  })

  const cut = 'llmservingsim/outputs/example_pim_sub_batch_run.csv'
  published('example_pim_sub_batch_run.csv', [perf, example, cluster, cut], async () => {
    const keys = {enable_attn_offloading: true, enable_sub_batch_interleaving: true}
    const path = clusterWith(keys, 'single_node_pim_instance')
    expectEqual(await runCompat(example, path), cut)
  })
})

/** The cluster of one instance, changed and written to a folder of its own. */
const clusterWith = (changes: object, name = 'single_node_single_instance'): string => {
  const cluster = JSON.parse(readFileSync(inData(`${clusters}/${name}.json`), 'utf8'))
  Object.assign(cluster.nodes[0].instances[0], changes)
  const path = join(folder, `cluster-${++runs}.json`)
  writeFileSync(path, JSON.stringify(cluster))
  return path
}

describe('profiles that no published run of one instance covers', () => {
  const needs = [perf, example, `${clusters}/single_node_single_instance.json`]

  published(
    'Llama-3.1-8B over two devices: the times of its data-parallel example',
    needs,
    async () => {
      const {rows} = await runCompat(example, clusterWith({num_npus: 2, tp_size: 2}))
      expect(rows.get(0)!.ttft).equal(8_947_391)
      expect(rows.get(0)!.gaps[0]).equal(8_662_432)
    },
  )

  const others = [
    {model_name: 'Qwen/Qwen3-32B', num_npus: 1, tp_size: 1},
    {model_name: 'Qwen/Qwen3-32B', num_npus: 2, tp_size: 2},
    {model_name: 'Qwen/Qwen3-30B-A3B-Instruct-2507', num_npus: 1, tp_size: 1},
  ]
  for (const change of others) {
    const title = `${change.model_name}, tp ${change.tp_size}: 300 requests run to their end`
    published(title, [...needs, qwen], async () => {
      const {summary, rows} = await runCompat(qwen, clusterWith(change))
      expect(summary.requests.completed).equal(300)
      for (const [id, {ttft, gaps}] of rows) {
        expect(ttft, `request ${id}`).greaterThan(1_000_000)
        for (const gap of gaps) expect(gap, `request ${id}`).greaterThan(1_000_000)
      }
    })
  }

  published('two devices are faster than one, and fewer than twice as fast', needs, async () => {
    const ends: number[] = []
    for (const tp of [1, 2]) {
      const change = {model_name: 'Qwen/Qwen3-32B', num_npus: tp, tp_size: tp}
      const {rows} = await runCompat(example, clusterWith(change))
      ends.push(rows.get(0)!.ttft)
    }
    expect(ends[0]! / ends[1]!).within(1.2, 2)
  })
})
