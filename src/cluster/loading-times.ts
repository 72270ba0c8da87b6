/** Step times of an engine whose weights come over the link that KV comes over, too. */
import type {PipelineTime, StepTime} from '../latency/step-time.js'

export interface StepTimes {
  readonly stepTime: StepTime
  /** In place of `stepTime`, where there are several stages. */
  readonly pipeline?: PipelineTime | undefined
}

/** `whileLoading`: of steps that begin while KV is on its way to the engine; absent: that makes no difference. */
export interface LoadingTimes extends StepTimes {
  readonly whileLoading?: StepTimes | undefined
}

/** The one or the other, as each step begins. */
export function timesBeside(
  {stepTime, pipeline, whileLoading}: LoadingTimes,
  isLoading: () => boolean,
): StepTimes {
  if (whileLoading === undefined) return {stepTime, pipeline}
  const either =
    (alone: StepTime, beside: StepTime): StepTime =>
    (shape) =>
      isLoading() ? beside(shape) : alone(shape)
  return {
    stepTime: either(stepTime, whileLoading.stepTime),
    pipeline: pipeline && {
      ...pipeline,
      stages: pipeline.stages.map((time, stage) =>
        either(time, whileLoading.pipeline!.stages[stage]!),
      ),
    },
  }
}
