/** One request while it is read: format readers fill it, the builder takes it. Reused row after row. */
import type {TimeParts} from './time-parts.js'

export interface Draft {
  /** NaN seconds: released by the turn before. Seconds of 1e8 and more are calendar times. */
  readonly arrival: TimeParts
  readonly cancel: TimeParts
  input: number
  output: number
  id: string | undefined
  model: string | undefined
  adapter: string | undefined
  session: string | undefined
  turn: number | undefined
  /** ns. */
  think: number | undefined
  priority: number | undefined
  predicted: number | undefined
  /** Names and reaches of shared prefixes, as written. */
  group: string | undefined
  groupTokens: string | undefined
  /** Tokens per id in `ids`; 0: no identity. */
  span: number
  ids: readonly number[]
  /** Tokens that `ids` vouch for; undefined: all of ids.length × span. */
  known: number | undefined
}

export function emptyDraft(): Draft {
  return clearDraft({arrival: {}, cancel: {}} as Draft)
}

/** Makes a draft as good as new and returns it. */
export function clearDraft(draft: Draft): Draft {
  draft.arrival.seconds = Number.NaN
  draft.arrival.nanos = 0
  draft.cancel.seconds = Number.NaN
  draft.cancel.nanos = 0
  draft.input = 0
  draft.output = 0
  draft.span = 0
  draft.ids = []
  draft.id =
    draft.model =
    draft.adapter =
    draft.session =
    draft.group =
    draft.groupTokens =
      undefined
  draft.turn = draft.think = draft.priority = draft.predicted = draft.known = undefined
  return draft
}
