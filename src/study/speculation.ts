/** Speculative decoding on a settled engine: its memory, its step times, its words (docs/speculation.md). */
import {weightsHere} from '../catalogue/memory.js'
import {stageKvBytesPerToken, stageWeightBytes} from '../catalogue/model-arithmetic.js'
import type {ModelShape} from '../catalogue/model-shape.js'
import {loadModel} from '../catalogue/models.js'
import {checkParallelism} from '../catalogue/parallelism.js'
import {expectedTokens, speculationOf} from '../engine/speculation.js'
import {Problem} from '../errors.js'
import {hostTermsOf, plainUse} from '../latency/host.js'
import {rooflineModel} from '../latency/roofline.js'
import {
  type BatchShape,
  emptyShape,
  type StepTime,
  type StepTimeModel,
} from '../latency/step-time.js'
import type {SettledEngine} from './engine-settings.js'
import type {Instance} from './instance.js'
import {roomFor} from './kv-windows.js'
import type {RunRequest} from './run-request.js'

export interface SpeculationRequest {
  /** Drafts of a decode. */
  readonly tokens: number
  /** Conditional probability of acceptance by place; one for all. */
  readonly rates: readonly number[]
  /** Absent: drafts cost nothing (n-grams of the prompt). */
  readonly draftModel?: string | undefined
}

export interface Speculator {
  readonly request: SpeculationRequest
  readonly draft: ModelShape | undefined
  readonly seed: number
}

/** @throws Problem FLAG_CONFLICT for what speculation cannot go with, or of the draft model */
export async function loadSpeculator(request: RunRequest): Promise<Speculator | undefined> {
  const {speculation, seed, engine, compat} = request
  if (speculation === undefined) return undefined
  const conflict =
    compat !== undefined
      ? `--compat ${compat}: that simulator has no speculative decoding`
      : engine.asyncScheduling
        ? '--async-scheduling: how many tokens a step brings is known when it ends'
        : undefined
  if (conflict !== undefined) {
    throw new Problem('FLAG_CONFLICT', `--num-speculative-tokens and ${conflict}.`, {
      suggestions: ['Leave one of the two out.'],
    })
  }
  const {draftModel} = speculation
  const draft = draftModel === undefined ? undefined : (await loadModel(draftModel)).model
  return {request: speculation, draft, seed}
}

/** The engine with drafts: synchronous, and with fewer blocks where a draft model wants memory too. */
export function settleSpeculation(
  settled: SettledEngine,
  {request, draft, seed}: Speculator,
  instance: Instance,
): SettledEngine {
  const {tokens, rates} = request
  if (instance.pp > 1) {
    throw new Problem(
      'FLAG_CONFLICT',
      `--num-speculative-tokens and --pp ${instance.pp}: drafts in a pipeline are not modelled.`,
      {suggestions: [`--tp ${instance.tp * instance.pp}`]},
    )
  }
  const numGpuBlocks = draft ? blocksBeside(draft, settled, instance) : settled.config.numGpuBlocks
  return {
    ...settled,
    config: {
      ...settled.config,
      numGpuBlocks,
      maxModelLen: roomFor(numGpuBlocks, settled.config.maxModelLen, settled.config),
      depth: 1,
      speculation: speculationOf({tokens, rates, seed}),
    },
  }
}

/** Blocks that weights and KV of the draft model leave. @throws Problem MODEL_TOO_LARGE, PARALLELISM_INVALID */
function blocksBeside(draft: ModelShape, settled: SettledEngine, instance: Instance): number {
  const {memory, config} = settled
  const {tp, settings} = instance
  checkParallelism(draft, {tp, ep: 1})
  if (memory === undefined) return config.numGpuBlocks
  const weights = stageWeightBytes(draft, {tp, ep: 1})[0]!.total
  const perToken = stageKvBytesPerToken(draft, {tp, kvDtype: settings.kvCacheDtype ?? 'auto'})[0]!
  const {budgetBytes, activationBytes, runtimeBytes, blockBytes} = memory
  const room = budgetBytes - weightsHere(memory) - activationBytes - runtimeBytes - weights
  const blocks = Math.floor(room / (blockBytes + perToken * config.blockSize))
  if (blocks >= 1) return blocks
  throw new Problem(
    'MODEL_TOO_LARGE',
    `--draft-model ${draft.id} does not fit beside ${instance.model.id}: its weights take ${(weights / 1e9).toFixed(2)} GB of each accelerator.`,
    {suggestions: ['a smaller --draft-model', `--tp ${2 * tp}`]},
  )
}

/** Step times with the passes of the draft model behind each step. */
export function draftedLatency(
  target: StepTimeModel,
  {request, draft}: Speculator,
  {hardware, link, tp, settings, profile, sampling}: Instance,
): StepTimeModel {
  const {tokens} = request
  if (draft === undefined) {
    const detail = `${tokens} n-gram drafts at no cost`
    return {...target, provenance: [...target.provenance, termOf(detail)]}
  }
  if (hardware === undefined) {
    throw new Problem(
      'LATENCY_UNAVAILABLE',
      `--draft-model ${draft.id}: the device is not in the catalogue, so nothing says how long a draft takes.`,
    )
  }
  const {stepTime} = rooflineModel({
    model: draft,
    hardware,
    link,
    parallelism: {tp, ep: 1},
    mxfp4Experts: profile.marlinMxfp4.includes(hardware.architecture) ? 'marlin' : 'own',
    kvDtype: settings.kvCacheDtype ?? 'auto',
    host: hostTermsOf(profile, sampling, {...plainUse, isEager: settings.enforceEager === true}),
  })
  return {
    ...target,
    stepTime: withDrafts(target.stepTime, stepTime, tokens),
    provenance: [
      ...target.provenance,
      termOf(`${draft.id} on the roofline, ${tokens} passes behind each step`),
    ],
  }
}

const termOf = (detail: string) => ({term: 'drafts', from: 'class default', detail}) as const

/**
 * The draft model sees what the step computed (its KV must keep up), which gives the first draft, and then one token a
 * pass for every sequence. Drafts come one after the other and behind the step.
 */
function withDrafts(target: StepTime, draft: StepTime, tokens: number): StepTime {
  const pass = emptyShape()
  return (shape) => {
    let time = target(shape) + draft(shape)
    if (tokens === 1) return time
    fillPass(pass, shape)
    time += (tokens - 1) * draft(pass)
    return time
  }
}

/** One token for every sequence, behind all that it has. */
function fillPass(pass: BatchShape, shape: BatchShape): void {
  const {sequences, prefillTokens, prefillContext, decodes, decodeContext} = shape
  const context = prefillTokens + prefillContext + decodes + decodeContext
  const mean = Math.floor(context / sequences)
  pass.tokens = sequences
  pass.paddedTokens = sequences
  pass.sequences = sequences
  pass.decodes = sequences
  pass.decodeContext = context
  pass.decodeContextMin = mean
  pass.decodeContextMax = mean
}

/** A line for the head of the tables. */
export function describeSpeculation({request, draft, seed}: Speculator): string {
  const {tokens, rates} = request
  const by = draft ? `by ${draft.id}` : 'from n-grams'
  return `speculation: ${tokens} drafts ${by}, accepted at ${rates.join(', ')}: ${expectedTokens(request).toFixed(2)} tokens a step expected; seed ${seed}`
}

/** The same for `config`. */
export const speculationConfig = ({request, draft, seed}: Speculator) => ({
  num_speculative_tokens: request.tokens,
  acceptance_rates: request.rates,
  draft_model: draft?.id ?? null,
  expected_tokens_per_step: expectedTokens(request),
  seed,
})
