/** The rows of a recording that a proxied request becomes: one for each choice of its answer. */
import {blockTokens, idsOfTokens, idsToHex} from '../../trace/block-ids.js'
import type {RecordedRow, RecordedStatus} from '../../trace/recording.js'
import type {Sessions} from '../sessions.js'
import type {PromptTokens} from '../tokens/prompt-tokens.js'
import type {ProxiedRequest} from './proxied-request.js'
import type {SeenAnswer, SeenChoice} from './seen-answer.js'

export interface ProxyRecord {
  readonly id: string
  readonly endpoint: string
  readonly request: ProxiedRequest
  /** Ids of the prompts by our tokenizer; empty: not known. */
  readonly promptIds: readonly Uint32Array[]
  readonly seen: SeenAnswer
  /** ns on the clock of the recording. */
  readonly arrivedAt: number
  readonly endedAt: number
  readonly status: RecordedStatus
  readonly httpStatus: number | undefined
}

export interface RowMakers {
  readonly tokens: PromptTokens
  /** Absent: the request has not ended, and is no turn yet. */
  readonly sessions: Sessions | undefined
  readonly salt: number
  readonly keepsText: boolean
}

const unseen: SeenChoice = {text: '', times: []}

/** At least one. */
export function rowsOf(record: ProxyRecord, makers: RowMakers): RecordedRow[] {
  const {request, seen} = record
  const expected = Math.max(1, request.prompts.length * request.n)
  const answers = Math.max(expected, seen.choices.length, seen.vectors)
  return Array.from({length: answers}, (_, i) => {
    const prompt = record.promptIds[Math.floor(i / request.n)]
    return rowOf(record, makers, {index: i, answers, prompt, choice: seen.choices[i] ?? unseen})
  })
}

interface Part {
  readonly index: number
  readonly answers: number
  readonly prompt: Uint32Array | undefined
  readonly choice: SeenChoice
}

function rowOf(record: ProxyRecord, makers: RowMakers, part: Part): RecordedRow {
  const {id, endpoint, request, seen, arrivedAt, endedAt, status, httpStatus} = record
  const {index, prompt, choice} = part
  const isOne = record.promptIds.length <= 1
  const inputTokens = (isOne ? seen.usage.prompt : undefined) ?? prompt?.length ?? 0
  const answerIds = answerIdsOf(makers.tokens, choice.text)
  const outputTokens = outputOf(record, part, answerIds)
  const identity = identityOf(
    {prompt, answerIds, total: inputTokens + outputTokens},
    makers,
    request,
  )
  const [first] = choice.times
  const last = choice.times.at(-1)
  const isMeasured = status === 'completed'
  return {
    arrivedAt,
    inputTokens,
    outputTokens,
    // The same for a request that is open and for the one that has ended.
    requestId: index === 0 ? id : `${id}-${index}`,
    model: request.model,
    ...identity,
    priority: request.priority,
    cancelledAt: status === 'cancelled' ? endedAt : undefined,
    status,
    endpoint,
    mode: request.mode,
    producedTokens: outputTokens,
    cachedTokens: isOne ? seen.usage.cached : undefined,
    preemptions: undefined,
    predictedQueue: undefined,
    predictedTtft: undefined,
    predictedE2e: undefined,
    ttft: first === undefined ? undefined : first - arrivedAt,
    e2e: isMeasured ? (last ?? endedAt) - arrivedAt : undefined,
    gaps: choice.times.slice(1).map((at, i) => at - choice.times[i]!),
    httpStatus,
    ...(makers.keepsText ? {text: textOf(request, part)} : {}),
  }
}

/** Longer answers are not tokenized while their client waits. */
const longAnswer = 16_384

function answerIdsOf(tokens: PromptTokens, text: string): Uint32Array | undefined {
  return text === '' || text.length > longAnswer ? undefined : tokens.tokenizer.encode(text)
}

/** Tokens by the server's own count; of several answers each its share; what was counted here where it says nothing. */
function outputOf(
  {seen, request, status}: ProxyRecord,
  {answers, choice}: Part,
  ids: Uint32Array | undefined,
): number {
  const counted = ids?.length ?? choice.times.length
  if (seen.vectors > 0) return 1
  const {completion} = seen.usage
  if (completion === undefined || status !== 'completed') {
    return request.mode === 'stream' ? Math.max(choice.times.length, 0) : counted
  }
  if (answers === 1) return completion
  const all = seen.choices.reduce((sum, {text}) => sum + text.length, 0)
  return Math.max(1, Math.round((completion * choice.text.length) / Math.max(1, all)))
}

interface Identified {
  readonly prompt: Uint32Array | undefined
  readonly answerIds: Uint32Array | undefined
  /** Tokens that the row has. */
  readonly total: number
}

type Identity = Pick<RecordedRow, 'blockHashes' | 'session' | 'turn'>

/** Blocks by our tokenizer, no more than the server's counts have room for. */
function identityOf(
  {prompt, answerIds, total}: Identified,
  {sessions, salt}: RowMakers,
  {isChat}: ProxiedRequest,
): Identity {
  if (prompt === undefined) return {blockHashes: '', session: undefined, turn: undefined}
  const all = new Uint32Array(prompt.length + (answerIds?.length ?? 0))
  all.set(prompt)
  if (answerIds !== undefined) all.set(answerIds, prompt.length)
  const ids = idsOfTokens(all, salt).slice(0, Math.floor(total / blockTokens))
  const inPrompt = Math.floor(prompt.length / blockTokens)
  const turn = isChat ? sessions?.turnOf(ids.slice(0, inPrompt), ids) : undefined
  return {
    blockHashes: idsToHex(ids),
    session: turn && `s${turn.session}`,
    turn: turn?.turn,
  }
}

const textOf = (
  request: ProxiedRequest,
  {index, choice}: Part,
): {prompt: string; answer: string} => ({
  prompt: JSON.stringify(request.prompts[Math.floor(index / request.n)] ?? null),
  answer: JSON.stringify(choice.text),
})
