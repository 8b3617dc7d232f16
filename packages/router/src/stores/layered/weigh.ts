/** The size that one entry of the memory stands for, in bytes, about. */
const ENTRY_BYTES = 2_048
/** What an object, a list or a number takes, and each of their fields beside its value. */
const VALUE_BYTES = 24

/** How many entries a record counts for, from 1 up: as many as it takes the room of. Infinite for what cannot be read. */
export const weigh = (record: unknown, most: number): number => {
  let left = most * ENTRY_BYTES
  const visit = (value: unknown): void => {
    left -= VALUE_BYTES
    if (typeof value === "string") left -= value.length * 2
    if (typeof value !== "object" || value === null || left < 0) return
    for (const [name, inner] of Object.entries(value)) {
      // Names of fields are shared by all records; those of services and the like are not, and are short.
      left -= name.length
      visit(inner)
      if (left < 0) return
    }
  }
  try {
    visit(record)
  } catch {
    return Infinity
  }
  return left < 0 ? Infinity : Math.max(1, most - Math.floor(left / ENTRY_BYTES))
}
