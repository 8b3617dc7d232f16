import { accept, checkOptions } from "@project-ingress/forward/internal"
import { isPlatformName } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import type { RouteStore } from "../stores/route-store.ts"
import { readAuthority } from "./authority.ts"
import type { Authority } from "./authority.ts"
import type { Access } from "./define-access.ts"
import { localPath } from "./local-path.ts"
import { isOurHost } from "./our-hosts.ts"
import { randomId } from "./sha256.ts"
import { checkAccess, isGrammar, isWords } from "./sign-in-options.ts"
import { isAttemptHash } from "./sign-in-state.ts"
import { wordsOf } from "./sign-in-words.ts"
import type { SignInWords, SignInWordsName } from "./sign-in-words.ts"

/** What {@link signInHandler} takes. */
export interface SignInHandlerOptions {
  /** The router's: names under its domains are ours. */
  readonly grammar: Grammar
  /** Who is signed in to the control plane, by a request's own cookies. `id`: 1 to 256 characters. `undefined`: nobody. */
  readonly getUser: (
    request: Request,
  ) => { readonly id: string } | undefined | null | PromiseLike<{ readonly id: string } | undefined | null>
  /**
   * Where people sign in: a path of the control plane, which gets the way back, another path and query, as `redirectUrl`. Or a
   * function from the way back to the `Location`.
   */
  readonly loginUrl: string | ((returnTo: string) => string)
  /** Custom domains are ours if it has their record. Without it and `isOurs`: only the grammar's domains. */
  readonly store?: Pick<RouteStore, "get">
  /** Instead of `store`: whether a hostname outside the grammar's domains is ours. Lower case, without a port. */
  readonly isOurs?: (hostname: string) => boolean | PromiseLike<boolean>
  /** The path of this handler. Default `/ingress-sign-in`. */
  readonly path?: string
  /** How visitors reach the router. `http` is for `localhost` alone, because codes travel in URLs. Default `https`. */
  readonly scheme?: "https" | "http"
  /** Ports by which visitors reach the router, beside the scheme's own. Default: none. */
  readonly publicPorts?: readonly number[]
  /** As {@link AccessOptions.prefix} and the option `words` of {@link signIn}. */
  readonly words?: SignInWordsName
  /** Hears what `getUser`, `store` and `isOurs` failed with. Must not throw. */
  readonly onError?: (cause: unknown) => void
}

/** RFC 6749 §4.1.2 recommends at most ten minutes; a redirect takes no longer than this. */
const CODE_MS = 60_000

const own = { "Cache-Control": "no-store", "Referrer-Policy": "no-referrer" } as const

/**
 * The control plane's half of {@link signIn}: mount it beside the login. It gives whoever is signed in a code for the host that they
 * came from, which only the browser that began there can use. Anybody else goes to the login first, and then comes back. It gives out no
 * code for a host that is not ours, and redirects to none.
 *
 * The handler gives `undefined` for every path but its own.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 *
 * @example
 * const bridge = signInHandler(access, { grammar, store, getUser: (request) => sessionOf(request)?.user, loginUrl: "/login" })
 * export default { fetch: async (request) => (await bridge(request)) ?? app.fetch(request) }
 */
