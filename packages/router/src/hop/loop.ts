import { pseudonyms } from "@project-ingress/forward/internal"

/** Who we are in `Via` and `Proxy-Status`. */
export const pseudonym = pseudonyms.router

/** How often a request may pass this router, by its own count in `Via`. */
export const maxHops = 10

/** Our own entries among the values of `Via` (RFC 9110 §7.6.3): `[protocol/]version pseudonym [comment]`, by comma. */
export const timesPassed = (via: readonly string[]): number => {
  let times = 0
  for (const line of via) {
    for (const entry of line.split(",")) if (entry.trim().split(/[ \t]+/, 2)[1] === pseudonym) times += 1
  }
  return times
}
