import { checkOptions, remembered } from "@project-ingress/forward/internal"
import { format, parse } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { originText } from "../hop/origin.ts"
import { isGrammar } from "../stores/is-grammar.ts"
import type { Policy } from "./policy.ts"

/** What {@link canonicalHost} takes. */
export interface CanonicalHostOptions {
  /** The router's own: its first domain and its separator make the canonical name. */
  readonly grammar: Grammar
}

/**
 * Redirects every other spelling of a platform hostname to the one that `format` writes: an alias domain, `0080__x`, a form of another
 * separator, a machine without the label of machines. 301 for GET and HEAD, 308 for any other method, which keeps method and body.
 * Scheme, public port, path and query are the visitor's. A port that is written stays written. WebSocket handshakes are served under the
 * name that they have, because clients follow no redirect of one; so are custom domains, which are nobody's spelling of another name.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 */
export const canonicalHost = (options: CanonicalHostOptions): Policy => {
  checkOptions("canonicalHost", options, checks, { required: ["grammar"] })
  const { grammar } = options
  const otherNameOf = remembered((host) => otherName(grammar, host))
  return {
    name: "canonical host",
    explainable: true,
    onRequest: ({ upgrade, host, method, scheme, port, path }) => {
      // `OPTIONS *` is about the server and no place in it.
      if (upgrade || !path.startsWith("/")) return undefined
      const hostname = otherNameOf(host)
      if (hostname === undefined) return undefined
      const location = originText(scheme, hostname, port) + path.replaceAll(/[^\x21-\x7e]/g, encodeURIComponent)
      return { redirect: { status: method === "GET" || method === "HEAD" ? 301 : 308, location } }
    },
  }
}

/** The canonical name of a host's target, if the host has another one. */
const otherName = (grammar: Grammar, host: string): string | undefined => {
  const target = parse(grammar, host)
  if (target._tag !== "Target") return undefined
  const { domain: _, ...named } = target
  const canonical = format(grammar, named)
  // Under the canonical domain a name may be too long, and then only the alias has one.
  return typeof canonical !== "string" || canonical === host.replace(/:\d*$/, "") ? undefined : canonical
}

const checks = { grammar: (value: unknown) => (isGrammar(value) ? undefined : "what defineGrammar returns") }
