/** Samples that come many at a time, such as a latency of every request of a part of a trace. */
import {type Distribution, describe, describeWeighted} from './percentiles.js'
import {mostExactSamples, Samples} from './samples.js'

export class SampleColumns {
  #columns: Float64Array[] = []
  #length = 0
  /** All of them, once they are too many to be kept as they are. */
  #counted: Samples | undefined

  /** Takes `values` over: whole numbers of at least 0. */
  add(values: Float64Array): void {
    this.#columns.push(values)
    this.#length += values.length
    if (this.#length <= mostExactSamples) return
    this.#counted ??= new Samples()
    for (const column of this.#columns)
      for (let i = 0; i < column.length; i++) this.#counted.add(column[i]!, 1)
    this.#columns = []
  }

  /** Undefined when there are none. */
  describe(): Distribution | undefined {
    if (this.#counted !== undefined) return describeWeighted(this.#counted.settled())
    if (this.#columns.length === 1) return describe(this.#columns[0]!)
    const all = new Float64Array(this.#length)
    let at = 0
    for (const column of this.#columns) {
      all.set(column, at)
      at += column.length
    }
    return describe(all)
  }
}
