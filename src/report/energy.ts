/**
 * Energy and power of a run, from when engines were busy (docs/energy.md): a device draws its active power while a
 * step runs, standby power for a while afterwards, idle power otherwise; hosts and links come on top.
 */
import type {DevicePower} from '../catalogue/power-figures.js'
import type {Spans} from '../stats/busy-spans.js'
import type {EngineTotals} from '../stats/outcomes.js'

/** What one engine draws. */
export interface EnginePower {
  readonly devices: number
  readonly device: DevicePower
  /** Bytes over its links for one token through the model, and for one step, and what a byte costs. */
  readonly linkBytesPerToken: number
  readonly linkBytesPerStep: number
  readonly linkJoulesPerByte: number
  /** What its host draws more while the engine is busy, W. */
  readonly hostBusyW: number
}

/** The whole installation; engines in the order of instances. */
export interface PowerPlan {
  readonly engines: readonly EnginePower[]
  /** All hosts and all links while nothing runs, W. */
  readonly hostsW: number
  readonly linksW: number
  /** Where the figures come from, one sentence each. */
  readonly sources: readonly string[]
}

export interface Energy {
  /** Of devices: while steps ran, in the standby after them, idle. */
  readonly active_j: number
  readonly standby_j: number
  readonly idle_j: number
  readonly hosts_j: number
  readonly links_j: number
  readonly total_j: number
  readonly mean_w: number
  /** Largest mean of an interval of power.csv. */
  readonly peak_w: number
  /** Total ÷ completed requests, ÷ their output tokens, ÷ their prompt and output tokens. */
  readonly j_per_request: number | null
  readonly j_per_output_token: number | null
  readonly j_per_token: number | null
}

/** Mean power in equal intervals, W. */
export interface PowerSeries {
  readonly startS: number
  readonly intervalS: number
  readonly devicesW: Float64Array
  readonly hostsW: Float64Array
  readonly linksW: Float64Array
}

/** What is to be shared between requests and tokens. */
export interface Served {
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
}

/** ns: first arrival and last finish. */
export interface Window {
  readonly from: number
  readonly to: number
}

export const powerIntervals = 100

export interface EnergyAccount {
  readonly energy: Energy
  readonly series: PowerSeries
}

export interface EnergyRequest {
  readonly plan: PowerPlan
  readonly busy: readonly Spans[]
  readonly totals: readonly EngineTotals[]
  readonly window: Window
  readonly served: Served
  /** When each engine was there at all; absent: always. Hosts and links stay on. */
  readonly on?: readonly Spans[] | undefined
}

/** The energy of a run; undefined where it has no duration. */
export function accountEnergy(request: EnergyRequest): EnergyAccount | undefined {
  const {plan, window, served} = request
  if (!(window.to > window.from)) return undefined
  const account = new Account(window)
  for (const [i, engine] of plan.engines.entries())
    account.add(engine, {
      busy: request.busy[i]!,
      totals: request.totals[i]!,
      on: request.on?.[i],
    })
  account.addAlways('hosts', plan.hostsW)
  account.addAlways('links', plan.linksW)
  return account.result(served)
}

/** What one engine did, and when it was there. */
interface Activity {
  readonly busy: Spans
  readonly totals: EngineTotals
  readonly on: Spans | undefined
}

type Part = 'devices' | 'hosts' | 'links'

