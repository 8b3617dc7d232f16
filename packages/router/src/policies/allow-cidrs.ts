import { cidrMatcher } from "@project-ingress/forward/internal"
import { AccessDenied } from "./access-denied.ts"
import type { Policy } from "./policy.ts"

/**
 * Carries out `allowCidrs`: visitors of the port come from one of its networks, by the address that the host knows; all others, and
 * those whose address is unknown, are 403. An IPv4-mapped address is its IPv4 address. A list that holds no network, or one that is invalid, lets
 * nobody in.
 */
export const allowCidrs = (): Policy => {
  // By the list itself: it belongs to a frozen record, and goes with it.
  const matchers = new WeakMap<readonly string[], (ip: string) => boolean>()
  const matcherOf = (cidrs: readonly string[]): ((ip: string) => boolean) => {
    let matcher = matchers.get(cidrs)
    if (matcher === undefined) {
      matcher = readCidrs(cidrs)
      matchers.set(cidrs, matcher)
    }
    return matcher
  }
  return {
    name: "allowed networks",
    explainable: true,
    enforces: ["allowCidrs"],
    onRoute: ({ clientAddress }, { settings }) => {
      const cidrs = settings.allowCidrs
      if (cidrs === undefined || (clientAddress !== undefined && matcherOf(cidrs)(clientAddress))) return undefined
      const who = clientAddress === undefined ? "a client of unknown address" : "the client's address"
      return { deny: new AccessDenied({ reason: `${who} is in none of the networks of allowCidrs` }) }
    },
  }
}

const readCidrs = (cidrs: readonly string[]): ((ip: string) => boolean) => {
  try {
    return cidrMatcher("allowCidrs", cidrs)
  } catch {
    return () => false
  }
}
