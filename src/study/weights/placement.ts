/** Weights outside of the devices: what that leaves for KV, and what it costs a step (docs/weight-placement.md). */
import type {OutsideBytes} from '../../catalogue/memory.js'
import {SchemaFault} from '../../catalogue/schema-section.js'
import {Problem} from '../../errors.js'
import {pickedExperts} from '../../latency/moe.js'
import type {BatchShape, StepTimeModel} from '../../latency/step-time.js'
import {
  densePasses,
  expertPasses,
  oneToken,
  type Passes,
  streamLaw,
  streamNs,
  type WeightStream,
  withWeightStream,
} from '../../latency/weight-stream.js'
import type {StepTraffic} from '../../report/weight-traffic.js'
import type {Instance} from '../instance.js'
import type {RunRequest} from '../run-request.js'
import {type MemoryShare, type MemoryShares, type Streamer, sharesOf} from './memory-shares.js'
import type {WeightRequest} from './rules.js'
import {
  type Away,
  bufferBytes,
  bytesAway,
  nothing,
  outsideKinds,
  outsideWeights,
  type StageWeights,
  stageAway,
} from './stage-weights.js'

export type {MemoryShares} from './memory-shares.js'
export {blocksGib} from './stage-weights.js'

/** What an engine has outside, settled. */
export interface WeightPlacement {
  /** Of one device of each stage. */
  readonly stages: readonly StageWeights[]
  readonly streams: readonly WeightStream[]
  readonly memory: readonly OutsideBytes[]
  /** By stage. */
  readonly shares: readonly MemoryShares[]
}

/** Undefined where all lies on the devices. @throws Problem FLAG_CONFLICT, FLAG_BAD_VALUE, FLAG_MISSING */
export function weightPlacementOf(
  instance: Instance,
  {compat}: RunRequest,
): WeightPlacement | undefined {
  const {weights: request} = instance
  if (request === undefined) return undefined
  if (compat !== undefined) {
    const flag = 'gib' in request.place ? '--cpu-offload-gb' : 'weights'
    const message = `${flag} and --compat ${compat}: its clock streams as its cluster file says.`
    throw new Problem('FLAG_CONFLICT', message, {suggestions: ['Leave one of the two out.']})
  }
  const stages = placedStages(instance, request)
  if (stages.every((stage) => bytesAway(stageAway(stage)) === 0)) return undefined
  // Without a file there are the links of the devices alone.
  const streamers = stages.map((stage) => streamerOf(instance, stage))
  const shares = instance.memoryShares ?? sharesOf(streamers, {})
  for (const [at, stage] of stages.entries()) checkReached(instance, stageAway(stage), shares[at]!)
  return {
    stages,
    shares,
    streams: streamsOf(instance, stages, shares),
    memory: outsideBytes(stages, request),
  }
}

const outsideBytes = (
  stages: readonly StageWeights[],
  {prefetch}: WeightRequest,
): readonly OutsideBytes[] =>
  stages.map((stage) => ({
    offloadedBytes: bytesAway(stageAway(stage)),
    bufferBytes: bufferBytes(stage, prefetch),
  }))

/** What a request would have outside of one device of each stage. */
export const outsideBytesOf = (
  instance: Instance,
  request: WeightRequest,
): readonly OutsideBytes[] => outsideBytes(placedStages(instance, request), request)

/** What crosses the links of one device of each stage. */
function streamsOf(
  instance: Instance,
  stages: readonly StageWeights[],
  shares: readonly MemoryShares[],
): WeightStream[] {
  const request = instance.weights!
  const {bandwidthGbS: gbPerS} = instance.hardware!
  return stages.map((stage, at) => ({
    ...streamOf(stage, {request, shares: shares[at]!, gbPerS}),
    passes: passesOf(instance, request),
  }))
}

/** The same weights where no memory gives a device more than `mostGbPerS`. */
export function slowerLatencies(
  instance: Instance,
  placement: WeightPlacement,
  mostGbPerS: number,
): WeightPlacement {
  const atMost = (share: MemoryShare): MemoryShare => ({
    ...share,
    gbPerS: Math.min(share.gbPerS, mostGbPerS),
  })
  const shares = placement.shares.map(({cpu, cxl}) => ({
    ...(cpu && {cpu: atMost(cpu)}),
    ...(cxl && {cxl: atMost(cxl)}),
  }))
  return {...placement, shares, streams: streamsOf(instance, placement.stages, shares)}
}

