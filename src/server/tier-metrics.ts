/**
 * Memory tiers for KV in `GET /metrics`. Names of vLLM's offloading connector where it has one (vllm/v1/metrics/loggers.py,
 * vllm/distributed/kv_transfer/kv_connector/v1/offloading, vllm/v1/kv_offload/cpu/common.py); what it does not tell by tier
 * is ours.
 */
import {Counter, Gauge, type Registry} from 'prom-client'
import type {EngineStatus, TierStatus} from './backend.js'

type Labels = Readonly<Record<string, string>>

/** A medium as vLLM writes it: CPU. */
const medium = (tier: string): string => tier.toUpperCase()

export class TierMetrics {
  readonly #counters = new Map<string, Counter>()
  readonly #registry: Registry
  readonly #labels: readonly Labels[]
  /** What engines had counted at the last look. */
  #counted: readonly EngineStatus[]

  /** `labels`: of each engine, in their order. */
  constructor(registry: Registry, labels: readonly Labels[], engines: readonly EngineStatus[]) {
    this.#registry = registry
    this.#labels = labels
    this.#counted = engines
    this.#counter(
      'vllm:external_prefix_cache_queries_total',
      'Prompt tokens that the device did not have, looked up in tiers.',
    )
    this.#counter('vllm:external_prefix_cache_hits_total', 'Prompt tokens that tiers had.')
    const way = ['transfer_type']
    this.#counter('vllm:kv_offload_total_bytes_total', 'Bytes of KV that moved.', way)
    this.#counter('vllm:kv_offload_total_time_total', 'Seconds that transfers of KV took.', way)
    const tier = ['tier']
    this.#counter('llmsim:kv_tier_hits_total', 'Prompt tokens that a tier had.', tier)
    this.#counter(
      'llmsim:kv_tier_dropped_blocks_total',
      'Blocks that were not written, as too many waited.',
      tier,
    )
    for (const [at, engine] of engines.entries()) this.#add(at, engine, engine)
  }

  #counter(name: string, help: string, more: readonly string[] = []): void {
    const labelNames = ['model_name', 'engine', ...more]
    this.#counters.set(name, new Counter({name, help, labelNames, registers: [this.#registry]}))
  }

  /** Shares of tiers that are in use, whenever somebody looks. */
  addGauges(enginesNow: () => readonly EngineStatus[]): void {
    const labels = this.#labels
    const gauge = (name: string, help: string, tiers: readonly string[]) =>
      new Gauge({
        name,
        help,
        labelNames: ['model_name', 'engine', ...(tiers.length > 0 ? tiers : [])],
        registers: [this.#registry],
        collect() {
          for (const [at, {tiers: own = []}] of enginesNow().entries())
            for (const {name: tier, usedBlocks, blocks} of own)
              if (tiers.length > 0) this.set({...labels[at]!, tier}, usedBlocks / blocks)
              else if (tier === 'cpu') this.set(labels[at]!, usedBlocks / blocks)
        },
      })
    gauge('llmsim:kv_tier_usage_perc', 'Share of a tier that is in use, 0 to 1.', ['tier'])
    gauge(
      'vllm:kv_offload_cpu_cache_usage_perc',
      'Share of host memory for KV that is in use, 0 to 1.',
      [],
    )
  }

  /** Adds what engines did since the last look. */
  update(engines: readonly EngineStatus[]): void {
    for (const [at, engine] of engines.entries()) this.#add(at, engine, this.#counted[at]!)
    this.#counted = engines
  }

  #add(at: number, now: EngineStatus, before: EngineStatus): void {
    const {tiers = []} = now
    if (tiers.length === 0) return
    const hits = (of: EngineStatus) =>
      (of.tiers ?? []).reduce((sum, {hitTokens}) => sum + hitTokens, 0)
    const missed = (of: EngineStatus) => of.lookedUpTokens - of.hitTokens
    this.#inc('vllm:external_prefix_cache_queries_total', at, {}, missed(now) - missed(before))
    this.#inc('vllm:external_prefix_cache_hits_total', at, {}, hits(now) - hits(before))
    for (const [place, tier] of tiers.entries()) {
      const past = before.tiers![place]!
      const {name} = tier
      const above = place === 0 ? 'GPU' : medium(tiers[place - 1]!.name)
      this.#moved(at, `${medium(name)}_to_GPU`, {of: 'read', tier, past})
      this.#moved(at, `${above}_to_${medium(name)}`, {of: 'write', tier, past})
      this.#inc('llmsim:kv_tier_hits_total', at, {tier: name}, tier.hitTokens - past.hitTokens)
      const dropped = tier.droppedBlocks - past.droppedBlocks
      this.#inc('llmsim:kv_tier_dropped_blocks_total', at, {tier: name}, dropped)
    }
  }

  #moved(
    at: number,
    transfer_type: string,
    {of, tier, past}: {of: 'read' | 'write'; tier: TierStatus; past: TierStatus},
  ): void {
    const labels = {transfer_type}
    const [now, before] = [tier[of], past[of]]
    this.#inc('vllm:kv_offload_total_bytes_total', at, labels, now.bytes - before.bytes)
    this.#inc('vllm:kv_offload_total_time_total', at, labels, (now.ns - before.ns) / 1e9)
  }

  #inc(name: string, at: number, labels: Labels, by: number): void {
    this.#counters.get(name)!.inc({...this.#labels[at]!, ...labels}, by)
  }
}
