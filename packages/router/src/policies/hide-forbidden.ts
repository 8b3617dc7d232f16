import { accept, checkOptions, isThenable } from "@project-ingress/forward/internal"
import { routerErrors } from "../error-rows.ts"
import { AccessDenied } from "./access-denied.ts"
import { PolicyError } from "./policy-error.ts"
import type { Policy, PolicyInput } from "./policy.ts"

/** What {@link hideForbidden} takes beside the policies. */
export interface HideForbiddenOptions {
  /**
   * True: a navigation is still sent to the login that a policy names (302), which tells that there is something to sign in for.
   * Default false: who is not signed in gets the 404 as well.
   */
  readonly showLogin?: boolean
}

/**
 * The same policies, of which none says that a route exists: what they deny by 401 or 403 is the 404 of a route that does not. Other
 * outcomes stay. Name all that deny; one that is outside still tells.
 *
 * @throws {TypeError} for what is no array of policies, and for an option that is unknown or invalid
 *
 * @example
 * createRouter({ …, policies: [...hideForbidden([visibility({ grammar }), authorize(decide)])] })
 */
export const hideForbidden = (
  policies: readonly PolicyInput[],
  options: HideForbiddenOptions = {},
): readonly Policy[] => {
  checkOptions("hideForbidden", { policies, ...options }, checks, { required: ["policies"] })
  const { showLogin = false } = options
  const hidden = (outcome: unknown): unknown => {
    const { deny } = (outcome ?? {}) as { readonly deny?: unknown }
    if (!(deny instanceof PolicyError) || (deny.row.status !== 401 && deny.row.status !== 403)) return outcome
    const { _tag: tag, location, message: reason } = deny
    return {
      deny:
        showLogin && location !== undefined
          ? new PolicyError({ tag, row: routerErrors.RouteNotFound, reason, location })
          : new AccessDenied({ hidden: true, reason }),
    }
  }
  return policies.map((input) => hiding(input, hidden))
}

/** A policy whose outcomes are seen through `hidden`. Its other phases are its own. */
const hiding = (input: PolicyInput, hidden: (outcome: unknown) => unknown): Policy => {
  const policy: Policy = typeof input === "function" ? { name: input.name || "a hidden policy", onRoute: input } : input
  const seen = <A>(outcome: A): A =>
    (isThenable(outcome) ? Promise.resolve(outcome).then(hidden) : hidden(outcome)) as A
  const { name, enforces, reservedCookies, needsVisitor, explainable } = policy
  return {
    name,
    ...(enforces && { enforces }),
    ...(reservedCookies && { reservedCookies }),
    ...(needsVisitor && { needsVisitor }),
    ...(explainable !== undefined && { explainable }),
    ...(policy.onRequest && { onRequest: (request) => seen(policy.onRequest!(request)) }),
    ...(policy.onRoute && { onRoute: (request, route) => seen(policy.onRoute!(request, route)) }),
    ...(policy.onForward && { onForward: (edit, route) => policy.onForward!(edit, route) }),
    ...(policy.onResponse && { onResponse: (head, edit, route) => policy.onResponse!(head, edit, route) }),
  } satisfies Policy
}

const isPolicy = (value: unknown): string | undefined =>
  typeof value === "function" || (typeof value === "object" && value !== null && "name" in value)
    ? undefined
    : "a policy"

const checks = { policies: accept.array(isPolicy), showLogin: accept.boolean }
