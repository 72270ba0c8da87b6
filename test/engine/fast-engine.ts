/** The engine of src/ behind the comparison: through the cluster, on the virtual clock. */

import {KvLinks} from '#llmsim/cluster/kv-links.js'
import {type Replay, replay} from '#llmsim/cluster/replay.js'
import type {StepRecord} from '#llmsim/cluster/replica.js'
import {routers} from '#llmsim/cluster/router.js'
import {TokenTimeline} from '#llmsim/cluster/token-timeline.js'
import type {EngineConfig} from '#llmsim/engine/engine-config.js'
import {policies} from '#llmsim/engine/policy.js'
import {prefixIdentity} from '#llmsim/engine/prefix-identity.js'
import type {StepTime} from '#llmsim/latency/step-time.js'
import {statusNames} from '#llmsim/stats/outcomes.js'
import type {ReferenceConfig} from '../reference/reference-config.js'
import type {Rejection, StepResult} from '../reference/result.js'
import type {ReferenceCase} from '../reference/run-reference.js'
import type {FastResult} from './against-reference.js'

const policyOf = ({policy}: ReferenceConfig) =>
  typeof policy === 'string'
    ? policies.find((known) => known.name === policy)!
    : {name: 'own', ...policy}

const engineConfig = (config: ReferenceConfig): EngineConfig => ({
  ...config,
  numGpuBlocks: config.blocks,
  policy: policyOf(config),
})

/** Whether steps run one by one, as somebody looks at each, or are skipped where nobody looks. */
export type Detail = 'every step' | 'skipping'

/** What the modules under test export; mutants bring their own. */
export interface Modules {
  readonly replay: typeof replay
  readonly TokenTimeline: typeof TokenTimeline
  readonly prefixIdentity: typeof prefixIdentity
  readonly KvLinks: typeof KvLinks
}

const own: Modules = {replay, KvLinks, TokenTimeline, prefixIdentity}

export const runFast = (detail: Detail, modules: Modules = own) => {
  return (given: ReferenceCase): FastResult => {
    const {trace, config, stepTime, pipeline} = given
    const atLeastOne =
      (time: StepTime): StepTime =>
      (shape) =>
        Math.max(1, time(shape))
    const steps: StepResult[] = []
    const gaps: number[][] = []
    const timeline = new modules.TokenTimeline()
    const onStep = ({instance: _, shape, ...step}: StepRecord) => {
      steps.push({...step, shape: {...shape}})
    }
    const result = modules.replay({
      trace,
      simulation: {
        replicas: [
          {
            engine: engineConfig(config),
            stepTime: atLeastOne(stepTime),
            ...(pipeline && {
              pipeline: {stages: pipeline.stages.map(atLeastOne), hop: pipeline.hop},
            }),
          },
        ],
        router: routers['round-robin']!(),
        listener: () => timeline.listener,
        ...(trace.prefix
          ? {prefixes: (size: number) => modules.prefixIdentity(trace.prefix!, size)}
          : {}),
        ...(detail === 'every step' ? {onStep} : {}),
      },
      onLeave: (row, slot) => {
        gaps[row] = timeline.takeGaps(slot)
      },
    })
    return asFastResult(result, gaps, detail === 'every step' ? steps : undefined)
  }
}

const reasonOf = (message: string | undefined): Rejection | undefined => {
  if (message === undefined) return undefined
  if (message.includes('max_model_len')) return 'model-length'
  return message.includes('KV blocks') ? 'blocks' : 'batch'
}

const asFastResult = (
  {outcomes, engines}: Replay,
  gaps: readonly number[][],
  steps: StepResult[] | undefined,
): FastResult => {
  const engine = engines[0]!
  const requests = Array.from({length: outcomes.length}, (_, row) => ({
    status: statusNames[outcomes.status[row]!]!,
    reason: reasonOf(outcomes.reasons.get(row)),
    scheduledAt: outcomes.scheduledAt[row]!,
    firstTokenAt: outcomes.firstTokenAt[row]!,
    finishedAt: outcomes.finishedAt[row]!,
    producedTokens: outcomes.producedTokens[row]!,
    cachedTokens: outcomes.cachedTokens[row]!,
    preemptions: outcomes.preemptions[row]!,
    gaps: gaps[row] ?? [],
  }))
  return {
    requests,
    ...(steps ? {steps} : {}),
    freeBlocksAtEnd: engine.freeBlocksAtEnd,
    lookedUpTokens: engine.lookedUpTokens,
    hitTokens: engine.hitTokens,
    totals: engine,
    pooledGaps: engine.gaps,
  }
}
