/** The process around a command: runs it, prints what went wrong, and sets the exit code. */
import {Config, type Interfaces, run, settings} from '@oclif/core'
import {Problem} from './errors.js'
import {exitCodeOf, faultJson, faultText, isOfOclif, isPlainExit} from './fault.js'

/** The package whose command line runs; `pjson` stands for its package.json where that is known already. */
export interface Package {
  readonly root: string
  readonly pjson?: Interfaces.PJSON
}

const asksForJson = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json')
}

/** Writes all of it before the process ends, also into a pipe. */
const write = (stream: NodeJS.WriteStream, text: string): Promise<void> =>
  new Promise((resolve) => {
    stream.write(text, () => resolve())
  })

/** Faults that arise outside of our own commands: in oclif's help, and in the commands of its plugins. */
const translated = async (error: unknown, argv: string[], home: Package): Promise<unknown> => {
  if (!isOfOclif(error)) return error
  const missing = /^Command (\S+) not found\.$/.exec(error.message)
  if (missing) {
    const flags = argv.filter((arg) => arg === '--help' || arg === '-h')
    const {unknownCommand} = await import('./unknown-command.js')
    return unknownCommand(missing[1]!, flags, await Config.load(home))
  }
  if (!('parse' in error)) return error
  const config = await Config.load(home)
  const id = argv[0] ?? ''
  const {commandNames, parseFault} = await import('./parse-fault.js')
  return parseFault(error, commandNames(config.bin, id, config.findCommand(id) ?? {}), argv)
}

/** A full disk or a lost terminal behind stdout surfaces outside of any command. */
const ofOutput = (error: unknown): unknown => {
  const {syscall, code} = error as NodeJS.ErrnoException
  return syscall === 'write'
    ? new Problem('OUTPUT_NOT_WRITABLE', `Standard output could not be written: ${code}.`, {
        suggestions: ['Check the disk or the program that reads the output.'],
      })
    : error
}

/**
 * Runs the command line `argv`. Results go to stdout and faults to stderr, or to stdout as JSON where --json
 * asks for it; never throws.
 */
export const start = async (argv: string[], home: Package): Promise<void> => {
  // Compiled code is what ships; oclif would look for a TypeScript loader when NODE_ENV says "development".
  settings.enableAutoTranspile = false
  process.on('uncaughtException', (error) => {
    // The reader of a pipe has left (`| head`): that is no fault.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit()
    const fault = ofOutput(error)
    void write(process.stderr, faultText(fault, process.env.DEBUG)).then(() =>
      process.exit(exitCodeOf(fault)),
    )
  })
  try {
    await run(argv, home)
  } catch (error) {
    const fault = await translated(error, argv, home)
    if (!isPlainExit(fault)) {
      if (asksForJson(argv))
        await write(process.stdout, `${JSON.stringify(faultJson(fault), null, 2)}\n`)
      else await write(process.stderr, faultText(fault, process.env.DEBUG))
    }
    // A failed command may leave timers or workers behind; they must not keep the process.
    process.exit(exitCodeOf(fault))
  }
}
