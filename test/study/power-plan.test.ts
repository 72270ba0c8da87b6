/** Energy and cost of whole runs against sums worked out from the run itself. */
import {expect} from 'chai'
import {readClusterFile} from '#llmsim/compat/cluster-json.js'
import {deploy} from '#llmsim/study/deployment.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {type Simulation, simulate} from '#llmsim/study/simulate.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {problemOf} from '../catalogue/problem.js'
import {
  clusterFile,
  clusterOf,
  instance,
  type Json,
  removeClusterFiles,
} from '../compat/cluster-file.js'
import {runRequest} from '../support/run-request.js'

after(removeClusterFiles)

const traceOf = (
  ...rows: readonly (readonly [at: number, input: number, output: number])[]
): Trace => ({
  length: rows.length,
  arrivedAt: Float64Array.from(rows, ([at]) => at),
  inputTokens: Int32Array.from(rows, ([, input]) => input),
  outputTokens: Int32Array.from(rows, ([, , output]) => output),
  notes: [],
  format: 'test',
})

const request = runRequest({
  hardware: 'RTXPRO6000',
  router: 'round-robin',
  frontEnd: 'none',
})

const run = async (trace: Trace, change: Partial<RunRequest> = {}): Promise<Simulation> =>
  simulate({trace, deployment: await deploy({...request, ...change})})

const busyOf = ({run: {engines}}: Simulation): number => engines[0]!.busyNs / 1e9

describe('energy of a run', () => {
  it('of one request is Σ power × time: it is busy from its arrival to its last token', async () => {
    const simulation = await run(traceOf([5e9, 500, 100]))
    const {energy, duration_s} = simulation.summary
    const seconds = duration_s!
    expect(busyOf(simulation)).closeTo(seconds, 1e-9)
    // 600 W; a host of 60 + 10 + 190·0.15 + 16·2 + 20 + 2·5 W, and 190·(0.7 − 0.15) W while it works.
    expect(energy!.active_j).closeTo(600 * seconds, 1e-6)
    expect(energy!.standby_j + energy!.idle_j + energy!.links_j).equal(0)
    expect(energy!.hosts_j).closeTo((160.5 + 104.5) * seconds, 1e-6)
    expect(energy!.total_j).closeTo(865 * seconds, 1e-6)
    expect(energy!.j_per_request).equal(energy!.total_j)
    expect(energy!.j_per_output_token).closeTo(energy!.total_j / 100, 1e-9)
  })

  it('between two requests is standby for 18 s and idle after that', async () => {
    const simulation = await run(traceOf([0, 500, 100], [60e9, 500, 100]))
    const busy = busyOf(simulation)
    const gap = simulation.summary.duration_s! - busy
    const {energy} = simulation.summary
    expect(energy!.active_j).closeTo(600 * busy, 1e-6)
    expect(energy!.standby_j).closeTo(300 * 18, 1e-6)
    expect(energy!.idle_j).closeTo(35 * (gap - 18), 1e-6)
  })

  it('of links is 4 pJ for each bit of the ring all-reduces of a tensor-parallel engine', async () => {
    const simulation = await run(traceOf([0, 500, 100]), {layout: {npu: 4}})
    // 32 layers, two reduces of 4096 values of 2 bytes, 2·(4 − 1) times; 500 + 99 tokens; 4 links of 5 W.
    const bytes = 32 * 2 * 4096 * 2 * 6 * 599
    const {links_j} = simulation.summary.energy!
    expect(links_j).closeTo(bytes * 8 * 4e-12 + 20 * simulation.summary.duration_s!, 1e-9)
  })

  it('takes what a hardware file says, and a cluster file of LLMServingSim for its nodes', async () => {
    const file: Json = clusterOf({
      ...instance(),
      hardware: 'RTXPRO6000',
      npu_mem: {mem_size: 96, mem_bw: 1597, mem_latency: 0},
    })
    file.nodes[0].power = section()
    const simulation = await run(traceOf([0, 500, 100]), {
      hardware: undefined,
      cluster: clusterFile(file),
    })
    const seconds = simulation.summary.duration_s!
    const {energy} = simulation.summary
    expect(energy!.active_j).closeTo(500 * seconds, 1e-6)
    // 60 + (10 + 190·0.15) + 2 modules of 2 W + 20 + 2·5, and 190·0.55 while it works; one link of 5 W.
    expect(energy!.hosts_j).closeTo((132.5 + 104.5) * seconds, 1e-6)
    expect(energy!.links_j).closeTo(5 * seconds, 1e-6)
  })
})

