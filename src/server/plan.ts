/** What an endpoint makes of a request: what the engines are asked, and how the answers are written. */

/** One answer, one request to an engine. Fixed before it is submitted, so that its tokens can be replayed. */
export interface PlannedAnswer {
  readonly promptIds: ArrayLike<number>
  /** At least one. */
  readonly outputIds: ArrayLike<number>
}

/** Tokens of all answers of a request, as `usage` reports them. */
export interface UsedTokens {
  /** Each prompt counts once, however many answers it gets. */
  readonly prompt: number
  readonly cached: number
  readonly completion: number
}

/** Writes answers; text is ready to be sent. */
export interface AnswerWriter {
  /** Server-sent events for token `k` of answer `index`; '' when there is nothing to show. The first one opens the answer. */
  token(index: number, k: number): string
  /** Events once an answer is complete. */
  last(index: number): string
  /** Events at the end of the stream. */
  end(used: UsedTokens): string
  /** The whole answer as JSON, where the client did not ask for a stream. */
  whole(used: UsedTokens): string
}

export type FinishReason = 'stop' | 'length' | 'tool_calls'

export interface Plan {
  /** Id of the response; of its answers where there is one. Unique. */
  readonly id: string
  /** Path of the endpoint. */
  readonly endpoint: string
  /** As the client named it. */
  readonly model: string
  readonly mode: 'stream' | 'whole'
  readonly priority: number
  readonly answers: readonly PlannedAnswer[]
  readonly writer: AnswerWriter
  /** Whether requests of this kind belong to conversations. */
  readonly isChat: boolean
  /** What the request asked for, for metrics. */
  readonly asked: {readonly n: number; readonly maxTokens: number | undefined}
  /** Why an answer ends. */
  finishReason(index: number): FinishReason
  /** JSON of what was asked and of what is answered, where texts are recorded. */
  text?(index: number): {readonly prompt: string; readonly answer: string}
}
