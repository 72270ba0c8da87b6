import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../base-command.js'
import {Problem} from '../errors.js'
import {groupings} from '../report/groups.js'
import {makeReport, type Report} from '../report/report.js'
import {renderReport, reportFormats} from '../report/report-formats.js'
import {runsFolder} from '../report/run-store.js'
import {parseSlo} from '../report/slo.js'
import {styleFor} from '../report/style.js'
import {parseWarmup} from '../report/warmup.js'

export default class ReportCommand extends BaseCommand {
  static override summary = 'Show a stored run, or several with their differences.'
  static override description =
    'Without RUN the newest one. Several runs stand side by side, with the difference to the first, absolute and in per cent.'
  static override examples = [
    '<%= config.bin %> report',
    '<%= config.bin %> report h100 a100 --slo ttft=500ms,tpot=50ms',
    '<%= config.bin %> report --by model --format csv',
  ]
  static override args = {
    run: Args.string({
      description: 'Folder of a run, its name, or a part of its name that no other has.',
      multiple: true,
    }),
  }
  static override flags = {
    format: Flags.option({
      options: reportFormats,
      default: 'table' as const,
      description: 'How to write it.',
    })(),
    by: Flags.option({options: groupings, description: 'Also split the requests by this.'})(),
    over: Flags.option({
      options: ['time'] as const,
      description: 'Also show load, KV and rates in intervals.',
    })(),
    slo: Flags.string({
      description: 'Bounds for goodput, such as ttft=500ms,tpot=50ms; anew for these runs.',
    }),
    warmup: Flags.string({
      description: 'Start of the run to leave out: a time (60s) or a number of requests (500).',
    }),
    'runs-dir': Flags.string({description: 'Folder that holds the runs.', default: runsFolder}),
  }

  async run(): Promise<Report> {
    const {args, flags} = await this.parse(ReportCommand)
    if (flags.format === 'csv' && flags.by !== undefined && flags.over !== undefined)
      throw twoTables()
    const report = makeReport({
      runs: args.run ?? [],
      root: flags['runs-dir'],
      by: flags.by,
      over: flags.over,
      slo: flags.slo === undefined ? undefined : parseSlo(flags.slo),
      warmup: flags.warmup === undefined ? undefined : parseWarmup(flags.warmup),
    })
    if (!this.jsonEnabled()) {
      const style = await styleFor(process.stdout, process.env)
      this.log(await renderReport(report, flags.format, style))
    }
    return report
  }
}

const twoTables = (): Problem =>
  new Problem('FLAG_CONFLICT', '--format csv with --by and --over: a CSV file holds one table.', {
    suggestions: ['Leave --by or --over out.', '--format json'],
  })
