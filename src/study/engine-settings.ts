/** Engine settings made whole: instance field, flag or default, and the checks of vLLM's own configuration. */
import {mxfp4Tiles} from '../catalogue/expert-padding.js'
import {type MemoryPlan, type OutsideBytes, planMemory} from '../catalogue/memory.js'
import {defaults as compatDefaults} from '../compat/llmservingsim.js'
import {compatMemory} from '../compat/memory.js'
import type {EngineConfig} from '../engine/engine-config.js'
import type {SchedulingPolicy} from '../engine/policy.js'
import {Problem} from '../errors.js'
import type {Instance} from './instance.js'
import {roomFor, type Windows, windowsOf} from './kv-windows.js'
import {pimBytes, pimMemoryOf} from './pim.js'
import type {EngineSettings, RunRequest} from './run-request.js'
import {remediesOf} from './too-large.js'

export interface SettledEngine {
  readonly config: EngineConfig
  readonly gpuMemoryUtilization: number
  readonly memory: MemoryPlan | undefined
  /** How the number of blocks came about, one sentence. */
  readonly blocksFrom: string
  readonly notes: readonly string[]
}

/** The server's defaults by device: large ones other than the A100, or a file that extends it, get more. */
function defaultLimits({hardware, profile}: Instance, compat: RunRequest['compat']) {
  if (compat !== undefined) return compatDefaults
  const names = hardware ? [hardware.id, ...hardware.extended] : []
  const isLarge =
    (hardware?.memoryGib ?? 0) >= 70 && !names.some((name) => name.toLowerCase().startsWith('a100'))
  return isLarge ? profile.defaults.largeDevice : profile.defaults.smallDevice
}

/**
 * Seats of an engine, as its settings or the server's defaults for the device say. Where nobody asked for a number,
 * vLLM has no more of them than tokens in a step (EngineArgs._set_default_max_num_seqs_and_batched_tokens_args).
 */
export function seatsOf(instance: Instance, compat?: RunRequest['compat']): number {
  const {maxNumSeqs, maxNumBatchedTokens = 0} = instance.settings
  const usual = defaultLimits(instance, compat).maxNumSeqs
  if (maxNumSeqs !== undefined || compat !== undefined) return unlimited(maxNumSeqs ?? usual)
  return Math.min(usual, unlimited(maxNumBatchedTokens))
}

/** LLMServingSim writes 0 for no limit. */
const unlimited = (limit: number): number => (limit === 0 ? Number.MAX_SAFE_INTEGER : limit)

/** @throws Problem MODEL_TOO_LARGE, FLAG_CONFLICT, FLAG_BAD_VALUE */
export function settleEngine(
  instance: Instance,
  request: RunRequest,
  policy: SchedulingPolicy,
  outside?: readonly OutsideBytes[],
): SettledEngine {
  const {settings, model} = instance
  const {defaults} = instance.profile
  const isCompat = request.compat !== undefined
  const limits = defaultLimits(instance, request.compat)
  const maxNumSeqs = seatsOf(instance, request.compat)
  const asked = settings.maxNumBatchedTokens ?? limits.maxNumBatchedTokens
  // Without a limit a step takes what the longest request could be.
  const isCapped = isCompat || asked === 0
  const maxNumBatchedTokens = isCapped
    ? Math.min(unlimited(asked), model.maxPositionEmbeddings)
    : asked
  const blockSize = settings.blockSize ?? defaults.blockSize
  const gpuMemoryUtilization = settings.gpuMemoryUtilization ?? defaults.gpuMemoryUtilization
  const windows = windowsOf(instance, request)
  const sizes = {maxNumSeqs, maxNumBatchedTokens, blockSize, gpuMemoryUtilization, outside, windows}
  const blocks = countBlocks(instance, request, sizes)
  checkBlocks(blocks, blockSize)
  const notes = [...windows.notes]
  const kvGroups = windows.groups
  // Without chunked prefill a step takes a whole prompt, and a window holds all of it at once.
  const isWhole = settings.enableChunkedPrefill === false
  const step = isWhole ? model.maxPositionEmbeddings : maxNumBatchedTokens
  const room = (most: number) =>
    roomFor(blocks.count, most, {kvGroups, blockSize, maxNumBatchedTokens: step})
  const maxModelLen = isCompat
    ? Number.MAX_SAFE_INTEGER
    : modelLength(settings, model.maxPositionEmbeddings, room, notes)
  const config: EngineConfig = {
    numGpuBlocks: blocks.count,
    blockSize,
    maxNumSeqs,
    maxNumBatchedTokens: chunkless(settings, maxNumBatchedTokens, maxModelLen, notes),
    longPrefillTokenThreshold: settings.longPrefillTokenThreshold ?? 0,
    enableChunkedPrefill: settings.enableChunkedPrefill ?? defaults.enableChunkedPrefill,
    enablePrefixCaching: settings.enablePrefixCaching ?? defaults.enablePrefixCaching,
    reserveFullPrompt: settings.reserveFullPrompt ?? true,
    ownBlocks: !isCompat,
    maxModelLen,
    depth: depthOf(instance, request),
    stages: instance.pp,
    ...(kvGroups && {kvGroups}),
    policy,
  }
  if (!isCompat) checkLimits(settings, config)
  if (isCompat) checkCompat(settings)
  return {config, gpuMemoryUtilization, memory: blocks.memory, blocksFrom: blocks.from, notes}
}

