/** One run of a job: a trace on one deployment, with its files. In this thread, or in one of a pool. */
import {join} from 'node:path'
import {writeFleet} from '../report/fleet.js'
import {writePower} from '../report/power-file.js'
import {ItlFile, StepsFile} from '../report/request-files.js'
import {createRunFolder, RunWriter, runFiles} from '../report/run-store.js'
import {writeSeries} from '../report/series-file.js'
import type {Slo} from '../report/slo.js'
import type {Summary} from '../report/summary.js'
import {TimelineFile} from '../report/timeline-file.js'
import type {Warmup} from '../report/warmup.js'
import {status} from '../stats/outcomes.js'
import type {GenerateSpec} from '../trace/generate.js'
import {NeedsWholeTrace, type TraceFacts, type TracePart} from '../trace/parts.js'
import {type ReadOptions, readTrace, readTraceParts} from '../trace/read.js'
import type {Trace} from '../trace/trace.js'
import type {Deployment} from './deployment.js'
import {configOf, describeRun, engineName} from './describe.js'
import {type SimulatedRun, Simulator, type SimulatorRequest} from './simulate.js'

/** What all runs of a job have in common. Plain data: it crosses threads. */
export interface RunOptions {
  readonly traceName: string
  readonly concurrency?: number | undefined
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  readonly check: boolean
  /** Where the runs go; undefined keeps none. */
  readonly store: {readonly out: string | undefined; readonly startedAt: Date} | undefined
  /** Whether other runs go to the same place: then each gets a folder of its own there. */
  readonly place: 'alone' | 'among others'
  readonly steps?: string | undefined
  readonly itl?: string | undefined
  readonly timeline?: string | undefined
  readonly version: string
}

/** A trace that is in memory, files of one that need not fit there, or what one is made from. Plain data, too. */
export type TraceInput =
  | {readonly kind: 'whole'; readonly trace: Trace}
  | {readonly kind: 'generated'; readonly spec: GenerateSpec}
  | {readonly kind: 'files'; readonly paths: readonly string[]; readonly options: ReadOptions}

export interface FinishedRun {
  readonly device: string
  readonly header: readonly string[]
  readonly config: ReturnType<typeof configOf>
  readonly trace: TraceFacts
  readonly summary: Summary
  readonly engineSeconds: number
  /** Folder that it was written to. */
  readonly folder: string | undefined
  readonly tokens: number
}

/** Told now and then how many requests have left. */
export type OnProgress = (left: number) => void

/** @throws Problem for faults in the files of the trace, and as Simulator does */
export async function runOne(
  options: RunOptions,
  input: TraceInput,
  deployment: Deployment,
  onProgress?: OnProgress,
): Promise<FinishedRun> {
  const files = new RunFiles(options, deployment)
  try {
    return await finishedRun(options, input, {deployment, files, onProgress})
  } catch (error) {
    if (!(error instanceof NeedsWholeTrace) || input.kind !== 'files') throw error
    // From the start: the files that were begun are written anew.
    const whole = {kind: 'whole', trace: await readTrace(input.paths, input.options)} as const
    return await finishedRun(options, whole, {deployment, files, onProgress})
  }
}

interface Work {
  readonly deployment: Deployment
  readonly files: RunFiles
  readonly onProgress: OnProgress | undefined
}

async function finishedRun(
  options: RunOptions,
  input: TraceInput,
  {deployment, files, onProgress}: Work,
): Promise<FinishedRun> {
  const simulated = await simulateInto(files, input, {
    deployment,
    concurrency: options.concurrency,
    slo: options.slo,
    warmup: options.warmup,
    check: options.check,
    onProgress,
  })
  const {facts: trace, summary, engineSeconds} = simulated
  const header = describeRun(trace, deployment, options.traceName)
  const config = configOf(trace, deployment, options.traceName)
  const timing = {engine_s: engineSeconds}
  files.finish(
    {llmsim: options.version, command: 'simulate', header, config, summary, timing},
    simulated,
  )
  return {
    device: deployment.engines[0]!.instance.hardwareName,
    header,
    config,
    trace,
    summary,
    engineSeconds,
    folder: files.folder,
    tokens: files.tokens,
  }
}

async function simulateInto(
  files: RunFiles,
  input: TraceInput,
  request: SimulatorRequest,
): Promise<SimulatedRun> {
  const sinks = files.open()
  try {
    const simulator = new Simulator({...request, ...sinks})
    for await (const part of partsOf(input)) simulator.feed(part)
    return simulator.finish()
  } finally {
    files.close()
  }
}