describe('the power section of a cluster file', () => {
  it('counts only where every node has one', () => {
    const one: Json = clusterOf(instance())
    const file = {
      ...one,
      num_nodes: 2,
      nodes: [{...one.nodes[0], power: section('RTX4090')}, one.nodes[0]],
    }
    const read = readClusterFile(clusterFile(file))
    expect(read.power).equal(undefined)
    expect(read.notes[0]).include('a node has no power section')
  })

  const faults: readonly (readonly [string, (power: Json) => void])[] = [
    ['nodes[0].power.npu.RTX4090 is missing, but an instance', (p) => delete p.npu.RTX4090],
    ['nodes[0].power.cpu.util must be a share', (p) => (p.cpu.util = 15)],
    ['nodes[0].power.dram must be an object', (p) => delete p.dram],
    [
      'nodes[0].power.nic.idle_power must be a number of at least 0',
      (p) => (p.nic.idle_power = -1),
    ],
  ]
  for (const [says, edit] of faults)
    it(`is refused: ${says}`, async () => {
      const file: Json = clusterOf(instance())
      file.nodes[0].power = section('RTX4090')
      edit(file.nodes[0].power)
      const problem = await problemOf(() => readClusterFile(clusterFile(file)))
      expect([problem.code, problem.message]).to.satisfy(
        ([code, text]: string[]) => code === 'CLUSTER_BAD_FILE' && text!.includes(says),
      )
    })
})

const section = (name = 'RTXPRO6000'): Json => ({
  base_node_power: 60,
  npu: {[name]: {idle_power: 35, standby_power: 300, active_power: 500, standby_duration: 18}},
  cpu: {idle_power: 10, active_power: 200, util: 0.15},
  dram: {dimm_size: 32, idle_power: 2, energy_per_bit: 6},
  link: {num_links: 1, idle_power: 5, energy_per_bit: 4},
  nic: {num_nics: 1, idle_power: 20},
  storage: {num_devices: 2, idle_power: 5},
})

describe('cost of a run', () => {
  it('is price × devices × hours, over tokens of either kind and of both', async () => {
    const {summary} = await run(traceOf([0, 500, 100], [1e9, 700, 300]), {
      layout: {npu: 2},
      pricePerHour: 3,
    })
    const usd = (3 * 2 * summary.duration_s!) / 3600
    const {cost} = summary
    expect(cost!.usd).closeTo(usd, 1e-12)
    expect(cost!.usd_per_1m_input_tokens).closeTo((usd / 1200) * 1e6, 1e-9)
    expect(cost!.usd_per_1m_output_tokens).closeTo((usd / 400) * 1e6, 1e-9)
    expect(cost!.usd_per_1m_tokens).closeTo((usd / 1600) * 1e6, 1e-9)
  })

  const prices: readonly (readonly [string, Partial<RunRequest>, number | undefined])[] = [
    ['is not there where the card has no price', {}, undefined],
    ['goes by the price that is given', {pricePerHour: 2}, 2],
    ['is nothing where that is 0', {pricePerHour: 0}, 0],
  ]
  for (const [what, change, price] of prices)
    it(what, async () => {
      const {summary} = await run(traceOf([0, 50, 10]), {hardware: 'M4-Max', ...change})
      expect(summary.cost?.usd_per_hour).equal(price)
    })
})
