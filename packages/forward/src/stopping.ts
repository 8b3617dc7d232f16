import type { GeneratedResponse } from "./generated-response.ts"

/** The response to a health check. Not `ok`: load balancers are to send their requests elsewhere, because we start or stop. */
export const healthResponse = (
  status: "ok" | "starting" | "draining",
  add: readonly string[] = [],
): GeneratedResponse => ({
  status: status === "ok" ? 200 : 503,
  headers: ["Content-Type", "application/json", "Cache-Control", "no-store", ...add],
  body: `{"status":"${status}"}\n`,
})

/** The time until listeners close, in ms: three checks of HAProxy, 2 s apart as by default, and a rest for what is in flight. */
export const defaultGraceMs = (deadlineMs: number): number => Math.min(7_000, Math.floor(deadlineMs * 0.7))
