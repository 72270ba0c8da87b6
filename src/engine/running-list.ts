/** Requests with a seat, in order of admission, linked through two columns of the pool. */
import {none, type RequestPool} from './request-pool.js'

export class RunningList {
  size = 0
  head = none
  tail = none
  readonly #requests: RequestPool
  #admissions = 0

  constructor(requests: RequestPool) {
    this.#requests = requests
  }

  push(slot: number): void {
    const {previous, next, admission} = this.#requests
    admission[slot] = ++this.#admissions
    previous[slot] = this.tail
    next[slot] = none
    if (this.tail === none) this.head = slot
    else next[this.tail] = slot
    this.tail = slot
    this.size++
  }

  remove(slot: number): void {
    const {previous, next} = this.#requests
    const before = previous[slot]!
    const after = next[slot]!
    // Both ends are written always: a branch that is hardly ever taken makes V8 throw compiled code away when it is.
    this.head = before === none ? after : this.head
    this.tail = after === none ? before : this.tail
    if (before !== none) next[before] = after
    if (after !== none) previous[after] = before
    this.size--
  }
}
