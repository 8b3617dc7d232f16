import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { GeneratedResponse } from "@project-ingress/forward"
import { AccessDenied } from "../policies/access-denied.ts"
import type { Outcome, Policy, PolicyRequest, Route } from "../policies/policy.ts"
import type { Visitor } from "../policies/visitor.ts"
import { cookieValues, setCookie } from "./cookies.ts"
import { LinkInvalid } from "./credential-errors.ts"
import type { Access } from "./define-access.ts"
import { frameAncestors, isCrossSite, isFramed, sameSiteOf } from "./framing.ts"
import { grantProblem, isWithdrawn } from "./grant.ts"
import { linkField, linkPage } from "./link-page.ts"
import { redirectTarget } from "./redirect-target.ts"
import type { VerifiedValue } from "./signed-values.ts"

/** What {@link shareLinks} takes. */
export interface ShareLinksOptions {
  /**
   * Whether a single link was withdrawn, by its id. Asked when it is opened and at every request by it, so that it should know by heart. One that
   * throws, or takes more than 5 s, refuses the request (500). Default: only `generation` withdraws links, those of a whole project.
   */
  readonly isRevoked?: (id: string) => boolean | Promise<boolean>
}

/**
 * Accepts the links of `createShareLink`. Mount it after sessions and tokens, and before `visibility`: a visitor who is signed in stays who he is, and
 * a link counts for those who are not, and for those whom the platform does not let in (`otherwise`, which `authorize` reads).
 *
 * `<prefix>link` is a page that takes the grant out of the address bar and posts it in a field; in exchange there is a cookie for
 * this hostname, bound to the link's port, project and end, which no machine gets.
 *
 * @throws {TypeError} for an option that is unknown or invalid
 */
export const shareLinks = (access: Access, options: ShareLinksOptions = {}): Policy => {
  checkOptions("shareLinks", options, { isRevoked: accept.function })
  const { isRevoked } = options
  const { cookies, ownPath, prefix } = access
  const links = access.signed("link")
  const sessions = access.signed("link-session")

  const isOver = ({ claims }: VerifiedValue): Promise<boolean> => isWithdrawn(isRevoked, String(claims["jti"]))

  const redeem = async (request: PolicyRequest, route: Route): Promise<Outcome> => {
    const value = await links.verify(request.header(linkField) ?? "")
    if (value === undefined) return invalid()
    const { claims, expiresAt } = value
    const id = String(claims["jti"])
    const problem = (await grantProblem(claims, route)) ?? ((await isOver(value)) ? "it was withdrawn" : undefined)
    if (problem !== undefined) return { deny: new LinkInvalid({ reason: `link ${id}: ${problem}` }) }
    const validForMs = expiresAt - Date.now()
    const { to, ...rest } = claims
    const cookie = await sessions.sign(rest, validForMs)
    const attributes = { validForMs, sameSite: sameSiteOf(route) }
    return { respond: redeemed(redirectTarget(to, prefix), setCookie(cookies.link, cookie, attributes)) }
  }

  const verifyOnly = async ({ header }: PolicyRequest): Promise<Outcome> =>
    (await links.verify(header(linkField) ?? "")) === undefined ? invalid() : undefined

  const byCookie = async (values: readonly string[], route: Route): Promise<Visitor | undefined> => {
    for (const value of values) {
      const found = await sessions.verify(value)
      if (found === undefined || (await grantProblem(found.claims, route)) !== undefined) continue
      if (await isOver(found)) continue
      const { claims, expiresAt } = found
      const [subject, id] = [String(claims["sub"]), String(claims["jti"])]
      return { subject, by: "link", id, granted: true, expiresAt }
    }
    return undefined
  }

  return {
    name: "share links",
    reservedCookies: [cookies.link],
    explainable: ({ path }) => ownPath(path) !== "link",
    // Before the look-up as far as possible: page and refusal are the same for hostnames that do not exist.
    onRequest: (request) => {
      if (ownPath(request.path) !== "link") return undefined
      if (isRead(request)) return isFramed(request) ? undefined : { respond: linkPage() }
      if (request.method !== "POST" || request.upgrade) return { respond: methodRefused }
      if (!isOwnOrigin(request))
        return { deny: new AccessDenied({ reason: "a link is redeemed by its own page alone" }) }
      return verifyOnly(request)
    },
    onRoute: (request, route) => {
      if (ownPath(request.path) === "link") {
        if (request.method === "POST") return redeem(request, route)
        return sameSiteOf(route) === "framed"
          ? { respond: linkPage(frameAncestors(route)) }
          : { deny: new AccessDenied({ hidden: true, reason: "no origin may frame this port" }) }
      }
      const { visitor } = request
      if (visitor?.granted === true || visitor?.otherwise !== undefined) return undefined
      const values = cookieValues(request.header("cookie"), cookies.link)
      if (values.length === 0 || (sameSiteOf(route) === "framed" && isCrossSite(request))) return undefined
      return byCookie(values, route).then(
        (link) => link && { visitor: visitor === undefined ? link : { ...visitor, otherwise: link } },
      )
    },
    onForward: (edit) => edit.remove(linkField),
  }
}

const invalid = (): Outcome => ({ deny: new LinkInvalid({ reason: "the grant is forged, or has ended" }) })

const isRead = ({ method, upgrade }: PolicyRequest): boolean => !upgrade && (method === "GET" || method === "HEAD")

/** A page of this hostname, by its scheme and port as well. Browsers send `Origin` with every POST (Fetch §3.2). */
const isOwnOrigin = ({ header, scheme, host }: PolicyRequest): boolean => {
  const origin = header("origin")?.toLowerCase()
  return origin !== undefined && URL.canParse(`${scheme}://${host}`) && origin === new URL(`${scheme}://${host}`).origin
}

const redeemed = (path: string, cookie: string): GeneratedResponse => ({
  status: 200,
  headers: ["Content-Type", "application/json", "Cache-Control", "no-store", "Set-Cookie", cookie],
  body: `${JSON.stringify({ path })}\n`,
})

const methodRefused: GeneratedResponse = {
  status: 405,
  headers: ["Allow", "GET, HEAD, POST", "Cache-Control", "no-store"],
}
