/** LLMServingSim's cluster files: what is read, and what is refused and where. */
import {expect} from 'chai'
import {readClusterFile} from '#llmsim/compat/cluster-json.js'
import {problemOf} from '../catalogue/problem.js'

import {clusterFile, clusterOf, instance, type Json, removeClusterFiles} from './cluster-file.js'

after(removeClusterFiles)

describe('a cluster file', () => {
  it('is read whole', () => {
    const file = readClusterFile(clusterFile(clusterOf(instance())))
    expect(file.link).deep.equal({bandwidthGb: 16, latencyNs: 1000})
    expect(file.notes).deep.equal([])
    expect(file.instances).deep.equal([
      {
        path: 'nodes[0].instances[0]',
        node: 0,
        modelName: 'meta-llama/Llama-3.1-8B',
        hardware: 'RTX4090',
        memory: {sizeGib: 24, bandwidthGb: 1008, utilization: undefined},
        hostMemory: {bandwidthGb: 50, latencyNs: 7},
        tp: 1,
        pp: 1,
        role: undefined,
        dpGroup: undefined,
        ep: undefined,
        settings: {},
      },
    ])
  })

  it('says tp by tp_size, by num_npus, or not at all', () => {
    const {num_npus: _n, tp_size: _t, ...bare} = instance()
    const tps = [{num_npus: 2}, {tp_size: 4}, {num_npus: 2, tp_size: 2}, {}].map((sizes) => {
      return readClusterFile(clusterFile(clusterOf({...bare, ...sizes}))).instances[0]!.tp
    })
    expect(tps).deep.equal([2, 4, 2, 1])
  })

  it('has one link figure for all dimensions of the network, or one each, the innermost first', () => {
    const file = {...clusterOf(instance()), link_bw: [128, 16], link_latency: [500, 20_000]}
    expect(readClusterFile(clusterFile(file)).link).deep.equal({bandwidthGb: 128, latencyNs: 500})
  })

  it('uses the host memory of the first node for all, as LLMServingSim does', () => {
    const one = clusterOf(instance())
    const other = {...one.nodes[0]!, cpu_mem: {mem_size: 64, mem_bw: 999, mem_latency: 0}}
    const file = readClusterFile(clusterFile({...one, num_nodes: 2, nodes: [one.nodes[0], other]}))
    expect(file.instances.map(({hostMemory}) => hostMemory.bandwidthGb)).deep.equal([50, 50])
    expect(file.instances[1]!.path).equal('nodes[1].instances[0]')
  })

  it('carries settings of an instance; 0 is no limit, null is not said', () => {
    const {settings} = readClusterFile(
      clusterFile(
        clusterOf({
          ...instance(),
          max_num_seqs: 0,
          max_num_batched_tokens: 4096,
          long_prefill_token_threshold: 0,
          block_size: 32,
          dtype: 'bfloat16',
          kv_cache_dtype: 'auto',
          enable_chunked_prefill: false,
          enable_prefix_caching: null,
          reserve_full_isl: true,
          enable_block_copy: true,
          enable_attn_offloading: false,
        }),
      ),
    ).instances[0]!
    expect(settings).deep.equal({
      maxNumSeqs: 0,
      maxNumBatchedTokens: 4096,
      longPrefillTokenThreshold: 0,
      blockSize: 32,
      dtype: 'bfloat16',
      kvCacheDtype: 'auto',
      enableChunkedPrefill: false,
      reserveFullPrompt: true,
    })
  })

  it('may hold a section that changes no time: a note says that it is ignored', () => {
    const file: Json = clusterOf(instance())
    file.cxl_mem = {mem_size: 1}
    const {notes} = readClusterFile(clusterFile(file))
    expect(notes).length(1)
    expect(notes[0]).include('cxl_mem')
  })
})

