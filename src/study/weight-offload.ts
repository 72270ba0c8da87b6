/** `--cpu-offload-gb`: weights in host memory or behind CXL; what that leaves for KV, and what it costs a step. */
import {stageWeightBytes} from '../catalogue/model-arithmetic.js'
import {Problem} from '../errors.js'
import type {StepTimeModel} from '../latency/step-time.js'
import {streamNs, type WeightStream, withWeightStream} from '../latency/weight-stream.js'
import type {Instance} from './instance.js'

export interface WeightOffloadRequest {
  /** GiB of each device, as vLLM counts them. */
  readonly gib: number
  readonly mode: WeightStream['mode']
  /** GB/s between a device and the memory that has them; absent: its PCIe link. */
  readonly gbPerS?: number | undefined
}

/** @throws Problem FLAG_CONFLICT, FLAG_BAD_VALUE, FLAG_MISSING for what cannot be laid out so */
export function weightStreamOf(
  {model, tp, pp, ep, hardware, machine}: Instance,
  {gib, mode, gbPerS}: WeightOffloadRequest,
): WeightStream {
  if (pp > 1 || machine !== undefined || hardware === undefined) {
    const other = pp > 1 ? `--pp ${pp}` : "LLMServingSim's cluster files"
    throw new Problem('FLAG_CONFLICT', `--cpu-offload-gb and ${other}: not built together.`, {
      suggestions: ['Leave one of the two out.'],
    })
  }
  const weightBytes = stageWeightBytes(model, {tp, pp, ep})[0]!.total
  const offloadedBytes = gib * 2 ** 30
  if (offloadedBytes > weightBytes) {
    const most = Math.floor((weightBytes / 2 ** 30) * 10) / 10
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--cpu-offload-gb ${gib}: a device has only ${(weightBytes / 2 ** 30).toFixed(1)} GiB of weights.`,
      {suggestions: [`--cpu-offload-gb ${most}`]},
    )
  }
  const rate = gbPerS ?? hardware.links.find(({kind}) => kind === 'pcie')?.gbPerS
  if (rate === undefined) {
    throw new Problem(
      'FLAG_MISSING',
      `Missing --weight-bandwidth GB/S: the file of ${hardware.id} has no PCIe link.`,
      {suggestions: ['--weight-bandwidth 64']},
    )
  }
  return {weightBytes, offloadedBytes, gbPerS: rate, mode}
}

export function offloadedLatency(latency: StepTimeModel, stream: WeightStream): StepTimeModel {
  const {offloadedBytes, gbPerS, mode} = stream
  const how = mode === 'read' ? 'read in place' : 'fetched ahead'
  const gib = (offloadedBytes / 2 ** 30).toFixed(1)
  const note = `${gib} GiB of the weights of each device lie outside of it and are ${how} at ${gbPerS} GB/s: a step takes at least ${(streamNs(stream) / 1e6).toFixed(1)} ms.`
  return {
    ...latency,
    stepTime: withWeightStream(latency.stepTime, stream),
    notes: [...latency.notes, note],
  }
}
