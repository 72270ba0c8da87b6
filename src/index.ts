/** The library face: everything that the command line can do, callable. */
export type {SchedulingPolicy, WaitingView} from './engine/policy.js'
export {Problem, problemCodes} from './errors.js'
export type {GivenSlo, GivenWarmup} from './library/bounds.js'
export {
  buildSimulation,
  deploy,
  findRate,
  generateTrace,
  listen,
  listHardware,
  listModels,
  loadHardware,
  loadModel,
  makeReport,
  parseGenerateSpec,
  parseSlo,
  readTrace,
  replay,
  replayServed,
  runJob,
  runMany,
  simulate,
  traceInfo,
  writeTrace,
} from './library/functions.js'
export type {
  GivenJob,
  GivenListen,
  GivenRateRequest,
  GivenReport,
  GivenRun,
  GivenTask as RunTask,
} from './library/runs.js'
export type {GivenSpec} from './library/trace.js'
export type {Summary} from './report/summary.js'
export type {Deployment, GivenRequest} from './study/deployment.js'
export type {RunRequest} from './study/run-request.js'
export type {Simulation} from './study/simulate.js'
export type {Trace} from './trace/trace.js'
