import { placeholderProblems } from "./placeholders.ts"
import type { ProjectProblem } from "./project-problem.ts"
import { SettingsSchema } from "./project-schema.ts"
import type { ProjectSettings } from "./projects.ts"
import { readSchemaFile } from "./schema-file.ts"
import { readYaml } from "./yaml-file.ts"

/** `itsup.yml`, if it is there. */
export const readSettings = (
  text: string | undefined,
): { readonly settings?: ProjectSettings; readonly problems: readonly ProjectProblem[] } => {
  if (text === undefined) return { problems: [] }
  const read = readSchemaFile("itsup.yml", text, SettingsSchema)
  if (read.problems.length > 0) return { problems: read.problems }
  if (read.value === undefined) {
    return { problems: [{ file: "itsup.yml", key: "traefikDomain", message: "traefikDomain must be present" }] }
  }
  const { traefikDomain, routerIP, versions, crowdsec } = read.value
  const settings: ProjectSettings = {
    traefikDomain: traefikDomain.toLowerCase(),
    ...(routerIP ? { routerIP } : {}),
    ...(versions
      ? { versions: Object.fromEntries(Object.entries(versions).map(([key, value]) => [key, String(value)])) }
      : {}),
    ...(crowdsec ? { crowdsec: { enabled: crowdsec.enabled ?? false, collections: crowdsec.collections ?? [] } } : {}),
  }
  return { settings, problems: [] }
}

/** Overrides of a front's own configuration: any mapping, without placeholders. */
export const readOverrides = (
  file: string,
  text: string | undefined,
): { readonly overrides?: Readonly<Record<string, unknown>>; readonly problems: readonly ProjectProblem[] } => {
  const { documents = [], problems } = text === undefined ? {} : readYaml(file, text)
  if (problems !== undefined) return { problems }
  const [source, ...more] = documents
  if (source === undefined || source.value === null) return { problems: [] }
  const { value } = source
  if (typeof value !== "object" || Array.isArray(value) || more.length > 0) {
    return { problems: [source.problem([], "must be one mapping")] }
  }
  const placeholders = placeholderProblems(source)
  return placeholders.length > 0
    ? { problems: placeholders }
    : { overrides: value as Readonly<Record<string, unknown>>, problems: [] }
}
