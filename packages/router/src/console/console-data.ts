import type { ExplainedRequest } from "../program/explained-request.ts"
import type { Explanation } from "../program/explanation.ts"
import type { LayerStats } from "../stores/route-store.ts"
import type { RecentSnapshot } from "./recent-events.ts"

/** What the console shows, and its JSON. */
export interface ConsoleData {
  /** What its numbers are of: one process, or one isolate of the many in which Workers run the same router. */
  readonly scope: "process" | "isolate"
  /** What was asked for; absent without a search. */
  readonly asked?: { readonly hostname: string } & ExplainedRequest
  readonly explanation?: Explanation
  /** The layers of the store, in the order in which they are asked; absent if the store does not tell. */
  readonly stores?: readonly LayerStats[]
  /** Absent without `recent`. */
  readonly recent?: RecentSnapshot
}

/** A hostname has 253 characters at most, and a port six; what is longer is malformed however it is cut. */
const MAX_HOSTNAME = 300
const MAX_PATH = 2_000

/** What a search asks for: a hostname, or the URL from a browser's address bar. */
export const askedOf = (search: URLSearchParams): NonNullable<ConsoleData["asked"]> | undefined => {
  const text =
    search
      .get("hostname")
      ?.trim()
      .slice(0, MAX_HOSTNAME + MAX_PATH) ?? ""
  if (text === "") return undefined
  const policies = search.get("policies") === "1"
  const path = pathOf(search.get("path"))
  if (!/^https?:\/\//i.test(text)) {
    return { hostname: text.slice(0, MAX_HOSTNAME), ...path, ...(policies ? { policies } : {}) }
  }
  try {
    const { protocol, host, pathname, search: query } = new URL(text)
    return {
      hostname: host.slice(0, MAX_HOSTNAME),
      scheme: protocol === "http:" ? "http" : "https",
      ...(path.path === undefined ? { path: (pathname + query).slice(0, MAX_PATH) } : path),
      ...(policies ? { policies } : {}),
    }
  } catch {
    return { hostname: text.slice(0, MAX_HOSTNAME) }
  }
}

const pathOf = (path: string | null): { readonly path?: string } =>
  path?.startsWith("/") === true ? { path: path.slice(0, MAX_PATH) } : {}
