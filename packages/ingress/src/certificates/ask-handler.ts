import { accept, checkOptions } from "@project-ingress/router/internal"
import { matchHostname, MAX_WILDCARDS, readPattern } from "../resource/hostname-pattern.ts"
import type { DeclaredIngress, HostnamePattern } from "../resource/ingress.ts"
import { tlsNames } from "./tls-names.ts"

/** What `askHandler` accepts. */
export interface AskOptions {
  /** The ingresses of now; called for every request that is decided. Their hostnames of rules with `tls` may have a certificate. */
  readonly ingresses: () => readonly DeclaredIngress[] | Promise<readonly DeclaredIngress[]>
  /**
   * Patterns that a name must match besides: `example.com`, `*.example.com` (one label), or `*` for all. Default: all.
   */
  readonly allow?: readonly string[]
  /**
   * Whether the name is verified: called with a declared and allowed name. With patterns like `{machine}.dev.example.com` say here
   * which machines exist, else a client can make the front order a certificate for each name that it invents. Default: it is.
   */
  readonly authorize?: (hostname: string) => boolean | Promise<boolean>
}

/**
 * A fetch handler for fronts that ask before they order a certificate, Caddy's `ask` among them: `GET …?domain=NAME` is 200 if one may
 * be issued for NAME, 403 if not, 400 if it names none. A failure of `ingresses` or `authorize` is 503, and so no certificate. Bind it
 * to an address that only the front reaches.
 *
 * @throws {TypeError} for an option that is invalid
 */
export const askHandler = (options: AskOptions): ((request: Request) => Promise<Response>) => {
  checkOptions(
    "askHandler",
    options,
    { ingresses: accept.function, allow: accept.array(isAllowPattern), authorize: accept.function },
    { required: ["ingresses"] },
  )
  const { ingresses, allow = ["*"], authorize = () => true } = options
  const allowed = allow.map((pattern) => (pattern === "*" ? "*" : (readPattern(pattern) as HostnamePattern)))
  let last: { readonly ingresses: readonly DeclaredIngress[]; readonly declares: (name: string) => boolean } | undefined
  const declares = async (name: string): Promise<boolean> => {
    const current = await ingresses()
    if (last?.ingresses !== current) last = { ingresses: current, declares: declaredNames(current) }
    return last.declares(name)
  }
  const decide = async (request: Request): Promise<number> => {
    if (request.method !== "GET" && request.method !== "HEAD") return 405
    const domains = new URL(request.url).searchParams.getAll("domain")
    const given = domains.length === 1 ? domains[0]! : ""
    const read = readPattern(given)
    // A client that sends no server name is asked for by its address (Caddy 2.6): no name, and no certificate.
    if (isAddress(given)) return 403
    if ("accepted" in read || read.wildcard !== read.text || read.wildcard.includes("*")) return 400
    const name = read.text
    const isAllowed = allowed.some((pattern) => pattern === "*" || matchHostname(pattern, name) !== undefined)
    return isAllowed && (await declares(name)) && (await authorize(name)) ? 200 : 403
  }
  return async (request) => {
    const status = await decide(request).catch(() => 503)
    return new Response(`${TEXTS[status]}\n`, {
      status,
      headers: {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
        ...(status === 405 ? { allow: "GET, HEAD" } : {}),
      },
    })
  }
}

const TEXTS: Readonly<Record<number, string>> = {
  200: "a certificate may be issued",
  400: "domain must be one hostname",
  403: "no certificate is issued for this name",
  405: "use GET",
  503: "it cannot be decided now",
}

const isAddress = (text: string): boolean => text.includes(":") || /^[\d.]+$/.test(text)

const isAllowPattern = (value: unknown): string | undefined => {
  const isPattern = value === "*" || (typeof value === "string" && !("accepted" in readPattern(value)))
  return isPattern ? undefined : "a hostname, *.example.com or *"
}

const declaredNames = (ingresses: readonly DeclaredIngress[]): ((name: string) => boolean) => {
  const names = tlsNames(ingresses)
  return (name) => patternsOf(name).some((pattern) => names.has(pattern))
}

/** The name, and every pattern that takes it: whoever opens a connection may ask, and there may be thousands of patterns. */
const patternsOf = (name: string): readonly string[] =>
  name
    .split(".")
    .reduceRight<readonly string[]>(
      (ends, label, at) =>
        (at < MAX_WILDCARDS ? ["*", label] : [label]).flatMap((each) =>
          ends.map((end) => (end === "" ? each : `${each}.${end}`)),
        ),
      [""],
    )
