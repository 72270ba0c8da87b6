/** Prefix identity of requests that are being served: what a recorded trace will say of them, by slot. */
import {type PrefixIdentity, type SpanIds, spanIdentity} from '../engine/prefix-identity.js'
import {blockTokens} from '../trace/block-ids.js'

export class LivePrefixes implements SpanIds {
  readonly spanTokens = blockTokens
  readonly #ids: (ArrayLike<number> | undefined)[] = []

  /** Sets the chained ids of all full blocks of prompt ++ output of the request in `slot`. */
  set(slot: number, ids: ArrayLike<number>): void {
    this.#ids[slot] = ids
  }

  forget(slot: number): void {
    this.#ids[slot] = undefined
  }

  knownTokens(slot: number): number {
    return (this.#ids[slot]?.length ?? 0) * blockTokens
  }

  idAt(slot: number, span: number): number {
    return this.#ids[slot]![span]!
  }

  /** For an engine with blocks of `blockSize` tokens. */
  identity(blockSize: number): PrefixIdentity {
    return spanIdentity(this, blockSize)
  }
}
