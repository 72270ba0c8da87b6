/** What every command of llmsim shares: --json, faults as one clear line, and the right exit code. */
import {basename, relative} from 'node:path'
import {Command, type Interfaces} from '@oclif/core'
import {exitCodeOf, faultJson} from './fault.js'

// oclif's own names for what a parse returns (FlagOutput, ArgOutput) are not exported.
// biome-ignore lint/suspicious/noExplicitAny: the bound must be as wide as oclif's
type Parsed = Record<string, any>

/**
 * Base of all commands. A failing command throws; `start` prints the error and sets the exit code.
 * Under --json the error is printed here, on stdout, as `{"error": {code, message, suggestions}}`.
 */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true

  /** Faults of the command line become Problems; anything else is thrown as it is. */
  protected override async parse<F extends Parsed, B extends Parsed, A extends Parsed>(
    options?: Interfaces.Input<F, B, A>,
    argv?: string[],
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const words = argv ?? this.argv
    if (words.some((word) => /^(--[^=]+=)?(true|false)$/.test(word))) {
      const {valueOfSwitch} = await import('./parse-fault.js')
      const fault = valueOfSwitch(words, {...this.ctor.baseFlags, ...this.ctor.flags})
      if (fault) throw fault
    }
    try {
      return await super.parse(options, argv)
    } catch (error) {
      const {commandNames, parseFault} = await import('./parse-fault.js')
      throw parseFault(error, commandNames(this.config.bin, this.id ?? '', this.ctor), words)
    }
  }

  protected override async catch(error: Error): Promise<void> {
    // oclif 4 takes 1 for every error under --json; a fault of the user has an exit code of its own.
    process.exitCode = exitCodeOf(error)
    if (!this.jsonEnabled()) throw error
    this.logJson(faultJson(error))
  }
}

/** What the system says of how the program was started. */
export interface Start {
  readonly env: NodeJS.ProcessEnv
  readonly argv: readonly string[]
  cwd(): string
}

/**
 * How the user calls the program: `llmsim`; `npx llmsim` where npx started it and a PATH may not have it; `node
 * bin/run.js` where it was started from a clone, which no PATH has.
 */
export function calledAs(bin: string, {env, argv, cwd}: Start): string {
  const byNpx =
    env.npm_lifecycle_event === 'npx' &&
    /^'?(\w+)/.exec(env.npm_lifecycle_script ?? '')?.[1] === bin
  if (byNpx) return `npx ${bin}`
  const [, script = ''] = argv
  // Windows starts an installed program by its script, too.
  if (basename(script) !== 'run.js' || /[\\/]node_modules[\\/]/.test(script)) return bin
  const short = relative(cwd(), script)
  return `node ${short.startsWith('..') ? script : short}`
}
