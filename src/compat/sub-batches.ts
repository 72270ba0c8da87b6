/**
 * LLMServingSim's sub-batches: every step of two requests or more is cut in two, balanced by tokens, and both halves run all
 * kernels. What memory does is hidden behind them, and so is all but one host copy.
 */
import type {EngineListener} from '../engine/engine-config.js'
import type {RequestPool} from '../engine/request-pool.js'
import {type BatchShape, emptyShape, type Ns, type StepTime} from '../latency/step-time.js'
import {type PimAttentionRequest, pimStep, slowestChannel} from './pim-attention.js'

/** Tokens of a request in a step, and those computed before. */
export interface Scheduled {
  readonly tokens: number
  readonly context: number
  /** Length of its prompt, if it decodes. */
  readonly prompt?: number
}

/** The chunks of the batch that was planned last, by the engine's own word. */
export class PlannedChunks {
  #requests: RequestPool | undefined
  /** Computed tokens by slot, after its latest chunk. */
  readonly #computed = new Map<number, number>()
  #planned: {readonly end: number; readonly context: number | undefined}[] = []

  listen(requests: RequestPool): EngineListener {
    this.#requests = requests
    return {
      chunkPlanned: (slot) => {
        const end = this.#requests!.computed[slot]!
        this.#planned.push({end, context: this.#computed.get(slot)})
        this.#computed.set(slot, end)
      },
      tokensFrom: (slot) => this.#computed.delete(slot),
      forgotten: (slot) => this.#computed.delete(slot),
      batchEnded: () => {
        this.#planned = []
      },
    }
  }

  /** What the cache held of several prompts that begin together is not told: it is shared out by their length. */
  of({prefills, prefillTokens, prefillContext}: BatchShape): Scheduled[] {
    if (prefills === 0) return []
    if (prefills === 1) return [{tokens: prefillTokens, context: prefillContext}]
    const told = this.#planned.slice(0, prefills)
    const sum = (of: (chunk: (typeof told)[number]) => number) =>
      told.reduce((all, chunk) => all + of(chunk), 0)
    const begun = sum(({end, context}) => (context === undefined ? end : 0))
    const known = sum(({context}) => context ?? 0)
    const cached = Math.max(0, prefillContext - known)
    const chunks = told.map(({end, context}) => {
      const before = context ?? Math.min(end - 2, Math.floor((cached * end) / Math.max(1, begun)))
      return {tokens: end - before, context: before}
    })
    const rest = prefillTokens - chunks.reduce((all, {tokens}) => all + tokens, 0)
    // Prompts that are computed again are not told.
    return rest > 0 && told.length < prefills ? [...chunks, {tokens: rest, context: 0}] : chunks
  }
}

/** Longest first, each to the half that has fewer tokens. */
export function balanced(requests: readonly Scheduled[]): readonly [Scheduled[], Scheduled[]] {
  const halves: [Scheduled[], Scheduled[]] = [[], []]
  const tokens = [0, 0]
  for (const one of [...requests].sort((a, b) => b.tokens - a.tokens)) {
    const at = tokens[0]! <= tokens[1]! ? 0 : 1
    halves[at].push(one)
    tokens[at]! += one.tokens
  }
  return halves
}

/** The step of an engine of one device that cuts all it can. */
export function subBatchStep(request: PimAttentionRequest, chunks: PlannedChunks): StepTime {
  const {times, copies, layers, prompts} = request
  const whole = pimStep(request)
  return (shape) => {
    if (shape.sequences < 2) return whole(shape)
    const decodes = prompts.of(shape.decodes).map((prompt) => ({tokens: 1, context: 0, prompt}))
    const halves = balanced([...chunks.of(shape), ...decodes]).map((half) => ({
      kernels: times.at(kernelShape(half)),
      memory: layers * memoryNs(request, half),
    }))
    const sum = (of: (half: (typeof halves)[number]) => Ns) =>
      halves.reduce((all, half) => all + of(half), 0)
    const chains = halves.map(({kernels, memory}) => kernels + memory)
    return (
      copies.load(shape) +
      Math.max(
        sum((half) => half.kernels),
        ...chains,
        sum((half) => half.memory),
      )
    )
  }
}

function memoryNs(request: PimAttentionRequest, half: readonly Scheduled[]): Ns {
  const prompts = half.flatMap(({prompt}) => (prompt === undefined ? [] : [prompt]))
  return prompts.length === 0
    ? 0
    : slowestChannel(
        request,
        prompts.sort((a, b) => b - a),
      )
}

/** What the device sees of a half: the attention of decodes is not its own. */
function kernelShape(half: readonly Scheduled[]): BatchShape {
  const shape = emptyShape()
  for (const {tokens, context, prompt} of half) {
    shape.tokens += tokens
    shape.sequences++
    if (prompt !== undefined) continue
    shape.prefills++
    shape.prefillTokens += tokens
    shape.prefillContext += context
  }
  shape.paddedTokens = shape.tokens
  return shape
}
