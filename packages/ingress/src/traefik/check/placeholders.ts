import type { Declarations } from "./declarations.ts"

/** Reports every text of a tree, keys too, that holds a placeholder; in dynamic files, which are templates, also `{{`. */
export const checkPlaceholders = (
  document: unknown,
  file: string,
  isTemplate: boolean,
  declarations: Declarations,
): void => {
  // Most have none, and then no path is made.
  if (hasPlaceholder(document)) report(document, file, "", isTemplate, declarations)
}

const hasPlaceholder = (value: unknown): boolean => {
  if (typeof value === "string") return isSuspect(value)
  if (typeof value !== "object" || value === null) return false
  for (const key in value) {
    if (isSuspect(key) || hasPlaceholder((value as Readonly<Record<string, unknown>>)[key])) return true
  }
  return false
}

const isSuspect = (text: string): boolean => text.includes("${") || text.includes("{{")

const report = (value: unknown, file: string, path: string, isTemplate: boolean, declarations: Declarations): void => {
  if (typeof value === "string") {
    const placeholder = /\$\{[^}]{0,64}\}?/.exec(value)?.[0]
    if (placeholder !== undefined)
      declarations.add("placeholder", { file, path }, `holds the placeholder ${placeholder}`)
    else if (isTemplate && value.includes("{{")) {
      declarations.add("placeholder", { file, path }, "holds {{, which Traefik runs as a template")
    }
    return
  }
  if (typeof value !== "object" || value === null) return
  for (const [key, each] of Object.entries(value)) {
    const at = path === "" ? key : `${path}.${key}`
    if (!Array.isArray(value)) report(key, file, at, isTemplate, declarations)
    report(each, file, at, isTemplate, declarations)
  }
}
