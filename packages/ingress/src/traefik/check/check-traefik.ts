import { parseYaml } from "../../documents/parse-yaml.ts"
import type { GeneratedFile } from "../../fronts/front.ts"
import { checkDocuments } from "./check-documents.ts"
import type { NamedDocument } from "./check-documents.ts"
import type { TraefikProblem } from "./problem.ts"

/**
 * Looks whether files of Traefik's hold together, whoever wrote them: everything that is named is declared, everything that is declared
 * is used, rules can be read, names are there once, no placeholder is left. Traefik itself would start, and leave out what is wrong.
 *
 * Give it all files: `traefik.yml`, those of the file provider, and compose files, for their labels. What a file that is not there declares is
 * not looked for: without `traefik.yml`, entry points and resolvers.
 */
export const checkTraefik = (files: readonly Pick<GeneratedFile, "path" | "text">[]): readonly TraefikProblem[] => {
  const documents: NamedDocument[] = []
  const problems: TraefikProblem[] = []
  for (const { path, text } of files) {
    const invalid = (reason: string): number => problems.push({ kind: "invalid", file: path, path: "", reason })
    if (!/\.ya?ml$/.test(path)) {
      invalid("is not a file of YAML, which is all that can be checked")
      continue
    }
    const parsed = parseYaml(text)
    if ("reason" in parsed) invalid(parsed.reason)
    else documents.push({ path, document: parsed.document })
  }
  return [...problems, ...checkDocuments(documents)]
}
