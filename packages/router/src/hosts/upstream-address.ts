import { headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import type { UpstreamAddress } from "@project-ingress/forward/sockets"
import type { Endpoint } from "@project-ingress/providers"
import type { MachineRequest } from "../program/sender.ts"

/** An endpoint as a socket wants it. */
interface Place {
  /** The machine that it is one of. */
  readonly machine: string
  readonly address: UpstreamAddress
  readonly authority: string
}

// Endpoints are cached by the providers, so most requests meet one that was read before.
const places = new WeakMap<Endpoint, Place>()

const placeOf = ({ endpoint, machine, toRouter }: Pick<MachineRequest, "endpoint" | "machine" | "toRouter">): Place => {
  const ca = toRouter?.ca
  const known = places.get(endpoint)
  if (known?.machine === machine.id) return known
  const { protocol, hostname, port, host: authority } = new URL(endpoint.origin)
  const tls = protocol === "https:"
  const address: UpstreamAddress = {
    // Unambiguous: an id or an epoch is any text.
    pool: JSON.stringify([machine.id, endpoint.epoch, endpoint.origin, endpoint.pin, ca]),
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? (tls ? 443 : 80) : Number(port),
    ...(tls ? { tls: { ALPNProtocols: ["http/1.1"], ...(ca === undefined ? {} : { ca }) } } : {}),
    ...(endpoint.addresses === undefined ? {} : { addresses: endpoint.addresses }),
    ...(endpoint.pin === undefined ? {} : { pin: endpoint.pin }),
  }
  const place = { machine: machine.id, address, authority }
  places.set(endpoint, place)
  return place
}

/**
 * Where a machine's socket is. One pool for each incarnation of each machine: addresses are recycled, and connections must not
 * be (CVE-2026-6734).
 */
export const upstreamAddress = (request: MachineRequest): UpstreamAddress => {
  const { address } = placeOf(request)
  const { endpoint, toRouter, settings } = request
  // Only to an app itself: machine proxies, and routers of other regions, are asked in HTTP/1.1.
  const { protocol, tls } = (endpoint.machineProxy === false && toRouter === undefined && settings) || {}
  if (protocol !== "h2c" && (protocol !== "https" || tls === undefined)) return address
  const { verify, serverName } = (protocol === "https" && tls) || {}
  return {
    ...address,
    // A connection speaks one protocol, and was verified in one way.
    pool: JSON.stringify([address.pool, protocol, verify, serverName]),
    ...(protocol === "h2c" ? { protocol: "h2c" as const } : {}),
    ...(address.tls === undefined || verify === undefined
      ? {}
      : {
          tls: {
            ...address.tls,
            rejectUnauthorized: verify,
            ...(serverName === undefined ? {} : { servername: serverName }),
          },
        }),
  }
}

/** The fields with `Host` first (RFC 9110 §7.2): an edge routes by its own name, unless the fields say another. */
export const withHost = (request: MachineRequest): HeaderList => {
  const { headers } = request
  if (request.toRouter !== undefined) return ["Host", request.toRouter.host, ...headers]
  const own = headerValue(headers, "host")
  if (own === undefined) return ["Host", placeOf(request).authority, ...headers]
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "host")
  return ["Host", own, ...headers.slice(0, at), ...headers.slice(at + 2)]
}
