/*
 * Sentences about invalid options. A small copy of what the other packages share, because this package imports nothing.
 */

/** The first name in `options` that is not one of `names`, in a sentence that suggests the nearest one. */
export const unknownOption = (
  options: object,
  names: readonly string[],
): { readonly name: string; readonly problem: string } | undefined => {
  // `in`, not own keys only: options may be made with Object.create, and reading them finds those too.
  for (const name in options) {
    if (names.includes(name)) continue
    const near = names.find((known) => distance(known, name) < 3)
    const hint = near === undefined ? `the options are ${names.join(", ")}` : `did you mean ${near}?`
    return { name, problem: `${name} is not an option (${hint})` }
  }
  return undefined
}

/** A value as it appears in an error message: JSON where there is any, at most 120 characters. */
export const describe = (value: unknown): string => {
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`
  if (typeof value === "bigint") return `${value}n`
  try {
    // JSON writes NaN as null and leaves undefined out.
    const text = JSON.stringify(value, (_, part: unknown) =>
      part === undefined || part !== part ? `<${String(part)}>` : part,
    ).replaceAll(/"<(undefined|NaN)>"/g, "$1")
    return text.length > 120 ? `${text.slice(0, 119)}…` : text
  } catch {
    return Array.isArray(value) ? "an array" : "an object"
  }
}

/** The Levenshtein distance, ignoring case: how many characters to insert, delete or replace. */
const distance = (a: string, b: string): number => {
  const [from, to] = [a.toLowerCase(), b.slice(0, 99).toLowerCase()]
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (from[i] === to[j] ? 0 : 1)))
    }
    row = next
  }
  return row[to.length]!
}
