import type { Json, Message } from "./json.ts"

/**
 * A message in YAML's block style. Every text is in JSON's quotes, which are YAML's: Envoy's parser takes a plain `yes` or `0x1f` for
 * something else. Tests read it back with the package yaml, which needs ten times as long to write it.
 */
export const yamlText = (message: Message): string => {
  const lines: string[] = []
  writeFields(message, "", "", lines)
  return `${lines.join("\n")}\n`
}

/** `first`: what stands before the first line; the others are indented. */
const writeFields = (message: Message, first: string, indent: string, lines: string[]): void => {
  let before = first
  for (const [name, value] of Object.entries(message)) {
    if (value === undefined) continue
    const text = before + key(name)
    before = indent
    const flat = flatText(value)
    if (flat !== undefined) lines.push(`${text}: ${flat}`)
    else {
      lines.push(`${text}:`)
      writeNested(value as readonly Json[] | Message, `${indent}  `, lines)
    }
  }
}

const writeNested = (value: readonly Json[] | Message, indent: string, lines: string[]): void => {
  if (!isList(value)) {
    writeFields(value, indent, indent, lines)
    return
  }
  for (const item of value) {
    const flat = flatText(item)
    if (flat !== undefined) lines.push(`${indent}- ${flat}`)
    // No list of Envoy's holds lists.
    else writeFields(item as Message, `${indent}- `, `${indent}  `, lines)
  }
}

const isList = (value: readonly Json[] | Message): value is readonly Json[] => Array.isArray(value)

/** What stands in one line. */
const flatText = (value: Json): string | undefined => {
  const isEmpty = typeof value === "object" && value !== null && Object.values(value).every((of) => of === undefined)
  return typeof value !== "object" || value === null || isEmpty ? JSON.stringify(value) : undefined
}

/** As they are, unless it could be read as something else: `@type`, `envoy.filters.http.rbac`. */
const key = (name: string): string => (/^[a-z]+(?:_[a-z\d]+)+$|^[a-z]{4,}$/.test(name) ? name : JSON.stringify(name))