async function* partsOf(input: TraceInput): AsyncGenerator<TracePart> {
  if (input.kind === 'files') yield* readTraceParts(input.paths, input.options)
  else if (input.kind === 'whole') yield {trace: input.trace, place: 'last'}
  else {
    const {generateTrace, parseGenerateSpec} = await import('../trace/generate.js')
    yield {trace: generateTrace(await parseGenerateSpec(input.spec)), place: 'last'}
  }
}

type RunSinks = Pick<
  SimulatorRequest,
  'onStep' | 'onGaps' | 'onPart' | 'onHandOff' | 'onTierTransfer'
>

/** The files of a run: its folder, and those of --steps, --itl and --timeline. */
class RunFiles {
  /** Prompts and outputs of requests that were not rejected. */
  tokens = 0
  readonly #options: RunOptions
  readonly #deployment: Deployment
  #folder: string | undefined
  #run: RunWriter | undefined
  #steps: StepsFile | undefined
  #itl: ItlFile | undefined
  #timeline: TimelineFile | undefined
  readonly #gaps = new Map<number, readonly number[]>()

  constructor(options: RunOptions, deployment: Deployment) {
    this.#options = options
    this.#deployment = deployment
  }

  get folder(): string | undefined {
    return this.#folder
  }

  /** Begins the files, anew if they were begun before. @throws Problem OUTPUT_NOT_WRITABLE */
  open(): RunSinks {
    const {store, steps, itl, timeline} = this.#options
    this.tokens = 0
    this.#gaps.clear()
    if (store !== undefined) {
      this.#folder ??= this.#newFolder(store)
      this.#run = new RunWriter(this.#folder)
    }
    this.#steps = steps === undefined ? undefined : new StepsFile(steps)
    this.#itl = itl === undefined ? undefined : new ItlFile(itl)
    const drawn =
      timeline === undefined
        ? undefined
        : new TimelineFile(timeline, (at) => engineName(this.#deployment, at))
    this.#timeline = drawn
    return {
      onPart: (part) => this.#add(part),
      ...(drawn && {
        onHandOff: (moved) => drawn.handOff(moved),
        onTierTransfer: (moved) => drawn.tierTransfer(moved),
      }),
      ...((this.#steps || this.#timeline) && {onStep: (step) => this.#addStep(step)}),
      ...(this.#itl && {onGaps: (row, own) => this.#gaps.set(row, own)}),
    }
  }

  #newFolder({out, startedAt}: NonNullable<RunOptions['store']>): string {
    const device = this.#deployment.engines[0]!.instance.hardwareName
    const isShared = this.#options.place === 'among others'
    return createRunFolder({
      startedAt,
      out: out !== undefined && isShared ? join(out, device) : out,
      about: [this.#options.traceName, device],
    })
  }

  #add(part: Parameters<NonNullable<RunSinks['onPart']>>[0]): void {
    this.#run?.add(part)
    this.#timeline?.requests(part.trace, part.outcomes, part.base)
    const {status: states, producedTokens, length} = part.outcomes
    for (let row = 0; row < length; row++)
      if (states[row] !== status.rejected)
        this.tokens += part.trace.inputTokens[row]! + producedTokens[row]!
    if (this.#itl === undefined) return
    for (let row = part.base; row < part.base + length; row++) {
      const id = part.trace.requestId?.[row - part.base] ?? String(row)
      this.#itl.add(id, this.#gaps.get(row) ?? [])
      this.#gaps.delete(row)
    }
  }

  #addStep({shape, ...step}: Parameters<NonNullable<RunSinks['onStep']>>[0]): void {
    const {tokens, prefills, prefillTokens, decodes} = shape
    this.#steps?.add({...step, tokens, prefillTokens, decodeTokens: decodes})
    this.#timeline?.step({...step, tokens, prefills, prefillTokens, decodes})
  }

  close(): void {
    this.#run?.close()
    this.#steps?.close()
    this.#itl?.close()
    this.#timeline?.close()
  }

  finish(
    record: Parameters<RunWriter['finish']>[0],
    {power, fleet, series, engines}: SimulatedRun,
  ): void {
    if (this.#run === undefined) return
    const {folder} = this.#run
    const blocks = engines.map((engine) => engine.blocks)
    writeSeries(join(folder, runFiles.series), series, blocks)
    if (power) writePower(join(folder, runFiles.power), power)
    if (fleet) writeFleet(join(folder, runFiles.fleet), fleet)
    this.#run.finish(record)
  }
}
