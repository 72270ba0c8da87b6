/** `--check`: what must hold for every simulation whatever the input, tested on its results. */
import {Problem} from '../errors.js'
import {type EngineTotals, type Outcomes, status, statusNames} from '../stats/outcomes.js'
import type {Trace} from '../trace/trace.js'
import type {RunResult} from './summary.js'

export interface CheckedPart {
  readonly trace: Trace
  readonly outcomes: Outcomes
}

export interface CheckedRun extends RunResult {
  readonly trace: Trace
}

/** Throws CHECK_FAILED (exit code 3) naming the first request or engine that breaks an invariant. */
export function checkRun(run: CheckedRun): void {
  const check = new RunCheck()
  check.add(run)
  check.finish(run.engines)
}

/** The same for a run whose results come part by part. */
export class RunCheck {
  #rows = 0
  #preemptions = 0
  #gaps = 0
  #work = 0
  #isCancelled = false

  add(part: CheckedPart): void {
    const {trace, outcomes: o} = part
    const name = (row: number): string =>
      `request ${trace.requestId?.[row] ?? this.#rows + row} (row ${this.#rows + row})`
    for (let row = 0; row < trace.length; row++) {
      const fault = faultOfRequest(part, row)
      if (fault !== undefined) throw failed(name(row), fault)
      this.#preemptions += o.preemptions[row]!
      if (o.status[row] === status.cancelled) this.#isCancelled = true
      if (o.status[row] !== status.completed) continue
      this.#gaps += o.producedTokens[row]! - 1
      // The KV of the last output token is never computed.
      this.#work += trace.inputTokens[row]! + o.producedTokens[row]! - 1 - o.cachedTokens[row]!
    }
    const late = faultOfSessions(trace, part)
    if (late !== undefined) throw failed(name(late), sessionRule)
    this.#rows += trace.length
  }

  finish(engines: readonly EngineTotals[]): void {
    for (const engine of engines) {
      const fault = faultOfEngine(engine)
      if (fault !== undefined) throw failed(`engine ${engine.instance}`, fault)
    }
    const fault = this.#faultOfTotals(engines)
    if (fault !== undefined) throw failed('the whole run', fault)
  }

  #faultOfTotals(engines: readonly EngineTotals[]): string | undefined {
    const total = (of: (engine: EngineTotals) => number): number =>
      engines.reduce((sum, engine) => sum + of(engine), 0)
    const byEngine = total((e) => e.preemptions)
    if (this.#preemptions !== byEngine) {
      return `requests were preempted ${this.#preemptions} times, engines preempted ${byEngine} times`
    }
    // What a cancelled request had computed, and whether its last gap ended, is not in its outcome.
    if (this.#isCancelled) return undefined
    const counted = total((e) =>
      e.gaps.counts.subarray(0, e.gaps.length).reduce((a, b) => a + b, 0),
    )
    if (counted !== this.#gaps) {
      return `there are ${counted} gaps between tokens, ${this.#gaps} were expected`
    }
    const done = total((e) => e.prefillTokens + e.decodeTokens)
    const wasted = total((e) => e.speculation?.wasted ?? 0)
    // Where decoding engines pull KV, they compute the last prompt token once more.
    const work = this.#work + wasted + total((e) => e.recomputedTokens)
    return this.#preemptions === 0 && done !== work
      ? `engines computed ${done} tokens, the requests that completed make ${work}`
      : undefined
  }
}

const failed = (who: string, fault: string): Problem =>
  new Problem('CHECK_FAILED', `--check: ${who}: ${fault}. This is a bug of llmsim.`, {exit: 3})

const sessionRule = 'arrived before the turn before it had ended and its think time had passed'

/** Ends or says why not; whole times in causal order; tokens in = tokens out. */
function faultOfRequest({trace, outcomes: o}: CheckedPart, row: number): string | undefined {
  const state = o.status[row]!
  if (state === status.pending) return 'neither completed, nor was it cancelled or rejected'
  if (state === status.rejected && !o.reasons.get(row)) return 'was rejected without a reason'
  if (state !== status.rejected && o.reasons.has(row)) {
    return `is ${statusNames[state as 1 | 3]} but has a reason for a rejection`
  }
  return faultOfTimes(o, row) ?? faultOfTokens({trace, outcomes: o}, row)
}

const moments = ['arrivedAt', 'scheduledAt', 'firstTokenAt', 'finishedAt'] as const

function faultOfTimes(o: CheckedRun['outcomes'], row: number): string | undefined {
  let before: (typeof moments)[number] | undefined
  for (const moment of moments) {
    const at = o[moment][row]!
    if (Number.isNaN(at)) {
      if (o.status[row] === status.completed) return `completed without ${moment}`
      continue
    }
    // Not isSafeInteger: a trace of more than 104 days has whole times beyond 2^53, too.
    if (!Number.isInteger(at) || at < 0) return `${moment} ${at} is not a whole number of ns`
    if (before !== undefined && at < o[before][row]!) {
      return `${moment} ${at} lies before ${before} ${o[before][row]}`
    }
    before = moment
  }
  return undefined
}

function faultOfTokens({trace, outcomes: o}: CheckedPart, row: number): string | undefined {
  const asked = trace.outputTokens[row]!
  const produced = o.producedTokens[row]!
  if (o.status[row] === status.completed && produced !== asked) {
    return `produced ${produced} of ${asked} output tokens`
  }
  if (produced > asked) return `produced ${produced} output tokens, ${asked} were asked for`
  if (o.status[row] === status.rejected && produced > 0) return 'was rejected but produced tokens'
  // The last prompt token is always computed: it makes the first output token.
  if (o.cachedTokens[row]! > 0 && o.cachedTokens[row]! >= trace.inputTokens[row]!) {
    return `took ${o.cachedTokens[row]} prompt tokens from the cache of ${trace.inputTokens[row]}`
  }
  return undefined
}

/** The first turn that came too early; undefined if none did. */
function faultOfSessions(
  {session, thinkTime, length}: Trace,
  run: CheckedPart,
): number | undefined {
  if (!session || !thinkTime) return undefined
  const ended = new Map<number, number>()
  for (let row = 0; row < length; row++) {
    const code = session.codes[row]!
    if (code < 0) continue
    const earliest = (ended.get(code) ?? Number.NaN) + thinkTime[row]!
    if (run.outcomes.arrivedAt[row]! < earliest) return row
    ended.set(code, run.outcomes.finishedAt[row]!)
  }
  return undefined
}

function faultOfEngine(engine: EngineTotals): string | undefined {
  const {peakBlocks, blocks, hitTokens, lookedUpTokens, heldBack, busyNs} = engine
  if (peakBlocks > blocks) return `held ${peakBlocks} of ${blocks} blocks`
  if (hitTokens > lookedUpTokens) return `hit ${hitTokens} of ${lookedUpTokens} looked-up tokens`
  const held = heldBack.seats + heldBack.blocks + heldBack.budget
  if (held > busyNs) return `held requests back for ${held} ns of ${busyNs} ns busy`
  if (engine.runningNs > engine.maxNumSeqs * busyNs) return 'ran more requests than it has seats'
  return undefined
}
