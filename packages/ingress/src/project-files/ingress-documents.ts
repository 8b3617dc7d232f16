import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { decodeIngress } from "../resource/decode-ingress.ts"
import { IngressInvalid } from "../resource/errors.ts"
import { IngressSchema } from "../resource/ingress-schema.ts"
import type { IngressInput } from "../resource/ingress-schema.ts"
import type { DeclaredRule } from "../resource/ingress.ts"
import { schemaProblems } from "../resource/schema-problems.ts"
import type { PlacedRule } from "./collisions.ts"
import { placeholderProblems } from "./placeholders.ts"
import type { ProjectProblem } from "./project-problem.ts"
import type { ProjectSource } from "./project-source.ts"
import { readYaml } from "./yaml-file.ts"
import type { KeyPath, YamlDocument } from "./yaml-file.ts"

interface Documents {
  readonly ingresses: readonly { readonly name: string; readonly rules: readonly DeclaredRule[] }[]
  readonly placed: readonly PlacedRule[]
  readonly problems: readonly ProjectProblem[]
}

/** The Ingress documents of a project. Those of a disabled one are checked, and declare nothing. */
export const readDocuments = async ({ name, content, texts }: ProjectSource): Promise<Documents> => {
  const problems: ProjectProblem[] = []
  const ingresses: { readonly name: string; readonly rules: readonly DeclaredRule[] }[] = []
  const placed: PlacedRule[] = []
  for (const file of ["ingress.yaml", "ingress.json"]) {
    const text = texts.get(file)
    if (text === undefined) continue
    const { documents, problems: syntax } = readYaml(`${name}/${file}`, text)
    if (syntax !== undefined) {
      problems.push(...syntax)
      continue
    }
    for (const source of documents) {
      problems.push(...placeholderProblems(source))
      const { value } = source
      const each = Array.isArray(value)
        ? value.map((item: unknown, at) => [item, [at]] as const)
        : [[value, []] as const]
      for (const [document, path] of each) {
        if (document === null && path.length === 0) continue
        const read = await readDocument(document, path, source)
        problems.push(...read.problems)
        if (read.problems.length > 0 || content.enabled === false) continue
        ingresses.push({ name: read.name, rules: read.placed.map(({ rule }) => rule) })
        placed.push(...read.placed)
      }
    }
  }
  return { ingresses, placed, problems }
}

const readDocument = async (
  document: unknown,
  path: KeyPath,
  source: YamlDocument,
): Promise<{
  readonly name: string
  readonly placed: readonly PlacedRule[]
  readonly problems: readonly ProjectProblem[]
}> => {
  const decoded = Schema.decodeUnknownResult(IngressSchema, { onExcessProperty: "error", errors: "all" })(document)
  if (Result.isFailure(decoded)) {
    const misfits = schemaProblems(decoded.failure.issue)
    return {
      name: "",
      placed: [],
      problems: misfits.map((each) => source.problem([...path, ...each.path], `must be ${each.accepted}`)),
    }
  }
  const { name, rules } = decoded.success
  const problems: ProjectProblem[] = []
  const placed: PlacedRule[] = []
  if (rules.length === 0) problems.push(source.problem([...path, "rules"], "must be an array of at least one rule"))
  for (const [at, rule] of rules.entries()) {
    const here = [...path, "rules", at]
    problems.push(...elsewhere(rule).map((key) => source.problem([...here, ...key], NEEDS_URL)))
    try {
      // One by one: each has a problem of its own.
      const { rules: own } = await decodeIngress({ name, rules: [rule] })
      const problem: PlacedRule["problem"] = (sentence) =>
        source.problem([...here, "match"], `must be free: ${sentence}`)
      placed.push(...own.map((rule) => ({ rule, at: name, problem })))
    } catch (cause) {
      if (!(cause instanceof IngressInvalid)) throw cause
      const field = cause.field.split(".").slice(2)
      problems.push(source.problem([...here, ...field], `must be ${cause.accepted}`))
    }
  }
  return { name, placed, problems }
}

const NEEDS_URL = "must be a url: files do not say where machines and projects are"

/** Targets whose address a control plane would know. */
const elsewhere = ({ target, targets = [] }: IngressInput["rules"][number]): readonly KeyPath[] => [
  ...(target !== undefined && target.url === undefined ? [["target"]] : []),
  ...targets.flatMap((each, at) => (each.url === undefined ? [["targets", at]] : [])),
]
