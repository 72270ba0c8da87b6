/**
 * What is known to go wrong in LLMServingSim (docs/compat.md, "What it does wrong") does not happen here: small runs
 * in which each fault would show.
 */
import {expect} from 'chai'
import {replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import {prefixIdentity} from '#llmsim/engine/prefix-identity.js'
import {OwnLinks} from '../support/own-links.js'
import {calm, serve, simulationOf, statusesOf, traceOf} from './serve.js'

const shared = (engine: object, decodeBlocks = 1000) => ({
  replicas: [
    {engine: {...calm, ...engine}, stepTime: () => 10, role: 'prefill' as const},
    {
      engine: {...calm, ...engine, numGpuBlocks: decodeBlocks},
      stepTime: () => 10,
      role: 'decode' as const,
    },
  ],
  router: routers['round-robin']!(),
  network: new OwnLinks(() => 5),
})

describe('known defects that are not here', () => {
  it('queueing ends with the first chunk of a prompt, not with the last', () => {
    const {outcomes} = serve({
      rows: [{at: 0, input: 10, output: 1}],
      engine: {maxNumBatchedTokens: 4},
    })
    expect(outcomes.scheduledAt[0]).equal(0)
    expect(outcomes.firstTokenAt[0]).equal(30)
  })

  it('a prompt whose every block is cached still has a token to compute, and nobody waits behind it for ever', () => {
    const blocks = 64
    const trace = {
      ...traceOf([
        {at: 0, input: blocks * 4, output: 1},
        {at: 100, input: blocks * 4, output: 2},
        {at: 101, input: 4, output: 1},
      ]),
      prefix: {
        spanTokens: 4,
        offsets: Float64Array.of(0, blocks, 2 * blocks, 2 * blocks),
        ids: Float64Array.from({length: 2 * blocks}, (_, i) => 1 + (i % blocks)),
        knownTokens: Int32Array.of(4 * blocks, 4 * blocks, 0),
      },
    }
    const result = replay({
      trace,
      simulation: {
        ...simulationOf({engine: {enablePrefixCaching: true, blockSize: 4}}),
        prefixes: (size) => prefixIdentity(trace.prefix, size),
      },
    })
    expect(statusesOf(result)).deep.equal(['completed', 'completed', 'completed'])
    expect(result.outcomes.cachedTokens[1]).equal(4 * (blocks - 1))
  })

  it('a decode engine without room lets requests queue', () => {
    // Each needs 3 blocks of 4 tokens where it decodes; there are 4.
    const trace = traceOf(Array.from({length: 6}, () => ({at: 0, input: 8, output: 4})))
    const result = replay({trace, simulation: shared({blockSize: 4}, 4)})
    expect(statusesOf(result)).deep.equal(new Array(6).fill('completed'))
    const finished = [...result.outcomes.finishedAt]
    expect(new Set(finished).size).equal(6)
    expect(result.engines.map(({blocks, freeBlocksAtEnd}) => blocks - freeBlocksAtEnd)).deep.equal([
      0, 0,
    ])
  })

  it('the KV of a prompt crosses the link once, however many requests share it where they decode', () => {
    const bytes: number[] = []
    const trace = {
      ...traceOf([
        {at: 0, input: 9, output: 2},
        {at: 500, input: 9, output: 2},
      ]),
      prefix: {
        spanTokens: 4,
        offsets: Float64Array.of(0, 2, 4),
        ids: Float64Array.of(1, 2, 1, 2),
        knownTokens: Int32Array.of(8, 8),
      },
    }
    replay({
      trace,
      simulation: {
        ...shared({blockSize: 4, enablePrefixCaching: true}),
        network: new OwnLinks((_from, _to, count) => {
          bytes.push(count)
          return 5
        }),
        prefixes: (size) => prefixIdentity(trace.prefix, size),
      },
    })
    expect(new Set(bytes)).deep.equal(new Set([9, 1]))
  })

  it('leaks are looked for in every engine', () => {
    const {engines} = serve({
      rows: Array.from({length: 9}, (_, i) => ({at: i, input: 20, output: 5})),
      instances: 3,
    })
    expect(engines).length(3)
    for (const {blocks, freeBlocksAtEnd} of engines) expect(freeBlocksAtEnd).equal(blocks)
  })

  it('a turn that is turned away lets the next one of its session come', () => {
    const result = serve({
      rows: [
        {at: 0, input: 4, output: 1, session: 0},
        {input: 5000, output: 1, session: 0, think: 7},
        {input: 4, output: 1, session: 0, think: 9},
      ],
      engine: {maxModelLen: 100},
    })
    expect(statusesOf(result)).deep.equal(['completed', 'rejected', 'completed'])
    expect(result.outcomes.reasons.get(1)).match(/max_model_len is 100/)
    expect(result.outcomes.arrivedAt[2]).equal(10 + 7 + 9)
  })

  it('the first token comes after the prompt, however long that takes', () => {
    const {outcomes} = serve({
      rows: [{at: 3, input: 40, output: 3}],
      engine: {maxNumBatchedTokens: 8},
    })
    expect([outcomes.firstTokenAt[0], outcomes.finishedAt[0]]).deep.equal([3 + 50, 3 + 70])
  })

  it('engines get what the trace has, each request once', () => {
    const rows = Array.from({length: 10}, (_, i) => ({at: i, input: 4 + i, output: 2}))
    const {outcomes, arrived} = serve({rows, instances: 3})
    expect(arrived).deep.equal(rows.map((_, i) => i))
    expect(new Set(outcomes.instance)).deep.equal(new Set([0, 1, 2]))
  })

  it('ranks of a group that have work of their own run it: nobody waits with a dummy', () => {
    const trace = traceOf(Array.from({length: 4}, () => ({at: 0, input: 4, output: 5})))
    const rank = {engine: calm, stepTime: () => 10, group: 0}
    const result = replay({
      trace,
      simulation: {replicas: [rank, rank], router: routers['round-robin']!()},
    })
    expect([...result.outcomes.finishedAt]).deep.equal([50, 50, 50, 50])
  })
})
