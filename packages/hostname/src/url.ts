import { format, type HostnameTooLong } from "./format.ts"
import type { Grammar } from "./grammar.ts"
import { isPort, PORT } from "./lexical.ts"
import { describe, unknownOption } from "./options.ts"
import { malformed, type HostnameMalformed } from "./outcome.ts"
import type { TargetInput } from "./target.ts"

/** How clients reach the ingress. */
export interface UrlOptions {
  /** The scheme of the URL. Default `https`. */
  readonly scheme?: "https" | "http"
  /** The port of the ingress, 1 to 65535, as in `http://4096__misha.localhost:8787/`. Default: the scheme's own. */
  readonly port?: number
}

/**
 * The URL of a target, or the outcome of `format` if it has no hostname. The default port is left out; on a custom
 * domain a port with a service name is written as that name.
 *
 * `path` is a path with optional query and fragment; its leading slash is optional. It can never change the host: it is
 * appended after the slash that ends the authority (RFC 3986 §3.2), and leading slashes are folded into one, so that
 * `pathname` is safe in a redirect too (`//evil` would be another host there).
 *
 * @throws {TypeError} if an option is unknown, `scheme` is neither `http` nor `https`, or `port` is not 1 to 65535
 */
export const url = (
  grammar: Grammar,
  target: TargetInput,
  path = "/",
  options: UrlOptions = {},
): URL | HostnameTooLong | HostnameMalformed => {
  const { scheme = "https", port } = options
  const unknown = unknownOption(options, ["scheme", "port"])
  if (unknown) throw new TypeError(`url: ${unknown.problem}`)
  if (!["http", "https"].includes(scheme)) {
    throw new TypeError(`url: scheme must be "http" or "https", got ${describe(scheme)}`)
  }
  // A port that is text could be `80@evil.com`.
  if (port !== undefined && !isPort(port)) throw new TypeError(`url: port must be ${PORT}, got ${describe(port)}`)

  const hostname = format(grammar, shortest(grammar, target))
  if (typeof hostname !== "string") return hostname
  // An empty port is the scheme's (RFC 3986 §3.2.3).
  const href = `${scheme}://${hostname}:${port ?? ""}/${path}`
  // Bun and Deno refuse an invalid `xn--` label, which a custom domain may have; Node does not look (WHATWG URL §3.3).
  const address = URL.canParse(href) ? new URL(href) : undefined
  if (address?.hostname !== hostname) {
    return malformed(hostname, "authority", `"${hostname}" contains an invalid internationalized label.`)
  }
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
