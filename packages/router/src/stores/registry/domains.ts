import { within } from "../reading/within.ts"
import { DomainNotVerified, DomainTaken, NotFound } from "./errors.ts"
import type { DomainProof } from "./errors.ts"
import { baseDomain, domainName } from "./input.ts"
import { saveProject } from "./operations.ts"
import type { Change } from "./operations.ts"
import type { ProjectState, State } from "./state.ts"

/**
 * Looks TXT records up. Each record is its text, or its parts as DNS carries them: `resolveTxt` of `node:dns/promises` fits.
 * Rejecting counts as "not found".
 */
export type ResolveTxt = (name: string) => Promise<readonly (string | readonly string[])[]>

/** How long one look-up in the DNS may take, in ms. */
const RESOLVE_TIMEOUT_MS = 5_000

export const addDomain = (change: Change, project: ProjectState, given: string): ProjectState => {
  const hostname = domainName(change.grammar, given)
  refuseTaken(change, project, hostname)
  if (Object.hasOwn(project.domains, hostname)) return project
  prepareProof(change, project.owner, hostname)
  return saveProject(change, project, { ...project, domains: { ...project.domains, [hostname]: false } })
}

/** The proof has been seen. */
export const markVerified = (change: Change, project: ProjectState, hostname: string): ProjectState => {
  domainOfProject(project, hostname)
  refuseTaken(change, project, hostname)
  change.state.tombstones.set(`d:${hostname}`, undefined)
  return saveDomain(change, project, hostname, { verified: true })
}

/**
 * The proof of a verified domain has been asked for again. Where it is missing, the domain stays as it is for the time of grace, and
 * is not verified any more after it.
 */
export const proofChecked = (
  change: Change,
  project: ProjectState,
  hostname: string,
  isFound: boolean,
  graceMs: number,
): ProjectState => {
  if (project.domains[hostname] !== true) return project
  const since = project.failing?.[hostname]
  if (isFound) return since === undefined ? project : saveDomain(change, project, hostname, { verified: true })
  if (since !== undefined && change.now - since >= graceMs)
    return saveDomain(change, project, hostname, { verified: false })
  return since === undefined
    ? saveDomain(change, project, hostname, { verified: true, failingSince: change.now })
    : project
}

/** Writes what is known of one domain. */
const saveDomain = (
  change: Change,
  { failing: before = {}, ...project }: ProjectState,
  hostname: string,
  { verified, failingSince }: { readonly verified: boolean; readonly failingSince?: number },
): ProjectState => {
  const { [hostname]: _, ...others } = before
  const failing = failingSince === undefined ? others : { ...others, [hostname]: failingSince }
  const next = { ...project, domains: { ...project.domains, [hostname]: verified } }
  return saveProject(change, project, Object.keys(failing).length === 0 ? next : { ...next, failing })
}

export const removeDomain = (change: Change, project: ProjectState, given: string): ProjectState => {
  const hostname = domainOfProject(project, domainName(change.grammar, given))
  const { [hostname]: _, ...domains } = project.domains
  const { [hostname]: __, ...failing } = project.failing ?? {}
  const { failing: ___, ...rest } = project
  return saveProject(change, project, { ...rest, domains, ...(Object.keys(failing).length === 0 ? {} : { failing }) })
}

/** @throws {NotFound} if the project has not asked for the domain */
export const domainOfProject = ({ domains }: ProjectState, hostname: string): string => {
  if (!Object.hasOwn(domains, hostname)) throw new NotFound({ kind: "domain", reference: hostname })
  return hostname
}

/** What an owner publishes for a domain that was added; a wildcard's proof is that of the domain it is under. */
export const proofOf = ({ proofs }: State, owner: string | undefined, hostname: string): DomainProof => ({
  name: `_project-ingress.${baseDomain(hostname)}`,
  value: `project-ingress=${proofs.get(proofId(owner, hostname))!}`,
})

/** From now on there is a proof for this owner and domain, and it stays the same. */
export const prepareProof = ({ state, newToken }: Change, owner: string | undefined, hostname: string): void => {
  const id = proofId(owner, hostname)
  if (state.proofs.get(id) === undefined) state.proofs.set(id, newToken())
}

/** One for each owner and domain. */
export const proofId = (owner: string | undefined, hostname: string): string =>
  JSON.stringify([owner ?? null, baseDomain(hostname)])

/**
 * Asks the DNS for the proof of a domain.
 *
 * @throws {DomainNotVerified} if no record has the value, or the resolver fails or takes longer than 5 s
 */
export const requireProof = async (resolveTxt: ResolveTxt, hostname: string, proof: DomainProof): Promise<void> => {
  let found: readonly unknown[]
  try {
    found = await within(RESOLVE_TIMEOUT_MS, () => resolveTxt(proof.name))
  } catch (cause) {
    throw new DomainNotVerified({ hostname, proof, cause })
  }
  const texts = Array.isArray(found) ? found.map((record) => (Array.isArray(record) ? record.join("") : record)) : []
  if (!texts.includes(proof.value)) throw new DomainNotVerified({ hostname, proof })
}

const refuseTaken = ({ state }: Change, project: ProjectState, hostname: string): void => {
  const holder = state.domains.get(hostname)
  if (holder !== undefined && holder !== project.id) throw new DomainTaken({ hostname })
}
