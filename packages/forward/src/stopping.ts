import type { GeneratedResponse } from "./generated-response.ts"

/** The response to a health check. Not ready: load balancers are to send their requests elsewhere, because we stop. */
export const healthResponse = (ready: boolean, add: readonly string[] = []): GeneratedResponse => ({
  status: ready ? 200 : 503,
  headers: ["Content-Type", "application/json", "Cache-Control", "no-store", ...add],
  body: `{"status":"${ready ? "ok" : "draining"}"}\n`,
})

/** The time until listeners close, in ms: three checks of HAProxy, 2 s apart as by default, and a rest for what is in flight. */
export const defaultGraceMs = (deadlineMs: number): number => Math.min(7_000, Math.floor(deadlineMs * 0.7))
