/** The step times of an engine of several pipeline stages, from those of each. */
import type {Link} from '../catalogue/hardware-shape.js'
import {checkParallelism, type StageCut, stageCuts} from '../catalogue/parallelism.js'
import {stageHop} from '../latency/point-to-point.js'
import type {PipelineTime, StepTime} from '../latency/step-time.js'
import type {Instance} from './instance.js'
import {hopLink} from './wiring.js'

export interface StageTime {
  readonly stepTime: StepTime
  readonly outsideLayers: StepTime
}

/** The stages of a pipeline, and what joins them. Stages that are alike share their remembered figures. */
export function inStages(
  {model, link, tp, pp, ep, wired}: Instance,
  timeOf: (stage: StageCut) => StageTime,
): {stepTime: StepTime; pipeline: PipelineTime} {
  checkParallelism(model, {tp, pp, ep})
  const made = new Map<string, StageTime>()
  const stages = stageCuts(model, pp).map((stage) => {
    const name = JSON.stringify(stage)
    const time = made.get(name) ?? timeOf(stage)
    made.set(name, time)
    return time
  })
  const hop = stageHop((wired && hopLink(wired)) ?? linkOfStages(link, tp * pp), {
    hiddenSize: model.hiddenSize,
    tp,
    pp,
  })
  return {
    stepTime: stages[0]!.stepTime,
    pipeline: {
      stages: stages.map(({stepTime}) => stepTime),
      outsideLayers: stages.map(({outsideLayers}) => outsideLayers),
      hop,
    },
  }
}

/** Stages that do not all fit into one group are told apart by the network; within a group hops would be faster. */
const linkOfStages = (link: Link | null, devices: number): Link | null =>
  link?.scaleOut && devices > link.maxDevices ? {...link, ...link.scaleOut} : link
