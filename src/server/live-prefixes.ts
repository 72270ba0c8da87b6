/** Prefix identity of requests that are being served: what a recorded trace will say of them, by row. */
import {type PrefixIdentity, type SpanIds, spanIdentity} from '../engine/prefix-identity.js'
import {blockTokens} from '../trace/block-ids.js'

export class LivePrefixes implements SpanIds {
  readonly spanTokens = blockTokens
  readonly #ids = new Map<number, ArrayLike<number>>()
  readonly #sessions = new Map<number, number>()

  /** Sets the chained ids of all full blocks of prompt ++ output of the request that is `row`, and its session. */
  set(row: number, ids: ArrayLike<number>, session: number | undefined): void {
    this.#ids.set(row, ids)
    if (session !== undefined) this.#sessions.set(row, session)
  }

  forget(row: number): void {
    this.#ids.delete(row)
    this.#sessions.delete(row)
  }

  /** A number for the session of a request; undefined: it has none. */
  sessionOf(row: number): number | undefined {
    return this.#sessions.get(row)
  }

  knownTokens(row: number): number {
    return (this.#ids.get(row)?.length ?? 0) * blockTokens
  }

  idAt(row: number, span: number): number {
    return this.#ids.get(row)![span]!
  }

  /** For an engine with blocks of `blockSize` tokens. */
  identity(blockSize: number): PrefixIdentity {
    return spanIdentity(this, blockSize)
  }
}
