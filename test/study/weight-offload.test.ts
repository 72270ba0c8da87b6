/** Weights outside of the device: memory by hand, steps by the law. */
import {expect} from 'chai'
import fc from 'fast-check'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {withWeightStream} from '#llmsim/latency/weight-stream.js'
import {deploy} from '#llmsim/study/deployment.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim, root} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'

const request = runRequest({
  hardware: 'A6000',
  frontEnd: 'none',
})
const GiB = 2 ** 30
const decode = (decodes: number) => ({
  ...emptyShape(),
  ...{tokens: decodes, sequences: decodes, decodes, paddedTokens: decodes},
  ...{decodeContext: 500 * decodes, decodeContextMin: 500, decodeContextMax: 500},
})

describe('weights in host memory', () => {
  it('leave their bytes to the KV cache', async () => {
    const plain = (await deploy(request)).engines[0]!.settled.memory!
    const offload = {gib: 8, mode: 'read'} as const
    const less = (await deploy({...request, offload})).engines[0]!.settled.memory!
    expect(less.blocks - plain.blocks).within(
      Math.floor((8 * GiB) / plain.blockBytes),
      Math.ceil((8 * GiB) / plain.blockBytes),
    )
    expect(less.offloadedBytes).equal(8 * GiB)
  })

  it('cross the link in every step: read in place behind their own layers, or fetched ahead behind all', async () => {
    const stepOf = async (offload?: RunRequest['offload']) =>
      (await deploy({...request, offload})).replicas[0]!.stepTime(decode(4))
    const own = await stepOf()
    // PCIe 4 of the file: 32 GB/s.
    const link = (2 * GiB) / 32
    const {weights} = (await deploy(request)).engines[0]!.settled.memory!
    const share = (2 * GiB) / weights.total
    expect(await stepOf({gib: 2, mode: 'read'})).closeTo(own * (1 - share) + link, 1)
    expect(await stepOf({gib: 2, mode: 'prefetch'})).equal(Math.round(link))
    // A little of it is hidden when it is fetched ahead, and never when the link is slow.
    expect(await stepOf({gib: 0.5, mode: 'prefetch'})).equal(own)
    expect(await stepOf({gib: 0.5, mode: 'read', gbPerS: 1})).above(own + 4e8)
  })

  it('never make a step shorter, nor a larger one shorter than a smaller one', () => {
    const stream = fc.record({
      weightBytes: fc.constant(1e9),
      offloadedBytes: fc.integer({min: 1, max: 1e9}),
      gbPerS: fc.integer({min: 1, max: 500}),
      mode: fc.constantFrom('read' as const, 'prefetch' as const),
    })
    fc.assert(
      fc.property(stream, fc.nat(1e9), fc.nat(1e9), (given, a, b) => {
        const time = withWeightStream((shape) => shape.tokens, given)
        const at = (tokens: number) => time({...emptyShape(), tokens})
        expect(at(a)).least(a)
        expect(at(Math.max(a, b))).least(at(Math.min(a, b)))
      }),
    )
  })

  it('says what cannot be', async () => {
    const all = await problemOf(() => deploy({...request, offload: {gib: 99, mode: 'read'}}))
    expect(all.message).match(/a device has only 15\.0 GiB of weights/)
    const pp = {layout: {pp: 2}, offload: {gib: 2, mode: 'read'}} as const
    expect((await problemOf(() => deploy({...request, ...pp}))).code).equal('FLAG_CONFLICT')
    const b200 = {hardware: 'B200', offload: {gib: 2, mode: 'read'}} as const
    const link = await problemOf(() => deploy({...request, ...b200}))
    expect(link.message).contain('Missing --weight-bandwidth')
    const flags = await llmsim(
      'simulate',
      `${root}/traces/chat.csv`,
      '--hardware',
      'A6000',
      '--weight-prefetch',
    )
    expect(flags.error?.message).contain('--weight-prefetch without --cpu-offload-gb')
    const wrong = await llmsim(
      'simulate',
      `${root}/traces/chat.csv`,
      '--hardware',
      'A6000',
      '--cpu-offload-gb',
      'much',
    )
    expect(wrong.error?.message).contain('--cpu-offload-gb much: it must be a number above 0')
  })

  it('let a model run that would not fit', async () => {
    const argv = ['simulate', `${root}/traces/chat.csv`, '--hardware', 'RTX4090', '--no-save']
    const model = ['--model', 'Qwen/Qwen3-14B', '--limit', '5']
    const without = await llmsim(...argv, ...model)
    expect(without.error?.message).contain('does not fit')
    const {stdout, error} = await llmsim(...argv, ...model, '--cpu-offload-gb', '12', '--json')
    expect(error).equal(undefined)
    const {summary, config} = JSON.parse(stdout)
    expect(summary.requests.completed).equal(5)
    expect(config.notes.join()).contain('12.0 GiB of the weights of each device lie outside')
  })
})
