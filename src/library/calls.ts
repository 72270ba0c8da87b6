/** The arguments of every function of the package: none may be called with what nobody looked at. */
import {type AnyKind, type Kind, list, maybe, text} from './kinds.js'
import {Place} from './place.js'
import {count, runRequest} from './run-request.js'
import {
  job,
  listenRequest,
  paths,
  rateRequest,
  reportRequest,
  simulateRequest,
  tasks,
  version,
} from './runs.js'
import {replayRequest, simulation, sink} from './simulation.js'
import {generateOptions, generateSpec, readOptions, traceKind} from './trace.js'

const accelerator = text('the name of an accelerator, or the path of its file', 'H100')
const model = text('an id, or the path of a config.json', 'meta-llama/Llama-3.1-8B-Instruct')

/** By function: the kind of each argument. One that stands alone needs no name in a message. */
export const calls = {
  buildSimulation: {config: simulation, sink},
  deploy: {request: runRequest},
  findRate: {request: rateRequest},
  generateTrace: {options: generateOptions},
  listHardware: {},
  listModels: {},
  listen: {request: listenRequest},
  loadHardware: {name: accelerator},
  loadModel: {name: model},
  makeReport: {request: reportRequest},
  parseGenerateSpec: {spec: maybe(generateSpec)},
  parseSlo: {bounds: text("bounds such as 'ttft=500ms,tpot=50ms'", 'ttft=500ms,tpot=50ms')},
  readTrace: {paths, options: maybe(readOptions)},
  replay: {request: replayRequest},
  replayServed: {files: list(text('a path', 'capture.csv'), {least: 1}), run: runRequest, version},
  runJob: {job},
  runMany: {tasks, threads: maybe(count)},
  simulate: {request: simulateRequest},
  traceInfo: {trace: traceKind},
  writeTrace: {
    trace: traceKind,
    path: text('the path of a file to write', './trace.csv'),
    format: maybe(text('the name of a format', 'llmsim')),
  },
} as const

export type Call = keyof typeof calls

type ArgumentsOf<Of> = {
  readonly [Name in keyof Of]: Of[Name] extends Kind<infer Value> ? Value : never
}

/** @throws Problem FLAG_MISSING, FLAG_BAD_VALUE, FLAG_UNKNOWN naming the call and the field */
export function check<Name extends Call>(
  name: Name,
  given: ArgumentsOf<(typeof calls)[Name]>,
): void {
  const kinds = Object.entries<AnyKind>(calls[name])
  for (const [argument, kind] of kinds) {
    const value = (given as Readonly<Record<string, unknown>>)[argument]
    const isPart = kind.parts?.kind === 'fields' && kinds.length === 1
    kind.check(value, new Place(name, isPart ? '' : argument, argument))
  }
}
