import { AccessDenied } from "../policies/access-denied.ts"
import type { Outcome, PolicyRequest, Route } from "../policies/policy.ts"
import type { Authority } from "./authority.ts"
import { callback } from "./callback.ts"
import type { CallbackParts } from "./callback.ts"
import { localPath } from "./local-path.ts"
import { isNavigation, isSameOrigin } from "./own-requests.ts"
import { moveTo, queryOf, signedOutPage, signOutPage } from "./own-responses.ts"
import { ReservedPath } from "./reserved-path.ts"
import { generationOf } from "./sessions.ts"
import { SignInFailed } from "./sign-in-failed.ts"

/** What {@link ownPaths} needs. */
interface OwnPathsParts extends CallbackParts {
  /** As the option of `signIn`. */
  readonly controlPlane: string
}

/** The paths of signing in and out, on every hostname. */
export interface OwnPaths {
  /** What a name behind the prefix comes to; `undefined` for one that is not ours. */
  readonly respond: (name: string, request: PolicyRequest, route: Route, at: Authority) => Outcome | Promise<Outcome>
  /** A path of the app's or of another policy's, so that nobody is sent to sign in again, or out. */
  readonly returnPath: (text: string | null) => string
}

/** There is nothing at this path of the platform's. */
export const notHere = (): Outcome => ({ deny: new ReservedPath({ reason: "no policy has this path" }) })

export const ownPaths = (parts: OwnPathsParts): OwnPaths => {
  const { access, words, sessions, attempts, controlPlane } = parts
  const redeem = callback(parts)
  const own = new Set(["sign-in", words.callback, "sign-out"])
  const startUrl = new URL(controlPlane)
  if (startUrl.pathname === "/") startUrl.pathname = words.handlerPath

  const returnPath: OwnPaths["returnPath"] = (text) => {
    const path = localPath(text)
    return own.has(access.ownPath(path) ?? "") ? "/" : path
  }

  const start = async (request: PolicyRequest, route: Route, at: Authority): Promise<Outcome> => {
    if (!isNavigation(request)) return { deny: new SignInFailed({ reason: "not a navigation of a tab" }) }
    const path = returnPath(queryOf(request).get("path"))
    if ((await sessions.read(request, { hostname: at.hostname, route })) !== undefined) return moveTo(path, [])
    const project = await sessions.identityOf(route)
    const claims = { host: at.text, project, generation: generationOf(route) }
    const { hash, cookies } = await attempts.begin(request.header("cookie"), claims)
    const to = new URL(startUrl)
    to.searchParams.set(words.host, at.text)
    if (path !== "/") to.searchParams.set(words.path, path)
    to.searchParams.set("state", hash)
    return moveTo(to.href, cookies)
  }

  const signOut = (request: PolicyRequest, route: Route, at: Authority): Outcome => {
    if (isNavigation(request)) return { respond: signOutPage(at.hostname) }
    if (request.method !== "POST" || request.upgrade) return notHere()
    if (!isSameOrigin(request, at.text))
      return { deny: new AccessDenied({ reason: "a page of another origin signs out" }) }
    return { respond: signedOutPage(at.hostname, sessions.end({ hostname: at.hostname, route })) }
  }

  return {
    returnPath,
    respond: (name, request, route, at) => {
      if (name === "sign-in") return start(request, route, at)
      if (name === "sign-out") return signOut(request, route, at)
      if (name !== words.callback) return undefined
      return redeem(request, route, at, returnPath(queryOf(request).get(words.returnPath)))
    },
  }
}
