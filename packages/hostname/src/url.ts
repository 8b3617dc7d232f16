import { format, type HostnameTooLong } from "./format.ts"
import type { Grammar } from "./grammar.ts"
import type { HostnameMalformed } from "./outcome.ts"
import type { TargetInput } from "./target.ts"

/** How the ingress itself is reached. */
export interface UrlOptions {
  /** Default `https`. */
  readonly scheme?: "https" | "http"
  /** The port that the ingress listens on, 1 to 65535, as in `http://4096__misha.localhost:8787/`. Default: the scheme's. */
  readonly port?: number
}

/**
 * The URL of a target. The default port is left out; on a custom domain a known port goes by its service's name.
 *
 * `path` is a path with optional query and fragment, its leading slash optional. It can never change the host: it is
 * appended after the slash that ends the authority (RFC 3986 §3.2), and leading slashes are folded into one, so that
 * `pathname` is safe as a redirect too (`//evil` would be another host there).
 *
 * @throws {TypeError} if `options` hold no scheme or no port
 */
export const url = (
  grammar: Grammar,
  target: TargetInput,
  path = "/",
  options: UrlOptions = {},
): URL | HostnameTooLong | HostnameMalformed => {
  const hostname = format(grammar, shortest(grammar, target))
  if (typeof hostname !== "string") return hostname
  // An empty port is the scheme's (RFC 3986 §3.2.3).
  const { scheme = "https", port = "" } = options
  const address = new URL(`${scheme}://${hostname}:${port}/${path}`)
  // Holds even for callers without types, whose port may be `80@evil.com`.
  if (address.hostname !== hostname) throw new TypeError("scheme or port is wrong")
  // After parsing, because the parser drops tabs and dot segments: `/.//evil` has become `//evil` only now.
  address.pathname = address.pathname.replace(/^\/+/, "/")
  return address
}

/** The same target by its preferred name. */
const shortest = (grammar: Grammar, target: TargetInput): TargetInput => {
  const { port, ...rest } = target
  if (port === grammar.defaultPort) return rest
  const { kind, customDomain, service } = target
  const named = [...grammar.lookup.ports].find(([, known]) => known === port)
  return kind === "project" && customDomain !== undefined && service === undefined && named
    ? { kind, customDomain, service: named[0] }
    : target
}
