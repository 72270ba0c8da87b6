/**
 * One request on its way through the port: its answers are asked of the engines, written as their tokens come, and
 * recorded before the client gets the last byte.
 */
import {blockTokens, idsOfTokens, idsToHex} from '../trace/block-ids.js'
import type {RecordedRow} from '../trace/recording.js'
import {ApiError} from './api-error.js'
import type {LiveObserver, ServedTimes, Ticket} from './backend.js'
import type {Plan, PlannedAnswer, UsedTokens} from './plan.js'
import type {Serving} from './serving.js'
import type {Turn} from './sessions.js'

/** Where an answer goes. */
export interface AnswerSink {
  /** The first token is there: headers may leave. ns; NaN: nothing was modelled. */
  open(ttft: number): void
  /** A piece of the stream. */
  push(text: string): void
  /** The last piece. */
  end(text: string): void
  /** The whole answer. */
  whole(json: string, ttft: number): void
  /** Instead of the rest of the answer. */
  fail(error: ApiError): void
}

interface Part {
  readonly index: number
  readonly answer: PlannedAnswer
  readonly base: BaseRow
  ticket: Ticket | undefined
  /** Tokens that the client was shown. */
  shown: number
  state: 'asked' | 'ended' | 'recorded'
  times: ServedTimes | undefined
}

type BaseRow = Omit<RecordedRow, 'arrivedAt' | 'status'>

/** Where a request came in, and when. */
export interface Received {
  readonly serving: Serving
  readonly receivedAt: number
}

export class Exchange {
  readonly #serving: Serving
  readonly #receivedAt: number
  readonly #plan: Plan
  readonly #sink: AnswerSink
  readonly #parts: Part[] = []
  #isOpen = false
  #isOver = false
  #unrecorded: number

  /** `receivedAt` is the model's time at which the request was there. */
  constructor({serving, receivedAt}: Received, plan: Plan, sink: AnswerSink) {
    this.#serving = serving
    this.#receivedAt = receivedAt
    this.#plan = plan
    this.#sink = sink
    this.#unrecorded = plan.answers.length
  }

  /** Asks the engines. */
  begin(): void {
    for (const [index, answer] of this.#plan.answers.entries()) {
      if (this.#isOver) break
      this.#ask(index, answer)
    }
  }

  #ask(index: number, answer: PlannedAnswer): void {
    const {backend, recorder} = this.#serving
    const ids = this.#blockIds(answer)
    const turn = this.#turnOf(answer, ids)
    const part: Part = {
      index,
      answer,
      base: this.#baseRow(index, ids, turn),
      ticket: undefined,
      shown: 0,
      state: 'asked',
      times: undefined,
    }
    this.#parts[index] = part
    const request = {
      inputTokens: answer.promptIds.length,
      outputTokens: answer.outputIds.length,
      priority: this.#plan.priority,
      blockIds: ids,
      session: turn?.session,
    }
    part.ticket = backend.submit(request, this.#observer(part), this.#receivedAt)
    if (part.state !== 'asked') return
    recorder.accept({...part.base, arrivedAt: part.ticket.arrivedAt, status: 'lost'})
  }

  #observer(part: Part): LiveObserver {
    return {
      ...(this.#plan.mode === 'stream' ? {token: (at) => this.#token(part, at)} : {}),
      finished: (times) => this.#finished(part, times),
      rejected: (times, reason, kind) => this.#rejected(part, times, refusal(reason, kind)),
    }
  }

  #blockIds({promptIds, outputIds}: PlannedAnswer): number[] {
    const tokens = new Uint32Array(promptIds.length + outputIds.length)
    tokens.set(promptIds)
    tokens.set(outputIds, promptIds.length)
    return idsOfTokens(tokens, this.#serving.salt)
  }

  #turnOf({promptIds}: PlannedAnswer, ids: number[]): Turn | undefined {
    if (!this.#plan.isChat) return undefined
    return this.#serving.sessions.turnOf(
      ids.slice(0, Math.floor(promptIds.length / blockTokens)),
      ids,
    )
  }

  #baseRow(index: number, ids: number[], turn: Turn | undefined): BaseRow {
    const {id, answers, model, priority, endpoint, mode} = this.#plan
    const {promptIds, outputIds} = answers[index]!
    return {
      inputTokens: promptIds.length,
      outputTokens: outputIds.length,
      requestId: answers.length === 1 ? id : `${id}-${index}`,
      model,
      session: turn && `s${turn.session}`,
      turn: turn?.turn,
      priority,
      blockHashes: idsToHex(ids),
      cancelledAt: undefined,
      endpoint,
      mode,
      producedTokens: undefined,
      cachedTokens: undefined,
      preemptions: undefined,
      predictedQueue: undefined,
      predictedTtft: undefined,
      predictedE2e: undefined,
      ttft: undefined,
      e2e: undefined,
      gaps: undefined,
      httpStatus: undefined,
      ...(this.#serving.keepsText ? {text: this.#plan.text?.(index)} : {}),
    }
  }

