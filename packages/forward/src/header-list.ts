/**
 * Alternating names and values in the order and with the bytes that they had on the wire, one character per byte (latin1):
 * the shape of `rawHeaders` in node:http. Never an object, which loses order, repetition and case, and has a `__proto__`.
 */
export type HeaderList = readonly string[]

/** The first value of a field, by lower-case name. */
export const headerValue = (list: HeaderList, lower: string): string | undefined => {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]!.length === lower.length && list[i]!.toLowerCase() === lower) return list[i + 1]!
  }
  return undefined
}

/** All values of a field, by lower-case name, in order. For fields of which there must be one only. */
export const headerValues = (list: HeaderList, lower: string): readonly string[] => {
  const values: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]!.length === lower.length && list[i]!.toLowerCase() === lower) values.push(list[i + 1]!)
  }
  return values
}
