import type { Declarations } from "./declarations.ts"

/** Reports every text of a tree, keys too, that holds a placeholder; in dynamic files, which are templates, also `{{`. */
export const checkPlaceholders = (
  value: unknown,
  file: string,
  path: string,
  isTemplate: boolean,
  declarations: Declarations,
): void => {
  if (typeof value === "string") {
    const placeholder = /\$\{[^}]{0,64}\}?/.exec(value)?.[0]
    if (placeholder !== undefined) declarations.add("placeholder", { file, path }, `holds the placeholder ${placeholder}`)
    else if (isTemplate && value.includes("{{")) declarations.add("placeholder", { file, path }, "holds {{, which Traefik runs as a template")
    return
  }
  if (typeof value !== "object" || value === null) return
  for (const [key, each] of Object.entries(value)) {
    const at = path === "" ? key : `${path}.${key}`
    if (!Array.isArray(value)) checkPlaceholders(key, file, at, isTemplate, declarations)
    checkPlaceholders(each, file, at, isTemplate, declarations)
  }
}
