/**
 * What the host adds to every step and request: the largest error of a GPU-only model at low load.
 * Two figures are fitted to measured serving runs (vLLM on H100, HTTP): 14 µs per layer and step, which
 * covers all small kernels and the gaps in a CUDA graph, and 7.4 ms per request in the front end. The
 * others are 0: fitted together they trade off against each other and carry over worse to other devices.
 */

/** Choosing the next token on every rank, from the whole vocabulary. */
export interface SamplerTerms {
  readonly stepNs: number
  /** Per entry of the vocabulary and step. */
  readonly perEntryNs: number
  /** Per sequence and entry of the vocabulary, on an H100; it scales with the memory bandwidth. */
  readonly perSequenceEntryNs: number
}

export interface HostTerms {
  /** Latency of the front end before the engine: HTTP, tokenising, hand-over. Requests overlap in it. */
  readonly frontEndNs: number
  readonly frontEndPerTokenNs: number
  /** From the end of a step until its token is on the wire. */
  readonly afterTokenNs: number
  /** GPU idle time per step that waits for the scheduler. */
  readonly stepNs: number
  /** Small kernels and graph gaps. */
  readonly perLayerNs: number
  readonly perSequenceNs: number
  readonly sampler: SamplerTerms
  readonly source: string
}

/**
 * Top-p or top-k sampling, which vLLM does by default for models whose generation_config.json asks for it.
 * 0.15 sorts all logits (about 50 µs + 250 µs per 128k vocabulary + 0.10 ns per sequence and entry on an
 * H100); later releases take 0.1–0.7 ms at 130–160k (microbenchmarks in vLLM's pull requests 32558,
 * 33538, 40376, 54502). The figures of 0.19 are the middle of that range, not a fit.
 */
export const filteredSampler: Readonly<Record<'0.15' | '0.19', SamplerTerms>> = {
  '0.15': {stepNs: 50_000, perEntryNs: 1.95, perSequenceEntryNs: 0.1},
  '0.19': {stepNs: 50_000, perEntryNs: 1.2, perSequenceEntryNs: 0.01},
}

/** Greedy or plain temperature sampling: a few passes over the logits (25 µs in LLMServingSim's profiles). */
export const plainSampler: SamplerTerms = {
  stepNs: 25_000,
  perEntryNs: 0,
  perSequenceEntryNs: 0.004,
}

/** Front end over HTTP on the same machine, and inside the process; per request. */
export const httpFrontEndNs = 7_400_000
export const inProcessFrontEndNs = 1_000_000

/** Defaults by vLLM release: what a user of its HTTP server sees. */
export const hostTerms: Readonly<Record<'0.15' | '0.19', HostTerms>> = {
  '0.15': {
    frontEndNs: httpFrontEndNs,
    frontEndPerTokenNs: 0,
    afterTokenNs: 0,
    stepNs: 0,
    perLayerNs: 14_000,
    perSequenceNs: 0,
    sampler: filteredSampler['0.15'],
    source: 'fitted to 17 measured stages of vLLM 0.15 on H100 over HTTP',
  },
  '0.19': {
    frontEndNs: httpFrontEndNs,
    frontEndPerTokenNs: 0,
    afterTokenNs: 0,
    stepNs: 0,
    perLayerNs: 14_000,
    perSequenceNs: 0,
    sampler: filteredSampler['0.19'],
    source: 'vLLM 0.15 on H100 over HTTP, carried over; sampler from vLLM pull requests',
  },
}

/** The defaults used when nothing else is asked for. */
export const defaultHostTerms: HostTerms = hostTerms['0.19']
