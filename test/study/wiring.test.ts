/** Where the ranks of instances lie in a topology. */
import {expect} from 'chai'
import type {TopologyDimension} from '#llmsim/latency/collective.js'
import {readClusterYaml} from '#llmsim/study/cluster-file.js'
import {placeInstances} from '#llmsim/study/instance.js'
import {settleTraffic} from '#llmsim/study/traffic.js'
import {hopLink, wire} from '#llmsim/study/wiring.js'
import {problemOf} from '../catalogue/problem.js'
import {runRequest} from '../support/run-request.js'
import {temporaryFiles} from '../support/temporary-files.js'

const nvlink = {
  wiring: 'switch',
  kind: 'nvlink',
  degree: 8,
  gbPerS: 450,
  devicesPerPort: 1,
} as const
const infiniband = {...nvlink, kind: 'fabric', degree: 4, gbPerS: 50} as const
const topology: readonly TopologyDimension[] = [nvlink, infiniband]

const {fileOf} = temporaryFiles('wiring')

describe('ranks in a topology', () => {
  it('tensor-parallel ranks are next to each other, then stages, then data-parallel ranks', () => {
    const {tensor, experts, hop} = wire(topology, 8, {tp: 2, pp: 2, dp: 2, ep: 4})
    expect(tensor).deep.equal([8, 9])
    // Those of the first stage: 8 and 9, and, a rank of two stages further, 12 and 13.
    expect(experts).deep.equal([8, 9, 12, 13])
    expect(hop).equal(nvlink)
  })

  it('experts within a tensor-parallel group take its devices', () => {
    const {tensor, experts} = wire(topology, 0, {tp: 4, pp: 1, dp: 2, ep: 4})
    expect(experts).equal(tensor)
  })

  it('a hop is as slow as the slowest that a batch takes', () => {
    const wired = wire(topology, 0, {tp: 8, pp: 2, dp: 1, ep: 1})
    expect(wired.hop).equal(infiniband)
    expect(hopLink(wired)).include({kind: 'fabric', gbPerS: 50})
    const shared = [nvlink, {...infiniband, devicesPerPort: 8}]
    expect(hopLink(wire(shared, 0, {tp: 8, pp: 2, dp: 1, ep: 1}))!.gbPerS).equal(50 / 8)
  })

  it('instances that lie alike share a name, others do not', () => {
    const name = (first: number) => wire(topology, first, {tp: 4, pp: 1, dp: 1, ep: 1}).name
    expect(name(4)).equal(name(0))
    expect(name(6)).not.equal(name(0))
  })

  it('groups of a kind must lie alike, and there must be devices enough', async () => {
    const crooked = await problemOf(() => wire(topology, 6, {tp: 4, pp: 2, dp: 1, ep: 1}))
    expect(crooked.message).equal(
      'tp 4: the ranks from device 6 on lie in 2 × 2, those from device 10 on in 4 × 1 of the topology.',
    )
    const beyond = await problemOf(() => wire(topology, 24, {tp: 8, pp: 2, dp: 1, ep: 1}))
    expect(beyond.message).equal('40 devices are needed, and the topology has 32.')
  })
})

describe('a topology in a cluster file', () => {
  const file = (instances: string, more = '') =>
    fileOf(`hardware: H100
model: Qwen/Qwen3-30B-A3B
topology:
  - {kind: nvlink, degree: 8, bandwidth_gb_s: 450}
  - {kind: infiniband, degree: 2, bandwidth_gb_s: 25, devices_per_port: 8${more}}
instances: [${instances}]
`)

  it('places instances in order, and gives KV the outermost way', async () => {
    const path = file('{tp: 8, count: 2}')
    const {instances, traffic} = await placeInstances(runRequest({cluster: path}))
    expect(instances.map(({instance}) => instance.wired!.tensor[0])).deep.equal([0, 0])
    // Both lie alike, so they share their step times.
    expect(instances[0]!.instance).equal(instances[1]!.instance)
    expect(traffic!.network).deep.equal({
      bandwidthGbS: 25 / 8,
      behindHostLink: 'where slower',
    })
    expect(settleTraffic(runRequest({cluster: path}), traffic).network).deep.equal({
      bandwidthGbS: 25 / 8,
      latencyUs: 10,
      behindHostLink: 'where slower',
    })
    const faster = runRequest({cluster: path, traffic: {network: {bandwidthGbS: 40}}})
    const slow = {...traffic!, network: {bandwidthGbS: 3, latencyUs: 70}}
    expect(settleTraffic(faster, slow).network).include({
      bandwidthGbS: 40,
      latencyUs: 70,
    })
  })

  it('says which instance does not fit', async () => {
    const path = file('{tp: 8}, {tp: 6}, {tp: 2, count: 2}')
    const problem = await problemOf(() => placeInstances(runRequest({cluster: path})))
    expect(problem.message).match(/instances\[2\]: .*the topology has 16/)
  })

  it('tells a wrong dimension by its place', async () => {
    const unknown = await problemOf(() => readClusterYaml(file('{tp: 8}', ', colour: red')))
    expect(unknown.message).match(/:5:\d+: topology\[1\]\.colour is not a known key/)
    expect(unknown.suggestions[0]).contain('devices_per_port')
    const negative = await problemOf(() => readClusterYaml(file('{tp: 8}', ', latency_us: -1')))
    expect(negative.message).contain('topology[1].latency_us must be at least 0')
  })
})
