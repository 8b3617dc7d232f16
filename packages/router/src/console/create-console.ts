import { accept, checkOptions, isWorkerd } from "@project-ingress/forward/internal"
import { isResponse } from "../hosts/request-response.ts"
import type { Router } from "../router-options.ts"
import { programOf } from "../router-program.ts"
import { askedOf } from "./console-data.ts"
import type { ConsoleData } from "./console-data.ts"
import { consolePage } from "./console-page.ts"
import { SCRIPT, STYLE } from "./page-style.ts"
import type { RecentEvents } from "./recent-events.ts"

/** What {@link createConsole} takes. */
export interface ConsoleOptions {
  /**
   * Who may see the console: asked for each request, before anything else. `true` lets it in, a `Response` is sent instead, as a redirect to a
   * sign-in page; anything else is 403, and a throw 500. There is no default: the console shows hostnames and machines of all tenants.
   */
  readonly authorize: (request: Request) => boolean | Response | Promise<boolean | Response>
  /** What `recentEvents` returned, whose `onEvent` the router has. Default: no errors and machines are shown. */
  readonly recent?: RecentEvents
}

/**
 * The console of a router: a fetch handler for a hostname of the platform's own, which is no tenant's. `GET ?hostname=…` shows where a hostname
 * leads and where it stops; with `format=json`, or at a path that ends with `/explain.json`, as JSON. It changes nothing, calls no
 * provider and touches no machine. Never rejects.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid, and for what `createRouter` did not make
 *
 * @example
 * const ops = createConsole(router, { authorize: (request) => isOperator(request), recent })
 */
export const createConsole = (router: Router, options: ConsoleOptions): ((request: Request) => Promise<Response>) => {
  checkOptions("createConsole", options, checks, { required: ["authorize"] })
  const { storeStats } = programOf(router)
  const { authorize, recent } = options

  const dataOf = async (search: URLSearchParams): Promise<ConsoleData> => {
    const asked = askedOf(search)
    const stores = storeStats()?.layers
    const { hostname, ...request } = asked ?? { hostname: "" }
    return {
      scope: isWorkerd() ? "isolate" : "process",
      ...(asked === undefined ? {} : { asked, explanation: await router.explain(hostname, request) }),
      ...(stores === undefined ? {} : { stores }),
      ...(recent === undefined ? {} : { recent: recent.snapshot() }),
    }
  }

  const respond = async (request: Request): Promise<Response> => {
    const allowed: unknown = await authorize(request)
    if (isResponse(allowed)) return allowed
    if (allowed !== true) return plain(403, "You may not see this.")
    const { method, url } = request
    // Nothing here changes anything, so that a page of another site can make a browser do nothing.
    if (method !== "GET" && method !== "HEAD") return plain(405, "GET and HEAD only.", { allow: "GET, HEAD" })
    const { pathname, searchParams } = new URL(url)
    const isJson = searchParams.get("format") === "json" || pathname.endsWith("/explain.json")
    const data = await dataOf(searchParams)
    const body = isJson ? `${JSON.stringify(data)}\n` : consolePage(data)
    const headers = isJson
      ? {
          ...common,
          "content-type": "application/json",
          "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        }
      : { ...common, "content-type": "text/html; charset=utf-8", "content-security-policy": await pagePolicy() }
    return new Response(method === "HEAD" ? null : body, { headers })
  }

  return async (request) => {
    try {
      return await respond(request)
    } catch {
      // Whatever was thrown may hold anything.
      return plain(500, "The console failed.")
    }
  }
}

const common = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  // No page of another site gets anything of it, not even by its speed (Spectre).
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
}

const plain = (status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(`${text}\n`, { status, headers: { ...common, "content-type": "text/plain; charset=utf-8", ...headers } })

let policy: string | undefined

/** What the page may do: its one style and its one script (CSP 3 §8.3), and its form. It loads nothing. */
const pagePolicy = async (): Promise<string> => {
  policy ??= [
    "default-src 'none'",
    `style-src '${await hashOf(STYLE)}'`,
    `script-src '${await hashOf(SCRIPT)}'`,
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; ")
  return policy
}

const hashOf = async (text: string): Promise<string> => {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`
}

const checks = {
  authorize: accept.function,
  recent: (value: unknown) =>
    typeof value === "object" && value !== null && "snapshot" in value && typeof value.snapshot === "function"
      ? undefined
      : "what recentEvents returns",
}