function checkCompat({asyncScheduling, enforceEager}: EngineSettings): void {
  const suggestions = ['Leave one of the two out.']
  if (asyncScheduling)
    throw new Problem(
      'FLAG_CONFLICT',
      '--async-scheduling and --compat llmservingsim: that simulator schedules synchronously.',
      {suggestions},
    )
  if (enforceEager)
    throw new Problem(
      'FLAG_CONFLICT',
      '--enforce-eager and --compat llmservingsim: that simulator knows no launches, with graphs or without.',
      {suggestions},
    )
}

/** Batches in an engine. A pipeline has one for each stage, and schedules synchronously. */
function depthOf({pp, settings, profile}: Instance, {compat}: RunRequest): number {
  const asynchronous = settings.asyncScheduling ?? profile.defaults.asyncScheduling
  if (pp === 1) return compat === undefined && asynchronous ? 2 : 1
  if (settings.asyncScheduling) {
    throw new Problem(
      'FLAG_CONFLICT',
      `--async-scheduling and --pp ${pp}: a pipeline plans a request again when its token is there.`,
      {suggestions: ['Leave --async-scheduling out.']},
    )
  }
  return pp
}

interface Sizes {
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly blockSize: number
  readonly gpuMemoryUtilization: number
  readonly outside: readonly OutsideBytes[] | undefined
  readonly windows: Windows
}

function countBlocks(instance: Instance, request: RunRequest, sizes: Sizes) {
  const {settings, model, tp, pp, ep, hardware, machine} = instance
  const override = settings.numGpuBlocksOverride
  if (override !== undefined)
    return {count: override, memory: undefined, from: '--num-gpu-blocks-override'}
  if (request.compat !== undefined) {
    const plan = compatMemory({
      model,
      sizeGib: machine?.instance.memory.sizeGib ?? hardware!.memoryGib,
      utilization: sizes.gpuMemoryUtilization,
      tp,
      pp,
      ep,
      blockSize: sizes.blockSize,
      bytesPerElement: elementBytes(instance),
      kvBytesPerElement: settings.kvCacheDtype === 'fp8' ? 1 : elementBytes(instance),
    })
    return {count: plan.blocks, memory: undefined, from: "LLMServingSim's memory arithmetic"}
  }
  const memory = planMemory({
    model,
    memoryBytes: hardware!.usableBytes,
    mxfp4Tiles: mxfp4Tiles(hardware!.architecture, instance.profile.marlinMxfp4),
    parallelism: {tp, pp, ep},
    maxNumSeqs: sizes.maxNumSeqs,
    maxNumBatchedTokens: sizes.maxNumBatchedTokens,
    gpuMemoryUtilization: sizes.gpuMemoryUtilization,
    blockSize: sizes.blockSize,
    kvDtype: settings.kvCacheDtype ?? 'auto',
    outside: sizes.outside,
    ...(sizes.windows.groups && {windows: 'kept as far as seen' as const}),
    reserve: instance.profile.memory,
    remedies: remediesOf(instance, request.layout),
  })
  const pim = pimMemoryOf(instance, request)
  if (pim === undefined) return {count: memory.blocks, memory, from: 'memory of the device'}
  // KV lies there instead, and what the device has left of its memory stays empty.
  const count = Math.floor(pimBytes(pim) / memory.blockBytes)
  return {count, memory: undefined, from: `${pim.channels} channels of ${pim.spec.name} a device`}
}