describe('a wrong cluster file', () => {
  type Fault = readonly [what: string, edit: (file: Json) => unknown, says: string]
  const at = 'nodes[0].instances[0]'
  const first = (file: Json) => file.nodes[0].instances[0]

  const faults: readonly Fault[] = [
    ['is a list', () => [], ': the file must be an object'],
    ['has no nodes', (f) => delete f.nodes, ': nodes must be a list that is not empty'],
    [
      'has an empty list of nodes',
      (f) => (f.nodes = []),
      ': nodes must be a list that is not empty',
    ],
    ['has a number for a node', (f) => (f.nodes = [1]), ': nodes[0] must be an object'],
    ['counts its nodes wrong', (f) => (f.num_nodes = 2), ': num_nodes is 2, but nodes has 1'],
    ['has no link bandwidth', (f) => delete f.link_bw, ': link_bw must be a number above 0'],
    [
      'has an empty list of bandwidths',
      (f) => (f.link_bw = []),
      ': link_bw must be a number above 0',
    ],
    ['has a link of no bandwidth', (f) => (f.link_bw = 0), ': link_bw must be a number above 0'],
    [
      'has a link of next to none',
      (f) => (f.link_bw = 1e-300),
      ': link_bw must be at least 0.001 GB/s',
    ],
    [
      'has a negative latency',
      (f) => (f.link_latency = -1),
      ': link_latency must be a number of at least 0',
    ],
    [
      'has a text for a latency',
      (f) => (f.link_latency = ['1us']),
      ': link_latency must be a number of at least 0',
    ],
    [
      'has no host memory',
      (f) => delete f.nodes[0].cpu_mem,
      ': nodes[0].cpu_mem must be an object',
    ],
    [
      'has host memory without bandwidth',
      (f) => delete f.nodes[0].cpu_mem.mem_bw,
      ': nodes[0].cpu_mem.mem_bw must be a number above 0',
    ],
    [
      'has no instances',
      (f) => (f.nodes[0].instances = []),
      ': nodes[0].instances must be a list that is not empty',
    ],
    [
      'counts its instances wrong',
      (f) => (f.nodes[0].num_instances = 3),
      ': nodes[0].num_instances is 3, but instances has 1',
    ],
    [
      'has null for an instance',
      (f) => (f.nodes[0].instances = [null]),
      `: ${at} must be an object`,
    ],
    ['has no model', (f) => delete first(f).model_name, `: ${at}.model_name must be a text`],
    ['has an empty hardware', (f) => (first(f).hardware = ''), `: ${at}.hardware must be a text`],
    ['has no device memory', (f) => delete first(f).npu_mem, `: ${at}.npu_mem must be an object`],
    [
      'has memory of size 0',
      (f) => (first(f).npu_mem.mem_size = 0),
      `: ${at}.npu_mem.mem_size must be a number above 0`,
    ],
    [
      'has no memory bandwidth',
      (f) => delete first(f).npu_mem.mem_bw,
      `: ${at}.npu_mem.mem_bw must be a number above 0`,
    ],
    [
      'has utilisation in percent',
      (f) => (first(f).npu_mem.mem_util = 90),
      `: ${at}.npu_mem.mem_util must be at most 1`,
    ],
    [
      'has utilisation 0',
      (f) => (first(f).npu_mem.mem_util = 0),
      `: ${at}.npu_mem.mem_util must be a number above 0`,
    ],
    [
      'has half a device',
      (f) => (first(f).tp_size = 1.5),
      `: ${at}.tp_size must be a whole number of at least 1`,
    ],
    [
      'has devices that do not add up',
      (f) => (first(f).num_npus = 4),
      `: ${at}.num_npus is 4, but tp_size`,
    ],
    [
      'has no experts to spread',
      (f) => (first(f).ep_size = 0),
      `: ${at}.ep_size must be a whole number of at least 1`,
    ],
    [
      'has a misspelt key',
      (f) => (first(f).max_num_seq = 4),
      `: ${at}.max_num_seq is not known here`,
    ],
    [
      'has negative seats',
      (f) => (first(f).max_num_seqs = -1),
      `: ${at}.max_num_seqs must be a whole number of at least 0`,
    ],
    [
      'has a broken budget',
      (f) => (first(f).max_num_batched_tokens = 0.5),
      `: ${at}.max_num_batched_tokens must be a whole number of at least 0`,
    ],
    [
      'has blocks of no tokens',
      (f) => (first(f).block_size = 0),
      `: ${at}.block_size must be a whole number of at least 1`,
    ],
    [
      'has a text for a number',
      (f) => (first(f).max_num_seqs = '4'),
      `: ${at}.max_num_seqs must be a whole number`,
    ],
    [
      'has a number for a switch',
      (f) => (first(f).enable_prefix_caching = 1),
      `: ${at}.enable_prefix_caching must be true or false`,
    ],
    ['has a number for a format', (f) => (first(f).dtype = 16), `: ${at}.dtype must be a text`],
  ]

  for (const [what, edit, says] of faults) {
    it(what, async () => {
      const content = clusterOf(instance())
      const edited = edit(content)
      const path = clusterFile(
        Array.isArray(edited) && edited.length === 0 && what === 'is a list' ? edited : content,
      )
      const problem = await problemOf(() => readClusterFile(path))
      expect(problem.code).equal('CLUSTER_BAD_FILE')
      expect(problem.message).include(path + says)
      expect(problem.message).not.include('\n')
    })
  }

  it('does not exist', async () => {
    const problem = await problemOf(() => readClusterFile('none.json'))
    expect(problem.code).equal('CLUSTER_BAD_FILE')
    expect(problem.message).include('none.json: there is no such file')
  })

  it('is not JSON: line and column are told', async () => {
    const path = clusterFile('{"num_nodes": 1,\n  "nodes": [}')
    const problem = await problemOf(() => readClusterFile(path))
    expect(problem.code).equal('CLUSTER_BAD_FILE')
    expect(problem.message).include(`${path}:2:13: not valid JSON: expected a value, found "}"`)
  })

  it('ends in the middle', async () => {
    const problem = await problemOf(() => readClusterFile(clusterFile('{"num_nodes": 1,')))
    expect(problem.message).include(':1:17: not valid JSON')
  })

  const unbuilt: readonly (readonly [key: string, value: unknown, says: string])[] = [
    ['enable_local_offloading', true, '"enable_local_offloading"'],
  ]
  for (const [key, value, says] of unbuilt) {
    it(`asks for what is not built: ${key}`, async () => {
      const path = clusterFile(clusterOf({...instance(), [key]: value}))
      const problem = await problemOf(() => readClusterFile(path))
      expect(problem.code).equal('NOT_BUILT')
      expect(problem.message).equal(`${path}: ${at}.${key}: ${says} is not built yet.`)
    })
  }

  const grouped = (...changes: object[]) =>
    clusterFile(clusterOf(...changes.map((change) => ({...instance(), dp_group: 'A', ...change}))))
  const second = 'nodes[0].instances[1].dp_group'

  it('has ranks of a group that are cut differently', async () => {
    const path = grouped({}, {pp_size: 2, num_npus: 2})
    const problem = await problemOf(() => readClusterFile(path))
    expect(problem.code).equal('CLUSTER_BAD_FILE')
    expect(problem.message).equal(`${path}: ${second}: "A" needs the same pp_size as ${at}.`)
  })

  it('spreads experts over some of the ranks of a group', async () => {
    const path = grouped({ep_size: 3}, {ep_size: 3})
    const problem = await problemOf(() => readClusterFile(path))
    expect(problem.message).include('ep_size 3 must be at most tp_size 1, or 2, all ranks')
  })
})
