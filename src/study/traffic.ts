/** Routing, hand-off and admission of a deployment: flag, cluster file, or default; and the parts that they make. */

import type {ReplicaConfig, SimulationConfig} from '../cluster/cluster.js'
import {gateOf} from '../cluster/gate.js'
import {defaultWeights, type RouterSeams, routers} from '../cluster/router.js'
import {defaultPort, onePortEach, SharedLinks} from '../cluster/shared-links.js'
import type {SpanIds} from '../engine/prefix-identity.js'
import {Problem} from '../errors.js'
import type {LivePrefixes} from '../server/live-prefixes.js'
import type {Trace} from '../trace/trace.js'
import type {Instance} from './instance.js'
import type {FileTraffic, NetworkRates, RunRequest, TrafficRequest} from './run-request.js'

export type Traffic = Required<Omit<TrafficRequest, 'admission' | 'decodeRouter' | 'network'>> & {
  readonly network: SettledNetwork
  readonly router: string
  readonly decodeRouter: string
  readonly admission: NonNullable<TrafficRequest['admission']>
}

export const defaultNetwork: NetworkRates = {
  bandwidthGbS: defaultPort.gbPerS,
  latencyUs: defaultPort.latencyNs / 1000,
}

export interface SettledNetwork extends NetworkRates {
  /** Whether its ports are reached over the host links; `where slower`: of engines whose links are as fast. */
  readonly behindHostLink: boolean | 'where slower'
}

/** A rate that somebody gives may be that of anything; the default one is that of a card on PCIe. */
const settledNetwork = (
  flags: TrafficRequest['network'],
  file: TrafficRequest['network'],
): SettledNetwork => {
  const {bandwidthGbS = flags?.bandwidthGbS} = file ?? {}
  const usual = bandwidthGbS === undefined ? true : 'where slower'
  const behindHostLink = file?.behindHostLink ?? usual
  return {...defaultNetwork, ...file, ...flags, behindHostLink}
}

/** What a flag says goes before what the cluster file says. */
export function settleTraffic(
  {router, traffic = {}}: RunRequest,
  file: FileTraffic | undefined,
): Traffic {
  const chosen = router ?? file?.router ?? 'least-requests'
  return {
    router: chosen,
    decodeRouter: traffic.decodeRouter ?? file?.decodeRouter ?? 'least-requests',
    viewAgeMs: traffic.viewAgeMs ?? file?.viewAgeMs ?? 0,
    stream: traffic.stream ?? file?.stream ?? 'at the end',
    stayBelow: traffic.stayBelow ?? file?.stayBelow ?? 0,
    network: settledNetwork(traffic.network, file?.network),
    weights: traffic.weights ?? file?.weights ?? defaultWeights,
    admission: traffic.admission ?? file?.admission ?? [],
  }
}

/** @throws Problem FLAG_CONFLICT for flags of hand-offs where no engine gets any */
export function checkHandOffs(
  {traffic = {}}: RunRequest,
  places: readonly {readonly instance: Instance}[],
): void {
  if (places.some(({instance}) => instance.role === 'decode')) return
  const flags = {
    '--kv-stream': traffic.stream,
    '--decode-stay-below': traffic.stayBelow,
    '--decode-router': traffic.decodeRouter,
    '--network-bandwidth': traffic.network?.bandwidthGbS,
  }
  const flag = Object.entries(flags).find(([, given]) => given !== undefined)?.[0]
  if (flag === undefined) return
  throw new Problem('FLAG_CONFLICT', `${flag} needs instances that decode what others prefilled.`, {
    suggestions: [
      '--prefill 1 --decode 1',
      'role: decode, of an instance of the cluster file',
      `leave ${flag} out`,
    ],
  })
}

/** @throws Problem FLAG_CONFLICT for the age of what routers see where none of them has a choice */
export function checkViewAge(
  {traffic = {}}: RunRequest,
  places: readonly {readonly instance: Instance}[],
): void {
  const {viewAgeMs, admission = []} = traffic
  const decoders = places.filter(({instance}) => instance.role === 'decode').length
  const entrances = places.length - decoders
  if (viewAgeMs === undefined || entrances > 1 || decoders > 1 || admission.length > 0) return
  throw new Problem(
    'FLAG_CONFLICT',
    '--router-view-age: there is one engine to choose from, however old what routers see.',
    {suggestions: ['--instances 2 or more', 'leave --router-view-age out']},
  )
}

type TrafficParts = Pick<
  SimulationConfig,
  'router' | 'decodeRouter' | 'handOff' | 'network' | 'gate' | 'viewAgeNs'
>

/** What a simulation takes. `facts` absent: nothing is known of prefixes and sessions. */
export function trafficParts(
  traffic: Traffic,
  {seed, compat}: Pick<RunRequest, 'seed' | 'compat'>,
  facts: Pick<RoutingFacts, 'prefixOf' | 'sessionOf'> = new RoutingFacts(),
): TrafficParts {
  const seams = {
    seed,
    prefixOf: (row: number) => facts.prefixOf(row),
    sessionOf: (row: number) => facts.sessionOf(row),
    weights: traffic.weights!,
  }
  const {bandwidthGbS, latencyUs} = traffic.network
  return {
    router: routers[traffic.router]!(seams),
    decodeRouter: routers[traffic.decodeRouter]!({...seams, seed: seed + 1}),
    handOff: {
      firstToken: compat === undefined ? 'decode' : 'prefill',
      transfer: compat === undefined ? 'over the network' : 'in the step',
      stream: traffic.stream!,
      stayBelow: traffic.stayBelow!,
    },
    network: new SharedLinks(
      onePortEach({gbPerS: bandwidthGbS, latencyNs: Math.round(latencyUs * 1000)}),
    ),
    ...(traffic.admission.length > 0 ? {gate: gateOf(traffic.admission)} : {}),
    viewAgeNs: Math.round(traffic.viewAgeMs! * 1e6),
  }
}

