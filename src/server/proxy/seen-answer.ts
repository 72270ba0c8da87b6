/** What a real server answered, as far as a recording needs it: texts, token counts, and when tokens came. */

export interface SeenUsage {
  readonly prompt: number | undefined
  readonly completion: number | undefined
  readonly cached: number | undefined
}

/** One choice of an answer. */
export interface SeenChoice {
  text: string
  /** ns at which pieces of it came. */
  readonly times: number[]
}

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null

const objectAt = (value: unknown, key: string): Json | undefined => {
  const inner = isObject(value) ? value[key] : undefined
  return isObject(inner) ? inner : undefined
}

const numberAt = (value: unknown, ...keys: readonly string[]): number | undefined => {
  for (const key of keys) {
    const inner = isObject(value) ? value[key] : undefined
    if (typeof inner === 'number') return inner
  }
  return undefined
}

const textAt = (value: unknown, key: string): string => {
  const inner = isObject(value) ? value[key] : undefined
  return typeof inner === 'string' ? inner : ''
}

const listAt = (value: unknown, key: string): unknown[] => {
  const inner = isObject(value) ? value[key] : undefined
  return Array.isArray(inner) ? inner : []
}

/** Text of a message or of a delta: what is said, thought, and given to tools. */
const said = (message: unknown): string =>
  textAt(message, 'reasoning_content') +
  textAt(message, 'reasoning') +
  textAt(message, 'content') +
  listAt(message, 'tool_calls')
    .map(
      (call) =>
        textAt(objectAt(call, 'function'), 'name') +
        textAt(objectAt(call, 'function'), 'arguments'),
    )
    .join('')

export class SeenAnswer {
  readonly #byIndex = new Map<number, SeenChoice>()
  usage: SeenUsage = {prompt: undefined, completion: undefined, cached: undefined}
  /** Embeddings in it. */
  vectors = 0

  /** A whole answer. */
  whole(body: unknown): void {
    this.#usage(body)
    for (const [i, choice] of listAt(body, 'choices').entries()) {
      const index = numberAt(choice, 'index') ?? i
      this.#choice(index).text += textAt(choice, 'text') + said(objectAt(choice, 'message'))
    }
    for (const item of listAt(body, 'output')) this.#choice(0).text += outputText(item)
    this.vectors = listAt(body, 'data').length
  }

  /** The data of an event that came at `at`. True: it holds nothing but the usage. */
  event(data: unknown, at: number): boolean {
    const isResponse = textAt(data, 'type').startsWith('response.')
    this.#usage(isResponse ? objectAt(data, 'response') : data)
    if (isResponse) {
      if (textAt(data, 'type').endsWith('.delta')) this.#piece(0, textAt(data, 'delta'), at)
      return false
    }
    const choices = listAt(data, 'choices')
    for (const [i, choice] of choices.entries()) {
      const piece = textAt(choice, 'text') + said(objectAt(choice, 'delta'))
      this.#piece(numberAt(choice, 'index') ?? i, piece, at)
    }
    return choices.length === 0 && objectAt(data, 'usage') !== undefined
  }

  #piece(index: number, text: string, at: number): void {
    if (text === '') return
    const choice = this.#choice(index)
    choice.text += text
    choice.times.push(at)
  }

  #choice(index: number): SeenChoice {
    const known = this.#byIndex.get(index)
    if (known !== undefined) return known
    const choice = {text: '', times: []}
    this.#byIndex.set(index, choice)
    return choice
  }

  /** In order of their index. */
  get choices(): readonly SeenChoice[] {
    return [...this.#byIndex].sort(([a], [b]) => a - b).map(([, choice]) => choice)
  }

  #usage(body: unknown): void {
    const usage = objectAt(body, 'usage')
    if (usage === undefined) return
    const details =
      objectAt(usage, 'prompt_tokens_details') ?? objectAt(usage, 'input_tokens_details')
    this.usage = {
      prompt: numberAt(usage, 'prompt_tokens', 'input_tokens'),
      completion: numberAt(usage, 'completion_tokens', 'output_tokens'),
      cached: numberAt(details, 'cached_tokens'),
    }
  }
}

function outputText(item: unknown): string {
  const parts = listAt(item, 'content').map((part) => textAt(part, 'text'))
  return parts.join('') + textAt(item, 'name') + textAt(item, 'arguments')
}
