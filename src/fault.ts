/** What a person or a program is told when a command fails, and with which exit code. */
import {Problem} from './errors.js'

/** The exit code when llmsim itself is at fault. */
const bugExit = 1

interface ExitCarrier extends Error {
  readonly oclif?: {readonly exit?: number}
  readonly code?: string
  readonly suggestions?: readonly string[]
}

/** Errors of oclif carry an exit code. Its plugins may bring a copy of oclif of their own, so classes do not tell. */
export const isOfOclif = (error: unknown): error is ExitCarrier =>
  error instanceof Error && 'oclif' in error && !(error instanceof Problem)

/** A deliberate `this.exit(n)`: there is nothing to say. */
export const isPlainExit = (error: unknown): boolean => isOfOclif(error) && error.code === 'EEXIT'

const isForUser = (error: unknown): error is ExitCarrier =>
  error instanceof Problem || isOfOclif(error)

/** 0 ok, 1 our bug, 2 what the user can mend, 3 a self-check failed. */
export const exitCodeOf = (error: unknown): number =>
  isForUser(error) || isPlainExit(error) ? ((error as ExitCarrier).oclif?.exit ?? 2) : bugExit

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message || error.name : String(error)

const reportHint =
  'Report it with the command line and the stack, which DEBUG=llmsim in front of the command prints.'

/** The value printed under --json: code, message and suggestions, never the parser's insides. */
export const faultJson = (
  error: unknown,
): {error: {code: string; message: string; suggestions: readonly string[]}} => {
  const {code, suggestions} = error as ExitCarrier
  if (isForUser(error))
    return {
      error: {code: code ?? 'FAILED', message: error.message, suggestions: suggestions ?? []},
    }
  return {
    error: {
      code: 'UNEXPECTED',
      message: `${messageOf(error)} (this is a bug in llmsim)`,
      suggestions: [reportHint],
    },
  }
}

const tryThis = (suggestions: readonly string[]): string[] => {
  if (suggestions.length === 0) return []
  if (suggestions.length === 1) return [`Try this: ${suggestions[0]}`]
  return ['Try this:', ...suggestions.map((suggestion) => `  * ${suggestion}`)]
}

/** True when DEBUG asks for stacks: `llmsim`, `llmsim:*` or `*` among its comma-separated names. */
export const wantsStack = (debug: string | undefined): boolean =>
  (debug ?? '').split(/[\s,]+/).some((name) => name === '*' || /^llmsim(:|\*|$)/.test(name))

/**
 * The text for stderr, ending in a newline. Lines are not wrapped, so that paths and messages can be
 * copied and searched. The stack is part of it only when `debug` (the variable DEBUG) asks for it.
 */
export const faultText = (error: unknown, debug: string | undefined): string => {
  const stack = wantsStack(debug) && error instanceof Error ? [error.stack ?? ''] : []
  if (isForUser(error)) {
    const code = error.code === undefined ? [] : [`Code: ${error.code}`]
    const lines = [`Error: ${error.message}`, ...code, ...tryThis(error.suggestions ?? [])]
    return `${[...lines, ...stack].join('\n')}\n`
  }
  const kind = error instanceof Error ? error.name : 'Error'
  const lines = [`${kind}: ${messageOf(error)}`, 'This is a bug in llmsim.', reportHint]
  return `${[...lines, ...stack].join('\n')}\n`
}
