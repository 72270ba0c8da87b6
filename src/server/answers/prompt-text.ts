/** The token ids of a prompt: its messages in the frame of the model, or a text as it is. */
import {nameId} from '../../trace/block-ids.js'
import type {ChatMessage, ContentPart, Prompt, Tool} from '../requests/generation-request.js'
import {type ChatFrame, pictureMark, type Segment} from '../tokens/chat-frame.js'
import type {PromptTokens} from '../tokens/prompt-tokens.js'
import {callSegments, toolsText} from './tool-text.js'

/** Tokens of a picture: a 336-pixel square in patches of 14, as LLaVA 1.5 has it (Liu et al., 2023). */
export const pictureTokens = 576
/** Marks of pictures lie behind those of frames. */
const pictureIds = 1 << 20

export interface PromptParts {
  readonly prompt: Prompt
  readonly tools: readonly Tool[]
}

/** A promise only when a long text is tokenized elsewhere. */
export function promptIds(
  tokens: PromptTokens,
  frame: ChatFrame,
  {prompt, tools}: PromptParts,
): Uint32Array | Promise<Uint32Array> {
  if (prompt.kind === 'ids') return Uint32Array.from(prompt.ids)
  const segments =
    prompt.kind === 'text'
      ? [...frame.start, prompt.text]
      : chatSegments(frame, prompt.messages, tools)
  const parts: (Uint32Array | Promise<Uint32Array>)[] = []
  let isReady = true
  for (const segment of segments) {
    const part = idsOf(tokens, segment)
    if (part instanceof Promise) isReady = false
    parts.push(part)
  }
  return isReady ? joined(parts as Uint32Array[]) : Promise.all(parts).then(joined)
}

function idsOf(tokens: PromptTokens, segment: Segment): Uint32Array | Promise<Uint32Array> {
  if (typeof segment === 'string') return tokens.encode(segment)
  return Uint32Array.from(segment.marks, (mark) => tokens.tokenizer.size + mark)
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  let length = 0
  for (const part of parts) length += part.length
  const ids = new Uint32Array(length)
  let at = 0
  for (const part of parts) {
    ids.set(part, at)
    at += part.length
  }
  return ids
}

function chatSegments(
  frame: ChatFrame,
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
): Segment[] {
  const segments: Segment[] = [...frame.start]
  const hasSystem = messages[0]?.role === 'system'
  if (tools.length > 0 && !hasSystem) {
    segments.push(...frame.open('system'), toolsText(tools), ...frame.close())
  }
  for (const [i, message] of messages.entries()) {
    segments.push(...frame.open(message.role))
    for (const part of message.content) segments.push(contentOf(part))
    for (const call of message.toolCalls) segments.push(...callSegments(call))
    if (i === 0 && hasSystem && tools.length > 0) segments.push(toolsText(tools))
    segments.push(...frame.close())
  }
  segments.push(...frame.open('assistant'))
  return segments
}

function contentOf(part: ContentPart): Segment {
  if (part.kind === 'text') return part.text
  const marks = new Array<number>(pictureTokens).fill(pictureMark)
  marks[0] = pictureIds + (nameId(part.source) % pictureIds)
  return {marks}
}

/** The last message as text, and whether it is what a tool returned; '' for token ids that cannot be read. */
export function lastSaid(
  tokens: PromptTokens,
  prompt: Prompt,
): {said: string; isToolResult: boolean} {
  if (prompt.kind === 'text') return {said: prompt.text, isToolResult: false}
  if (prompt.kind === 'ids') {
    return {said: tokens.tokenizer.decode(prompt.ids) ?? '', isToolResult: false}
  }
  const last = prompt.messages.at(-1)
  const texts = (last?.content ?? []).map((part) => (part.kind === 'text' ? part.text : ''))
  const isToolResult = last?.role === 'tool' || last?.role === 'function'
  return {said: texts.join(''), isToolResult}
}
