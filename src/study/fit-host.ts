/**
 * Fits the host terms of an engine profile (and, on request, two efficiencies) to measured stages, by
 * Levenberg–Marquardt over whole simulations. Residuals are relative errors of mean TTFT, TPOT and ITL.
 */
import {levenbergMarquardt} from 'ml-levenberg-marquardt'
import type {EngineProfile} from '../catalogue/engine-profile.js'
import type {EfficiencyScale} from '../catalogue/hardware-shape.js'
import type {MeasuredRun} from '../measured/measured-run.js'
import type {RunComparison} from '../report/validation.js'
import type {RunRequest} from './run-request.js'
import {validateRun} from './validate.js'

/** A term that may be fitted: where it stands, how large it can be, and the step that its slope is taken over. */
export interface HostTerm {
  readonly name: string
  readonly unit: string
  readonly most: number
  readonly read: (state: FitState) => number
  readonly write: (state: FitState, value: number) => FitState
}

export interface FitState {
  readonly profile: EngineProfile
  readonly scale: EfficiencyScale
}

const onProfile =
  (change: (profile: EngineProfile, value: number) => EngineProfile): HostTerm['write'] =>
  (state, value) => ({...state, profile: change(state.profile, value)})

export const hostTerms = {
  frontEnd: {
    name: 'front_end.http_ms',
    unit: 'ms',
    most: 100,
    read: ({profile}) => profile.frontEnd.httpNs / 1e6,
    write: onProfile((profile, ms) => ({
      ...profile,
      frontEnd: {...profile.frontEnd, httpNs: ms * 1e6},
    })),
  },
  inProcess: {
    name: 'front_end.in_process_ms',
    unit: 'ms',
    most: 100,
    read: ({profile}) => profile.frontEnd.inProcessNs / 1e6,
    write: onProfile((profile, ms) => ({
      ...profile,
      frontEnd: {...profile.frontEnd, inProcessNs: ms * 1e6},
    })),
  },
  layer: {
    name: 'host.layer_us',
    unit: 'us',
    most: 200,
    read: ({profile}) => profile.host.layerNs / 1e3,
    write: onProfile((profile, us) => ({...profile, host: {...profile.host, layerNs: us * 1e3}})),
  },
  samplerEntry: {
    name: 'sampler.filtered.per_sequence_entry_ns',
    unit: 'ns',
    most: 5,
    read: ({profile}) => profile.sampler.filtered.perSequenceEntryNs,
    write: onProfile((profile, ns) => ({
      ...profile,
      sampler: {
        ...profile.sampler,
        filtered: {...profile.sampler.filtered, perSequenceEntryNs: ns},
      },
    })),
  },
  chatToken: {
    name: 'front_end.chat_token_us',
    unit: 'us',
    most: 500,
    read: ({profile}) => profile.frontEnd.chatTokenNs / 1e3,
    write: onProfile((profile, us) => ({
      ...profile,
      frontEnd: {...profile.frontEnd, chatTokenNs: us * 1e3},
    })),
  },
  synchronousStep: {
    name: 'host.synchronous_step_us',
    unit: 'us',
    most: 10_000,
    read: ({profile}) => profile.host.synchronousStepNs / 1e3,
    write: onProfile((profile, us) => ({
      ...profile,
      host: {...profile.host, synchronousStepNs: us * 1e3},
    })),
  },
  eagerLayer: {
    name: 'host.eager_layer_us',
    unit: 'us',
    most: 2000,
    read: ({profile}) => (profile.host.eagerLayerNs ?? 0) / 1e3,
    write: onProfile((profile, us) => ({
      ...profile,
      host: {...profile.host, eagerLayerNs: us * 1e3},
    })),
  },
  penalty: {
    name: 'sampler.penalty.step_us',
    unit: 'us',
    most: 5000,
    read: ({profile}) => profile.penalty.stepNs / 1e3,
    write: onProfile((profile, us) => ({
      ...profile,
      penalty: {...profile.penalty, stepNs: us * 1e3},
    })),
  },
  compute: {
    name: 'compute efficiency',
    unit: '×',
    most: 1.3,
    read: ({scale}) => scale.compute,
    write: (state, compute) => ({...state, scale: {...state.scale, compute}}),
  },
  memory: {
    name: 'memory efficiency',
    unit: '×',
    most: 1.3,
    read: ({scale}) => scale.memory,
    write: (state, memory) => ({...state, scale: {...state.scale, memory}}),
  },
} as const satisfies Record<string, HostTerm>

export interface FitTarget {
  readonly run: MeasuredRun
  readonly request: RunRequest
}

export interface FittedTerm {
  readonly name: string
  readonly unit: string
  readonly before: number
  readonly after: number
}

export interface HostFit {
  readonly state: FitState
  readonly terms: readonly FittedTerm[]
}

/** The comparisons under a state. */
export const comparisonsUnder = (
  targets: readonly FitTarget[],
  {profile, scale}: FitState,
): Promise<RunComparison[]> =>
  Promise.all(
    targets.map(({run, request}) =>
      validateRun(run, {...request, engineProfile: profile, efficiencyScale: scale}),
    ),
  )

