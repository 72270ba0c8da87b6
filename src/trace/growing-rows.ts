/** The columns of a trace while its rows are read. */
import {GrowingInts, GrowingLabels, PlainColumns} from './growing.js'
import {PrefixBuilder} from './prefix-builder.js'

/** What is known of the rows since the builder was made, or since a part was cut off. */
export class Rows {
  readonly plain = new PlainColumns()
  readonly models = new GrowingLabels()
  readonly adapters = new GrowingLabels()
  readonly sessions = new GrowingLabels()
  readonly groups = new GrowingLabels()
  readonly groupTokens = new GrowingLabels()
  readonly prefix = new PrefixBuilder()
  readonly turns = new GrowingInts()
  readonly priorities = new GrowingInts()
  readonly predicted = new GrowingInts()
  readonly thinks = new Map<number, number>()
  readonly cancels = new Map<number, number>()
  readonly ids = new Map<string, number>()
  readonly extra = new Map<string, string[]>()
}
