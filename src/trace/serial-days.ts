/** Times of spreadsheets: days since 1900 where a trace has seconds. */
import type {Trace} from './trace.js'

/** 2000-01-01 and 2100-01-01 in days since 1899-12-30, as Excel counts them. */
const [first, last] = [36_526, 73_051]

/** A note where all times look like such days: from 2000 to 2100, and far too close to each other for seconds. */
export function serialDays({arrivedAt, length}: Trace): string[] {
  if (length < 2) return []
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const ns of arrivedAt) {
    if (Number.isNaN(ns)) continue
    if (ns < from) from = ns
    if (ns > to) to = ns
  }
  const span = (to - from) / 1e9
  if (!(from / 1e9 >= first && to / 1e9 < last && span > 0 && span <= 31 && length / span >= 20))
    return []
  return [
    `all times lie between ${from / 1e9} and ${to / 1e9} s: are they days of a spreadsheet? Then write seconds (days × 86,400) or 2023-11-16 18:15:46.`,
  ]
}
