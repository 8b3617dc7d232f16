import { AmbiguousReference, InvalidInput, NotFound } from "./errors.ts"
import type { ProjectState, State } from "./state.ts"
import type { RegistryStorage } from "./storage.ts"
import type { ListOptions } from "../route-registry.ts"

/**
 * A project by its id or its current name: what a change needs, because a beginning that is unique today may be another
 * project's tomorrow.
 *
 * @throws {NotFound}
 */
export const findProject = (state: State, given: unknown): ProjectState => {
  const reference = String(given).toLowerCase()
  const found = exact(state, reference)[0]
  if (found === undefined) throw new NotFound({ kind: "project", reference })
  return found
}

/** A project's external id, in its case, as `read` takes it. */
export interface ExternalReference {
  readonly externalId: string
}

/**
 * Reads a project by its id, its current name or the beginning of one, or by its external id; only among an owner's, where one
 * is given.
 *
 * @throws {NotFound | AmbiguousReference}
 */
export const readByPrefix = async <A>(
  storage: RegistryStorage,
  given: unknown,
  owner: string | undefined,
  present: (state: State, project: ProjectState) => A,
): Promise<A> => {
  const externalId = isExternal(given) ? given.externalId : undefined
  const reference = externalId ?? String(given).toLowerCase()
  const found = await storage.read((state) => {
    const named = externalId === undefined ? exact(state, reference) : byExternalId(state, externalId)
    const project = named.find((each) => owner === undefined || each.owner === owner)
    return project && present(state, project)
  })
  if (found !== undefined) return found

  const [only, ...others] =
    reference === "" || externalId !== undefined ? [] : await storage.beginningWith(reference, owner)
  if (only === undefined) throw new NotFound({ kind: "project", reference })
  if (others.length > 0) throw new AmbiguousReference({ reference, matches: [only, ...others] })
  return storage.read((state) => present(state, findProject(state, only)), [only])
}

/** The project with that id, then the one with that name. */
const exact = ({ projects, names }: State, reference: string): readonly ProjectState[] => {
  const byName = projects.get(names.get(reference) ?? "")
  // A former name leads visitors to the project; whoever changes it knows the current one.
  return [projects.get(reference), byName?.name === reference ? byName : undefined].filter(
    (project) => project !== undefined,
  )
}

const isExternal = (given: unknown): given is ExternalReference =>
  typeof given === "object" && given !== null && "externalId" in given && typeof given.externalId === "string"

const byExternalId = ({ projects, externalIds }: State, externalId: string): readonly ProjectState[] => {
  const project = projects.get(externalIds.get(externalId) ?? "")
  return project === undefined ? [] : [project]
}

/**
 * Reads a page of projects by id.
 *
 * @throws {InvalidInput} for a cursor that no page gave, or a limit out of range
 */
export const readPage = async <A>(
  storage: RegistryStorage,
  { owner, cursor = "", limit = 100 }: ListOptions,
  present: (state: State, project: ProjectState) => A,
): Promise<{ readonly found: readonly A[]; readonly next?: string }> => {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
    throw new InvalidInput({ field: "limit", accepted: "an integer from 1 to 1000" })
  }
  if (cursor !== "" && !/^prj_[\da-z]+$/.test(cursor))
    throw new InvalidInput({ field: "cursor", accepted: "next of a page" })
  const ids = await storage.listAfter(cursor, owner, limit + 1)
  const page = ids.slice(0, limit)
  // One that was removed meanwhile is not on the page.
  const found = await storage.read((state) => {
    const projects = page.map((id) => state.projects.get(id))
    return projects.filter((project) => project !== undefined).map((project) => present(state, project))
  }, page)
  return ids.length > limit ? { found, next: page.at(-1)! } : { found }
}
