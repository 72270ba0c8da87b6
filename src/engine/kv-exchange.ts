/** KV that comes from another engine, or from a tier below the device, and KV that another engine takes. */
import type {Ns} from '../latency/step-time.js'
import type {EngineParts} from './engine-parts.js'
import {origin, state} from './request-pool.js'

export class KvExchange {
  readonly #parts: EngineParts

  constructor(parts: EngineParts) {
    this.#parts = parts
  }

  /** The KV of a pulled request is there: it holds blocks, so it waits for a seat before all who hold none. */
  arrived(slot: number, now: Ns): void {
    const {requests, below} = this.#parts
    requests.origin[slot] = origin.arrived
    const from = requests.entered[slot]!
    this.#queueAgain(slot, requests.reached[slot]! - 1)
    const to = requests.entered[slot]!
    if (to > from) below?.arrived(slot, {from, to}, now)
  }

  /** The same for what was loaded from a tier. */
  loaded(slot: number): void {
    this.#queueAgain(slot, this.#parts.requests.pulled[slot]!)
  }

  #queueAgain(slot: number, tokens: number): void {
    const {requests, blocks, queue} = this.#parts
    // Better a stop than a request that waits, or runs, twice.
    if (requests.state[slot] !== state.pulling)
      throw new Error(`KV came for slot ${slot}, which waits for none`)
    requests.state[slot] = state.waiting
    blocks.enterPresent(slot, tokens)
    queue.takePlace(slot, Number.NEGATIVE_INFINITY, requests.arrival[slot]!)
  }

  /** Another engine has the KV of a finished request that kept its blocks. */
  release(slot: number): void {
    const {requests, blocks} = this.#parts
    blocks.leave(slot, requests.computed[slot]!)
  }

  /** Tokens in the blocks of a request without a seat; undefined for one that has one. */
  heldTokens(slot: number): number | undefined {
    const {requests} = this.#parts
    const role = requests.state[slot]!
    if (role === state.unseated) return 0
    if (role !== state.pulling && role !== state.waiting) return undefined
    // The blocks behind what is loaded are spare ones.
    if (requests.origin[slot] === origin.loaded) return requests.pulled[slot]!
    const holds = role === state.pulling || requests.origin[slot] === origin.arrived
    return holds ? requests.reached[slot]! : 0
  }
}
