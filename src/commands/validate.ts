import {BaseCommand} from '../base-command.js'
import {runRequestOf} from '../command-flags/engine-flags.js'
import {measuredFlags, measuredRun} from '../command-flags/measured-flags.js'
import {withPrefixesOf} from '../measured/prefixes.js'
import {readMeasured} from '../measured/read.js'
import {styleFor} from '../report/style.js'
import {type RunComparison, renderValidation, summariseErrors} from '../report/validation.js'
import {requestFor} from '../study/measured-request.js'
import {validateRun} from '../study/validate.js'

export default class Validate extends BaseCommand {
  static override summary = 'Simulate a measured run under its own settings, and print the errors.'
  static override description =
    "DIR is what a real server or its load generator left behind: a folder of LLMServingSim's bench, a trace with measured columns, or a result of inference-perf, vllm bench serve, GuideLLM or aiperf (docs/validate.md). Settings that the files do not hold are flags."
  static override examples = [
    '<%= config.bin %> <%= command.id %> bench/examples/RTX4090/vllm',
    '<%= config.bin %> <%= command.id %> result.json --model Qwen/Qwen3-32B --hardware H100 --tp 2',
  ]
  static override args = measuredRun
  static override flags = measuredFlags

  async run(): Promise<{runs: RunComparison[]; errors: ReturnType<typeof summariseErrors>}> {
    const {args, flags, metadata} = await this.parse(Validate)
    const given = new Set(
      Object.keys(flags).filter((name) => metadata.flags[name]?.setFromDefault !== true),
    )
    const request = runRequestOf(flags, flags.hardware)
    const runs: RunComparison[] = []
    for (const read of await readMeasured(args.run)) {
      const run = flags.trace === undefined ? read : await withPrefixesOf(read, flags.trace)
      runs.push(await validateRun(run, await requestFor(run, {request, given})))
    }
    if (!this.jsonEnabled())
      this.log(await renderValidation(runs, await styleFor(process.stdout, process.env)))
    return {runs, errors: summariseErrors(runs)}
  }
}
