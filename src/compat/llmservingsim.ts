/**
 * LLMServingSim's clock (casys-kaist/LLMServingSim, snapshot of August 2026), artefacts included: what
 * `--compat llmservingsim` switches on, as hooks for cluster, engine and latency. docs/compat.md.
 */
import type {EngineListener} from '../engine/engine-config.js'
import type {RequestPool} from '../engine/request-pool.js'
import type {Collectives} from '../latency/profile/profile.js'
import type {BatchShape, Ns} from '../latency/step-time.js'

/** Its idle tick: with no event anywhere the clock jumps by this much and asks again. */
const idleTickNs = 1_000_000
/** Every endpoint of a collective step adds this. */
export const endpointNs = 10
const bytesPerGib = 2 ** 30

/** Its defaults for what vLLM would choose by device. */
export const defaults = {
  maxNumSeqs: 128,
  maxNumBatchedTokens: 2048,
  logIntervalNs: 1_000_000_000,
} as const

/**
 * An idle engine sees arrivals only on a grid of ticks that starts at the last event; the first event of a run
 * is the first arrival or the first log line, whichever is earlier. The cluster takes it as its clock hooks.
 */
export function pollingClock(logIntervalNs: Ns): {
  noticeAt(idleSince: Ns, at: Ns): Ns
  firstIdle(firstArrival: Ns): Ns
} {
  return {
    noticeAt: (idleSince, at) =>
      at <= idleSince
        ? idleSince
        : idleSince + Math.ceil((at - idleSince) / idleTickNs) * idleTickNs,
    firstIdle: (firstArrival) => Math.min(firstArrival, logIntervalNs),
  }
}

/** Its queueing delay ends with the last prefill chunk before the first token, not with the first. */
export const lastChunkQueueing = (requests: RequestPool): EngineListener => ({
  chunkPlanned(slot, now) {
    requests.scheduledAt[slot] = now
  },
})

export interface RingLink {
  /** GB/s, where 1 GB = 2^30 bytes. */
  readonly bandwidthGb: number
  readonly latencyNs: Ns
}

export interface RingRequest {
  readonly link: RingLink
  /** GB/s of the accelerator's memory; its fraction is dropped. */
  readonly memoryBandwidthGb: number
  readonly tp: number
  readonly ep: number
  readonly hiddenSize: number
  readonly experts: number
  readonly bytesPerElement: number
}

/** Ring collectives of its congestion-unaware network, for ranks with equal clocks. */
export function ringCollectives(request: RingRequest): Collectives {
  const {link, tp, ep, hiddenSize, experts, bytesPerElement} = request
  const bytesPerNs = (link.bandwidthGb * bytesPerGib) / 1e9
  const memory = Math.trunc(request.memoryBandwidthGb)
  const step = (bytes: number) => Math.trunc(link.latencyNs + bytes / bytesPerNs) + endpointNs
  // A local reduction reads two operands and writes one.
  const reduce = (bytes: number) => 3 * Math.trunc(bytes / memory)
  const hidden = (tokens: number) => tokens * hiddenSize * bytesPerElement
  const gathered = (tokens: number) =>
    Math.max(1, Math.floor(tokens / ep)) * (hiddenSize + experts) * bytesPerElement
  /** From one arrival of a message to the next; `reduces`: how many of the first steps add up. */
  const ring = (steps: number, bytes: number, reduces: number): Ns[] => {
    const between = Array.from(
      {length: steps},
      (_, at) => step(bytes) + (at > 0 && at <= reduces ? reduce(bytes) : 0),
    )
    return [...between, endpointNs + (reduces === steps ? reduce(bytes) : 0)]
  }
  return {
    allReduce(tokens) {
      if (tp === 1) return 0
      const part = Math.floor(hidden(tokens) / tp)
      return endpointNs + 2 * (tp - 1) * step(part) + (tp - 1) * reduce(part)
    },
    dispatch(tokens) {
      return endpointNs + (ep - 1) * step(gathered(tokens))
    },
    combine(tokens) {
      const part = Math.floor(hidden(tokens) / ep)
      return endpointNs + (ep - 1) * (step(part) + reduce(part))
    },
    pieces(kind, tokens) {
      if (kind === 'dispatch') return ring(ep - 1, gathered(tokens), 0)
      if (kind === 'combine') return ring(ep - 1, Math.floor(hidden(tokens) / ep), ep - 1)
      return tp === 1 ? [] : ring(2 * (tp - 1), Math.floor(hidden(tokens) / tp), tp - 1)
    },
  }
}

/** One message over its network: whole ns. */
export const messageNs = ({bandwidthGb, latencyNs}: RingLink, bytes: number): Ns =>
  Math.trunc(latencyNs + bytes / ((bandwidthGb * bytesPerGib) / 1e9))

export interface HostMemory {
  /** GB/s = bytes per ns. */
  readonly bandwidthGb: number
  readonly latencyNs: Ns
}

/** Copies around a step. */
export interface HostCopies {
  /** Of each rank, one after the other. */
  load(shape: BatchShape): Ns
  store(shape: BatchShape): Ns
}

/**
 * Token ids go to the device before a step and come back after it over one queue per node: each rank's load waits
 * for the one before, so a load for every rank and one store lie on the path.
 */
export function hostCopies(memory: HostMemory, bytesPerElement: number): HostCopies {
  const bandwidth = Math.trunc(memory.bandwidthGb)
  const latency = Math.trunc(memory.latencyNs)
  const copy = (bytes: number) => latency + Math.floor(bytes / bandwidth)
  return {
    load: (shape) => copy(shape.paddedTokens * bytesPerElement * 2),
    store: (shape) => copy(shape.paddedTokens * 4),
  }
}
