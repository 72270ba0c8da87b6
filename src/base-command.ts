/** What every command of llmsim shares: --json, faults as one clear line, and the right exit code. */
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
    try {
      return await super.parse(options, argv)
    } catch (error) {
      const {commandNames, parseFault} = await import('./parse-fault.js')
      throw parseFault(
        error,
        commandNames(this.config.bin, this.id ?? '', this.ctor),
        argv ?? this.argv,
      )
    }
  }

  protected override async catch(error: Error): Promise<void> {
    // oclif 4 takes 1 for every error under --json; a fault of the user has an exit code of its own.
    process.exitCode = exitCodeOf(error)
    if (!this.jsonEnabled()) throw error
    this.logJson(faultJson(error))
  }
}

/** How the user calls the program: `llmsim`, or `npx llmsim` where npx started it and a PATH may not have it. */
export const calledAs = (bin: string, env: NodeJS.ProcessEnv): string => {
  const byNpx =
    env.npm_lifecycle_event === 'npx' &&
    /^'?(\w+)/.exec(env.npm_lifecycle_script ?? '')?.[1] === bin
  return byNpx ? `npx ${bin}` : bin
}
