import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import type { Outcome, Policy, PolicyRequest, Route } from "../policies/policy.ts"
import type { Visitor } from "../policies/visitor.ts"
import { readAuthority } from "./authority.ts"
import type { Access } from "./define-access.ts"
import { notHere, ownPaths } from "./own-paths.ts"
import { isServiceWorkerScript } from "./own-requests.ts"
import { makeSessions } from "./sessions.ts"
import { checkAccess, isGrammar, isWords } from "./sign-in-options.ts"
import { makeAttempts } from "./sign-in-state.ts"
import { wordsOf } from "./sign-in-words.ts"
import type { SignInWordsName } from "./sign-in-words.ts"

/** What {@link signIn} takes. */
export interface SignInOptions {
  /** The router's. */
  readonly grammar: Grammar
  /**
   * Where the control plane has {@link signInHandler}: an absolute `https:` URL, or `http:` on localhost. Without a path it is the
   * handler's default.
   */
  readonly controlPlane: string
  /** How long a session lasts, in ms, from 60 000 to 30 days. Default 12 hours. */
  readonly sessionMs?: number
  /**
   * `project`: for all hostnames of a project where their shape allows it, that is where the grammar's separator is `.` and the
   * hostname is under one of its domains; each hostname has its own everywhere else. `host`: each hostname has its own. Default `project`.
   */
  readonly session?: "project" | "host"
  /**
   * Notes that a code is used: true for the first call with an id, false for every other, in every process. It must be atomic, as
   * `INSERT … ON CONFLICT DO NOTHING` and `SET … NX` are. An id can be forgotten after 70 s. A rejection, and more than 5 s, fail the request. Default:
   * a code can be used again within its minute by the browser that got it, and by no other.
   */
  readonly consume?: (id: string) => boolean | PromiseLike<boolean>
  /** The names of paths and parameters, the handler's too. Default `ingress`. */
  readonly words?: SignInWordsName
}

/** What {@link signIn} makes. */
export interface SignIn {
  /** For `createRouter`: after `canonicalHost`, before everything that reads `request.visitor`. */
  readonly policy: Policy
  /** Where a visitor who has no session is sent, as a path on the same host: for `visibility`. */
  readonly location: (request: PolicyRequest, route: Route) => string
}

/**
 * Sessions of people at every hostname of a router, custom domains included, by the sign-in of the control plane. The policy says who
 * the visitor is (`by: "session"`), closes nothing by itself, and has the paths behind {@link Access.prefix} for itself.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid, and for `consume` that is a KV namespace
 *
 * @example
 * const people = signIn(access, { grammar, controlPlane: "https://iterate.com/ingress-sign-in" })
 * const router = createRouter({ …, policies: [people.policy, visibility({ signIn: people })] })
 */
export const signIn = (access: Access, options: SignInOptions): SignIn => {
  checkAccess("signIn", access)
  checkOptions("signIn", options, checks, { required: ["grammar", "controlPlane"] })
  const { grammar, controlPlane, sessionMs = 43_200_000, session: scope = "project", consume } = options
  const words = wordsOf(options.words ?? "ingress")
  const sessions = makeSessions({ access, grammar, sessionMs, scope })
  const own = ownPaths({ access, grammar, words, sessions, attempts: makeAttempts(access), consume, controlPlane })

  const policy: Policy = {
    name: "sign-in",
    // Its own paths set cookies and use codes up.
    explainable: ({ path }) => access.ownPath(path) === undefined,
    reservedCookies: [`${access.cookies.state}*`, access.cookies.session, access.cookies.projectSession],
    onRoute: (request, route) => {
      const name = access.ownPath(request.path)
      const at = readAuthority(request.host, request.scheme)
      if (name !== undefined) {
        if (isServiceWorkerScript(request)) return notHere()
        const outcome = at && own.respond(name, request, route, at)
        if (outcome !== undefined) return outcome
        if (!NAMES_OF_OTHERS.has(name)) return notHere()
      }
      // A token that a caller sent deliberately goes before a cookie that its browser sent by itself.
      if (at === undefined || request.visitor !== undefined) return undefined
      const visitor = sessions.read(request, { hostname: at.hostname, route })
      return visitor instanceof Promise ? visitor.then(known) : known(visitor)
    },
  }
  return {
    policy,
    location: ({ method, path }) => {
      const back = method === "GET" || method === "HEAD" ? own.returnPath(path) : "/"
      return `${access.prefix}sign-in${back === "/" ? "" : `?path=${encodeURIComponent(back)}`}`
    },
  }
}

/** The names behind the prefix that other policies have. */
const NAMES_OF_OTHERS: ReadonlySet<string> = new Set(["link", "ports", "ports.json"])

const known = (visitor: Visitor | undefined): Outcome => visitor && { visitor }

const KV =
  "a function that notes an id atomically; a KV namespace cannot, because two readers may both find an id unused until a write is everywhere"

const isControlPlane = (value: unknown): string | undefined => {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined
  const isLocal = url?.protocol === "http:" && /^(?:.+\.)?localhost$|^127\.\d+\.\d+\.\d+$/.test(url.hostname)
  const isPlain = url !== undefined && url.hash === "" && url.username === "" && url.password === ""
  return isPlain && (url.protocol === "https:" || isLocal) ? undefined : "an absolute https: URL, or http: on localhost"
}

const checks = {
  grammar: isGrammar,
  controlPlane: isControlPlane,
  sessionMs: accept.integer(60_000, 2_592_000_000),
  session: accept.oneOf("project", "host"),
  consume: (value: unknown) => (typeof value === "function" ? undefined : KV),
  words: isWords,
}
