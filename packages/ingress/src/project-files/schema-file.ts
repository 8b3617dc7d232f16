import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { schemaProblems } from "../resource/schema-problems.ts"
import { placeholderProblems } from "./placeholders.ts"
import type { ProjectProblem } from "./project-problem.ts"
import { readYaml } from "./yaml-file.ts"
import type { YamlDocument } from "./yaml-file.ts"

/** One document of a schema; an empty file is an empty one. */
export const readSchemaFile = <S extends Schema.ConstraintDecoder<unknown>>(
  file: string,
  text: string,
  schema: S,
): { readonly problems: readonly ProjectProblem[]; readonly source?: YamlDocument; readonly value?: S["Type"] } => {
  const { documents, problems } = readYaml(file, text)
  if (problems !== undefined) return { problems }
  const [source, ...more] = documents
  if (source === undefined) return { problems: [] }
  if (more.length > 0) return { problems: [{ file, key: "", message: "must be one YAML document" }] }
  const placeholders = placeholderProblems(source)
  const decoded = Schema.decodeUnknownResult(schema, { onExcessProperty: "error", errors: "all" })(
    withoutNulls(source.value) ?? {},
  )
  // A placeholder where a port is expected is one problem, not two.
  const known = new Set(placeholders.map(({ key }) => key))
  const misfits = Result.isSuccess(decoded)
    ? []
    : schemaProblems(decoded.failure.issue)
        .map(({ path, accepted }) => source.problem(path, `must be ${accepted}`))
        .filter(({ key }) => !known.has(key))
  if (placeholders.length + misfits.length > 0) return { problems: [...placeholders, ...misfits] }
  return { problems: [], source, value: Result.getOrThrow(decoded) }
}

/** A key without a value is `null` in YAML, and means the same as no key. */
const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== "object" || value === null) return value
  const kept = Object.entries(value).filter(([, each]) => each !== null)
  return Object.fromEntries(kept.map(([key, each]) => [key, withoutNulls(each)]))
}
