import {join} from 'node:path'
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../base-command.js'
import {engineFlags, runRequestOf} from '../command-flags/engine-flags.js'
import {autoscaleOf, extraFlags, loraOf, speculationOf} from '../command-flags/extra-flags.js'
import {kvOffloadFlags, kvOffloadOf} from '../command-flags/kv-offload-flag.js'
import {memoryFlags, weightsOf} from '../command-flags/memory-flags.js'
import {checkOutputs, type Output} from '../command-flags/outputs.js'
import {pimFlags, pimOf} from '../command-flags/pim-flags.js'
import {readOptionsOf, traceFlags} from '../command-flags/trace-flags.js'
import {Problem} from '../errors.js'
import {counted} from '../report/figures.js'
import {passingLineOn, progressOn} from '../report/progress.js'
import {runFiles} from '../report/run-store.js'
import {parseSlo} from '../report/slo.js'
import {styleFor} from '../report/style.js'
import {renderRun} from '../report/tables.js'
import {parseWarmup} from '../report/warmup.js'
import {type JobResult, runJob} from '../study/job.js'

export default class Simulate extends BaseCommand {
  static override summary = 'Replay a trace on modelled hardware and print what would happen.'
  static override description =
    'Batching, memory and step times follow vLLM; docs/scheduler.md and docs/latency.md say how. Several files or a folder are read as one trace.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> traces/chat.csv --hardware RTX3090 --npu 4',
    '<%= config.bin %> <%= command.id %> traces/chat.csv --hardware RTX4090,A100,H100 --slo ttft=500ms,tpot=50ms',
    '<%= config.bin %> <%= command.id %> traces/code.csv --hardware H100 --model Qwen/Qwen3-32B --policy sjf',
    '<%= config.bin %> <%= command.id %> traces/chat.csv --hardware L40S --concurrency 32 --json',
    '<%= config.bin %> <%= command.id %> traces/code.csv --hardware A100,H100 --find-rate --slo ttft=2s,tpot=80ms',
  ]
  static override args = {
    trace: Args.string({
      description: 'file or folder; several are read as one',
      required: true,
      multiple: true,
    }),
  }
  static override flags = {
    hardware: Flags.string({
      helpGroup: 'HARDWARE',
      helpValue: 'NAME,…',
      summary: 'Accelerator, or several to compare; see "hardware list".',
    }),
    ...engineFlags,
    ...extraFlags,
    ...memoryFlags,
    ...kvOffloadFlags,
    ...pimFlags,
    ...traceFlags,
    concurrency: Flags.integer({
      helpGroup: 'TRACE',
      helpValue: 'N',
      min: 1,
      summary: 'N clients take the requests in order; arrival times are ignored.',
    }),
    slo: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: 'BOUNDS',
      summary: 'Bounds for goodput, such as ttft=500ms,tpot=50ms.',
    }),
    warmup: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: '60s|500',
      summary: 'Leave out the first 60 s, or the first 500 requests.',
    }),
    'find-rate': Flags.boolean({
      helpGroup: 'OUTPUT',
      summary: 'Search the largest request rate that lasts, with 99 % within --slo.',
    }),
    out: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: 'DIR',
      summary: 'Folder for the run, instead of one in .llmsim/runs.',
    }),
    save: Flags.boolean({
      helpGroup: 'OUTPUT',
      allowNo: true,
      default: true,
      summary: 'Keep the run, for "report" (default: yes).',
    }),
    steps: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: 'FILE',
      summary: 'Write every step as CSV.',
    }),
    itl: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: 'FILE',
      summary: 'Write every token gap as CSV.',
    }),
    timeline: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: 'FILE',
      summary: 'Write steps and requests as a trace for ui.perfetto.dev.',
    }),
    threads: Flags.integer({
      helpGroup: 'OUTPUT',
      helpValue: 'N',
      min: 1,
      summary: 'Cores that several devices may use (default: all).',
    }),
    check: Flags.boolean({helpGroup: 'OUTPUT', summary: 'Assert the invariants of the result.'}),
  }

  async run(): Promise<unknown> {
    const startedAt = performance.now()
    const {args, flags} = await this.parse(Simulate)
    if (flags.out !== undefined && !flags.save) throw outWithoutRun()
    checkClosedLoop(flags)
    const {out, steps, itl, timeline, ...given} = flags
    checkOutputs(
      [
        ...Object.values(runFiles).map((name): Output => ['out', out && join(out, name)]),
        ['steps', steps],
        ['itl', itl],
        ['timeline', timeline],
      ],
      [args.trace, ...Object.values(given)],
    )
    const devices = flags.hardware === undefined ? [undefined] : devicesOf(flags.hardware)
    const input = {
      traces: args.trace,
      readOptions: readOptionsOf(flags),
      requests: devices.map((device) => ({
        ...runRequestOf(flags, device),
        speculation: speculationOf(flags),
        weights: weightsOf(flags),
        kvOffload: kvOffloadOf(flags),
        pim: pimOf(flags),
        lora: loraOf(flags),
        autoscale: autoscaleOf(flags),
      })),
    }
    if (flags['find-rate']) {
      const {ratesAsJson, ratesAsText, searchRate} = await import('../command-flags/rate-search.js')
      const line = passingLineOn(process.stderr, process.env)
      const told = {...input, tell: (text: string) => line.show(text)}
      const found = await searchRate(flags, told).finally(() => line.clear())
      if (this.jsonEnabled()) return ratesAsJson(found, (performance.now() - startedAt) / 1000)
      this.log(await ratesAsText(found, await styleFor(process.stdout, process.env)))
      return undefined
    }
    const progress = await progressOn(process.stderr)
    const result = await runJob({
      ...input,
      concurrency: flags.concurrency,
      slo: flags.slo === undefined ? undefined : parseSlo(flags.slo),
      warmup: flags.warmup === undefined ? undefined : parseWarmup(flags.warmup),
      check: flags.check,
      store: flags.save ? {out: flags.out, startedAt: new Date()} : undefined,
      steps: flags.steps,
      itl: flags.itl,
      timeline: flags.timeline,
      version: this.config.version,
      threads: flags.threads,
      onProgress: (left, requests) => progress.show(left, requests),
    })
    progress.clear()
    const wall = (performance.now() - startedAt) / 1000
    if (this.jsonEnabled()) return asJson(result, wall)
    await this.#print(result)
    return undefined
  }

  async #print({runs, devices, header}: JobResult): Promise<void> {
    const style = await styleFor(process.stdout, process.env)
    if (devices.length > 1) {
      const {renderDevices} = await import('../report/device-table.js')
      this.log(await renderDevices(devices, header, style))
    } else for (const run of runs) this.log(await renderRun(run.summary, run.header, style))
    for (const run of runs) {
      const {steps, requests} = run.summary
      const counts = [
        counted(requests.submitted - requests.rejected, 'request'),
        counted(run.tokens, 'token'),
        counted(steps, 'step'),
      ].join(', ')
      this.logToStderr(`simulated ${counts} in ${run.engineSeconds.toFixed(2)} s`)
      if (run.folder !== undefined) this.logToStderr(`run kept in ${run.folder}`)
    }
  }
}