/** Blocks are numbered in 32 bits, and an engine keeps a counter for each token of one. */
const mostBlocks = 2 ** 31 - 1
const longestBlock = 2 ** 20

function checkBlocks({count, from}: ReturnType<typeof countBlocks>, blockSize: number): void {
  if (blockSize > longestBlock) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--block-size ${blockSize}: a block has at most ${longestBlock} tokens.`,
      {suggestions: ['--block-size 16']},
    )
  }
  if (count <= mostBlocks) return
  throw new Problem(
    'FLAG_BAD_VALUE',
    `${from}: ${count} KV blocks, and an engine has at most ${mostBlocks}.`,
    {suggestions: [`--num-gpu-blocks-override ${mostBlocks}`, 'a larger --block-size']},
  )
}

/** Bytes of a weight in LLMServingSim's arithmetic: by the format's name alone. */
export function elementBytes({model}: Instance): number {
  const dtype = model.quantization?.dtype ?? model.dtype
  if (dtype === 'fp32') return 4
  return dtype === 'fp8' || dtype === 'int8' ? 1 : 2
}

const noRoom = ({numGpuBlocksOverride: count}: EngineSettings): Problem =>
  new Problem(
    'FLAG_BAD_VALUE',
    `--num-gpu-blocks-override ${count} is less than a block for each group of layers, so no request would fit.`,
    {suggestions: ['a larger --num-gpu-blocks-override', '--disable-hybrid-kv-cache-manager']},
  )

function modelLength(
  settings: EngineSettings,
  ofModel: number,
  roomFor: (most: number) => number,
  notes: string[],
): number {
  const {maxModelLen: asked} = settings
  if (asked !== undefined && asked > ofModel) {
    throw new Problem(
      'FLAG_CONFLICT',
      `--max-model-len ${asked} is more than the ${ofModel} positions of the model.`,
      {
        suggestions: [`--max-model-len ${ofModel}`],
      },
    )
  }
  const wanted = asked ?? ofModel
  const room = roomFor(wanted)
  if (room === 0) throw noRoom(settings)
  if (wanted <= room) return wanted
  notes.push(`max_model_len is ${room}, what the KV blocks hold, instead of ${wanted}.`)
  return room
}

/** Without chunked prefill a step must take the longest prompt whole; vLLM then raises its own default. */
function chunkless(
  settings: EngineSettings,
  limit: number,
  maxModelLen: number,
  notes: string[],
): number {
  if (settings.enableChunkedPrefill !== false || limit >= maxModelLen) return limit
  if (maxModelLen === Number.MAX_SAFE_INTEGER) return limit
  if (settings.maxNumBatchedTokens !== undefined) {
    throw new Problem(
      'FLAG_CONFLICT',
      `--no-enable-chunked-prefill needs --max-num-batched-tokens of at least max_model_len ${maxModelLen}, got ${limit}.`,
      {suggestions: [`--max-num-batched-tokens ${maxModelLen}`, `--max-model-len ${limit}`]},
    )
  }
  notes.push(
    `max_num_batched_tokens is ${maxModelLen}, the longest prompt, as chunked prefill is off.`,
  )
  return maxModelLen
}

/** A rule of vLLM's SchedulerConfig, which has no engine with any number of seats. */
function checkLimits(settings: EngineSettings, config: EngineConfig): void {
  const {maxNumBatchedTokens, maxNumSeqs} = config
  const areAny = maxNumSeqs === Number.MAX_SAFE_INTEGER
  if (settings.maxNumSeqs === undefined || areAny || maxNumBatchedTokens >= maxNumSeqs) return
  const tokens = `${settings.maxNumBatchedTokens === undefined ? 'max_num_batched_tokens' : '--max-num-batched-tokens'} ${maxNumBatchedTokens}`
  throw new Problem(
    'FLAG_CONFLICT',
    `--max-num-seqs ${maxNumSeqs} is more than ${tokens}: a step could not serve every seat.`,
    {
      suggestions: [
        `--max-num-seqs ${maxNumBatchedTokens}`,
        `--max-num-batched-tokens ${maxNumSeqs}`,
      ],
    },
  )
}
