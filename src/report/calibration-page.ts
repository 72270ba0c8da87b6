/** What `hardware calibrate` found, as people read it. */
import type {Kernels, MeasuredCollective} from '../catalogue/hardware-shape.js'
import {collectiveLines, kernelLines} from './kernel-lines.js'

/** The result of one device; what the page needs of it. */
export interface CalibrationResult {
  readonly id: string
  readonly path: string
  readonly calibrated: boolean
  readonly isUpToDate: boolean
  readonly kernels: Kernels
  readonly allReduce: MeasuredCollective | null
  readonly library: {readonly [kind: string]: MeasuredCollective}
  readonly comparisons: readonly string[]
}

/** Coefficients with their errors, then what was compared on shapes left out. */
export const calibrationPage = (result: CalibrationResult): string => {
  const {allReduce, library} = result
  const state = result.isUpToDate ? 'as in the file' : 'not written (--write updates the file)'
  return [
    `${result.id}: ${result.calibrated ? 'calibrated' : 'not calibrated'}, ${state}`,
    `  ${result.path}`,
    ...kernelLines(result.kernels).map((line) => `  ${line}`),
    ...(allReduce ? collectiveLines('all-reduce', allReduce) : []),
    ...Object.entries(library).flatMap(([kind, measured]) =>
      collectiveLines(`library ${kind}`, measured),
    ),
    ...(result.comparisons.length > 0 ? ['  compared on shapes left out of the fit:'] : []),
    ...result.comparisons.map((line) => `    ${line}`),
  ].join('\n')
}
