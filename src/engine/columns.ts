/** Typed arrays that grow. */
export type Column = Uint8Array | Int32Array | Float64Array

/** A copy of a column with room for `capacity` values. */
export function enlarged<T extends Column>(column: T, capacity: number): T {
  const larger = new (column.constructor as new (length: number) => T)(capacity)
  larger.set(column)
  return larger
}
