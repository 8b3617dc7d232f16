import { monotonicNow } from "@project-ingress/forward/internal"
import type { MakeBalancer } from "../program/balancing.ts"
import { chooseEntry } from "./choose-entry.ts"
import { makeHealthChecks } from "./health-checks.ts"
import { makeHealthTable } from "./health-table.ts"
import { RequestTries } from "./request-balance.ts"

/**
 * Chooses between the machines of a route: those that are well, by `balance` of the record. A machine that failed five times in
 * a row is ejected for 5 s, and twice as long each time that it still fails, up to 5 minutes; the last one that is well never is. A
 * request that reached no app, or that is safe and got no response, is sent to another machine. For `createRouter`.
 *
 * @example
 * const router = createRouter({ grammar, store, providers: [upstream()], signingKey, balancer })
 */
export const balancer: MakeBalancer = (host) => {
  const table = makeHealthTable(host.report)
  const checks = makeHealthChecks(table, host)
  const none = new Set<never>()
  return {
    begin: () => new RequestTries(table, checks),
    peek: (among) => {
      const { entries } = table.of(among.record, among.candidates, false)
      const { entry, reason } = chooseEntry(entries, among, none, monotonicNow())
      return { candidate: entry, reason }
    },
    dispose: checks.dispose,
  }
}
