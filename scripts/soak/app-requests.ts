import type { OnAppRequest } from "./honest-app.ts"
import { sequenceOf, tenantOf } from "./token.ts"

/** What the apps saw of the run's requests. */
export interface AppsReport {
  /** Requests that an app got. */
  readonly seen: number
  /** Requests that came to an app of another tenant than the one asked. */
  readonly strayed: number
  /** Requests with a body that came more than once. */
  readonly repeated: number
  /** Requests to `/smuggled`, which is only ever a part of another request's body. */
  readonly smuggled: number
}

/** Counts requests that come to the apps of one process; `requests`: how many tokens there will be. */
export const appRequests = (requests: number): { readonly count: OnAppRequest; readonly report: AppsReport } => {
  const times = new Uint8Array(requests + 1)
  const report = { seen: 0, strayed: 0, repeated: 0, smuggled: 0 }
  const count: OnAppRequest = (tenant, method, path, token) => {
    if (path === "/smuggled") report.smuggled++
    if (token === "") return
    report.seen++
    if (tenantOf(token) !== tenant.index) report.strayed++
    // A request that is safe may be sent again once when its connection broke.
    if (++times[sequenceOf(token)]! > 1 && method === "POST") report.repeated++
  }
  return { count, report }
}
