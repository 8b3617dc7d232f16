import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { Policy } from "./policy.ts"
import { TooManyHops } from "./too-many-hops.ts"

/** What {@link hopLimit} takes. */
export interface HopLimitOptions {
  /** How many proxies a request may have passed before this router, an integer from 0 up; each of its `Via` entries is one. */
  readonly max: number
}

/**
 * Refuses requests that have passed more than `max` proxies, whoever they are: 508 `TOO_MANY_HOPS`. It counts the entries of `Via`, which
 * every proxy adds one to (RFC 9110 §7.6.3). The router by itself counts only its own, and stops at ten: this limit ends circles of others,
 * and refuses proxies where only clients are expected.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 */
export const hopLimit = (options: HopLimitOptions): Policy => {
  checkOptions("hopLimit", options, { max: accept.integer() }, { required: ["max"] })
  const { max } = options
  return {
    name: "hop limit",
    explainable: true,
    onRequest: ({ header }) => {
      const via = header("via")
      if (via === undefined) return undefined
      const hops = entriesOf(via)
      return hops > max ? { deny: new TooManyHops({ reason: `${hops} proxies, at most ${max}` }) } : undefined
    },
  }
}

/** The entries of a list, where a comment in one may hold commas. */
const entriesOf = (via: string): number =>
  via
    .replaceAll(/\([^()]*\)/g, "")
    .split(",")
    .filter((entry) => entry.trim() !== "").length
