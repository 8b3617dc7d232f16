import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { collisions } from "./collisions.ts"
import type { PlacedRule } from "./collisions.ts"
import { checkEgress } from "./egress-checks.ts"
import { sha256Hex } from "../resource/sha256.ts"
import { readDocuments } from "./ingress-documents.ts"
import { byPlace } from "./project-problem.ts"
import type { ProjectProblem } from "./project-problem.ts"
import { foldersOf, readSource } from "./project-source.ts"
import type { ProjectSource } from "./project-source.ts"
import { ProjectsInvalid } from "./projects-invalid.ts"
import type { Project, ProjectPlace, Projects } from "./projects.ts"
import { readRows } from "./read-rows.ts"
import { readOverrides, readSettings } from "./settings-file.ts"

/** More would be an attack on whoever reads the list. */
const MAX_PROBLEMS = 1_000

/**
 * Reads projects from the texts of their files, by the path in the folder: `shop/itsup-project.yml`, `itsup.yml`. Other paths are
 * ignored. All of it is validated, and nothing outside is looked at.
 *
 * @throws {ProjectsInvalid} (rejects) with all that is wrong
 */
export const readProjects = async (files: ReadonlyMap<string, string>): Promise<Projects> => {
  const problems: ProjectProblem[] = []
  const keep = <T>(read: { readonly problems: readonly ProjectProblem[] } & T): T => {
    problems.push(...read.problems)
    return read
  }
  const { settings } = keep(readSettings(files.get("itsup.yml")))
  const { overrides } = keep(readOverrides("traefik.yml", files.get("traefik.yml")))
  const sources: ProjectSource[] = []
  for (const [name, texts] of foldersOf(files)) sources.push(...keep(readSource(name, texts)).sources)
  problems.push(...doubleNames(sources))
  const { egress, order, warnings } = keep(await checkEgress(sources))
  const rows = keep(await readRows(sources))
  const placed: PlacedRule[] = [...rows.placed]
  const ingresses: { readonly name: string; readonly rules: readonly DeclaredRule[] }[] = [...rows.ingresses]
  for (const source of sources) {
    const own = keep(await readDocuments(source))
    placed.push(...own.placed)
    ingresses.push(...own.ingresses)
  }
  problems.push(...collisions(placed))
  if (problems.length > 0) throw new ProjectsInvalid({ problems: problems.toSorted(byPlace).slice(0, MAX_PROBLEMS) })
  const byName = new Map(sources.map((source) => [source.name, source]))
  return {
    ingresses: await Promise.all(ingresses.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(declared)),
    projects: order.map((name) => project(byName.get(name)!, egress.get(name) ?? [], rows.services.get(name) ?? [])),
    ...(settings === undefined ? {} : { settings }),
    ...(overrides === undefined ? {} : { overrides }),
    places: new Map(placed.map(({ rule, problem }) => [rule, placeOf(problem(""))])),
    warnings,
  }
}

const placeOf = ({ file, line, column, key }: ProjectProblem): ProjectPlace => ({
  file,
  ...(line === undefined ? {} : { line }),
  ...(column === undefined ? {} : { column }),
  key,
})

const project = (
  { name, ingress, content, compose }: ProjectSource,
  egress: Project["egress"],
  services: NonNullable<Project["compose"]>["services"],
): Project => ({
  name,
  ingress,
  enabled: content.enabled !== false,
  ...(compose === undefined ? {} : { compose: { text: compose.text, services } }),
  egress,
})

/** Neither a clock nor chance: what is the same is the same at every reading. */
const declared = async ({
  name,
  rules,
}: {
  readonly name: string
  readonly rules: readonly DeclaredRule[]
}): Promise<DeclaredIngress> => ({
  id: (await sha256Hex(name)).slice(0, 20),
  name,
  version: 1,
  createdAt: 0,
  updatedAt: 0,
  rules,
})

/** Two folders whose names differ only in what an ingress's name cannot have. */
const doubleNames = (sources: readonly ProjectSource[]): readonly ProjectProblem[] => {
  const first = new Map<string, string>()
  return sources.flatMap(({ name, ingress }) => {
    const other = first.get(ingress)
    first.set(ingress, other ?? name)
    if (other === undefined) return []
    return [{ file: name, key: "", message: `the folder's name must differ from ${other} in letters or digits` }]
  })
}
