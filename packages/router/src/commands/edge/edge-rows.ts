import { domainKey, edgeProxyRows, noDomain } from "../../stores/polled/edge-proxy-rows.ts"
import type { MappedRow } from "../../stores/polled/mapped-row.ts"
import type { SqlRow } from "../../stores/result-rows.ts"

/** The statuses of a redirect that a record has. */
const STATUSES = [301, 302, 307, 308] as const

/**
 * Rows of EdgeProxy's query, and of a query for redirects: `domain_name`, `redirect_to` (a URL, or a domain, which keeps path and
 * query) and `redirect_status_code` (301, 302, 307 or 308; anything else is 301).
 */
export const edgeRows = (region: string): ((row: SqlRow) => MappedRow) => {
  const machines = edgeProxyRows({ region })
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