  #token(part: Part, at: number): void {
    if (this.#isOver) return
    if (!this.#isOpen) {
      this.#isOpen = true
      this.#sink.open(at - part.ticket!.arrivedAt)
    }
    const text = this.#plan.writer.token(part.index, part.shown++)
    if (text !== '') this.#sink.push(text)
  }

  #finished(part: Part, times: ServedTimes): void {
    part.times = times
    part.state = 'ended'
    this.#record(part, rowOf(part.base, times, 'completed'), times.engine, (fate) => {
      if (this.#isOver) return
      if (fate === 'lost') this.#fail(unrecorded())
      else this.#complete(part.index)
    })
  }

  /** The row of an answer is safe. */
  #complete(index: number): void {
    const {mode, writer} = this.#plan
    const isLast = this.#unrecorded === 0
    if (mode === 'stream') {
      const text = writer.last(index)
      if (isLast) this.#sink.end(text + writer.end(this.#used()))
      else if (text !== '') this.#sink.push(text)
    } else if (isLast) {
      const {firstTokenAt, arrivedAt} = this.#parts[0]!.times!
      this.#sink.whole(writer.whole(this.#used()), firstTokenAt - arrivedAt)
    }
    if (isLast) this.#isOver = true
  }

  #used(): UsedTokens {
    const used = {prompt: 0, cached: 0, completion: 0}
    let previous: ArrayLike<number> | undefined
    for (const {answer, times} of this.#parts) {
      used.completion += answer.outputIds.length
      if (answer.promptIds === previous) continue
      previous = answer.promptIds
      used.prompt += answer.promptIds.length
      used.cached += times?.cachedTokens ?? 0
    }
    return used
  }

  #rejected(part: Part, times: ServedTimes, error: ApiError): void {
    part.state = 'ended'
    this.#record(part, rowOf(part.base, times, 'failed'), times.engine)
    // Not now: the engine is in the middle of an instant, and the other answers must be cancelled.
    setImmediate(() => this.#isOver || this.#fail(error))
  }

  #fail(error: ApiError): void {
    this.#sink.fail(error)
    this.#isOver = true
    this.#cancelAll()
  }

  /** The client has left: what it asked for is taken back. */
  gone(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelAll()
  }

  #cancelAll(): void {
    for (const part of this.#parts) {
      if (part.state !== 'asked') continue
      const gone = part.ticket?.cancel()
      // It has ended meanwhile, and is recorded as it ended.
      if (gone === undefined) continue
      part.state = 'ended'
      const row = rowOf(part.base, gone.times, 'cancelled')
      this.#record(part, {...row, cancelledAt: gone.at}, gone.times.engine)
    }
  }

  #record(
    part: Part,
    row: RecordedRow,
    engine: number,
    then?: (fate: 'kept' | 'lost') => void,
  ): void {
    const {recorder, observers} = this.#serving
    const {index} = part
    recorder.end(row, (fate) => {
      part.state = 'recorded'
      this.#unrecorded--
      for (const observer of observers) observer.ended(row, {plan: this.#plan, index, engine})
      then?.(fate)
    })
  }
}

const refusal = (reason: string, kind: 'never fits' | 'turned away'): ApiError =>
  kind === 'never fits'
    ? new ApiError(400, `This request can never run: ${reason}.`)
    : new ApiError(429, `This request was turned away: ${reason}.`, {
        code: 'rate_limit_exceeded',
        headers: {'retry-after': '1'},
      })

const unrecorded = (): ApiError =>
  new ApiError(503, 'The answer could not be recorded, so it is not given.', {
    headers: {'retry-after': '1'},
  })

function rowOf(
  base: BaseRow,
  times: ServedTimes,
  status: 'completed' | 'cancelled' | 'failed',
): RecordedRow {
  const {arrivedAt} = times
  return {
    ...base,
    arrivedAt,
    status,
    producedTokens: times.producedTokens,
    cachedTokens: times.cachedTokens,
    preemptions: times.preemptions,
    predictedQueue: times.scheduledAt - arrivedAt,
    predictedTtft: times.firstTokenAt - arrivedAt,
    predictedE2e: times.finishedAt - arrivedAt,
  }
}