/** Rules of a cluster file were checked where they stand; those of flags are checked here. @throws Problem */
export function placedStages(instance: Instance, request: WeightRequest): StageWeights[] {
  try {
    return outsideWeights(instance, request)
  } catch (error) {
    if (!(error instanceof SchemaFault)) throw error
    const who = error.path[1] === 'blocks' ? 'blocks' : 'a rule'
    throw new Problem('FLAG_BAD_VALUE', `--weights: ${who} ${error.message}.`, {
      cause: error,
      suggestions: error.suggestions.map(asFlag),
    })
  }
}

/** `blocks: 0-3` of a cluster file as it is typed. */
const asFlag = (text: string): string =>
  text
    .replace(/^blocks: (.*)$/, "--weights 'blocks $1:cpu'")
    .replace(/^(?:parts|layers): \[(.*)\]$/, "--weights '$1:cpu'")

/** One device of a stage, as those see it with which it shares memories. */
export const streamerOf = (
  {hardware, weights}: Instance,
  stage: StageWeights | undefined,
  kept: Away = nothing,
): Streamer => ({
  away: stage ? stageAway(stage) : nothing,
  kept,
  linkGbPerS: weights?.gbPerS ?? hardware?.links.find(({kind}) => kind === 'pcie')?.gbPerS,
})

function checkReached({hardwareName}: Instance, away: Away, shares: MemoryShares): void {
  const kind = outsideKinds.find((kind) => away[kind] > 0 && !Number.isFinite(shares[kind]?.gbPerS))
  if (kind === undefined) return
  throw new Problem(
    'FLAG_MISSING',
    `Missing --weight-bandwidth GB/S: the file of ${hardwareName} has no PCIe link.`,
    {
      suggestions: [
        '--weight-bandwidth 64',
        'memory: {cpu: {bandwidth_gb_s: 64}} in a cluster file',
      ],
    },
  )
}

interface Reach {
  readonly request: WeightRequest
  readonly shares: MemoryShares
  /** Of the device's own memory. */
  readonly gbPerS: number
}

function streamOf(stage: StageWeights, {request, shares, gbPerS}: Reach): WeightStream {
  const onLink = (away: Away, latencies: 0 | 1): number =>
    outsideKinds.reduce((ns, kind) => {
      const share = shares[kind]
      if (away[kind] === 0 || share === undefined) return ns
      return ns + latencies * share.latencyNs + away[kind] / share.gbPerS
    }, 0)
  const loadNs = (away: Away) => onLink(away, 1)
  const {blocks, blockBytes, experts, head, rowBytes} = stage
  // A tied table is counted with the head, and its rows are read all the same.
  const rowsAt = bytesAway(stage.embedding) > 0 ? stage.embedding : head
  const rows = rowBytes > 0 ? shares[rowsAt.cpu > 0 ? 'cpu' : 'cxl'] : undefined
  return {
    blocks: blocks.map((away, at) => ({
      loadNs: loadNs(away),
      share: bytesAway(away) / blockBytes,
      expertNs: onLink(experts[at]!, 0),
    })),
    head: {loadNs: loadNs(head), ownNs: bytesAway(head) / gbPerS},
    embedding: rows
      ? {latencyNs: rows.latencyNs, nsPerToken: rowBytes / rows.gbPerS}
      : {latencyNs: 0, nsPerToken: 0},
    prefetch: request.prefetch,
  }
}

/** Kernels that read over the link: tile by tile, and of experts those that tokens pick, of tied ranks too. */
function passesOf({model, tp, ep}: Instance, {prefetch}: WeightRequest) {
  if (prefetch !== 'in place') return undefined
  const experts = model.groups.find(({mlp}) => mlp.experts)?.mlp.experts
  const members = Math.max(1, ep / tp)
  return ({tokens, paddedTokens, sequences}: BatchShape): Passes => {
    const rows = Math.max(tokens, paddedTokens)
    const all = members * rows
    return {
      dense: densePasses(rows),
      experts: experts
        ? expertPasses(pickedExperts(all, experts), (all * experts.perToken) / experts.count)
        : 1,
      head: densePasses(sequences),
    }
  }
}

