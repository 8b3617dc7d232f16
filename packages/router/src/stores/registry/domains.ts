import { startDeadline } from "@project-ingress/forward/internal"
import { DomainNotVerified, DomainTaken, NotFound } from "./errors.ts"
import type { DomainProof } from "./errors.ts"
import { baseDomain, domainName } from "./input.ts"
import { saveProject } from "./operations.ts"
import type { Change } from "./operations.ts"
import type { ProjectState } from "./state.ts"

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
  return saveProject(change, project, { ...project, domains: { ...project.domains, [hostname]: false } })
}

/** The proof has been seen. */
export const markVerified = (change: Change, project: ProjectState, hostname: string): ProjectState => {
  domainOfProject(project, hostname)
  refuseTaken(change, project, hostname)
  change.state.tombstones.set(`d:${hostname}`, undefined)
  return saveProject(change, project, { ...project, domains: { ...project.domains, [hostname]: true } })
}

export const removeDomain = (change: Change, project: ProjectState, given: string): ProjectState => {
  const hostname = domainOfProject(project, domainName(change.grammar, given))
  const { [hostname]: _, ...domains } = project.domains
  return saveProject(change, project, { ...project, domains })
}

/** @throws {NotFound} if the project has not asked for the domain */
export const domainOfProject = ({ domains }: ProjectState, hostname: string): string => {
  if (!Object.hasOwn(domains, hostname)) throw new NotFound({ kind: "domain", reference: hostname })
  return hostname
}

/** Where the proof of a domain is looked for; a wildcard's is that of the domain it is under. */
export const proofOf = (hostname: string, token: string): DomainProof => ({
  name: `_project-ingress.${baseDomain(hostname)}`,
  value: `project-ingress=${token}`,
})

/**
 * Asks the DNS for the proof of a domain.
 *
 * @throws {DomainNotVerified} if no record has the value, or the resolver fails or takes longer than 5 s
 */
export const requireProof = async (resolveTxt: ResolveTxt, hostname: string, proof: DomainProof): Promise<void> => {
  const timeout = Promise.withResolvers<never>()
  const settled = startDeadline(RESOLVE_TIMEOUT_MS, () =>
    timeout.reject(new Error(`no result within ${RESOLVE_TIMEOUT_MS} ms`)),
  )
  let found: readonly unknown[]
  try {
    found = await Promise.race([resolveTxt(proof.name), timeout.promise])
  } catch (cause) {
    throw new DomainNotVerified({ hostname, proof, cause })
  } finally {
    settled()
  }
  const texts = Array.isArray(found) ? found.map((record) => (Array.isArray(record) ? record.join("") : record)) : []
  if (!texts.includes(proof.value)) throw new DomainNotVerified({ hostname, proof })
}

const refuseTaken = ({ state }: Change, project: ProjectState, hostname: string): void => {
  const holder = state.domains.get(hostname)
  if (holder !== undefined && holder !== project.id) throw new DomainTaken({ hostname })
}
