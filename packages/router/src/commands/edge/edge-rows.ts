import { domainKey, edgeProxyRows, noDomain } from "../../stores/polled/edge-proxy-rows.ts"
import type { MappedRow } from "../../stores/polled/mapped-row.ts"
import type { SqlRow } from "../../stores/result-rows.ts"

/** The statuses of a redirect that a record has. */
const STATUSES = [301, 302, 307, 308] as const

/** Where a router is, and where it sends what belongs elsewhere. */
export interface EdgeRegions {
  readonly own: string
  /** Regions that are reached by hops. Machines of any other one are behind `http://<region_public_ip>:80`. */
  readonly byHop: ReadonlySet<string>
}

/**
 * Rows of EdgeProxy's query, and of a query for redirects: `domain_name`, `redirect_to` (a URL, or a domain, which keeps path and
 * query) and `redirect_status_code` (301, 302, 307 or 308; anything else is 301).
 */
export const edgeRows = ({ own, byHop }: EdgeRegions): ((row: SqlRow) => MappedRow) => {
  const byPublicAddress = edgeProxyRows({ region: own })
  const byOwnAddress = edgeProxyRows()
  const machines = (row: SqlRow): MappedRow => {
    const region = String(row["vm_region_id"]).toLowerCase()
    if (!byHop.has(region)) return byPublicAddress(row)
    // The router of that region reaches the machine, at the machine's own address.
    const mapped = byOwnAddress(row)
    return mapped?.problem === undefined && mapped !== undefined
      ? { ...mapped, route: { ...mapped.route, region } as typeof mapped.route }
      : mapped
  }
  return (row) => {
    if (!("redirect_to" in row)) return machines(row)
    const key = domainKey(row["domain_name"])
    if (key === undefined) return noDomain
    const to = String(row["redirect_to"])
    const status = STATUSES.find((each) => each === Number(row["redirect_status_code"])) ?? 301
    return {
      key,
      route: { kind: "redirect", to: /^https?:\/\//.test(to) ? to : `https://${to}`, status, visibility: "public" },
    }
  }
}
