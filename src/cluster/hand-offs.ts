/**
 * Prefill and decode on different engines. A request has two slots: the one that the client knows, which decodes, and
 * one that runs the prompt for a single token. When the prompt is done its blocks stay; the request queues at the
 * decode engine like any other, takes blocks there, pulls the KV, and is then computed on from its last token.
 */
import {origin, type RequestPool} from '../engine/request-pool.js'
import type {Ns} from '../latency/step-time.js'
import type {KvLinks} from './kv-links.js'
import type {Network} from './network.js'
import type {OnRejected, Replica} from './replica.js'
import {defaultPort, onePortEach, SharedLinks} from './shared-links.js'
import type {SimulationConfig} from './simulation-config.js'

export interface HandOffRules {
  /**
   * Whose token the client sees first. `decode`: the last token of the prompt is computed again where the request
   * decodes (vLLM). `prefill`: the token of the prefill engine counts (LLMServingSim).
   */
  readonly firstToken: 'decode' | 'prefill'
  /** `at the end`: nothing is sent before the prompt is done. `by layer`: what the link carries meanwhile is there. */
  readonly stream: 'at the end' | 'by layer'
  /** `in the step`: the prompt's last step includes the transfer, and the KV is there when it ends (LLMServingSim). */
  readonly transfer?: 'over the network' | 'in the step'
}

/** Where a request is computed. */
export interface Legs {
  readonly prefill: number
  readonly decode: number
}

export interface HandOffParts {
  readonly requests: RequestPool
  readonly replicas: readonly Replica[]
  readonly network: Network
  readonly rules: HandOffRules
  /** Bytes of the KV of one token of a replica, over all its devices; and its layers. */
  readonly kvOf: (instance: number) => {readonly bytesPerToken: number; readonly layers: number}
  readonly onTransfer?: OnHandOff | undefined
}

type Config = Pick<SimulationConfig, 'handOff' | 'network' | 'onHandOff' | 'replicas'>

/** What carries KV between engines: what also carries it below them, what is given, or a default port for each. */
export const networkOf = ({network}: Config, kvLinks: KvLinks | undefined): Network =>
  kvLinks?.network ?? network ?? new SharedLinks(onePortEach(defaultPort))

export const handOffsOf = (
  {handOff, onHandOff, replicas}: Config,
  {requests, replicas: all}: Pick<HandOffParts, 'requests' | 'replicas'>,
  network: Network,
): HandOffs =>
  new HandOffs({
    ...{requests, replicas: all, network},
    onTransfer: onHandOff,
    rules: handOff ?? {firstToken: 'decode', stream: 'at the end'},
    kvOf: (instance) => replicas[instance]!.kv ?? {bytesPerToken: 1, layers: 1},
  })

interface HandOff extends Legs {
  /** The slots. */
  readonly client: number
  readonly prompt: number
  stage: 'prefill' | 'queue' | 'transfer'
  transfer: number
  /** Since when KV could be sent. */
  readyFrom: Ns
  /** When it set out, and how much of it. */
  startedAt: Ns
  bytes: number
}

/** KV that went from one engine to another, or was on its way when its client left. */
export interface HandOffTransfer extends Legs {
  /** Row of the request. */
  readonly row: number
  readonly bytes: number
  readonly start: Ns
  readonly end: Ns
  readonly outcome: 'arrived' | 'given up'
}

export type OnHandOff = (transfer: HandOffTransfer) => void

/** Fills a list up to `slot`, so that it stays a list without gaps. */
function place(list: (HandOff | undefined)[], slot: number, handOff: HandOff): void {
  while (list.length <= slot) list.push(undefined)
  list[slot] = handOff
}

export class HandOffs {
  readonly #parts: HandOffParts
  /** By slot. Slots are small numbers that are used again: lists of them are faster than maps. */
  readonly #byClient: (HandOff | undefined)[] = []
  readonly #byPrompt: (HandOff | undefined)[] = []
  readonly #byTransfer = new Map<number, HandOff>()
  /** Transfers under way to each engine. */
  readonly #coming: number[]

  constructor(parts: HandOffParts) {
    this.#parts = parts
    this.#coming = parts.replicas.map(() => 0)
  }

