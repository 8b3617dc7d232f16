import { canonicalAddress } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import type { SqlRow } from "../result-rows.ts"
import type { MappedRow } from "./mapped-row.ts"

/** The query that EdgeProxy documents, byte for byte. Runs on Postgres and on SQLite. */
export const edgeProxySql = `SELECT
    d.name as domain_name,
    v.private_ip as vm_private_ip,
    v.port as vm_port,
    v.region_id as vm_region_id,
    r.public_ipv4 as region_public_ip
FROM domains d
INNER JOIN deployments dep ON d.deployment_id = dep.id
INNER JOIN vms v ON dep.vm_id = v.id
INNER JOIN regions r ON v.region_id = r.id
WHERE d.verified_at IS NOT NULL
  AND dep.status = 'ready'
  AND v.status = 'running'
ORDER BY d.name`

/** Where the router runs. */
export interface EdgeProxyRowsOptions {
  /**
   * The router's own region. A machine in another one is reached through that region's load balancer,
   * `http://<region_public_ip>:80`. Absent: every machine is reached by its private address.
   */
  readonly region?: string
}

/**
 * Reads a row of {@link edgeProxySql}: the custom domain `d:<domain_name>` leads to an `upstream` machine at its address, sees
 * its public name, and is public. `record.metadata.region` holds `{ id, publicIp }` of the machine's region.
 */
export const edgeProxyRows = ({ region: own }: EdgeProxyRowsOptions = {}): ((row: SqlRow) => MappedRow) => {
  const ownRegion = own?.toLowerCase()
  return (row) => {
    const key = domainKey(row["domain_name"])
    if (key === undefined) return noDomain
    const region = row["vm_region_id"]
    if (typeof region !== "string" || !/^[\w-]{1,64}$/.test(region)) return invalid(key, "vm_region_id", "an id")
    const publicIp = hostOf(row["region_public_ip"])
    const metadata = { region: { id: region, ...(publicIp === undefined ? {} : { publicIp }) } }

    if (ownRegion !== undefined && region.toLowerCase() !== ownRegion) {
      if (publicIp === undefined) return invalid(key, "region_public_ip", AN_ADDRESS)
      return route(key, { id: `region ${region}`, host: publicIp, port: 80, metadata })
    }
    const host = hostOf(row["vm_private_ip"])
    if (host === undefined) return invalid(key, "vm_private_ip", AN_ADDRESS)
    const port = portOf(row["vm_port"])
    if (port === undefined) return invalid(key, "vm_port", "a port from 1 to 65535")
    return route(key, { id: `${host}:${port}`, host, port, metadata })
  }
}

const AN_ADDRESS = "an IP address, without a prefix length, of no cloud's metadata service"

interface Destination {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly metadata: Readonly<Record<string, unknown>>
}

const route = (key: RouteKey, { id, host, port, metadata }: Destination): MappedRow => ({
  key,
  route: {
    // With its port in the origin: a hostname that names another port leads to no other one of the machine.
    machine: { id, type: "upstream", externalId: id, metadata: { origin: `http://${host}:${port}` } },
    port,
    appOrigin: "public",
    visibility: "public",
    metadata,
  },
})

const invalid = (key: RouteKey, field: string, accepted: string): MappedRow => ({ key, problem: { field, accepted } })

/** A row with an invalid `domain_name`: no visitor can ask for it. */
export const noDomain: MappedRow = {
  problem: { field: "domain_name", accepted: "a domain of at most 253 characters" },
}

/** What EdgeProxy lets its users add as a domain, and internationalized top-level domains (`xn--p1ai`). No wildcard. */
const DOMAIN = /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z](?:[a-z\d-]{0,61}[a-z\d])$/

/** The key of a domain in a row, read as a visitor's `Host` is: case and one root dot make no difference. */
export const domainKey = (name: unknown): RouteKey | undefined => {
  // A longer one is not looked at any further.
  if (typeof name !== "string" || name.length > 254) return undefined
  const domain = name.toLowerCase().replace(/\.$/, "")
  return domain.length <= 253 && DOMAIN.test(domain) ? `d:${domain}` : undefined
}

/**
 * Where clouds serve a host its own credentials, in ranges that private addresses of machines are in, too: AWS (EC2, EKS), Google and
 * Alibaba. No machine ever has one. Those that are link-local or reserved are in no range that anybody allows for machines.
 */
const METADATA: ReadonlySet<string> = new Set(["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200"])

/** The host of a URL: an address, in brackets where it is of IPv6. */
const hostOf = (address: unknown): string | undefined => {
  const text = typeof address === "string" ? canonicalAddress(address) : undefined
  if (text !== undefined && METADATA.has(text)) return undefined
  return text?.includes(":") === true ? `[${text}]` : text
}

/** Drivers give a bigint as text. */
const portOf = (value: unknown): number | undefined => {
  const port = typeof value === "string" && /^[1-9]\d{0,4}$/.test(value) ? Number(value) : value
  return typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : undefined
}
