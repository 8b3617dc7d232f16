import { accept, checkOptions, errorRow } from "@project-ingress/forward/internal"
import { AccessDenied } from "../policies/access-denied.ts"
import { isVersion, MAX_INSPECTION_MS } from "../policies/inspection.ts"
import { PolicyError } from "../policies/policy-error.ts"
import type { Outcome, Policy, PolicyRequest } from "../policies/policy.ts"
import type { Access } from "./define-access.ts"
import { portIndexJson, portIndexPage } from "./port-index-page.ts"

/** What {@link portIndex} takes beside the access. */
export interface PortIndexOptions {
  /** The longest that `?wait=` makes a request wait, in ms, 0 to 30 000. Default 30 000. */
  readonly maxWaitMs?: number
}

/**
 * Lists which ports of the machine are in use: as a page at `<prefix>ports` and as JSON at `<prefix>ports.json`, for visitors of whom a policy before it
 * returned `mayInspect`, and only the ports that the visitor may open. `?wait=3000` waits that long for a change, `&since=<version>` for another list
 * than one known. Everybody else gets 403. Opens no port, and wakes no machine.
 *
 * Put it after the policies that decide who may open the port: they decide about its pages, too.
 *
 * @throws {TypeError} for an option that is unknown or invalid
 *
 * @example
 * createRouter({ …, policies: [signIn, authorize({ … }), portIndex(access)] })
 */
export const portIndex = (access: Pick<Access, "ownPath" | "prefix">, options: PortIndexOptions = {}): Policy => {
  if (typeof access?.ownPath !== "function") throw new TypeError("portIndex: access must be what defineAccess returns")
  checkOptions("portIndex", options, { maxWaitMs: accept.number(0, MAX_INSPECTION_MS) })
  const { maxWaitMs = MAX_INSPECTION_MS } = options
  return {
    name: "port index",
    explainable: ({ path }) => access.ownPath(path) === undefined,
    onRoute: (request): Outcome => {
      const name = access.ownPath(request.path)
      if (name !== "ports" && name !== "ports.json") return undefined
      if (request.visitor?.mayInspect !== true)
        return { deny: new AccessDenied({ reason: "the visitor may not inspect the machine" }) }
      if (request.upgrade || (request.method !== "GET" && request.method !== "HEAD"))
        return { deny: methodNotAllowed(request.method) }
      const { waitMs, since } = queryOf(request, maxWaitMs)
      const links = { page: `${access.prefix}ports`, json: `${access.prefix}ports.json` }
      const respond = name === "ports" ? portIndexPage(links) : portIndexJson
      return { inspect: { waitMs, since, respond } }
    },
  }
}

const queryOf = ({ path }: PolicyRequest, maxWaitMs: number) => {
  const query = new URLSearchParams(/\?[^#]*/.exec(path)?.[0])
  const wait = query.get("wait") ?? ""
  const since = query.get("since")
  return {
    waitMs: /^\d{1,9}$/.test(wait) ? Math.min(Number(wait), maxWaitMs) : 0,
    since: isVersion(since) ? since : undefined,
  }
}

const methodNotAllowed = (method: string): PolicyError =>
  new PolicyError({
    tag: "PortIndexMethod",
    row: errorRow(405, "METHOD_REFUSED", "http_request_denied", "The list of ports can only be read. Use GET.", {
      allow: "GET, HEAD",
    }),
    reason: `the port index was asked by ${method}`,
  })