export const signInHandler = (
  access: Access,
  options: SignInHandlerOptions,
): ((request: Request) => Promise<Response | undefined>) => {
  checkAccess("signInHandler", access)
  checkOptions("signInHandler", options, checks, { required: ["grammar", "getUser", "loginUrl"] })
  if (options.store !== undefined && options.isOurs !== undefined)
    throw new TypeError("signInHandler: store and isOurs exclude each other")
  const { getUser, loginUrl, scheme = "https", onError } = options
  const words = wordsOf(options.words ?? "ingress")
  const { path: ownPath = words.handlerPath } = options
  const codes = access.signed("code")

  const unavailable = (cause: unknown): Response => {
    onError?.(cause)
    const { status, error } = words.unavailable
    return Response.json({ error }, { status, headers: { ...own, "Retry-After": "5" } })
  }

  const respond = async (request: Request): Promise<Response> => {
    if (request.method !== "GET" && request.method !== "HEAD")
      return new Response(null, { status: 405, headers: { ...own, Allow: "GET, HEAD" } })
    const { searchParams } = new URL(request.url)
    const named = hostOf(options.grammar, words, searchParams)
    if (named === undefined) return refused(words.hostMissing)
    const host = readAuthority(named, scheme)
    if (host === undefined || !isWritten(host, named, options) || !(await isOurs(options, host.hostname)))
      return refused(words.hostInvalid)
    const state = searchParams.get("state")
    if (!isAttemptHash(state)) return refused("state is missing or invalid")
    const path = localPath(searchParams.get(words.path) ?? searchParams.get(words.older?.path ?? words.path))
    const user = await getUser(request)
    if (user === undefined || user === null) {
      const back = new URLSearchParams({
        [words.host]: host.text,
        ...(path === "/" ? {} : { [words.path]: path }),
        state,
      })
      return movedTo(loginAt(loginUrl, `${ownPath}?${back.toString()}`))
    }
    if (!isUserId(user.id)) throw new TypeError("getUser must give an id of 1 to 256 characters")
    const code = await codes.sign({ sub: user.id, host: host.text, state, id: randomId() }, CODE_MS)
    const callback = new URL(`${scheme}://${host.text}${access.prefix}${words.callback}`)
    callback.searchParams.set(words.code, code)
    if (path !== "/") callback.searchParams.set(words.returnPath, path)
    return movedTo(callback.href)
  }

  return async (request) => {
    if (new URL(request.url).pathname !== ownPath) return undefined
    try {
      return await respond(request)
    } catch (cause) {
      return unavailable(cause)
    }
  }
}

const refused = (text: string): Response =>
  new Response(text, { status: 400, headers: { ...own, "Content-Type": "text/plain; charset=utf-8" } })

const movedTo = (location: string): Response =>
  new Response(null, { status: 302, headers: { ...own, Location: location } })

/** The host that a request is about: S0 also knew it by its first label. */
const hostOf = ({ domains }: Grammar, { host, older }: SignInWords, query: URLSearchParams): string | undefined => {
  const named = query.get(host)
  if (named !== null && named !== "") return named
  const label = older && query.get(older.label)
  return label ? `${label.includes(".") ? "" : label}.${domains[0]}` : undefined
}

/** Whether it is written as a browser writes it, and with a port that is ours. */
const isWritten = (host: Authority, named: string, { publicPorts = [] }: SignInHandlerOptions): boolean =>
  named === host.text && (host.text === host.hostname || publicPorts.includes(host.port))

const isOurs = async (options: SignInHandlerOptions, hostname: string): Promise<boolean> => {
  const { grammar, store, isOurs: check } = options
  if (check === undefined || isPlatformName(grammar, hostname)) return isOurHost(grammar, store, hostname)
  // Not only truthy: the result of a look-up would be, whatever it says.
  const ours: unknown = await check(hostname)
  return ours === true
}

const loginAt = (loginUrl: SignInHandlerOptions["loginUrl"], returnTo: string): string =>
  typeof loginUrl === "function"
    ? loginUrl(returnTo)
    : `${loginUrl}${loginUrl.includes("?") ? "&" : "?"}redirectUrl=${encodeURIComponent(returnTo)}`

const isUserId = (id: unknown): boolean => typeof id === "string" && id !== "" && id.length <= 256

const isPath = (value: unknown): string | undefined =>
  typeof value === "string" && localPath(value) === value ? undefined : "a path, which begins with /"

const isStore = (value: unknown): string | undefined =>
  typeof (value as Partial<RouteStore> | undefined)?.get === "function"
    ? undefined
    : "a route store: an object with get"

const checks = {
  grammar: isGrammar,
  getUser: accept.function,
  loginUrl: (value: unknown) =>
    typeof value === "function" || isPath(value) === undefined
      ? undefined
      : "a path, which begins with /, or a function",
  store: isStore,
  isOurs: accept.function,
  path: isPath,
  scheme: accept.oneOf("https", "http"),
  publicPorts: accept.array(accept.integer(1, 65_535)),
  words: isWords,
  onError: accept.function,
}