/** `H100, A100` → two names. */
function devicesOf(text: string): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (!names.includes('')) return names
  throw new Problem('FLAG_BAD_VALUE', `--hardware "${text}": a name is empty.`, {
    suggestions: [`--hardware ${names.filter(Boolean).join(',') || 'H100'}`],
  })
}

/** Clients that wait for answers make their own times. @throws Problem FLAG_CONFLICT */
function checkClosedLoop(flags: {
  readonly concurrency?: number | undefined
  readonly rate?: number | undefined
  readonly 'time-scale'?: number | undefined
}): void {
  const other = (['rate', 'time-scale'] as const).find((name) => flags[name] !== undefined)
  if (flags.concurrency === undefined || other === undefined) return
  throw new Problem(
    'FLAG_CONFLICT',
    `--concurrency and --${other}: clients of a closed loop send when they have their answer, whatever the arrival times.`,
    {suggestions: [`Leave --${other} out, or --concurrency for an open loop.`]},
  )
}

const outWithoutRun = (): Problem =>
  new Problem(
    'FLAG_CONFLICT',
    '--out and --no-save: one names a folder for the run, the other keeps none.',
    {
      suggestions: ['Leave one of the two out.'],
    },
  )

const jsonOf = ({config, summary}: JobResult['runs'][number]) => ({config, summary})

function asJson({runs, devices}: JobResult, wall: number): unknown {
  const engine = runs.reduce((sum, run) => sum + run.engineSeconds, 0)
  const timing = {wall_s: wall, engine_s: engine}
  if (devices.length === 1) return {...jsonOf(runs[0]!), timing}
  const rows = devices.map(({device, result}) => {
    if (!result.fits) return {device, fits: false, reason: result.reason}
    return {device, fits: true, ...jsonOf(runs.find((run) => run.summary === result.summary)!)}
  })
  return {devices: rows, timing}
}
