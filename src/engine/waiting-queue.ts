/**
 * Who waits, in order of (key, preempted before fresh, latest preemption first, order of arrival).
 * The ticket of a request says both: negative for preempted ones, so one comparison orders them all.
 */
import {enlarged} from './columns.js'

/** The ticket under which a slot waits, in a column that all queues share: a slot waits in one at a time. */
export interface TicketColumn {
  readonly ticket: Float64Array
}

/** An entry of the heap: key, ticket. */
const ticketOf = 1
const entryLength = 2
const firstCapacity = 64
const entryOf = (place: number): number => entryLength * place

export class WaitingQueue {
  /** Requests that wait. */
  size = 0
  work = 0
  readonly #column: TicketColumn
  /** A heap: entry n comes before 2n + 1 and 2n + 2. */
  #entries = new Float64Array(0)
  #slots = new Int32Array(0)
  #length = 0
  /** Tickets in the heap of those who were taken out: their slots may wait elsewhere, under a ticket of the same number. */
  readonly #left = new Set<number>()
  #preemptions = 0
  #arrivals = 0

  constructor(column: TicketColumn) {
    this.#column = column
    // Written twice: see `asDouble`.
    this.#entries = new Float64Array(entryOf(firstCapacity))
    this.#slots = new Int32Array(firstCapacity)
  }

  /** A request that arrives. Returns its place in the order of arrival. */
  arrive(slot: number, key: number): number {
    const ticket = ++this.#arrivals
    this.#push(slot, key, ticket)
    return ticket
  }

  /** A request that was out of the queue for a while takes its place by arrival again. */
  takePlace(slot: number, key: number, arrival: number): void {
    this.#push(slot, key, arrival)
  }

  /** A request that comes back because it was preempted: before its equals. */
  comeBack(slot: number, key: number): void {
    this.#push(slot, key, -++this.#preemptions)
  }

  /** Slot of the head; −1 when nobody waits. */
  head(): number {
    while (this.#length > 0 && this.#isStale()) this.#pop()
    return this.#length > 0 ? this.#slots[0]! : -1
  }

  /** Whether the first entry is one of a request that was taken out. */
  #isStale(): boolean {
    return this.#left.size > 0 && this.#left.delete(this.#entries[ticketOf]!)
  }

  /** Takes the head (as `head()` just returned it) out. */
  shift(): void {
    this.size--
    this.#pop()
  }

  /** Takes any waiting request out for good. */
  remove(slot: number): void {
    this.#left.add(this.#column.ticket[slot]!)
    this.size--
  }

  #push(slot: number, key: number, ticket: number): void {
    this.#column.ticket[slot] = ticket
    this.size++
    const end = this.#length++
    if (end === this.#slots.length) {
      this.#slots = enlarged(this.#slots, 2 * end)
      this.#entries = enlarged(this.#entries, 2 * entryOf(end))
    }
    let at = end
    while (at > 0) {
      const parent = (at - 1) >> 1
      this.work++
      if (!this.#isBefore(key, ticket, parent)) break
      this.#move(parent, at)
      at = parent
    }
    this.#set(at, key, ticket, slot)
  }

  #pop(): void {
    const entries = this.#entries
    const size = --this.#length
    if (size === 0) return
    const key = entries[entryOf(size)]!
    const ticket = entries[entryOf(size) + ticketOf]!
    const slot = this.#slots[size]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      this.work++
      const right = child + 1
      const isRight =
        right < size &&
        this.#isBefore(entries[entryOf(right)]!, entries[entryOf(right) + ticketOf]!, child)
      if (isRight) child = right
      if (this.#isBefore(key, ticket, child)) break
      this.#move(child, at)
      at = child
    }
    this.#set(at, key, ticket, slot)
  }

  #isBefore(key: number, ticket: number, other: number): boolean {
    const otherKey = this.#entries[entryOf(other)]!
    return (
      key < otherKey || (key === otherKey && ticket < this.#entries[entryOf(other) + ticketOf]!)
    )
  }

  #move(from: number, to: number): void {
    const entries = this.#entries
    const at = entryOf(from)
    this.#set(to, entries[at]!, entries[at + ticketOf]!, this.#slots[from]!)
  }

  #set(at: number, key: number, ticket: number, slot: number): void {
    this.#entries[entryOf(at)] = key
    this.#entries[entryOf(at) + ticketOf] = ticket
    this.#slots[at] = slot
  }
}
