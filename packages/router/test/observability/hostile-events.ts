import type { ObservedEvent } from "../../src/observability.ts"
import type { RequestEvent } from "../../src/router.ts"

export const requestEvent = (more: Partial<RequestEvent> = {}): RequestEvent => ({
  type: "request",
  requestId: "r-1",
  method: "GET",
  host: "misha.iterate.app",
  status: 200,
  durationMs: 3,
  trace: [],
  ...more,
})

/** An event of each type, with a text in every field that anybody else than this package chooses. */
export const hostileEvents = (text: string, at: number): ObservedEvent[] => {
  const some = text as never
  return [
    requestEvent({
      host: text,
      method: text,
      status: at,
      error: text,
      code: text,
      machine: text,
      requestId: text,
      trace: [
        { step: "policy", outcome: text, decision: "denied" },
        { step: "lookup", outcome: "hit", key: some, layer: text },
      ],
    }),
    { type: "redirect_loop", host: text, machine: text, port: at, reason: text, count: 1 },
    { type: "cookie_isolated", outcome: "refused", key: some, host: text, cookie: text, reason: text },
    { type: "bound_reached", bound: "project", of: "requests", key: text, limit: at, count: 1 },
    { type: "client_bounds", active: true, reason: text },
    { type: "machine_health", state: "ejected", provider: text, machine: text, port: at, count: 1 },
    { type: "provider", provider: text, machine: text, operation: "start", state: "failing" },
    { type: "proof", provider: text, machine: text, port: at, outcome: "wrong_stamp", reason: text, count: 1 },
    { type: "wake", provider: text, machine: text, outcome: "ready", durationMs: at },
    { type: "region", outcome: "hop_refused", reason: text, count: 1 },
    { type: "store", state: "failing", reason: text },
    { type: "route_source", layer: text, state: some, reason: text, routes: at },
    { type: "invalid_rows", layer: text, count: at, rows: [] },
    { type: "error", tag: some, reason: text, cause: text },
    {
      type: "request",
      method: text,
      host: text,
      target: text,
      status: at,
      code: text,
      upgrade: false,
      bytesIn: 1,
      bytesOut: 1,
      durationMs: 1,
      remoteAddress: text,
      complete: false,
    },
  ]
}
