import {Flags} from '@oclif/core'
import {BaseCommand, calledAs} from '../base-command.js'
import {durationNs} from '../command-flags/duration-flag.js'
import {engineFlags, runRequestOf} from '../command-flags/engine-flags.js'
import {kvOffloadFlags, kvOffloadOf} from '../command-flags/kv-offload-flag.js'
import {namesOf, quoted, retyped, rotationOf, speedOf} from '../command-flags/listen-flags.js'
import {memoryFlags, weightsOf} from '../command-flags/memory-flags.js'
import {counted} from '../report/figures.js'
import {styleFor} from '../report/style.js'
import {renderRun} from '../report/tables.js'
import {type Listening, listen, replayServed} from '../study/listen.js'

const helpGroup = 'SERVER'

export default class Listen extends BaseCommand {
  static override summary = 'Open an OpenAI-compatible port that records traffic.'
  static override description =
    'Answers take as long as the modelled hardware would take. Every request becomes a row of a trace for "simulate". Ctrl-C ends it and prints what the traffic comes to.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --port 8080 --hardware RTX3090 --npu 4 --verbose',
    '<%= config.bin %> <%= command.id %> --respond instant --any-model --trace capture.csv',
  ]
  static override flags = {
    host: Flags.string({
      helpGroup,
      default: '127.0.0.1',
      helpValue: 'ADDRESS',
      summary: 'Address to listen on; 0.0.0.0 is all of them.',
    }),
    port: Flags.integer({
      helpGroup,
      char: 'p',
      default: 8000,
      min: 0,
      max: 65535,
      helpValue: 'N',
      summary: 'Port to listen on; 0 takes any that is free.',
    }),
    'api-key': Flags.string({
      helpGroup,
      env: 'LLMSIM_API_KEY',
      helpValue: 'KEY',
      summary: 'Let in only requests with this key.',
    }),
    'served-model-name': Flags.string({
      helpGroup,
      helpValue: 'NAME,…',
      summary: "Names that requests may use for the model (default: the model's id).",
    }),
    'any-model': Flags.boolean({helpGroup, summary: 'Take requests for any model name.'}),
    'max-queue': Flags.integer({
      helpGroup,
      default: 10_000,
      min: 0,
      helpValue: 'N',
      summary: 'Requests that may wait; further ones get 429 (default: 10000).',
    }),
    upstream: Flags.string({
      helpGroup,
      helpValue: 'URL',
      exclusive: [
        'respond',
        'speed',
        'answer',
        'output-tokens',
        'served-model-name',
        'any-model',
        'max-queue',
      ],
      summary: 'Pass requests on to a real server, and record what it does.',
    }),
    warmup: Flags.string({
      helpGroup,
      helpValue: '30s',
      summary: 'Answer 503 for so long, as while a model is loaded.',
    }),
    fail: Flags.string({
      helpGroup,
      helpValue: 'rate=1%,type=429',
      summary: 'Turn away a share of the requests.',
    }),
    verbose: Flags.boolean({helpGroup, summary: 'Print a line for each request.'}),
    hardware: Flags.string({
      helpGroup: 'HARDWARE',
      default: 'H100',
      helpValue: 'NAME',
      summary: 'Accelerator; see "hardware list" (default: H100).',
    }),
    ...engineFlags,
    ...kvOffloadFlags,
    ...memoryFlags,
    respond: Flags.option({
      helpGroup: 'ANSWERS',
      options: ['modelled', 'instant'] as const,
      default: 'modelled' as const,
      summary: 'When to answer: as the hardware would, or at once.',
    })(),
    speed: Flags.custom<number>({
      helpGroup: 'ANSWERS',
      helpValue: 'X',
      default: 1,
      parse: async (text) => speedOf(text),
      summary: "Run the model's clock X times as fast (default: 1).",
    })(),
    answer: Flags.string({
      helpGroup: 'ANSWERS',
      default: 'filler',
      helpValue: 'filler|echo|FILE',
      summary: 'What answers say: filler text, the question, or lines of a file.',
    }),
    'output-tokens': Flags.string({
      helpGroup: 'ANSWERS',
      default: 'lognormal:mean=220,p99=1200',
      helpValue: 'LENGTHS',
      summary: 'Length of answers where the request leaves it open.',
    }),
    tokenizer: Flags.string({
      helpGroup: 'ANSWERS',
      helpValue: 'NAME|FILE',
      summary: "o200k, cl100k, estimate, or a tokenizer.json (default: nearest to the model's).",
    }),
    trace: Flags.string({
      helpGroup: 'TRACE',
      helpValue: 'FILE',
      summary: 'Record into this file (default: one in .llmsim/traces).',
    }),
    rotate: Flags.string({
      helpGroup: 'TRACE',
      helpValue: '100MB|1h',
      summary: 'Begin a new file at this size or age.',
    }),
    'record-text': Flags.boolean({helpGroup: 'TRACE', summary: 'Keep prompts and answers too.'}),
  }

  async run(): Promise<unknown> {
    const parsed = await this.parse(Listen)
    const {flags} = parsed
    const device = flags.cluster === undefined ? flags.hardware : undefined
    const kvOffload = kvOffloadOf(flags)
    const run = {...runRequestOf(flags, device), kvOffload, weights: weightsOf(flags)}
    const listening = await listen({
      ...flags,
      run,
      apiKey: flags['api-key'],
      maxQueue: flags['max-queue'],
      keepsText: flags['record-text'],
      rotate: flags.rotate === undefined ? undefined : rotationOf(flags.rotate),
      servedNames: namesOf(flags['served-model-name']),
      anyModel: flags['any-model'],
      answering: {
        tokenizer: flags.tokenizer,
        answer: flags.answer,
        outputTokens: flags['output-tokens'],
      },
      warmupMs: flags.warmup === undefined ? 0 : durationNs('warmup', flags.warmup, '30s') / 1e6,
      version: this.config.version,
      onLog: (line) => this.logToStderr(line),
    })
    // From here on, and not a moment later than anybody can know that we listen.
    const stopped = nextSignal()
    this.#greet(listening)
    if (flags.verbose) this.#follow(listening)
    await stopped
    await this.#finish(listening)
    const {files, serving} = listening.port
    const served = await replayServed(files, run, this.config.version)
    const names = ['hardware', ...Object.keys({...engineFlags, ...kvOffloadFlags, ...memoryFlags})]
    const flagsAgain = retyped(names, parsed.raw, flags)
    const hardware = flagsAgain.includes('--hardware') || run.hardware === undefined
    const next = [
      'simulate',
      ...files.map(quoted),
      ...(hardware ? [] : ['--hardware H100']),
      ...flagsAgain,
    ]
    const command = `${calledAs(this.config.bin, process)} ${next.join(' ')}`
    const {unanswered} = serving
    if (served === undefined) this.log(noneServed(unanswered))
    else {
      const style = await styleFor(process.stdout, process.env)
      this.log(await renderRun(served.summary, served.header, style))
      if (unanswered.size > 0) this.log(`\nnot answered: ${reasonsOf(unanswered)}`)
      this.log(
        `\n${counted(serving.recorder.rows, 'row')} in ${files.join(', ')}\nnext: ${command}`,
      )
    }
    return {
      trace: files,
      rows: serving.recorder.rows,
      unanswered: Object.fromEntries(unanswered),
      summary: served?.summary ?? null,
      next: command,
    }
  }

  /** Under --json only the result goes to stdout. */
  #say(line: string): void {
    if (this.jsonEnabled()) process.stderr.write(`${line}\n`)
    else this.log(line)
  }

  #greet({port, header, model}: Listening): void {
    const [file] = port.files
    for (const line of header) this.#say(line)
    const {tokenizerName, tokenizerNote} = port.answering
    this.#say(`tokenizer: ${tokenizerName}${tokenizerNote ? ` (${tokenizerNote})` : ''}`)
    this.#say(`recording into ${file}`)
    this.#say(`\nlistening on ${port.url}; try\n`)
    this.#say(`export OPENAI_BASE_URL=${port.url}/v1 OPENAI_API_KEY=any`)
    const body = JSON.stringify({model, messages: [{role: 'user', content: 'Hello!'}]})
    this.#say(
      `curl ${port.url}/v1/chat/completions -H 'content-type: application/json' -d '${body}'\n`,
    )
  }

  #follow({port}: Listening): void {
    const ms = (ns: number | undefined): string =>
      ns === undefined || Number.isNaN(ns) ? '-' : (ns / 1e6).toFixed(1)
    port.serving.observers.push({
      ended: (row) => {
        const {endpoint, status, inputTokens, outputTokens, predictedTtft, predictedE2e} = row
        this.logToStderr(
          `${endpoint} ${status}: ${inputTokens} tokens in, ${outputTokens} out, TTFT ${ms(predictedTtft)} ms, E2E ${ms(predictedE2e)} ms`,
        )
      },
    })
  }

  /** The first Ctrl-C lets open requests end, the second cuts them off. */
  async #finish({port}: Listening): Promise<void> {
    const {open} = port.serving
    const again = nextSignal().then(() => 'cut' as const)
    if (open > 0) this.logToStderr(`${counted(open, 'request')} still open; Ctrl-C again cuts off.`)
    const end = await Promise.race([port.drain().then(() => 'drained' as const), again])
    if (end === 'cut') process.exitCode = 130
    await port.close()
  }
}

type Unanswered = Listening['port']['serving']['unanswered']

const reasonsOf = (unanswered: Unanswered): string =>
  [...unanswered].map(([why, count]) => `${count} × ${why}`).join(', ')

function noneServed(unanswered: Unanswered): string {
  const came = [...unanswered.values()].reduce((sum, count) => sum + count, 0)
  if (came === 0) return 'no requests came'
  return `${counted(came, 'request')} came and none was answered: ${reasonsOf(unanswered)}`
}

/** Resolves with the next SIGINT or SIGTERM. */
function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      resolve()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}
