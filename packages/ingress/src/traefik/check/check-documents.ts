import { Declarations } from "./declarations.ts"
import { checkDynamic } from "./dynamic-document.ts"
import { checkLabels } from "./label-check.ts"
import type { TraefikProblem } from "./problem.ts"
import { checkStatic } from "./static-document.ts"

/** A document that has been read. */
export interface NamedDocument {
  readonly path: string
  readonly document: unknown
}

/** Checks documents together. By their names: `traefik.yml` is static, `docker-compose.yml` and `compose.yml` have labels, all others are dynamic. */
export const checkDocuments = (documents: readonly NamedDocument[]): readonly TraefikProblem[] => {
  const declarations = new Declarations()
  for (const { path, document } of documents) {
    const name = path.slice(path.lastIndexOf("/") + 1)
    if (/^traefik\.ya?ml$/.test(name)) checkStatic(document, path, declarations)
    else if (/^(?:docker-)?compose(?:\.[\w-]+)?\.ya?ml$/.test(name)) checkLabels(document, path, declarations)
    else checkDynamic(document, path, declarations)
  }
  return declarations.finish()
}
