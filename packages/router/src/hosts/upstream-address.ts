import { headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import type { UpstreamAddress } from "@project-ingress/forward/sockets"
import type { Endpoint } from "@project-ingress/providers"
import type { MachineRequest } from "../program/sender.ts"

/** An origin in the parts that a socket wants. */
interface Origin {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly authority: string
}

// Endpoints are cached by the providers, so most requests meet one that was read before.
const origins = new WeakMap<Endpoint, Origin>()

const originOf = (endpoint: Endpoint): Origin => {
  let origin = origins.get(endpoint)
  if (origin === undefined) {
    const url = new URL(endpoint.origin)
    const tls = url.protocol === "https:"
    origin = {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? (tls ? 443 : 80) : Number(url.port),
      tls,
      authority: url.host,
    }
    origins.set(endpoint, origin)
  }
  return origin
}

/**
 * Where a machine's socket is. One pool for each incarnation of each machine: addresses are recycled, and connections must not
 * be (CVE-2026-6734).
 */
export const upstreamAddress = ({ endpoint, machine }: MachineRequest): UpstreamAddress => {
  const { host, port, tls } = originOf(endpoint)
  return {
    pool: `${machine.id}|${endpoint.epoch}|${endpoint.origin}`,
    host,
    port,
    ...(tls ? { tls: { ALPNProtocols: ["http/1.1"] } } : {}),
    ...(endpoint.addresses === undefined ? {} : { addresses: endpoint.addresses }),
  }
}

/** The fields with `Host` first (RFC 9110 §7.2): an edge routes by its own name, unless the fields say another. */
export const withHost = ({ endpoint, headers }: MachineRequest): HeaderList => {
  const own = headerValue(headers, "host")
  if (own === undefined) return ["Host", originOf(endpoint).authority, ...headers]
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "host")
  return ["Host", own, ...headers.slice(0, at), ...headers.slice(at + 2)]
}
