/**
 * Decode attention in PIM memory as LLMServingSim has it: as long as the *prompts* of the batch say, whatever was generated
 * since. Step times are made of sums elsewhere, so here the engine tells who decodes.
 */

import type {ModelShape} from '../catalogue/model-shape.js'
import {busGbS, type PimSpec, pimSpecs} from '../catalogue/pim.js'
import type {EngineListener} from '../engine/engine-config.js'
import type {RequestPool} from '../engine/request-pool.js'
import {withoutDecodes} from '../latency/pim.js'
import type {ProfileTimes} from '../latency/profile/profile.js'
import {type BatchShape, emptyShape, type Ns, type StepTime} from '../latency/step-time.js'
import type {Node} from './cluster-json.js'
import type {HostCopies} from './llmservingsim.js'

export interface PimHost {
  readonly spec: PimSpec
  readonly channels: number
}

/** Undefined: the host memory of the node is plain. @throws Problem CLUSTER_BAD_FILE */
export function readPimHost(memory: Node): PimHost | undefined {
  const name = memory.option('pim_config')
  if (name === undefined) return undefined
  const spec = pimSpecs.find((known) => known.name === name)
  if (spec === undefined) {
    const names = pimSpecs.map((known) => known.name).join(', ')
    throw memory.fault('pim_config', `must be one of ${names}, got "${name}"`)
  }
  const channels = Math.floor(memory.number('mem_size', 'positive') / spec.channelGib)
  if (channels < 1) throw memory.fault('mem_size', `is less than a channel of ${name}`)
  return {spec, channels}
}

/** The host memory that its channels make: bandwidth and latency of the file are not used. */
export const hostMemoryOf = ({spec, channels}: PimHost) => ({
  bandwidthGb: channels * busGbS(spec),
  latencyNs: spec.timing.read,
})

/** Who decodes in the batch that was planned last, by the engine's own word. One batch is in flight at a time. */
export class DecodingPrompts {
  #requests: RequestPool | undefined
  #batch = 1
  /** Slot, and the batch in which it caught up. */
  readonly #from = new Map<number, number>()

  listen(requests: RequestPool): EngineListener {
    this.#requests = requests
    return {
      tokensFrom: (slot, batch) => this.#from.set(slot, batch),
      tokensUntil: (slot) => this.#from.delete(slot),
      forgotten: (slot) => this.#from.delete(slot),
      batchEnded: (batch) => {
        this.#batch = batch + 1
      },
    }
  }

  /** Prompt lengths of so many decodes, the longest first. Whoever catches up with a chunk of one token counts. */
  of(decodes: number): number[] {
    const requests = this.#requests
    if (requests === undefined) throw new Error('nobody told which prompts decode')
    const slots = [...this.#from].sort(([, a], [, b]) => a - b)
    const before = slots.filter(([, batch]) => batch < this.#batch)
    const counted = before.length >= decodes ? before : slots.slice(0, decodes)
    return counted.map(([slot]) => requests.input[slot]!).sort((a, b) => b - a)
  }
}

export interface PimAttentionRequest {
  readonly host: PimHost
  readonly model: ModelShape
  readonly layers: number
  readonly bytesPerElement: number
  readonly times: ProfileTimes
  readonly copies: HostCopies
  readonly prompts: DecodingPrompts
}

/** The slowest channel of a layer, for prompts of these lengths, the longest first. */
export function slowestChannel(request: PimAttentionRequest, prompts: readonly number[]): Ns {
  const {host, model, bytesPerElement} = request
  const {spec, channels} = host
  const {attention} = model.groups[0]!
  if (attention.kind !== 'grouped') return 0
  const {queryHeads, keyValueHeads, headDim} = attention
  const split = Math.min(channels, keyValueHeads)
  // Its line is for four query heads to a KV head, and 4,096 values.
  const slope = (spec.line.perToken * (queryHeads / keyValueHeads)) / 4
  const fixed = (spec.line.fixed * queryHeads * headDim) / 4096
  const bytes = ((2 * queryHeads + 2 * keyValueHeads) * headDim * bytesPerElement) / split
  const memory = hostMemoryOf(host)
  const moved = Math.floor(bytes / Math.trunc(memory.bandwidthGb))
  const busy = new Array<Ns>(channels).fill(0)
  const load = new Array<number>(channels).fill(0)
  for (const prompt of prompts) {
    const piece =
      Math.trunc((slope * prompt + fixed) / split) + Math.trunc(memory.latencyNs) + moved
    for (let part = 0; part < split; part++) {
      const lightest = load.indexOf(Math.min(...load))
      load[lightest]! += prompt
      busy[lightest]! += piece
    }
  }
  return Math.max(...busy)
}

/** The step of an engine of one device. Without decodes its attention has no parents, and hides the copy of token ids. */
export function pimStep(request: PimAttentionRequest): StepTime {
  const {times, copies, layers, prompts} = request
  const scratch = emptyShape()
  return (shape: BatchShape) => {
    const kernels = times.at(withoutDecodes(shape, scratch))
    const load = copies.load(shape)
    const store = copies.store(shape)
    if (shape.decodes > 0)
      return load + kernels + layers * slowestChannel(request, prompts.of(shape.decodes)) + store
    const attention = layers * times.kernels(scratch).attention.at(-2)!
    return Math.max(0, load - attention) + kernels + store
  }
}
