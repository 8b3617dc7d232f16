import { accept, checkOptions, isSafe } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { isGrammar } from "../stores/is-grammar.ts"
import type { Visibility } from "../stores/record.ts"
import { AccessDenied } from "./access-denied.ts"
import { LoginRequired } from "./login-required.ts"
import type { Outcome, Policy, PolicyRequest, Route } from "./policy.ts"
import { isPreflight, preflightResponse } from "./preflight.ts"
import { isPrivate } from "./private-port.ts"
import { isProjectOrigin } from "./project-origin.ts"

/** Where a visitor signs in. */
export interface SignIn {
  /** The URL or path of the login that leads back to this request, in visible ASCII. If it throws or rejects, the request is 500. */
  readonly location: (request: PolicyRequest, route: Route) => string | Promise<string>
}

/** What {@link visibility} takes. */
export interface VisibilityOptions {
  /** The router's own: tells which origins are of the same project. Default: only a port's own origin is. */
  readonly grammar?: Grammar
  /** Where navigations without a visitor are sent (302). Default: they are 401 as all other requests. */
  readonly signIn?: SignIn
  /** What a route is that says nothing of its visibility. Default `private`. */
  readonly default?: Visibility
}

/**
 * Carries out `visibility`: public routes go on, and private ones need a visitor that an earlier policy has proven, whether a machine
 * is behind them, a redirect, a removed name or nothing. Without one: 302 to the login for navigations, else 401 `LOGIN_REQUIRED`.
 *
 * A visitor whose browser sends the credential by itself (`ambient`) is protected from pages of others: a WebSocket handshake, an unsafe
 * method and whatever names an `Origin`, unless it is a navigation by GET or HEAD, is 403 if the origin is not of the same project. Where
 * no `Origin` is sent, `Sec-Fetch-Site` must be `same-origin`, `none` or absent, for a handshake and an unsafe method. Preflights have no
 * credentials: those of the same project are responded to here (204), and the app gets none; all others are 403.
 *
 * @throws {TypeError} for an option that is unknown or invalid
 */
export const visibility = (options: VisibilityOptions = {}): Policy => {
  checkOptions("visibility", options, checks)
  const { grammar, signIn, default: absent = "private" } = options

  const login = (request: PolicyRequest, route: Route): Outcome | Promise<Outcome> => {
    if (signIn === undefined) return { deny: new LoginRequired() }
    const location = signIn.location(request, route)
    return typeof location === "string"
      ? { deny: new LoginRequired({ location }) }
      : location.then((late) => ({ deny: new LoginRequired({ location: late }) }))
  }
  return {
    name: "visibility",
    explainable: true,
    enforces: ["visibility"],
    onRoute: (request, route) => {
      if (!isPrivate(route, absent)) return undefined
      const { visitor } = request
      const isOurs = (origin: string): boolean => isProjectOrigin(grammar, request, route, origin)
      // A token of a visitor is no preflight's: whoever sends one asks the app.
      if (isPreflight(request) && visitor?.ambient !== false) return preflightResponse(request, isOurs)
      if (visitor === undefined) return login(request, route)
      if (visitor.ambient === false || !isForeign(request, isOurs)) return undefined
      return { deny: new AccessDenied({ reason: "a page of another origin sends it with a visitor's credentials" }) }
    },
  }
}

/** Whether a page that is not the project's may have made a browser send the request. */
const isForeign = (request: PolicyRequest, isOurs: (origin: string) => boolean): boolean => {
  const { header, method, upgrade } = request
  const origin = header("origin")
  if (origin !== undefined) {
    const isNavigation = !upgrade && (method === "GET" || method === "HEAD") && header("sec-fetch-mode") === "navigate"
    return !isNavigation && !isOurs(origin)
  }
  if (!upgrade && isSafe(method)) return false
  // Browsers send `Origin` with both, and since 2023 `Sec-Fetch-Site`: without either it is no browser's.
  const site = header("sec-fetch-site")
  return site !== undefined && site !== "same-origin" && site !== "none"
}

const checks = {
  grammar: (value: unknown) => (isGrammar(value) ? undefined : "what defineGrammar returns"),
  signIn: (value: unknown) =>
    accept.object(value) ??
    accept.function((value as Partial<SignIn>).location)?.replace("a function", "an object with a function location"),
  default: accept.oneOf("public", "private"),
}
