import { AmbiguousReference, InvalidInput, NotFound } from "./errors.ts"
import type { ProjectState } from "./state.ts"
import type { ListOptions } from "../route-registry.ts"

/** The projects of a registry, as a reference to one of them is looked for. */
export interface ProjectIndex {
  readonly projects: ReadonlyMap<string, ProjectState>
  /** Ids of projects by name, former names included. */
  readonly names: ReadonlyMap<string, string>
}

/**
 * A project by its id or its current name: what a change needs, because a beginning that is unique today may be another
 * project's tomorrow.
 *
 * @throws {NotFound}
 */
export const findProject = (index: ProjectIndex, given: unknown): ProjectState => {
  const reference = String(given).toLowerCase()
  const found = exact(index, reference)[0]
  if (found === undefined) throw new NotFound({ kind: "project", reference })
  return found
}

/**
 * A project by its id, its current name or the beginning of one; only among an owner's, where one is given.
 *
 * @throws {NotFound | AmbiguousReference}
 */
export const findByPrefix = (index: ProjectIndex, given: unknown, owner?: string): ProjectState => {
  const reference = String(given).toLowerCase()
  const isVisible = (project: ProjectState): boolean => owner === undefined || project.owner === owner
  const found = exact(index, reference).find(isVisible)
  if (found !== undefined) return found

  const matches: ProjectState[] = []
  for (const project of reference === "" ? [] : index.projects.values()) {
    const begins = project.id.startsWith(reference) || project.name.startsWith(reference)
    if (begins && isVisible(project)) matches.push(project)
    if (matches.length === 10) break
  }
  const [only, ...others] = matches
  if (only === undefined) throw new NotFound({ kind: "project", reference })
  if (others.length > 0) throw new AmbiguousReference({ reference, matches: matches.map(({ id }) => id) })
  return only
}

/** The project with that id, then the one with that name. */
const exact = ({ projects, names }: ProjectIndex, reference: string): readonly ProjectState[] => {
  const byName = projects.get(names.get(reference) ?? "")
  // A former name leads visitors to the project; whoever changes it knows the current one.
  return [projects.get(reference), byName?.name === reference ? byName : undefined].filter(
    (project) => project !== undefined,
  )
}

/**
 * A page of projects by id.
 *
 * @throws {InvalidInput} for a cursor that no page gave, or a limit out of range
 */
export const listProjects = (
  projects: ReadonlyMap<string, ProjectState>,
  { owner, cursor = "", limit = 100 }: ListOptions,
): { readonly found: readonly ProjectState[]; readonly next?: string } => {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
    throw new InvalidInput({ field: "limit", accepted: "an integer from 1 to 1000" })
  }
  if (cursor !== "" && !/^prj_[\da-z]+$/.test(cursor))
    throw new InvalidInput({ field: "cursor", accepted: "next of a page" })
  const rest = [...projects.values()]
    .filter((project) => project.id > cursor && (owner === undefined || project.owner === owner))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const found = rest.slice(0, limit)
  return rest.length > limit ? { found, next: found.at(-1)!.id } : { found }
}
