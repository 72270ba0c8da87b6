/** Two ways to call llmsim from a test: in this process (fast), or the real program (exit codes, signals). */
import {execFile} from 'node:child_process'
import {fileURLToPath} from 'node:url'
import {run, settings} from '@oclif/core'
import {captureOutput} from '@oclif/test'
import type {Problem} from '#llmsim/errors.js'

/** The folder of the project, with a slash at its end. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface InProcess<T> {
  readonly stdout: string
  readonly stderr: string
  /** What the command threw: a Problem, unless llmsim has a bug. */
  readonly error?: Problem & Error
  readonly result?: T
  /** What a command under --json left as exit code, as it does not throw then. */
  readonly exitCode: number
}

/** Runs a command in this process: `await llmsim('trace', 'info', path)`. Never in parallel. */
export const llmsim = async <T = unknown>(...argv: string[]): Promise<InProcess<T>> => {
  settings.enableAutoTranspile = false
  const before = process.exitCode
  process.exitCode = 0
  try {
    const captured = await captureOutput<T>(async () => run(argv, {root}), {
      testNodeEnv: 'production',
    })
    const exitCode = Number(process.exitCode) || (captured.error as Problem)?.oclif?.exit || 0
    return {...captured, exitCode} as InProcess<T>
  } finally {
    process.exitCode = before
  }
}

export interface Exit {
  /** null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface SpawnOptions {
  readonly cwd?: string
  /** Added to the environment of this process. */
  readonly env?: NodeJS.ProcessEnv
}

/** Runs any program to its end (at most a minute), whatever its exit code. */
export const spawnProgram = (
  file: string,
  argv: readonly string[],
  options: SpawnOptions = {},
): Promise<Exit> =>
  new Promise((resolve) => {
    const env = {...process.env, NODE_OPTIONS: '', DEBUG: '', ...options.env}
    const settled = {cwd: options.cwd ?? root, env, timeout: 60_000, maxBuffer: 64 * 1024 * 1024}
    execFile(file, argv, settled, (error, stdout, stderr) => {
      const failed = typeof error?.code === 'number' ? error.code : null
      const code = error === null ? 0 : failed
      resolve({code, signal: error?.signal ?? null, stdout, stderr})
    })
  })

/** Runs the real program: `await spawnCli('simulate', path)`. */
export const spawnCli = (...argv: string[]): Promise<Exit> => spawnCliIn({}, ...argv)

/** The same with another folder to stand in, or another environment. */
export const spawnCliIn = (options: SpawnOptions, ...argv: string[]): Promise<Exit> =>
  spawnProgram(process.execPath, [`${root}bin/run.js`, ...argv], options)

/** Commands that exist in the compiled program, as typed: `trace info`. */
export const commandExists = async (words: string): Promise<boolean> => {
  const {Config} = await import('@oclif/core')
  const config = await Config.load({root, ignoreManifest: true})
  return config.findCommand(words.replaceAll(' ', ':')) !== undefined
}
