/** What arrives, as columns: request i is row i of every column. */

/** A prompt and its output together stay within 31 bits. */
export const maxTokens = 2 ** 30 - 1
/** Of a prompt that others share: each block of it has an identity in memory. No model reads as many. */
export const maxPrefixTokens = 2 ** 24

/** A column of few distinct strings: row i is names[codes[i]]; -1 is absent. */
export interface Labels {
  readonly codes: Int32Array
  readonly names: readonly string[]
}

/**
 * Which prefixes requests share. Request i knows the identity of its first
 * `offsets[i+1] − offsets[i]` spans of `spanTokens` tokens of prompt ++ output; equal ids mean equal
 * tokens from the start of the sequence to the end of that span (ids are chained). Ids are whole
 * numbers below 2^53. The last span may reach past the known tokens: it is then identical only as far
 * as `knownTokens[i]`, and identity never counts beyond that.
 */
export interface PrefixColumn {
  readonly spanTokens: number
  readonly offsets: Float64Array
  readonly ids: Float64Array
  /** Tokens of prompt ++ output whose identity is known (at most spans × spanTokens). */
  readonly knownTokens: Int32Array
}

export interface Trace {
  readonly length: number
  /** ns from the start of the trace; NaN where a turn is released by the one before it. Sorted. */
  readonly arrivedAt: Float64Array
  readonly inputTokens: Int32Array
  readonly outputTokens: Int32Array
  /** Absent: the row number is the id. */
  readonly requestId?: readonly string[]
  readonly model?: Labels
  /** LoRA adapter; -1: the model itself. */
  readonly adapter?: Labels
  /** Rows of a session are its turns, in order. */
  readonly session?: Labels
  /** Number of the turn in its session; -1 where none is given. */
  readonly turn?: Int32Array
  /** ns between the end of the previous turn of the session and this one's release; NaN where none. */
  readonly thinkTime?: Float64Array
  readonly priority?: Int32Array
  /** What a length predictor said; policies may see it. 0 where it said nothing. */
  readonly predictedOutputTokens?: Int32Array
  /** ns from the start of the trace; NaN where the client stayed. */
  readonly cancelledAt?: Float64Array
  readonly prefix?: PrefixColumn
  /**
   * Where `prefix` was given as nested groups: the group names and the tokens each reaches to, as
   * written in a file ("chat s12", "1024 1840"). The short form of the same fact, for writers.
   */
  readonly prefixGroup?: Labels
  readonly prefixTokens?: Labels
  /** Measured columns (ttft_ms, e2e_ms, status, …) that ride along, as read; '' is absent. */
  readonly extra?: ReadonlyMap<string, readonly string[]>
  /** What a reader wants the user to know (sorted, dropped, converted), one sentence each. */
  readonly notes: readonly string[]
  /** Format that was read, e.g. llmsim-csv, azure-2023. */
  readonly format: string
}
