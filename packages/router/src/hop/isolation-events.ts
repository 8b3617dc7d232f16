import { monotonicNow } from "@project-ingress/forward/internal"
import type { RouteKey } from "@project-ingress/hostname"
import type { CookieSource, IsolatedOutcome } from "./cookie-isolation.ts"

/**
 * An app tried to set a cookie that others would have got, or one of the platform's. Reported once in ten minutes for a route
 * and an outcome, however many responses there are.
 */
export interface CookieIsolatedEvent {
  readonly type: "cookie_isolated"
  /** `narrowed`: it is for its own hostname only. `refused`: it was not set. */
  readonly outcome: IsolatedOutcome
  /** The route whose app set it. */
  readonly key: RouteKey
  /** The authority that was asked for. */
  readonly host: string
  /** The name of the cookie, at most 64 characters; empty for a cookie that has none. */
  readonly cookie: string
  /** What happened and why, as a sentence. */
  readonly reason: string
}

type ReportIsolated = (source: Pick<CookieSource, "key" | "host">, outcome: IsolatedOutcome, cookie: string) => void

const AGAIN_MS = 600_000
const MAX_KNOWN = 10_000

const reasons: Readonly<Record<IsolatedOutcome, string>> = {
  narrowed: "its Domain is above the names of its own project, so it is for its hostname only (isolateCookies)",
  refused: "its name is reserved for the platform, so it was not set (isolateCookies.reserved)",
}

/** Reports isolated cookies, each outcome of a route once in a while. */
export const isolationEvents = (report: (event: CookieIsolatedEvent) => void): ReportIsolated => {
  const reported = new Map<string, number>()
  return ({ key, host }, outcome, cookie) => {
    const id = `${outcome} ${key}`
    const now = monotonicNow()
    const before = reported.get(id)
    if (before !== undefined && now - before < AGAIN_MS) return
    reported.delete(id)
    reported.set(id, now)
    if (reported.size > MAX_KNOWN) reported.delete(reported.keys().next().value!)
    const reason = `the cookie ${JSON.stringify(cookie.slice(0, 64))} of ${key} was ${outcome}: ${reasons[outcome]}`
    report({ type: "cookie_isolated", outcome, key, host, cookie: cookie.slice(0, 64), reason })
  }
}
