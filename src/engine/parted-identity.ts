/** Identity of the prefixes of a trace that comes in parts: rows are numbered through, and parts that are done go. */
import type {PrefixColumn} from '../trace/trace.js'
import {noPrefixes, type PrefixIdentity, prefixIdentity} from './prefix-identity.js'

/** A class: see `asDouble`. */
class Part {
  readonly from: number
  readonly to: number
  readonly prefix: PrefixColumn | undefined
  /** Its identity at each block size that somebody asked for. */
  readonly atSize = new Map<number, PrefixIdentity>()

  constructor(from: number, to: number, prefix: PrefixColumn | undefined) {
    this.from = from
    this.to = to
    this.prefix = prefix
  }
}

export class PartedIdentity {
  readonly #parts: Part[] = []

  /** Rows from…to of the trace come with `prefix`, whose rows count from 0. */
  add(from: number, to: number, prefix: PrefixColumn | undefined): void {
    this.#parts.push(new Part(from, to, prefix))
  }

  /** Nobody asks for the oldest part any more. */
  dropOldest(): void {
    this.#parts.shift()
  }

  at(blockSize: number): PrefixIdentity {
    const part = (row: number): Part => this.#parts.find(({to}) => row < to)!
    const identity = ({prefix, atSize}: Part): PrefixIdentity => {
      if (prefix === undefined) return noPrefixes
      const known = atSize.get(blockSize)
      if (known !== undefined) return known
      // Another part may fork where this one does not: spans must not be joined.
      const made = prefixIdentity(prefix, blockSize, 'single')
      atSize.set(blockSize, made)
      return made
    }
    const of = <T>(row: number, ask: (own: PrefixIdentity, ownRow: number) => T): T => {
      const holder = part(row)
      return ask(identity(holder), row - holder.from)
    }
    return {
      knownBlocks: (row) => of(row, (own, at) => own.knownBlocks(at)),
      spanAt: (row, block) => of(row, (own, at) => own.spanAt(at, block)),
      spanStart: (row, span) => of(row, (own, at) => own.spanStart(at, span)),
      spanEnd: (row, span) => of(row, (own, at) => own.spanEnd(at, span)),
      spanId: (row, span) => of(row, (own, at) => own.spanId(at, span)),
    }
  }
}
