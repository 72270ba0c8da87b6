/** One answer, token by token, fixed before the first of them is due. */

import type {FinishReason} from '../plan.js'
import type {GenerationRequest, Tool, ToolCall} from '../requests/generation-request.js'
import type {PromptTokens} from '../tokens/prompt-tokens.js'
import type {SplitText} from '../tokens/tokenizer.js'
import type {AnswerSource} from './answer-source.js'
import type {Dice} from './dice.js'
import type {Filler} from './filler.js'
import type {AnswerLengths} from './lengths.js'
import {type SchemaPlace, SchemaWriter} from './schema-text.js'
import {callSegments} from './tool-text.js'

export interface Answer {
  readonly ids: ArrayLike<number>
  /** What each token adds to the text, or to the arguments of the call; '' for tokens that nobody sees. */
  readonly pieces: readonly string[]
  readonly finishReason: FinishReason
  /** The call that the answer is; its name is known with token `namedBy`. */
  readonly call?: {readonly id: string; readonly name: string; readonly namedBy: number} | undefined
}

export interface AnswerMakers {
  readonly tokens: PromptTokens
  readonly filler: Filler
  readonly source: AnswerSource
  readonly lengths: AnswerLengths
}

export interface AnswerTask {
  readonly request: GenerationRequest
  /** The last message, or the prompt. */
  readonly said: string
  /** Whether it is what a tool returned. */
  readonly isToolResult: boolean
  /** Tokens at most, by request and context. At least 1. */
  readonly room: number
}

export function answerOf(makers: AnswerMakers, task: AnswerTask, dice: Dice): Answer {
  const tool = chosenTool(makers, task, dice)
  if (tool !== undefined) return callOf(makers, tool, task, dice)
  const {format} = task.request
  if (format.kind === 'text') return textAnswer(makers, task, dice)
  const place: SchemaPlace =
    format.kind === 'schema' ? format : {schema: anyObject, path: 'response_format'}
  return shortened(jsonText(makers, place, dice), task, 'stop')
}

const anyObject = {
  type: 'object',
  properties: {answer: {type: 'string'}, confident: {type: 'boolean'}},
}

/** Required and named tools are called; left to itself, filler calls one until it has seen a result. */
function chosenTool({source}: AnswerMakers, task: AnswerTask, dice: Dice): Tool | undefined {
  const {tools, toolChoice} = task.request
  if (tools.length === 0 || toolChoice === 'none') return undefined
  if (typeof toolChoice === 'object') return tools.find(({name}) => name === toolChoice.name)
  const isWanted = toolChoice === 'required' || (source.says === 'filler' && !task.isToolResult)
  return isWanted ? dice.of(tools) : undefined
}

const wordsPerArgument = 2

function callOf(makers: AnswerMakers, tool: Tool, task: AnswerTask, dice: Dice): Answer {
  const place = {schema: tool.parameters, path: tool.path}
  const value = new SchemaWriter(place, dice, wordsPerArgument).write()
  const id = `call_${Array.from({length: 24}, () => dice.below(36).toString(36)).join('')}`
  const call: ToolCall = {id, name: tool.name, arguments: JSON.stringify(value)}
  const [before, inner, after] = callSegments(call).map((text) =>
    makers.tokens.tokenizer.split(text),
  ) as [SplitText, SplitText, SplitText]
  const hidden = ({pieces}: SplitText): string[] => pieces.map(() => '')
  const split = {
    ids: [before, inner, after].flatMap(({ids}) => Array.from(ids)),
    pieces: [...hidden(before), ...inner.pieces, ...hidden(after)],
  }
  const whole = shortened(split, task, 'tool_calls')
  const namedBy = before.ids.length - 1
  // An answer that is cut before the name is known calls nothing.
  const isNamed = namedBy < whole.ids.length
  return isNamed ? {...whole, call: {id, name: tool.name, namedBy}} : whole
}

/** JSON of about the length that answers have; twice, because its texts can only be stretched once they are known. */
function jsonText(makers: AnswerMakers, place: SchemaPlace, dice: Dice): SplitText {
  const wanted = makers.lengths.at(dice.unit())
  const usualWords = 3
  const first = new SchemaWriter(place, dice, usualWords)
  const short = makers.tokens.tokenizer.split(JSON.stringify(first.write()))
  const missing = wanted - short.ids.length
  if (first.freeTexts === 0 || missing < first.freeTexts) return short
  const words = usualWords + Math.floor(missing / first.freeTexts)
  const second = new SchemaWriter(place, dice, words)
  return makers.tokens.tokenizer.split(JSON.stringify(second.write()))
}

function textAnswer(makers: AnswerMakers, task: AnswerTask, dice: Dice): Answer {
  const {minTokens, ignoreEos} = task.request.limits
  const text = makers.source.answerTo(task.said, dice)
  const own = text === undefined || text === '' ? undefined : makers.tokens.tokenizer.split(text)
  const natural = Math.max(own?.ids.length ?? makers.lengths.at(dice.unit()), minTokens)
  const length = ignoreEos ? task.room : Math.min(natural, task.room)
  const split = own === undefined ? makers.filler.take(length, dice) : repeated(own, length)
  const reason = ignoreEos || natural > task.room ? 'length' : 'stop'
  return stopped({...split, finishReason: reason}, task.request.limits.stop)
}

/** At least one token; what does not fit is left out. */
function shortened({ids, pieces}: SplitText, {room}: AnswerTask, reason: FinishReason): Answer {
  if (ids.length <= room) return {ids, pieces, finishReason: reason}
  return {ids: sliced(ids, room), pieces: pieces.slice(0, room), finishReason: 'length'}
}

const sliced = (ids: ArrayLike<number>, length: number): number[] =>
  Array.prototype.slice.call(ids, 0, length) as number[]

function repeated({ids, pieces}: SplitText, length: number): SplitText {
  if (ids.length === length) return {ids, pieces}
  const places = Array.from({length}, (_, i) => i % ids.length)
  return {ids: places.map((i) => ids[i]!), pieces: places.map((i) => pieces[i]!)}
}

/** Ends where a stop string is complete; the client sees what stands before it. */
function stopped(answer: Answer, stops: readonly string[]): Answer {
  if (stops.length === 0) return answer
  const text = answer.pieces.join('')
  const found = stops
    .map((stop) => ({at: text.indexOf(stop), length: stop.length}))
    .filter(({at}) => at >= 0)
    .sort((a, b) => a.at + a.length - (b.at + b.length) || a.at - b.at)[0]
  if (found === undefined) return answer
  const pieces: string[] = []
  let end = 0
  for (const piece of answer.pieces) {
    pieces.push(piece.slice(0, Math.max(0, found.at - end)))
    end += piece.length
    if (end >= found.at + found.length) break
  }
  return {ids: sliced(answer.ids, pieces.length), pieces, finishReason: 'stop'}
}
