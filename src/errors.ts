/**
 * What the user can mend, in one place: the error class and every code that it may carry.
 * Anything thrown that is not a `Problem` is a bug of ours and exits with 1.
 */

/** Every code with what it means; `docs/errors.md` is checked against this table. Sorted alphabetically. */
export const problemCodes = {
  ARGUMENT_MISSING: 'A command was called without an argument that it needs.',
  ARGUMENT_UNEXPECTED: 'A command was given more arguments than it takes.',
  CHECK_FAILED:
    'A self-check of the simulation (--check) did not hold: a bug of llmsim, exit code 3.',
  CLUSTER_BAD_FILE: 'A cluster file could not be read or breaks its schema.',
  COMMAND_UNKNOWN: 'There is no such command.',
  ENGINE_BAD_FILE: 'An engine profile could not be read or breaks its schema.',
  ENGINE_UNKNOWN: 'There is no engine profile of that name or release.',
  FLAG_BAD_VALUE: 'A flag or an argument has a value that it cannot take.',
  FLAG_CONFLICT: 'Two flags contradict each other, or one needs another.',
  FLAG_MISSING: 'A command was called without a flag that it needs.',
  FLAG_UNKNOWN: 'A command has no flag of that name.',
  HARDWARE_BAD_FILE: 'A hardware file could not be read or breaks its schema.',
  HARDWARE_UNKNOWN: 'No accelerator of that name is in the catalogue.',
  KERNELS_BAD_FILE: 'A file of kernel measurements could not be read, or has too few of them.',
  LATENCY_UNAVAILABLE:
    'The step-time source that was asked for cannot serve this hardware and model.',
  LINK_UNKNOWN: 'The accelerator has no link of that name.',
  MEASURED_BAD_FILE: 'A file with measurements of a real server could not be read or compared.',
  MODEL_BAD_CONFIG: 'A model configuration could not be read or breaks its schema.',
  MODEL_TOO_LARGE: 'The weights and reserves leave no memory for a single KV block.',
  MODEL_UNKNOWN: 'No model of that name is in the catalogue, and it is not a path.',
  MODEL_UNSUPPORTED: 'The architecture of this model is not modelled.',
  NOT_BUILT: 'A feature that this version does not have.',
  OUTPUT_NOT_WRITABLE: 'A file or folder to write could not be written.',
  PARALLELISM_INVALID:
    'Sizes of tp, pp, dp, ep, instances and npu do not divide each other or the model.',
  POLICY_BAD_MODULE: 'A scheduling policy module could not be loaded or has the wrong shape.',
  PORT_UNAVAILABLE: 'The address to listen on is taken, or is not one of this machine.',
  PROFILE_BAD_FILE: 'A file of a profile bundle could not be read or breaks its format.',
  RUN_BAD_FILE: 'The files of a stored run could not be read.',
  RUN_NOT_FOUND: 'There is no such run.',
  TRACE_BAD_VALUE: 'A value in a trace breaks a rule of its column.',
  TRACE_BINARY: 'A trace is not a text file.',
  TRACE_DUPLICATE_ID: 'Two requests of a trace carry the same id.',
  TRACE_EMPTY: 'A trace has no requests.',
  TRACE_FORMAT_UNKNOWN: 'The format of a trace was not recognised.',
  TRACE_MISSING_COLUMN: 'A trace lacks a column or field that its format requires.',
  TRACE_NOT_FOUND: 'A trace file or folder does not exist, or holds no trace.',
  TRACE_TRUNCATED: 'A trace ends, or is torn, in the middle of a row.',
} as const

export type ProblemCode = keyof typeof problemCodes

export interface ProblemOptions extends ErrorOptions {
  /** What to type or change, most likely first. */
  suggestions?: readonly string[]
  /** Exit code of the process; 2 unless a self-check failed (3). */
  exit?: number
}

/** A fault that the user can mend: one sentence that names the place and the rule, and how to fix it. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly suggestions: string[]
  /** Read by oclif's error handler; nothing here imports oclif. */
  readonly oclif: {exit: number}

  constructor(code: ProblemCode, message: string, options: ProblemOptions = {}) {
    super(message, options)
    this.code = code
    this.suggestions = [...(options.suggestions ?? [])]
    this.oclif = {exit: options.exit ?? 2}
  }
}
