/**
 * The tokens around the messages of a chat: a template opens and closes each of them, and opens the answer. What the
 * markers are called does not matter here, only how many there are and that equal frames have equal ids.
 */

/** Text to be tokenized, or marks: numbers that stand for special tokens, counted from 0. */
export type Segment = string | {readonly marks: readonly number[]}

export interface ChatFrame {
  readonly name: string
  readonly start: readonly Segment[]
  open(role: string): readonly Segment[]
  close(): readonly Segment[]
}

/** `<|im_start|>role\n … <|im_end|>\n`: Qwen, Yi, gpt-4, and most others are within two tokens of it. */
const chatml: ChatFrame = {
  name: 'chatml',
  start: [],
  open: (role) => [{marks: [0]}, `${role}\n`],
  close: () => [{marks: [1]}, '\n'],
}

/** `<|begin_of_text|>` and `<|start_header_id|>role<|end_header_id|>\n\n … <|eot_id|>` (Meta's model card of Llama 3). */
const llama3: ChatFrame = {
  name: 'llama3',
  start: [{marks: [2]}],
  open: (role) => [{marks: [3]}, role, {marks: [4]}, '\n\n'],
  close: () => [{marks: [5]}],
}

/** `<s>[INST] … [/INST] … </s>` (Mistral). Only user and assistant have marks of their own. */
const mistral: ChatFrame = {
  name: 'mistral',
  start: [{marks: [6]}],
  open: (role) => (role === 'assistant' ? [{marks: [8]}] : [{marks: [7]}]),
  close: () => [{marks: [9]}],
}

/** `<|start|>role<|message|> … <|end|>` (OpenAI's harmony format of gpt-oss). */
const harmony: ChatFrame = {
  name: 'harmony',
  start: [],
  open: (role) => [{marks: [10]}, role, {marks: [11]}],
  close: () => [{marks: [12]}],
}

/** Marker of what stands in for a picture. */
export const pictureMark = 13

/** Marker of the place where an embedding is read. */
export const poolingMark = 14

export function chatFrameOf(model: string): ChatFrame {
  if (/llama-?[34]/i.test(model)) return llama3
  if (/mistral|mixtral/i.test(model)) return mistral
  if (/gpt-oss|gpt-4o|gpt-5/i.test(model)) return harmony
  return chatml
}