/** Step times with the weights on their way. @throws Problem FLAG_CONFLICT */
export function placedLatency<Model extends StepTimeModel>(
  latency: Model,
  {streams, stages, shares}: WeightPlacement,
): Model {
  const {stepTime, outsideLayers, pipeline} = latency
  const streamed = (at: number, time = stepTime, outside = outsideLayers) =>
    withWeightStream({time, outside: outside ?? (() => 0)}, streams[at]!)
  const timed = pipeline && {
    ...pipeline,
    stages: pipeline.stages.map((time, at) => streamed(at, time, pipeline.outsideLayers?.[at])),
  }
  const stage = slowestStage(streams)
  return {
    ...latency,
    stepTime: timed ? timed.stages[0]! : streamed(0),
    ...(timed ? {pipeline: timed} : {}),
    provenance: [
      ...latency.provenance,
      {term: 'weights outside', from: 'class default', detail: rateText(shares)},
    ],
    notes: [...latency.notes, noteOf(stages[stage]!, streams[stage]!)],
  }
}

const slowestStage = (streams: readonly WeightStream[]): number => {
  const times = streams.map(streamNs)
  return times.indexOf(Math.max(...times))
}

/** Each memory at the rate of the stage that gets least. */
const rateText = (shares: readonly MemoryShares[]): string =>
  outsideKinds
    .flatMap((kind) => {
      const own = shares.flatMap((share) => share[kind] ?? [])
      if (own.length === 0) return []
      const gbPerS = Math.min(...own.map((share) => share.gbPerS))
      const rate = `${Number(gbPerS.toPrecision(4))} GB/s a device`
      return [`${kind} at ${rate}, ${own[0]!.latencyNs / 1000} µs; datasheet figures`]
    })
    .join('; ')

function noteOf(stage: StageWeights, stream: WeightStream): string {
  const {prefetch} = stream
  const away = bytesAway(stageAway(stage))
  const gib = (away / 2 ** 30).toFixed(1)
  const what = `${gib} GiB of the weights of each device lie outside of it`
  if (streamNs(stream) === 0) return `${what}, the embedding, of which a step reads rows in place.`
  const how =
    prefetch === 'in place'
      ? 'are read in place'
      : `are fetched ${prefetch === 0 ? 'when their turn comes' : `${prefetch} ${prefetch === 1 ? 'block' : 'blocks'} ahead`}`
  const {hiddenBlockNs} = streamLaw(stream)
  const again = prefetch === 'in place' ? '; with more rows they are read more than once' : ''
  const bound = Number.isFinite(hiddenBlockNs)
    ? `and may wait for them while its blocks take less than ${milliseconds(hiddenBlockNs)} each`
    : 'and may wait for some however large it is'
  const isAllBuffered = bufferBytes(stage, prefetch) >= away - bytesAway(stage.embedding)
  const vain = isAllBuffered
    ? ' The buffer has room for all that is fetched, so it saves nothing.'
    : ''
  return `${what} and ${how}: a step takes at least ${milliseconds(streamNs(stream))}, ${bound}${again}.${vain}`
}

const milliseconds = (ns: number): string => `${Number((ns / 1e6).toPrecision(3))} ms`

/** What a step of an engine streams, at least; undefined where nothing lies outside. */
export function stepTraffic({
  weights,
  instance: {tp},
}: {
  readonly weights: WeightPlacement | undefined
  readonly instance: Instance
}): StepTraffic | undefined {
  if (weights === undefined) return undefined
  const {stages, streams} = weights
  const {perStep} = streamedBytes(weights, tp)
  const unpicked = stages.reduce((bytes, {experts}, at) => {
    const least = streams[at]!.passes?.(oneToken).experts ?? 1
    return bytes + experts.reduce((sum, away) => sum + (1 - least) * bytesAway(away), 0)
  }, 0)
  return {bytes: perStep - tp * unpicked, linkNs: Math.max(...streams.map(streamNs))}
}

/** What all devices of an engine move over their links: in a step, and for a token of it. */
export function streamedBytes({stages}: WeightPlacement, tp: number) {
  const sum = (of: (stage: StageWeights) => number) =>
    tp * stages.reduce((bytes, stage) => bytes + of(stage), 0)
  return {
    perStep: sum((stage) => bytesAway(stageAway(stage)) - bytesAway(stage.embedding)),
    perToken: sum(({rowBytes}) => rowBytes),
  }
}
