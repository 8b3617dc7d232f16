import { AmbiguousReference, InvalidInput, NotFound } from "./errors.ts"
import type { ProjectState } from "./state.ts"
import type { ListOptions } from "../route-registry.ts"

/**
 * A project by its id, its current name or the beginning of one; only among an owner's, where one is given.
 *
 * @throws {NotFound | AmbiguousReference}
 */
export const findProject = (
  projects: ReadonlyMap<string, ProjectState>,
  names: ReadonlyMap<string, string>,
  given: unknown,
  owner?: string,
): ProjectState => {
  const reference = String(given).toLowerCase()
  const isVisible = (project: ProjectState): boolean => owner === undefined || project.owner === owner
  const byId = projects.get(reference)
  if (byId !== undefined && isVisible(byId)) return byId
  const byName = projects.get(names.get(reference) ?? "")
  // A former name leads visitors to the project; whoever changes it knows the current one.
  if (byName?.name === reference && isVisible(byName)) return byName

  const matches: string[] = []
  for (const project of reference === "" ? [] : projects.values()) {
    const begins = project.id.startsWith(reference) || project.name.startsWith(reference)
    if (begins && isVisible(project)) matches.push(project.id)
    if (matches.length === 10) break
  }
  if (matches.length > 1) throw new AmbiguousReference({ reference, matches })
  const only = projects.get(matches[0] ?? "")
  if (only === undefined) throw new NotFound({ kind: "project", reference })
  return only
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
