import type { Asked } from "./ask.ts"
import { error, ok } from "./finding.ts"
import type { Finding } from "./finding.ts"

/** How far two clocks may be apart, in ms: `Date` has whole seconds, and a ticket's verifier forgives five. */
const FORGIVEN_MS = 6_000

/**
 * Compares the `Date` of a response with this computer's clock. An error response of the machine proxy has the machine's own, any other that of
 * the router, the app, or an edge between. Nothing, without a `Date`.
 */
export const checkClock = ({ headers, sentAt, receivedAt }: Asked, host: string): readonly Finding[] => {
  const date = Date.parse(headers["date"] ?? "")
  if (Number.isNaN(date)) return []
  // It was written between the two, and has no fraction of its second.
  const aheadMs = date > receivedAt ? date - receivedAt : Math.min(0, date + 999 - sentAt)
  const resource = `clock ${host}`
  if (Math.abs(aheadMs) <= FORGIVEN_MS) return [ok("CLOCK_AGREES", resource, "Its clock and this computer's agree.")]
  const seconds = Math.round(Math.abs(aheadMs) / 1_000)
  return [
    error(
      "CLOCK_SKEW",
      resource,
      `The clock behind this response is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} this computer's: tickets are valid for a minute, and 5 s are forgiven.`,
      "Set the clocks by NTP (chrony, systemd-timesyncd): first that of whoever generated the response, then this computer's.",
    ),
  ]
}
