/**
 * Which requests are turns of one conversation: a prompt that begins with the prompt and answer of an earlier request
 * continues it. Known by block ids alone, so conversations shorter than a block are not seen.
 */

export interface Turn {
  /** Number of the conversation, from 1. */
  readonly session: number
  /** From 0, rising in order of arrival. */
  readonly turn: number
}

interface Session {
  readonly number: number
  turns: number
}

/** Conversations that are remembered; the one unused for longest is forgotten first. */
const remembered = 50_000

export class Sessions {
  /** Id of the last full block of a prompt and its answer → the conversation that got so far. */
  readonly #at = new Map<number, Session>()
  #count = 0

  /**
   * The turn that a request is. `promptIds` are the ids of the full blocks of its prompt, `allIds` those of prompt ++
   * answer.
   */
  turnOf(promptIds: ArrayLike<number>, allIds: ArrayLike<number>): Turn {
    const session = this.#continued(promptIds) ?? {number: ++this.#count, turns: 0}
    const turn = session.turns++
    this.#remember(allIds, promptIds, session)
    return {session: session.number, turn}
  }

  #continued(promptIds: ArrayLike<number>): Session | undefined {
    for (let i = promptIds.length - 1; i >= 0; i--) {
      const session = this.#at.get(promptIds[i]!)
      if (session !== undefined) return session
    }
    return undefined
  }

  #remember(allIds: ArrayLike<number>, promptIds: ArrayLike<number>, session: Session): void {
    // An answer too short for a block of its own leaves nothing to know the conversation by.
    if (allIds.length <= promptIds.length) return
    const last = allIds[allIds.length - 1]!
    this.#at.delete(last)
    this.#at.set(last, session)
    if (this.#at.size <= remembered) return
    for (const oldest of this.#at.keys()) {
      this.#at.delete(oldest)
      break
    }
  }
}
