/** One message between two devices that a link joins: latency and bytes at the rate of the link. */
import type {Link, LinkKind} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'
import type {BatchShape, Ns} from './step-time.js'

/**
 * Time until the first byte arrives, by kind of link: NCCL send and receive with its kernel launch. Class defaults
 * from the order of magnitude of published ping-pong measurements; no device of the catalogue has its own yet.
 */
const latencyNsOf: Readonly<Record<LinkKind, Ns>> = {
  nvlink: 10_000,
  'nvlink-bridge': 10_000,
  pcie: 15_000,
  fabric: 15_000,
  ethernet: 30_000,
  ici: 10_000,
}

/** Share of a link's rate that one large message reaches. */
const efficiency = 0.8

/** Whole ns for a message of so many bytes. */
export const pointToPointNs = (link: Link, bytes: number): Ns =>
  Math.round(latencyNsOf[link.kind] + bytes / (link.gbPerS * efficiency))

/** What a hop carries: hidden state and residual, both in 16 bit, cut by the ranks of a stage. */
const bytesPerValue = 4

/**
 * The way of a batch from one pipeline stage to the next. The ranks of a stage send their part side by side.
 * @throws Problem PARALLELISM_INVALID where nothing joins the devices
 */
export const stageHop = (
  link: Link | null,
  {hiddenSize, tp, pp}: {hiddenSize: number; tp: number; pp: number},
): ((shape: BatchShape) => Ns) => {
  if (link === null) {
    throw new Problem(
      'PARALLELISM_INVALID',
      `--pp ${pp}: this accelerator has no link to another one, so it runs with --pp 1 only.`,
      {suggestions: ['--pp 1']},
    )
  }
  return (shape) => pointToPointNs(link, (shape.paddedTokens * hiddenSize * bytesPerValue) / tp)
}
