/** Token ids of texts that come again and again: remembered, and made in another thread where that takes long. */
import {Worker} from 'node:worker_threads'
import type {Tokenizer} from './tokenizer.js'

/** Characters that are tokenized on the spot: 3 to 10 ms. Longer texts go to the thread. */
const longText = 16_384
/** Bytes of texts and ids that are remembered. */
const rememberedBytes = 64 * 2 ** 20

interface Waiting {
  readonly resolve: (ids: Uint32Array) => void
  readonly reject: (error: Error) => void
}

export class PromptTokens {
  readonly tokenizer: Tokenizer
  /** As `loadTokenizer` takes it. */
  readonly #spec: string
  readonly #known = new Map<string, Uint32Array>()
  #knownBytes = 0
  #thread: Worker | undefined
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0

  constructor(tokenizer: Tokenizer, spec: string) {
    this.tokenizer = tokenizer
    this.#spec = spec
  }

  /** A promise only for long texts that are not remembered. */
  encode(text: string): Uint32Array | Promise<Uint32Array> {
    const known = this.#known.get(text)
    if (known !== undefined) {
      this.#known.delete(text)
      this.#known.set(text, known)
      return known
    }
    if (text.length <= longText) return this.#remember(text, this.tokenizer.encode(text))
    return this.#inThread(text).then((ids) => this.#remember(text, ids))
  }

  #remember(text: string, ids: Uint32Array): Uint32Array {
    if (this.#known.has(text)) return ids
    this.#known.set(text, ids)
    this.#knownBytes += sizeOf(text, ids)
    for (const [oldest, itsIds] of this.#known) {
      if (this.#knownBytes <= rememberedBytes) break
      this.#known.delete(oldest)
      this.#knownBytes -= sizeOf(oldest, itsIds)
    }
    return ids
  }

  #inThread(text: string): Promise<Uint32Array> {
    this.#thread ??= this.#start()
    const thread = this.#thread
    const id = this.#asked++
    thread.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {resolve, reject})
      thread.postMessage({id, text})
    })
  }

  #start(): Worker {
    const thread = new Worker(new URL('./token-worker.js', import.meta.url), {
      workerData: this.#spec,
    })
    thread.on('message', ({id, ids}: {id: number; ids: Uint32Array}) => {
      this.#waiting.get(id)?.resolve(ids)
      this.#waiting.delete(id)
      // An idle thread keeps no process alive.
      if (this.#waiting.size === 0) thread.unref()
    })
    thread.on('error', (error) => this.#lost(thread, error))
    thread.on('exit', () => this.#lost(thread, new Error('The thread of the tokenizer has ended.')))
    return thread
  }

  /** The next long text starts a new thread. */
  #lost(thread: Worker, error: Error): void {
    if (this.#thread !== thread) return
    this.#thread = undefined
    for (const {reject} of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  async close(): Promise<void> {
    await this.#thread?.terminate()
  }
}

const sizeOf = (text: string, ids: Uint32Array): number => 2 * text.length + 4 * ids.length + 100
