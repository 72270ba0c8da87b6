/**
 * `--timeline`: every step and every request as a Chrome trace (JSON array format), which ui.perfetto.dev and
 * chrome://tracing open. An engine is a process, a step a slice, a request an asynchronous slice with its phases; so is KV
 * that moves.
 */
import {type Outcomes, status, statusNames} from '../stats/outcomes.js'
import type {RequestColumns} from './measures.js'
import {RowFile} from './row-file.js'

/** A step as it is drawn; times in ns. */
export interface TimelineStep {
  readonly instance: number
  readonly start: number
  readonly end: number
  readonly tokens: number
  readonly prefills: number
  readonly prefillTokens: number
  readonly decodes: number
  readonly running: number
  readonly waiting: number
  readonly freeBlocks: number
  readonly preempted: number
}

/** KV that went between two engines, as it is drawn. */
export interface TimelineHandOff {
  readonly row: number
  readonly prefill: number
  readonly decode: number
  readonly bytes: number
  readonly start: number
  readonly end: number
  readonly outcome: string
}

/** KV that went between an engine and one of its tiers. */
export interface TimelineTierTransfer {
  readonly instance: number
  readonly tier: string
  readonly direction: 'read' | 'write'
  readonly blocks: number
  readonly bytes: number
  /** Of a load, the request that waits for it. */
  readonly row: number | undefined
  readonly start: number
  readonly end: number
  readonly outcome: string
  /** Blocks in the tier at its end. */
  readonly held: number
}

/** Microseconds with the nanoseconds behind the point: what the format wants, and exact. */
const micros = (ns: number): number => Number((ns / 1000).toFixed(3))

export class TimelineFile {
  readonly #file: RowFile
  readonly #nameOf: (instance: number) => string
  /** Per instance, when the last step of each row ends: batches that overlap (pipelines) stand in rows of their own. */
  readonly #rows: number[][] = []
  #isFirst = true
  #transfers = 0

  /** `nameOf` an engine: what stands beside its number. Throws OUTPUT_NOT_WRITABLE. */
  constructor(path: string, nameOf: (instance: number) => string) {
    this.#nameOf = nameOf
    this.#file = new RowFile(path, '[')
  }

  step({instance, start, end, ...step}: TimelineStep): void {
    const pid = instance + 1
    const at = {pid, ts: micros(start)}
    const name = step.prefills === 0 ? 'decode' : step.decodes === 0 ? 'prefill' : 'mixed'
    const tid = this.#rowFor(instance, start, end)
    const {tokens, prefills, prefillTokens, decodes, preempted} = step
    const args = {tokens, prefills, prefill_tokens: prefillTokens, decodes, preempted}
    this.#write({ph: 'X', cat: 'step', name, ...at, tid, dur: micros(end - start), args})
    const {running, waiting, freeBlocks} = step
    this.#write({ph: 'C', name: 'requests', ...at, args: {running, waiting}})
    this.#write({ph: 'C', name: 'free KV blocks', ...at, args: {blocks: freeBlocks}})
  }

  /** Requests in order of rows; `base`: number of the first in the trace. */
  requests(trace: RequestColumns, outcomes: Outcomes, base = 0): void {
    for (let row = 0; row < outcomes.length; row++) this.#request(trace, outcomes, {row, base})
  }

  #request(trace: RequestColumns, o: Outcomes, {row, base}: {row: number; base: number}): void {
    const pid = Math.max(0, o.instance[row]!) + 1
    const [arrived, scheduled] = [o.arrivedAt[row]!, o.scheduledAt[row]!]
    const [first, finished] = [o.firstTokenAt[row]!, o.finishedAt[row]!]
    if (Number.isNaN(arrived)) return
    this.#nameProcess(pid - 1)
    const request = trace.requestId?.[row] ?? String(row + base)
    const common = {cat: 'request', id: row + base, pid, tid: 0}
    const args = {
      request,
      status: statusNames[o.status[row]!],
      input_tokens: trace.inputTokens[row]!,
      output_tokens: trace.outputTokens[row]!,
      cached_tokens: o.cachedTokens[row]!,
      preemptions: o.preemptions[row]!,
    }
    const span = (name: string, from: number, to: number, extra: object) => {
      this.#write({ph: 'b', name, ...common, ts: micros(from), ...extra})
      this.#write({ph: 'e', name, ...common, ts: micros(to)})
    }
    if (o.status[row] !== status.completed) {
      this.#write({
        ph: 'n',
        name: statusNames[o.status[row]!]!,
        ...common,
        ts: micros(arrived),
        args,
      })
      return
    }
    this.#write({ph: 'b', name: request, ...common, ts: micros(arrived), args})
    span('queue', arrived, scheduled, {})
    span('prefill', scheduled, first, {})
    span('decode', first, finished, {})
    this.#write({ph: 'e', name: request, ...common, ts: micros(finished)})
  }

  /** Stands in the process of the engine that receives. */
  handOff({prefill, decode, start, end, row, bytes, outcome}: TimelineHandOff): void {
    const args = {request: row, from: `instance ${prefill}`, bytes, outcome}
    this.#moved({instance: decode, name: `KV from instance ${prefill}`, start, end}, args)
  }

  tierTransfer({tier, direction, held, ...moved}: TimelineTierTransfer): void {
    const {instance, start, end, row, blocks, bytes, outcome} = moved
    const name = direction === 'read' ? `load from ${tier}` : `write to ${tier}`
    const args = {...(row === undefined ? {} : {request: row}), blocks, bytes, outcome}
    this.#moved({instance, name, start, end}, args)
    const pid = instance + 1
    this.#write({ph: 'C', name: `KV blocks in ${tier}`, pid, ts: micros(end), args: {blocks: held}})
  }

  /** Transfers of a name share a track; those that overlap stand in rows of it. */
  #moved(
    {instance, name, start, end}: {instance: number; name: string; start: number; end: number},
    args: object,
  ): void {
    this.#nameProcess(instance)
    const common = {cat: 'kv', id: this.#transfers++, pid: instance + 1, tid: 0, name}
    this.#write({ph: 'b', ...common, ts: micros(start), args})
    this.#write({ph: 'e', ...common, ts: micros(end)})
  }

  #rowFor(instance: number, start: number, end: number): number {
    this.#nameProcess(instance)
    const rows = this.#rows[instance]!
    const free = rows.findIndex((last) => last <= start)
    const row = free < 0 ? rows.length : free
    if (free < 0) {
      const args = {name: row === 0 ? 'steps' : `steps in flight ${row + 1}`}
      this.#write({ph: 'M', name: 'thread_name', pid: instance + 1, tid: row + 1, args})
    }
    rows[row] = end
    return row + 1
  }

  #nameProcess(instance: number): void {
    if (this.#rows[instance] !== undefined) return
    this.#rows[instance] = []
    const name = this.#nameOf(instance)
    const args = {name: `instance ${instance}${name === '' ? '' : `: ${name}`}`}
    this.#write({ph: 'M', name: 'process_name', pid: instance + 1, args})
  }

  #write(event: object): void {
    this.#file.write(`${this.#isFirst ? ' ' : ','}${JSON.stringify(event)}`)
    this.#isFirst = false
  }

  /** Must be called: the closing bracket makes it JSON. */
  close(): void {
    try {
      this.#file.write(']')
    } finally {
      this.#file.close()
    }
  }
}