interface PartFacts {
  readonly from: number
  readonly to: number
  readonly prefixOf: RouterSeams['prefixOf']
  readonly sessionOf: RouterSeams['sessionOf']
}

/** What routers may ask about the rows of a trace that comes in parts; rows count through all parts. */
export class RoutingFacts {
  readonly #parts: PartFacts[] = []
  /** Sessions keep their number from part to part. */
  readonly #sessions = new Map<string, number>()

  add(from: number, trace: Trace): void {
    const to = from + trace.length
    const sessionOf = sessionsOf(trace, this.#sessions)
    this.#parts.push({from, to, prefixOf: prefixOf(trace), sessionOf})
  }

  /** The rows of the oldest part have all left. */
  dropOldest(): void {
    this.#parts.shift()
  }

  prefixOf(row: number): number | undefined {
    const part = this.#partOf(row)
    return part?.prefixOf(row - part.from)
  }

  sessionOf(row: number): number | undefined {
    const part = this.#partOf(row)
    return part?.sessionOf(row - part.from)
  }

  #partOf(row: number): PartFacts | undefined {
    // Mostly the latest part; asked at every arrival, so without a closure.
    for (let at = this.#parts.length - 1; at >= 0; at--) {
      const part = this.#parts[at]!
      if (row >= part.from && row < part.to) return part
    }
    return undefined
  }
}

/** Tokens at the start of a prompt by which prefix-affinity tells requests apart. */
const affinityTokens = 256

/** Prompts that begin with the same 256 tokens (or as many as are known) share a number. */
function prefixOf(trace: Trace): RouterSeams['prefixOf'] {
  const {prefix} = trace
  if (prefix === undefined) return () => undefined
  const {spanTokens, offsets, ids, knownTokens} = prefix
  return beginningOf({
    spanTokens,
    knownTokens: (row) => knownTokens[row]!,
    idAt: (row, span) => ids[offsets[row]! + span]!,
  })
}

function beginningOf({spanTokens, knownTokens, idAt}: SpanIds): RouterSeams['prefixOf'] {
  const most = Math.max(1, Math.floor(affinityTokens / spanTokens))
  return (row) => {
    const spans = Math.min(most, Math.floor(knownTokens(row) / spanTokens))
    return spans === 0 ? undefined : idAt(row, spans - 1)
  }
}

/** The same facts of requests that are being served. */
export const liveFacts = (live: LivePrefixes): Pick<RoutingFacts, 'prefixOf' | 'sessionOf'> => ({
  prefixOf: beginningOf({
    spanTokens: live.spanTokens,
    knownTokens: (row) => live.knownTokens(row),
    idAt: (row, span) => live.idAt(row, span),
  }),
  sessionOf: (row) => live.sessionOf(row),
})

function sessionsOf({session}: Trace, numbers: Map<string, number>): RouterSeams['sessionOf'] {
  if (session === undefined) return () => undefined
  const numberOf = session.names.map((name) => {
    const number = numbers.get(name) ?? numbers.size
    numbers.set(name, number)
    return number
  })
  return (row) => {
    const code = session.codes[row]!
    return code < 0 ? undefined : numberOf[code]
  }
}

/** How requests are spread and KV moves, for the head of a result; nothing for one engine. */
export function describeTraffic(
  traffic: Traffic,
  replicas: readonly ReplicaConfig[],
  hostLinkGbPerS?: number,
): string[] {
  if (replicas.length === 1) return []
  const {router, decodeRouter, viewAgeMs, admission} = traffic
  const groups = new Set(replicas.map(({group}) => group).filter((group) => group !== undefined))
  const isShared = replicas.some(({role}) => role === 'decode')
  const parts = [
    `router ${router}${isShared ? `, ${decodeRouter} for decoding` : ''}`,
    ...(viewAgeMs! > 0 ? [`views up to ${viewAgeMs} ms old`] : []),
    ...(groups.size > 0 ? [`${groups.size} groups of ranks that make their passes together`] : []),
    ...(isShared ? [movesText(traffic, hostLinkGbPerS)] : []),
    ...(admission.length > 0 ? [`admission by ${admission.map(({name}) => name).join(', ')}`] : []),
  ]
  return [parts.join('; ')]
}

function movesText({network, stream, stayBelow}: Traffic, hostLink: number | undefined): string {
  const behind = hostLink === undefined ? '' : ` behind host links of ${hostLink} GB/s`
  const rate = `KV over ${network.bandwidthGbS} GB/s${behind}, ${network.latencyUs} µs, ${stream}`
  return stayBelow === 0 ? rate : `${rate}, up to ${stayBelow} uncached tokens stay`
}
