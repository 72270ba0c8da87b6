/** A trace as it comes: whole, or in parts of consecutive rows. */
import type {Labels, Trace} from './trace.js'

export interface TracePart {
  readonly trace: Trace
  /** Whether it is the end of the trace, or all of it; else more rows follow, none of them earlier. */
  readonly place: 'last' | 'more follows'
}

/**
 * Thrown when, after parts of a trace were given, a row comes that only makes sense in a trace that is read as a
 * whole: one earlier than those before it, a session, an id. The trace must be read anew with `readTrace`.
 */
export class NeedsWholeTrace extends Error {}

/** Rows after which a part may end. Parts of this size stay in the caches of a processor. */
export const partRows = 32_768

/** Columns that policies and routers go by. */
export const guides = ['priority', 'session', 'prefix'] as const
export type Guide = (typeof guides)[number]

/** What stands in the head of a run of a trace. */
export interface TraceFacts {
  readonly length: number
  readonly format: string
  readonly notes: readonly string[]
  readonly inputTokens: number
  readonly outputTokens: number
  /** Whether a row names a LoRA adapter. */
  readonly hasAdapters: boolean
  /** Models that rows ask for, in order of the first. */
  readonly models: readonly string[]
  /** Which of these columns it has. */
  readonly guides: readonly Guide[]
}

/** Adds up what the parts of a trace say of themselves. */
export class FactsOfParts {
  /** Rows so far. */
  length = 0
  #inputTokens = 0
  #outputTokens = 0
  #hasAdapters = false
  readonly #formats = new Set<string>()
  readonly #notes = new Set<string>()
  readonly #models = new Set<string>()
  readonly #guides = new Set<Guide>()

  add(trace: Trace): void {
    const {length, inputTokens, outputTokens, format, notes, adapter, model} = trace
    for (const guide of guides) if (trace[guide] !== undefined) this.#guides.add(guide)
    this.length += length
    this.#hasAdapters ||= adapter !== undefined
    for (let row = 0; row < length; row++) {
      this.#inputTokens += inputTokens[row]!
      this.#outputTokens += outputTokens[row]!
    }
    if (model !== undefined) this.#addModels(model)
    for (const name of format.split('+')) this.#formats.add(name)
    for (const note of notes) this.#notes.add(note)
  }

  #addModels({codes, names}: Labels): void {
    const seen = new Uint8Array(names.length)
    for (const code of codes) {
      if (code < 0 || seen[code] === 1) continue
      seen[code] = 1
      this.#models.add(names[code]!)
    }
  }

  facts(): TraceFacts {
    return {
      length: this.length,
      format: [...this.#formats].join('+'),
      notes: [...this.#notes],
      inputTokens: this.#inputTokens,
      outputTokens: this.#outputTokens,
      hasAdapters: this.#hasAdapters,
      models: [...this.#models],
      guides: guides.filter((guide) => this.#guides.has(guide)),
    }
  }
}

export function factsOf(trace: Trace): TraceFacts {
  const facts = new FactsOfParts()
  facts.add(trace)
  return facts.facts()
}