class Account {
  readonly #window: Window
  readonly #seconds: number
  readonly #joules = {active: 0, standby: 0, idle: 0, hosts: 0, links: 0}
  /** Joules per interval. */
  readonly #series: Readonly<Record<Part, Float64Array>> = {
    devices: new Float64Array(powerIntervals),
    hosts: new Float64Array(powerIntervals),
    links: new Float64Array(powerIntervals),
  }

  constructor(window: Window) {
    this.#window = window
    this.#seconds = (window.to - window.from) / 1e9
  }

  add(engine: EnginePower, {busy, totals, on}: Activity): void {
    const {devices, device} = engine
    const {prefillTokens, decodeTokens, steps} = totals
    const there = on ? this.#clip(on) : this.#whole()
    const active = this.#clip(busy)
    const rest = afterwards(busy, device.standbySeconds * 1e9)
    const standby = this.#clip(on ? overlap(rest, on) : rest)
    this.#joules.idle += devices * device.idleW * (there.seconds - active.seconds - standby.seconds)
    this.#spread('devices', devices * device.idleW, there)
    this.#joules.active += devices * device.activeW * active.seconds
    this.#spread('devices', devices * (device.activeW - device.idleW), active)
    this.#joules.standby += devices * device.standbyW * standby.seconds
    this.#spread('devices', devices * (device.standbyW - device.idleW), standby)
    this.#addPart('hosts', engine.hostBusyW, active)
    const bytes =
      (prefillTokens + decodeTokens) * engine.linkBytesPerToken +
      steps * engine.linkBytesPerStep +
      (totals.tiers?.linkBytes ?? 0) +
      (totals.received?.bytes ?? 0)
    const moved = bytes * engine.linkJoulesPerByte
    // Bytes move while steps run; when exactly inside of a step is not known.
    if (active.seconds > 0) this.#addPart('links', moved / active.seconds, active)
  }

  /** A constant draw. */
  addAlways(part: 'hosts' | 'links', watts: number): void {
    this.#addPart(part, watts, this.#whole())
  }

  #addPart(part: 'hosts' | 'links', watts: number, spans: Clipped): void {
    this.#joules[part] += watts * spans.seconds
    this.#spread(part, watts, spans)
  }

  #whole(): Clipped {
    const {from, to} = this.#window
    return {spans: [[from, to]], seconds: this.#seconds}
  }

  /** Spans inside of the window. */
  #clip({length, starts, ends}: Spans): Clipped {
    const {from, to} = this.#window
    const spans: [number, number][] = []
    let ns = 0
    for (let i = 0; i < length; i++) {
      const start = Math.max(from, starts[i]!)
      const end = Math.min(to, ends[i]!)
      if (end <= start) continue
      spans.push([start, end])
      ns += end - start
    }
    return {spans, seconds: ns / 1e9}
  }

  #spread(part: Part, watts: number, {spans}: Clipped): void {
    const {from, to} = this.#window
    const series = this.#series[part]
    const width = (to - from) / powerIntervals
    for (const [start, end] of spans) {
      const first = Math.min(powerIntervals - 1, Math.floor((start - from) / width))
      for (let i = first; i < powerIntervals && from + i * width < end; i++) {
        const low = Math.max(start, from + i * width)
        const high = i === powerIntervals - 1 ? end : Math.min(end, from + (i + 1) * width)
        series[i]! += (watts * Math.max(0, high - low)) / 1e9
      }
    }
  }

  result({requests, inputTokens, outputTokens}: Served): EnergyAccount {
    const {active, standby, idle, hosts, links} = this.#joules
    const total = active + standby + idle + hosts + links
    const intervalS = this.#seconds / powerIntervals
    const watts = (part: Part) => this.#series[part].map((joules) => joules / intervalS)
    const series: PowerSeries = {
      startS: this.#window.from / 1e9,
      intervalS,
      devicesW: watts('devices'),
      hostsW: watts('hosts'),
      linksW: watts('links'),
    }
    const per = (count: number): number | null => (count > 0 ? total / count : null)
    const sums = series.devicesW.map((w, i) => w + series.hostsW[i]! + series.linksW[i]!)
    return {
      energy: {
        active_j: active,
        standby_j: standby,
        idle_j: idle,
        hosts_j: hosts,
        links_j: links,
        total_j: total,
        mean_w: total / this.#seconds,
        peak_w: sums.reduce((most, w) => Math.max(most, w), 0),
        j_per_request: per(requests),
        j_per_output_token: per(outputTokens),
        j_per_token: per(inputTokens + outputTokens),
      },
      series,
    }
  }
}

interface Clipped {
  readonly spans: readonly (readonly [number, number])[]
  readonly seconds: number
}

/** The time after each span until the next, at most `limit` ns. */
function afterwards({length, starts, ends}: Spans, limit: number): Spans {
  const until = Float64Array.from({length}, (_, i) => {
    const next = i + 1 < length ? starts[i + 1]! : Number.POSITIVE_INFINITY
    return Math.min(ends[i]! + limit, next)
  })
  return {length, starts: ends.slice(0, length), ends: until}
}

/** What lies in both; each is in order and without overlaps. */
function overlap(a: Spans, b: Spans): Spans {
  const starts: number[] = []
  const ends: number[] = []
  for (let i = 0, k = 0; i < a.length && k < b.length; ) {
    const start = Math.max(a.starts[i]!, b.starts[k]!)
    const end = Math.min(a.ends[i]!, b.ends[k]!)
    if (start < end) {
      starts.push(start)
      ends.push(end)
    }
    if (a.ends[i]! < b.ends[k]!) i++
    else k++
  }
  return {length: starts.length, starts: Float64Array.from(starts), ends: Float64Array.from(ends)}
}
