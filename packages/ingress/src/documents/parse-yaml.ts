import { parseDocument } from "yaml"

/** What a text in YAML says, or why it cannot be read; integers that a number cannot hold are bigints. At most 100 aliases are followed. */
export const parseYaml = (text: string): { readonly document: unknown } | { readonly reason: string } => {
  try {
    const parsed = parseDocument(text, { intAsBigInt: true, uniqueKeys: true, prettyErrors: false })
    const [error] = parsed.errors
    if (error !== undefined) return { reason: `is not valid YAML (${error.code})` }
    return { document: smallIntegers(parsed.toJS({ maxAliasCount: 100 })) }
  } catch {
    return { reason: "is not valid YAML" }
  }
}

const smallIntegers = (value: unknown): unknown => {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(smallIntegers)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, smallIntegers(each)]))
}
