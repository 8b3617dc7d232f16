import { lookup } from "node:dns/promises"
import { isIP } from "node:net"
import { error, ok, warning } from "./finding.ts"
import type { Finding } from "./finding.ts"

/** The addresses of a name, as this computer's programs get them. Rejects with an error that has a `code`. */
export type Resolve = (hostname: string) => Promise<readonly string[]>

export const systemResolve: Resolve = async (hostname) => {
  // RFC 6761 §6.3: so do browsers, whatever the resolver says.
  if (hostname === "localhost" || hostname.endsWith(".localhost")) return ["127.0.0.1", "::1"]
  return (await lookup(hostname, { all: true, order: "verbatim" })).map(({ address }) => address)
}

/** Where a name leads, and what is wrong with that. No addresses: nothing else can be looked at. */
export const checkDns = async (
  hostname: string,
  resolve: Resolve,
): Promise<{ readonly addresses: readonly string[]; readonly findings: readonly Finding[] }> => {
  const resource = `dns ${hostname}`
  if (isIP(hostname) !== 0) {
    const fix = "Use the project's hostname. To look at a router before DNS leads to it: --address."
    return {
      addresses: [hostname],
      findings: [warning("HOST_IS_ADDRESS", resource, "It is an address, which no route has.", fix)],
    }
  }
  const found = await resolved(hostname, resolve)
  if ("addresses" in found) {
    const { addresses } = found
    return {
      addresses,
      findings: [ok("DNS_RESOLVES", resource, `It resolves to ${addresses.slice(0, 4).join(", ")}.`)],
    }
  }
  const isMissing = found.code === "ENOTFOUND" || found.code === "ENODATA"
  const finding = isMissing
    ? await missing(hostname, resource, resolve)
    : error(
        "DNS_FAILED",
        resource,
        `The resolver failed: ${found.code}.`,
        "Try again, ask another resolver (dig @1.1.1.1), and look at the name servers of the domain.",
      )
  return { addresses: [], findings: [finding] }
}

/** A name that does not exist: mostly because the wildcard record is absent, or stands one label too high. */
const missing = async (hostname: string, resource: string, resolve: Resolve): Promise<Finding> => {
  const [, ...labels] = hostname.split(".")
  const parent = labels.join(".")
  const above = labels.slice(1).join(".")
  if (labels.length > 2 && !("code" in (await resolved(`${probe}.${above}`, resolve)))) {
    return error(
      "DNS_WILDCARD_DEPTH",
      resource,
      `There is no such name, though *.${above} resolves: ${parent} exists as a name of its own, so that the wildcard does not reach below it (RFC 4592 §2.2), or the DNS host's wildcards cover one label.`,
      `Add a record *.${parent} beside *.${above}, or use a hostname with one label before ${above}: 4096__misha, not 4096.misha.`,
    )
  }
  const record = labels.length < 2 ? hostname : `*.${parent}`
  return error(
    "DNS_NOT_FOUND",
    resource,
    "There is no such name.",
    `Add a record ${record} that leads to the router or to the edge before it. Resolvers remember for a while that a name did not exist.`,
  )
}

/** No name that anybody registers. */
const probe = "project-ingress-doctor-0"

const resolved = async (
  hostname: string,
  resolve: Resolve,
): Promise<{ readonly addresses: readonly string[] } | { readonly code: string }> => {
  try {
    const addresses = await resolve(hostname)
    return addresses.length === 0 ? { code: "ENODATA" } : { addresses }
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown }
    return { code: typeof code === "string" ? code : "UNKNOWN" }
  }
}
