import {Flags} from '@oclif/core'
import {BaseCommand} from '../base-command.js'
import {runRequestOf} from '../command-flags/engine-flags.js'
import {measuredFlags, measuredRun} from '../command-flags/measured-flags.js'
import {checkOutputs, type Output, replacedBy} from '../command-flags/outputs.js'
import {Problem} from '../errors.js'
import {writeOutput} from '../make-folder.js'
import {withPrefixesOf} from '../measured/prefixes.js'
import {readMeasured} from '../measured/read.js'
import {renderCalibration} from '../report/calibration.js'
import {styleFor} from '../report/style.js'
import {type Calibration, calibrate, calibrationFiles} from '../study/calibrate.js'
import {requestFor} from '../study/measured-request.js'

export default class Calibrate extends BaseCommand {
  static override summary =
    "Refit the host's terms and two efficiencies to a measured run of your server."
  static override description =
    'RUN is what validate takes (docs/validate.md), with single requests. Writes NAME.engine.yaml and NAME.hardware.yaml, which --engine and --hardware take, and scores terms that were fitted on one half of the requests on the other half.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> bench/vllm --hardware RTX4090 --out mine',
    '<%= config.bin %> simulate traces/chat.csv --hardware ./mine.hardware.yaml --engine ./mine.engine.yaml',
  ]
  static override args = measuredRun
  static override flags = {
    out: Flags.string({
      helpGroup: 'OUTPUT',
      helpValue: 'NAME',
      default: 'calibrated',
      summary: 'Start of the names of the two files.',
    }),
    ...measuredFlags,
  }

  async run(): Promise<Calibration & {files: readonly string[]}> {
    const {args, flags, metadata} = await this.parse(Calibrate)
    const {out, ...others} = flags
    const files = [`${out}.engine.yaml`, `${out}.hardware.yaml`] as const
    checkOutputs(
      files.map((path): Output => ['out', out.trim() === '' ? '' : path]),
      [args.run, ...Object.values(others)],
    )
    const given = new Set(
      Object.keys(flags).filter((name) => metadata.flags[name]?.setFromDefault !== true),
    )
    const [read, ...more] = await readMeasured(args.run)
    if (read === undefined || more.length > 0)
      throw new Problem(
        'MEASURED_BAD_FILE',
        `${args.run}: it holds ${more.length + 1} runs; one is calibrated at a time.`,
      )
    const run = flags.trace === undefined ? read : await withPrefixesOf(read, flags.trace)
    const request = await requestFor(run, {request: runRequestOf(flags, flags.hardware), given})
    const result = await calibrate(run, request)
    const texts = await calibrationFiles(result, request)
    const replaced = replacedBy(files)
    writeOutput(files[0], texts.engine)
    writeOutput(files[1], texts.hardware)
    if (!this.jsonEnabled()) {
      this.log(await renderCalibration(result, await styleFor(process.stdout, process.env)))
      this.logToStderr(`wrote ${files.join(' and ')}`)
      for (const line of replaced) this.logToStderr(line)
    }
    return {...result, files}
  }
}