const fittedMetrics = ['ttft_ms', 'tpot_ms', 'itl_ms']

/** ln(simulated ÷ measured) of the first statistic of each fitted metric, stage by stage. */
function residuals(runs: readonly RunComparison[]): number[] {
  return runs.flatMap(({stages}) =>
    stages.flatMap(({comparisons}) =>
      fittedMetrics.flatMap((metric) => {
        const first = comparisons.find((each) => each.metric === metric)
        return first && first.simulated > 0 ? [Math.log(first.simulated / first.measured)] : []
      }),
    ),
  )
}

/** Relative change of a term that its slope is taken over, and the rounds at most. */
const slopeStep = 0.1
const rounds = 8

/**
 * Terms that trade off against each other (the host's time per layer and the memory efficiency) stay near where
 * they were: doubling a term costs as much as an error of 1 % in one figure.
 */
const pull = 0.01
const pulls = (values: readonly number[], start: readonly number[], terms: readonly HostTerm[]) =>
  values.map((value, at) => (pull * (value - start[at]!)) / unitOf(terms[at]!, start[at]!))

/** Size of a change of a term that counts as one. */
const unitOf = ({most}: HostTerm, value: number): number => Math.max(value, most * 0.05)

/**
 * The terms that fit the targets best, from the profile's own figures on. Simulations are exact, so the same
 * targets give the same terms. A Gauss–Newton system is linear between two evaluations; the library solves it.
 */
export async function fitHost(
  targets: readonly FitTarget[],
  start: FitState,
  terms: readonly HostTerm[],
): Promise<HostFit> {
  let state = start
  const origin = terms.map((term) => term.read(start))
  const errorsAt = async (at: FitState): Promise<number[]> => {
    const values = terms.map((term) => term.read(at))
    return [...residuals(await comparisonsUnder(targets, at)), ...pulls(values, origin, terms)]
  }
  let values = origin
  let best = await errorsAt(state)
  for (let round = 0; round < rounds; round++) {
    const slopes: number[][] = []
    for (const [at, term] of terms.entries()) {
      const step = unitOf(term, values[at]!) * slopeStep
      const moved = await errorsAt(term.write(state, values[at]! + step))
      slopes.push(moved.map((value, i) => (value - best[i]!) / step))
    }
    const target = solve(values, best, slopes, terms)
    const step = await firstBetter({errorsAt, terms, state, values, best}, target)
    if (step === undefined) break
    ;({state, values, best} = step)
  }
  return {
    state,
    terms: terms.map((term) => ({
      name: term.name,
      unit: term.unit,
      before: term.read(start),
      after: term.read(state),
    })),
  }
}

interface Position {
  readonly errorsAt: (state: FitState) => Promise<number[]>
  readonly terms: readonly HostTerm[]
  readonly state: FitState
  readonly values: number[]
  readonly best: number[]
}

/** The whole step, a half or a quarter of it: the first that lowers the loss. The errors are not smooth. */
async function firstBetter(
  {errorsAt, terms, state, values, best}: Position,
  target: readonly number[],
): Promise<Pick<Position, 'state' | 'values' | 'best'> | undefined> {
  for (const share of [1, 0.5, 0.25]) {
    const next = values.map((value, at) => value + share * (target[at]! - value))
    const candidate = terms.reduce((made, term, at) => term.write(made, next[at]!), state)
    const found = await errorsAt(candidate)
    if (softLoss(found) < softLoss(best) * (1 - 1e-4))
      return {state: candidate, values: next, best: found}
  }
  return undefined
}

/** Errors beyond this size count by their size, not its square: overloaded stages do not rule the fit. */
const softAt = 0.03
const softLoss = (errors: readonly number[]): number =>
  errors.reduce((sum, error) => sum + softAt * (Math.sqrt(1 + (error / softAt) ** 2) - 1), 0)

/** The step that makes the linearised residuals smallest, within the bounds of the terms. */
function solve(
  values: readonly number[],
  errors: readonly number[],
  slopes: readonly (readonly number[])[],
  terms: readonly HostTerm[],
): number[] {
  const unit = values.map((value, at) => unitOf(terms[at]!, value))
  const {parameterValues} = levenbergMarquardt(
    {x: errors.map((_, i) => i), y: errors.map(() => 0)},
    (moves: number[]) => (i: number) =>
      errors[i]! + slopes.reduce((sum, slope, at) => sum + slope[i]! * moves[at]! * unit[at]!, 0),
    {
      initialValues: values.map(() => 0),
      // Slopes hold near where they were taken: no term more than halves or doubles at once.
      minValues: values.map((value, at) => Math.max(-0.5, -value / unit[at]!)),
      maxValues: values.map((value, at) => Math.min(1, (terms[at]!.most - value) / unit[at]!)),
      weights: errors.map((error) => (1 + (error / softAt) ** 2) ** 0.25),
      gradientDifference: 1e-3,
      maxIterations: 200,
      errorTolerance: 1e-12,
    },
  )
  return parameterValues.map((move, at) => Math.max(0, values[at]! + move * unit[at]!))
}