  /** Whether KV moves between engines. */
  get isMoving(): boolean {
    return this.#byTransfer.size > 0
  }

  /** Whether KV of other engines is on its way to one. */
  isPulling(instance: number): boolean {
    return this.#coming[instance]! > 0
  }

  /** Starts the prompt of a request elsewhere. Its slot must be filled. */
  begin(client: number, legs: Legs, now: Ns, onRejected: OnRejected): void {
    const {requests, replicas} = this.#parts
    const prompt = requests.take()
    requests.row[prompt] = requests.row[client]!
    requests.input[prompt] = requests.input[client]!
    requests.total[prompt] = requests.input[client]! + 1
    requests.priority[prompt] = requests.priority[client]!
    requests.predicted[prompt] = requests.predicted[client]!
    requests.arrivedAt[prompt] = requests.arrivedAt[client]!
    requests.keeps[prompt] = 1
    // One literal: objects that are put together from parts are slow tables to V8.
    const handOff: HandOff = {
      prefill: legs.prefill,
      decode: legs.decode,
      client,
      prompt,
      stage: 'prefill',
      transfer: -1,
      readyFrom: now,
      startedAt: now,
      bytes: 0,
    }
    place(this.#byClient, client, handOff)
    place(this.#byPrompt, prompt, handOff)
    replicas[legs.decode]!.expected++
    replicas[legs.prefill]!.arrive(prompt, now, onRejected)
  }

  /** Whether a slot only runs a prompt for another. */
  isPrompt(slot: number): boolean {
    return this.#byPrompt[slot] !== undefined
  }

  /** The prompt's engine turned it away. Returns the slot that the client knows. */
  refused(prompt: number): number {
    const handOff = this.#byPrompt[prompt]!
    this.#parts.replicas[handOff.decode]!.expected--
    this.#forgetPrompt(handOff)
    this.#byClient[handOff.client] = undefined
    return handOff.client
  }

  /**
   * The slot that a client knows, of one that is done: itself, or the one that a prompt ran for, if its only token
   * counts for the client. Undefined: a prompt after which the request goes on elsewhere.
   */
  leaving(slot: number, now: Ns): number | undefined {
    const handOff = this.#byPrompt[slot]
    if (handOff === undefined) return slot
    const {requests, replicas, rules} = this.#parts
    const {client, prefill, decode} = handOff
    if (rules.firstToken === 'decode' || requests.total[client] !== requests.total[slot])
      return undefined
    replicas[decode]!.expected--
    this.#tell(handOff)
    requests.firstTokenAt[client] = now
    requests.instance[client] = prefill
    // Preempted with its token in flight, it has no KV to give back.
    if (requests.keeps[slot] === 1) this.#letGo(handOff, now)
    else this.#end(handOff)
    return client
  }

  /** The prompt is done: the request goes to its decode engine. Returns that engine's number. */
  prefilled(prompt: number, now: Ns, onRejected: OnRejected): number {
    const {requests, replicas, rules} = this.#parts
    const handOff = this.#byPrompt[prompt]!
    const {client, decode} = handOff
    const replica = replicas[decode]!
    replica.expected--
    handOff.stage = 'queue'
    handOff.readyFrom = requests.scheduledAt[prompt]!
    this.#tell(handOff)
    if (rules.firstToken === 'prefill') {
      requests.firstTokenAt[client] = now
      requests.lastTokenAt[client] = now
      requests.reached[client] = requests.input[client]! + 1
    }
    // Preempted with its token in flight: its KV is gone, so the decode engine starts anew.
    const isKept = requests.keeps[prompt] === 1
    if (isKept && rules.transfer === 'in the step') {
      requests.origin[client] = origin.copied
      this.#letGo(handOff, now)
    } else if (isKept) requests.origin[client] = origin.elsewhere
    else this.#end(handOff)
    replica.arrive(client, now, onRejected)
    return decode
  }

  /** The KV of requests for which an engine just took blocks sets out. */
  pull(instance: number): void {
    const {requests, replicas, network, kvOf, rules} = this.#parts
    const {pulls, pulledAt: now} = replicas[instance]!.engine
    if (pulls.length === 0) return
    for (const client of pulls) {
      const handOff = this.#byClient[client]!
      const {bytesPerToken, layers} = kvOf(handOff.prefill)
      const known = requests.pulled[client]!
      const bytes = (requests.input[client]! - known) * bytesPerToken
      const alone = network.aloneNs(handOff.prefill, instance, bytes)
      const sent = rules.stream === 'by layer' ? (now - handOff.readyFrom) / alone : 0
      const left = Math.max(1 / layers, 1 - sent)
      handOff.stage = 'transfer'
      handOff.startedAt = now
      handOff.bytes = bytes * left
      handOff.transfer = network.startTransfer(handOff.prefill, instance, handOff.bytes, now)
      this.#byTransfer.set(handOff.transfer, handOff)
      this.#coming[instance]!++
    }
    pulls.length = 0
  }

  /** Transfers that end by `now`: the decode engine has the KV, the prefill engine its blocks back. */
  deliver(now: Ns, touched: (instance: number) => void): void {
    const {network, replicas} = this.#parts
    if (network.nextEventAt() > now) return
    for (const transfer of network.advanceTo(now)) {
      const handOff = this.#byTransfer.get(transfer)
      if (handOff === undefined) continue
      const {client, decode, prefill} = handOff
      this.#show(handOff, now, 'arrived')
      const {received} = replicas[decode]!
      received.count++
      received.bytes += handOff.bytes
      received.ns += now - handOff.startedAt
      replicas[decode]!.engine.exchange.arrived(client, now)
      replicas[decode]!.wake(now)
      this.#letGo(handOff, now)
      touched(decode)
      touched(prefill)
    }
  }

  /** The request was turned away at its decode engine, or its client left. Returns the engine that held its prompt. */
  drop(client: number, now: Ns): number | undefined {
    const handOff = this.#byClient[client]
    if (handOff === undefined) return undefined
    const {prefill, decode, prompt, stage} = handOff
    if (stage === 'prefill') {
      this.#tell(handOff)
      this.#parts.replicas[decode]!.expected--
      this.#parts.replicas[prefill]!.cancel(prompt, now)
      // Others may wait for its blocks although no batch runs: those of finished prompts are still held.
      this.#parts.replicas[prefill]!.wake(now)
      this.#end(handOff)
    } else {
      if (stage === 'transfer') {
        this.#parts.network.cancel(handOff.transfer, now)
        this.#show(handOff, now, 'given up')
      }
      this.#letGo(handOff, now)
    }
    return prefill
  }

  /** Whether the decode engine has not heard of the request yet. */
  isPrefilling(client: number): boolean {
    return this.#byClient[client]?.stage === 'prefill'
  }

  /** What became of the prompt is what became of the request so far. */
  #tell({client, prompt}: HandOff): void {
    const {requests} = this.#parts
    requests.scheduledAt[client] = requests.scheduledAt[prompt]!
    requests.cached[client] = requests.cached[prompt]!
    requests.preemptions[client] = requests.preemptions[prompt]!
  }

  #show(handOff: HandOff, end: Ns, outcome: HandOffTransfer['outcome']): void {
    const {onTransfer, requests} = this.#parts
    if (onTransfer === undefined) return
    const {client, prefill, decode, startedAt: start, bytes} = handOff
    onTransfer({row: requests.row[client]!, prefill, decode, bytes, start, end, outcome})
  }

  #letGo(handOff: HandOff, now: Ns): void {
    const replica = this.#parts.replicas[handOff.prefill]!
    replica.engine.exchange.release(handOff.prompt)
    replica.wake(now)
    this.#end(handOff)
  }

  #end(handOff: HandOff): void {
    this.#byClient[handOff.client] = undefined
    if (this.#byTransfer.delete(handOff.transfer)) this.#coming[handOff.decode]!--
    this.#forgetPrompt(handOff)
  }

  #forgetPrompt({prompt, prefill}: HandOff): void {
    this.#byPrompt[prompt] = undefined
    this.#parts.replicas[prefill]!.forget(prompt)
    this.#parts.requests.give(prompt)
  }
}
