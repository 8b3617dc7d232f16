/**
 * What reaches a relay's object: its caller is always a Worker of the platform's own, which says by the host of the URL what it
 * wants. A visitor's own hostname is in no such URL, so that no visitor can ask for anything but `requests`.
 */
export const hosts = {
  /** A visitor's request for the machine. */
  requests: "relay.invalid",
  /** A machine's WebSocket. */
  machines: "machine.relay.invalid",
  /** What the machine is doing. */
  status: "status.relay.invalid",
} as const

/** The field of the object's own responses. It is removed from those of machines. */
export const OUTCOME = "x-project-ingress-relay"

/** What the object itself says of a request. */
export type Outcome = "not-connected" | "too-many-streams" | "not-sent" | "lost"

/** A response of the object's own. */
export const ownResponse = (what: Outcome): Response =>
  new Response(`${what}\n`, { status: what === "lost" ? 502 : 503, headers: { [OUTCOME]: what } })
