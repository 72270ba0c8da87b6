/** What a simulation is made of: replicas, who spreads requests over them, and who is told what became of them. */
import type {RankWork} from '../compat/rank-work.js'
import type {EngineConfig, EngineListener} from '../engine/engine-config.js'
import type {PrefixIdentity} from '../engine/prefix-identity.js'
import type {RequestPool} from '../engine/request-pool.js'
import type {NodeEnds, Ns} from '../latency/step-time.js'
import type {OnTierTransfer, TieredKv} from '../tiers/tier-groups.js'
import type {AdapterConfig} from './adapter-slots.js'
import type {AutoscaleConfig} from './autoscaler.js'
import type {FrontEnd} from './front-end.js'
import type {Gate} from './gate.js'
import type {HandOffRules, OnHandOff} from './hand-offs.js'
import type {ClockHooks} from './idle-clock.js'
import type {KvLinks} from './kv-links.js'
import type {LoadingTimes} from './loading-times.js'
import type {Network} from './network.js'
import type {StepRecord} from './replica.js'
import type {Router} from './router.js'

/** Told of every request that leaves; its slot may be read during the call and is recycled after it. */
export interface RequestSink {
  finished(slot: number, now: Ns): void
  rejected(slot: number, now: Ns, reason: string): void
  /** After `produced` tokens. */
  cancelled(slot: number, now: Ns, produced: number): void
  /** Completions of the instant `now` are done, planning comes next: submit what they released for `now`. */
  settle?(now: Ns): void
}

export interface ReplicaConfig extends LoadingTimes {
  readonly engine: EngineConfig
  /** Where others may look for work whenever something ends inside a step. */
  readonly nodeEnds?: NodeEnds
  readonly frontEnd?: FrontEnd
  /** LoRA adapters of the engine; absent: it has none. */
  readonly adapters?: AdapterConfig | undefined
  /** Absent: it does both. */
  readonly role?: 'prefill' | 'decode' | undefined
  /** Replicas with the same group are data-parallel ranks whose passes are tied together. */
  readonly group?: number | undefined
  /** In place of step times: its ranks run node by node, and engines are asked for work as nodes end. */
  readonly ranks?: RankWork | undefined
  /** Memory for KV below its device. */
  readonly tiers?: TieredKv | undefined
  /** Of the KV cache over all its devices, where KV leaves the replica. */
  readonly kv?: {readonly bytesPerToken: number; readonly layers: number} | undefined
}

export interface SimulationConfig {
  readonly replicas: readonly ReplicaConfig[]
  /** Spreads requests over the replicas that can run prompts… */
  readonly router: Router
  /** …and over those that decode, where there are such. */
  readonly decodeRouter?: Router
  readonly handOff?: HandOffSettings
  /** What KV goes over; absent: a port of 400 Gb/s each. */
  readonly network?: Network
  /**
   * What carries KV between engines and between them and their tiers, made new for each run. Absent: `network`, and what
   * each group of tiers has, which do not feel each other.
   */
  readonly kvLinks?: (() => KvLinks) | undefined
  /** Absent: all replicas are ready from the start. */
  readonly autoscale?: AutoscaleConfig | undefined
  /** Adapter of a row; below 0: none. */
  readonly adapterOf?: ((row: number) => number) | undefined
  /** Who is turned away before any engine sees it. Absent: nobody. */
  readonly gate?: Gate
  /** Routers see what was true at the last multiple of this; 0, the default: what is true now. */
  readonly viewAgeNs?: Ns
  readonly clock?: ClockHooks
  /** Identity of prefixes at the block size of a replica. */
  readonly prefixes?: (blockSize: number) => PrefixIdentity
  /** Listener of the engine of an instance. */
  readonly listener?: (instance: number, requests: RequestPool) => EngineListener
  /** Told of every step; steps are then run one by one. */
  readonly onStep?: (step: StepRecord) => void
  /** Told of KV that moved between engines, and between them and their tiers, as it arrives or is given up. */
  readonly onHandOff?: OnHandOff | undefined
  readonly onTierTransfer?: OnTierTransfer | undefined
  /** Whether requests that finish may release others (sessions, closed loops): then engines run in lockstep. */
  readonly coupling: 'independent' | 'lockstep'
}

export interface HandOffSettings extends HandOffRules {
  /** A prompt with at most so many tokens that its decode engine has not cached stays there. */
  readonly stayBelow: number
}
