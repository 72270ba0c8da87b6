import {Args} from '@oclif/core'
import {BaseCommand} from '../../base-command.js'
import {readOptionsOf, traceFlags} from '../../command-flags/trace-flags.js'
import {type TraceInfo, traceInfo} from '../../trace/info.js'
import {infoLines} from '../../trace/info-text.js'
import {readTrace} from '../../trace/read.js'

export default class Info extends BaseCommand {
  static override summary = 'Show counts, rates, lengths and prefix reuse of a trace.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> traces/chat.csv',
    '<%= config.bin %> <%= command.id %> requests.csv --columns input=prompt_len,arrival=ts_ms',
  ]
  static override args = {
    trace: Args.string({
      description: 'file or folder; several are read as one',
      required: true,
      multiple: true,
    }),
  }
  static override flags = {...traceFlags}

  async run(): Promise<TraceInfo> {
    const {args, flags} = await this.parse(Info)
    const trace = await readTrace(args.trace, readOptionsOf(flags))
    const info = traceInfo(trace)
    for (const line of infoLines(info)) this.log(line)
    return info
  }
}
