import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../base-command.js'
import {checkOutputs, replacedBy} from '../../command-flags/outputs.js'
import {readOptionsOf, traceFlags} from '../../command-flags/trace-flags.js'
import {counted} from '../../report/figures.js'
import {readTrace} from '../../trace/read.js'
import {writableFormats, writeTrace} from '../../trace/write.js'

interface Converted {
  readonly path: string
  readonly format: string
  readonly requests: number
  readonly notes: readonly string[]
}

export default class Convert extends BaseCommand {
  static override summary = 'Write a trace in another format, or a part of it, or at another pace.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> mooncake.jsonl --out mooncake.csv',
    '<%= config.bin %> <%= command.id %> day.csv --from 3600 --to 7200 --rate 4 --out hour.csv',
    '<%= config.bin %> <%= command.id %> chat.csv --out chat.jsonl --out-format llmservingsim',
  ]
  static override args = {
    trace: Args.string({
      description: 'file or folder; several are read as one',
      required: true,
      multiple: true,
    }),
  }
  static override flags = {
    out: Flags.string({char: 'o', helpValue: 'FILE', required: true, summary: 'File to write.'}),
    'out-format': Flags.string({
      helpValue: 'NAME',
      default: 'llmsim',
      summary: `Format to write: ${writableFormats.join(', ')}.`,
    }),
    ...traceFlags,
  }

  async run(): Promise<Converted> {
    const {args, flags} = await this.parse(Convert)
    checkOutputs([['out', flags.out]], [args.trace])
    const trace = await readTrace(args.trace, readOptionsOf(flags))
    const format = flags['out-format']
    const replaced = replacedBy([flags.out])
    const lost = await writeTrace(trace, flags.out, format)
    for (const line of replaced) this.logToStderr(line)
    const notes = [...trace.notes, ...lost]
    for (const note of notes) this.logToStderr(`note: ${note}`)
    this.log(`${flags.out}: ${counted(trace.length, 'request')} (${trace.format} → ${format})`)
    return {path: flags.out, format, requests: trace.length, notes}
  }
}
