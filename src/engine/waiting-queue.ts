/**
 * Who waits, in order of (key, preempted before fresh, latest preemption first, order of arrival).
 * The ticket of a request says both: negative for preempted ones, so one comparison orders them all.
 */
export class WaitingQueue {
  /** Requests that wait. */
  size = 0
  work = 0
  #keys: number[] = []
  #tickets: number[] = []
  #slots: number[] = []
  /** Ticket under which a slot waits; anything else in the heap is stale. */
  #current = new Float64Array(64)
  #preemptions = 0
  #arrivals = 0

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
    while (this.#slots.length > 0 && this.#current[this.#slots[0]!] !== this.#tickets[0])
      this.#pop()
    return this.#slots.length > 0 ? this.#slots[0]! : -1
  }

  /** Takes the head (as `head()` just returned it) out. */
  shift(): void {
    this.remove(this.#slots[0]!)
    this.#pop()
  }

  /** Takes any waiting request out. */
  remove(slot: number): void {
    this.#current[slot] = Number.NaN
    this.size--
  }

  #push(slot: number, key: number, ticket: number): void {
    if (slot >= this.#current.length) {
      const grown = new Float64Array(Math.max(slot + 1, this.#current.length * 2))
      grown.set(this.#current)
      this.#current = grown
    }
    this.#current[slot] = ticket
    this.size++
    let at = this.#slots.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      this.work++
      if (!this.#before(key, ticket, parent)) break
      this.#set(at, this.#keys[parent]!, this.#tickets[parent]!, this.#slots[parent]!)
      at = parent
    }
    this.#set(at, key, ticket, slot)
  }

  #pop(): void {
    const key = this.#keys.pop()!
    const ticket = this.#tickets.pop()!
    const slot = this.#slots.pop()!
    const size = this.#slots.length
    if (size === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      this.work++
      const right = child + 1
      if (right < size && this.#before(this.#keys[right]!, this.#tickets[right]!, child))
        child = right
      if (this.#before(key, ticket, child)) break
      this.#set(at, this.#keys[child]!, this.#tickets[child]!, this.#slots[child]!)
      at = child
    }
    this.#set(at, key, ticket, slot)
  }

  #before(key: number, ticket: number, other: number): boolean {
    const otherKey = this.#keys[other]!
    return key < otherKey || (key === otherKey && ticket < this.#tickets[other]!)
  }

  #set(at: number, key: number, ticket: number, slot: number): void {
    this.#keys[at] = key
    this.#tickets[at] = ticket
    this.#slots[at] = slot
  }
}
