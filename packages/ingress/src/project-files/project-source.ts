import { readCompose } from "./compose-file.ts"
import type { ComposeFile } from "./compose-file.ts"
import type { ProjectProblem } from "./project-problem.ts"
import { ProjectSchema } from "./project-schema.ts"
import type { ProjectFile } from "./project-schema.ts"
import { readSchemaFile } from "./schema-file.ts"
import type { YamlDocument } from "./yaml-file.ts"

/** Files of a project, by the name in its folder. */
export const PROJECT_FILES = [
  "docker-compose.yml",
  "itsup-project.yml",
  "ingress.yml",
  "ingress.yaml",
  "ingress.json",
] as const
/** Files of the folder itself. */
export const FOLDER_FILES = ["itsup.yml", "traefik.yml"] as const

/** A project as far as it alone is concerned. */
export interface ProjectSource {
  readonly name: string
  /** The name that its ingress has: that of the folder, in letters, digits and hyphens. */
  readonly ingress: string
  readonly file: string
  /** `itsup-project.yml`; absent where there is none. */
  readonly source: YamlDocument | undefined
  readonly content: ProjectFile
  readonly compose: ComposeFile | undefined
  readonly texts: ReadonlyMap<string, string>
}

export const foldersOf = (
  files: ReadonlyMap<string, string>,
): readonly (readonly [string, ReadonlyMap<string, string>])[] => {
  const folders = new Map<string, Map<string, string>>()
  for (const [path, text] of files) {
    const [folder = "", name = "", ...deeper] = path.split("/")
    if (deeper.length > 0 || !PROJECT_FILES.some((each) => each === name)) continue
    const texts = folders.get(folder) ?? new Map<string, string>()
    folders.set(folder, texts.set(name, text))
  }
  return [...folders].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** What may be a project of Docker Compose and a part of a path. */
const PROJECT = /^[a-z\d](?:[a-z\d._-]{0,61}[a-z\d])?$/

/** Reads the files of one project, each by itself. */
export const readSource = (
  name: string,
  texts: ReadonlyMap<string, string>,
): { readonly sources: readonly ProjectSource[]; readonly problems: readonly ProjectProblem[] } => {
  if (!PROJECT.test(name)) {
    const accepted = "a project's name: 1 to 63 lower-case letters, digits and inner - . _"
    return { sources: [], problems: [{ file: name, key: "", message: `the folder's name must be ${accepted}` }] }
  }
  const problems: ProjectProblem[] = []
  const own = ["itsup-project.yml", "ingress.yml"].filter((each) => texts.has(each))
  const file = `${name}/${own[0] ?? "itsup-project.yml"}`
  if (own.length > 1) {
    problems.push({
      file: `${name}/ingress.yml`,
      key: "",
      message: "must be absent beside itsup-project.yml, whose old name it is",
    })
  }
  const text = own[0] === undefined ? undefined : texts.get(own[0])
  const read = text === undefined ? { problems: [] } : readSchemaFile(file, text, ProjectSchema)
  problems.push(...read.problems)
  const composeText = texts.get("docker-compose.yml")
  const compose = composeText === undefined ? { problems: [] } : readCompose(`${name}/docker-compose.yml`, composeText)
  problems.push(...compose.problems)
  if (problems.length > 0) return { sources: [], problems }
  const { source, value = {} } = read as { readonly source?: YamlDocument; readonly value?: ProjectFile }
  const ingress = name.replaceAll(/[._]+/g, "-")
  const sources = [{ name, ingress, file, source, content: value, compose: compose.compose, texts }]
  return { sources, problems }
}
