import type { Grammar } from "@project-ingress/hostname"
import type { PolicyRequest, Route } from "../policies/policy.ts"
import type { Visitor } from "../policies/visitor.ts"
import { cookieValues, setCookie } from "./cookies.ts"
import type { Access } from "./define-access.ts"
import { projectIdentity } from "./project-identity.ts"
import { randomId } from "./sha256.ts"
import type { VerifiedValue } from "./signed-values.ts"

/** What {@link makeSessions} takes. */
interface SessionsOptions {
  readonly access: Access
  readonly grammar: Grammar
  readonly sessionMs: number
  readonly scope: "project" | "host"
}

/** A hostname that is asked for, and its route. */
export interface SessionPlace {
  readonly hostname: string
  readonly route: Route
}

/** Sessions of visitors: a signed cookie, bound to hostname, project and generation. */
export interface Sessions {
  /** The `Set-Cookie` value of a session of a subject at a place, for an attempt of that generation. */
  readonly begin: (place: SessionPlace, subject: string, generation: number) => Promise<string>
  /** The visitor whose session a request has; at once where session and record were seen before. */
  readonly read: (request: PolicyRequest, place: SessionPlace) => Visitor | undefined | Promise<Visitor | undefined>
  /** `Set-Cookie` values that take the session at a place away. */
  readonly end: (place: SessionPlace) => readonly string[]
  /** What tells projects apart in signed values. */
  readonly identityOf: (route: Route) => string | Promise<string>
}

/** The generation of a route's record; what was given out before it rose has ended. */
export const generationOf = ({ record }: Route): number => record.generation ?? 0

export const makeSessions = ({ access, grammar, sessionMs, scope }: SessionsOptions): Sessions => {
  const values = access.signed("session")
  const identityOf = projectIdentity()
  const { session, projectSession } = access.cookies

  /** The cookie at a place, and whom its value is for: `.misha.iterate.app` is every hostname of the project. */
  const cookieAt = ({ hostname, route }: SessionPlace) => {
    const site = scope === "project" ? projectSite(grammar, route, hostname) : undefined
    return site === undefined
      ? { name: session, audience: hostname, domain: {} }
      : { name: projectSession, audience: `.${site}`, domain: { domain: site } }
  }

  return {
    identityOf,
    begin: async (place, subject, generation) => {
      const { name, audience, domain } = cookieAt(place)
      const prj = await identityOf(place.route)
      const claims = { sub: subject, host: audience, prj, gen: generation, id: randomId() }
      return setCookie(name, await values.sign(claims, sessionMs), {
        validForMs: sessionMs,
        sameSite: "Lax",
        ...domain,
      })
    },
    read: (request, place) => {
      const { name, audience } = cookieAt(place)
      const found = cookieValues(request.header("cookie"), name)
      if (found.length === 0) return undefined
      const identity = identityOf(place.route)
      const verified = found.map(values.verify)
      const first = (all: readonly (VerifiedValue | undefined)[], known: string) =>
        all.map((each) => visitorOf(each, place, audience, known)).find((visitor) => visitor !== undefined)
      return typeof identity === "string" && verified.every(isSettled)
        ? first(verified, identity)
        : Promise.all([Promise.all(verified.map(async (each) => each)), identity]).then(([all, known]) =>
            first(all, known),
          )
    },
    end: ({ hostname, route }) => {
      const over = { validForMs: 0, sameSite: "Lax" } as const
      const site = projectSite(grammar, route, hostname)
      const ofHost = setCookie(session, "", over)
      return site === undefined ? [ofHost] : [ofHost, setCookie(projectSession, "", { ...over, domain: site })]
    },
  }
}

/** The visitor of a verified session, if it is for this place. */
const visitorOf = (
  value: VerifiedValue | undefined,
  { route }: SessionPlace,
  audience: string,
  identity: string,
): Visitor | undefined => {
  if (value === undefined) return undefined
  const { sub: subject, host, prj, gen, id } = value.claims
  const isHere = host === audience && prj === identity && typeof gen === "number" && gen >= generationOf(route)
  return isHere ? { subject: String(subject), by: "session", id: String(id), expiresAt: value.expiresAt } : undefined
}

const isSettled = (value: ReturnType<ReturnType<Access["signed"]>["verify"]>): value is VerifiedValue | undefined =>
  !(value instanceof Promise)

/**
 * The domain that a project's hostnames and nobody else's are below: `misha.iterate.app` where the grammar writes
 * `8000.misha.iterate.app`. None for a machine, in the flat shape, and on a custom domain, below which names may be somebody else's.
 */
const projectSite = ({ separator }: Grammar, { target }: Route, hostname: string): string | undefined => {
  if (separator !== "." || target.kind !== "project" || target.domain === undefined) return undefined
  const site = `${target.slug}.${target.domain}`
  return hostname === site || hostname.endsWith(`.${site}`) ? site : undefined
}
