/** Columns and lists of slots, as the engine holds them. */
export type Column = Uint8Array | Int32Array | Float64Array

/**
 * What a field that will hold times or sums starts with, before its constructor sets it to 0. V8 keeps a field whose
 * values were small whole numbers as such, and throws away all code compiled for its class when the first larger one
 * comes, field by field: a short run spent a third of its time in code that was compiled again. In the same way it takes a
 * field that was written once for a constant; what will change seldom is written twice at the start. And it learns what
 * the fields of an object literal hold when a second object is made of it: such objects have a class if a loop reads them.
 */
export const asDouble: number = Number.NaN

/** A copy of a column with room for `capacity` values. */
export function enlarged<T extends Column>(column: T, capacity: number): T {
  const larger = new (column.constructor as new (length: number) => T)(capacity)
  larger.set(column)
  return larger
}

/**
 * Empties a list. Setting `length` leaves compiled code for a slow path of V8, and the lists of a step hold one or two
 * slots: taking them out one by one is several times as fast, and no more than was done to put them in.
 */
export function empty(list: number[]): void {
  while (list.length > 0) list.pop()
}
