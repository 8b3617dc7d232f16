import type { ProjectProblem } from "./project-problem.ts"
import type { KeyPath, YamlDocument } from "./yaml-file.ts"

/** A variable that nothing replaces here: `${NAME}`, `${NAME:-x}`. */
const PLACEHOLDER = /\$\{([A-Za-z_]\w{0,63})[^}]{0,256}\}/

/** Each value that has a placeholder. Only its name is shown: what follows may be a secret. */
export const placeholderProblems = ({ value, problem }: YamlDocument): readonly ProjectProblem[] => {
  const found: ProjectProblem[] = []
  const look = (each: unknown, path: KeyPath): void => {
    if (typeof each === "string") {
      const name = PLACEHOLDER.exec(each)?.[1]
      if (name !== undefined)
        found.push(problem(path, `must be free of placeholders: \${${name}} is still there, and nothing replaces it`))
    } else if (Array.isArray(each)) for (const [at, item] of each.entries()) look(item, [...path, at])
    else if (typeof each === "object" && each !== null) {
      for (const [name, item] of Object.entries(each)) {
        const key = PLACEHOLDER.exec(name)?.[1]
        if (key !== undefined) found.push(problem([...path, name.slice(0, 64)], "must be free of placeholders"))
        look(item, [...path, name.slice(0, 64)])
      }
    }
  }
  look(value, [])
  return found
}
