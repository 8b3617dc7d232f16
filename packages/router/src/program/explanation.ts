import type { RouteKey, Target } from "@project-ingress/hostname"
import type { MachineSnapshot } from "@project-ingress/providers/effect"
import type { PortSettings } from "../stores/record.ts"
import { PORT_SETTINGS } from "../stores/settings.ts"
import type { TraceStep } from "./trace.ts"

/** What a hostname leads to now, as far as it got. Holds no credential, no ticket and nothing of a record's or machine's metadata. */
export interface Explanation {
  readonly hostname: string
  readonly parsed: "target" | "foreign" | "malformed"
  /** What is wrong with a malformed name. May quote it. */
  readonly reason?: string
  readonly target?: Target
  /** The keys that are looked up, in their order. */
  readonly candidates?: readonly RouteKey[]
  readonly key?: RouteKey
  readonly lookup?: "hit" | "miss" | "unknown"
  /** The layer of the store that knew. */
  readonly layer?: string
  /** How old its knowledge is, in ms. */
  readonly ageMs?: number
  /** True if that is past its time. */
  readonly stale?: boolean
  readonly version?: number
  readonly epoch?: number
  readonly machine?: { readonly id: string; readonly type: string; readonly externalId: string }
  readonly port?: number
  /** The settings of the machine and port arrived at. */
  readonly settings?: ExplainedSettings
  /** Whether somebody reaches machines of that type, and what is known of this machine: its provider is not called. */
  readonly provider?: { readonly type: string; readonly configured: boolean } & Partial<MachineSnapshot>
  /** Where the request ends before it is sent to a machine, or to another region. Absent: it would be sent. */
  readonly stop?: ExplainedStop
  /** The decisions in their order, as data: those that a request makes. */
  readonly trace: readonly TraceStep[]
  /** The same as sentences. */
  readonly steps: readonly string[]
}

/** The response that a request would get without a machine. */
export interface ExplainedStop {
  /** How many steps of the trace were made by then. Those behind it show what a request would meet next. */
  readonly after: number
  readonly status: number
  /** The code of an error response: `ROUTE_NOT_FOUND`. Absent for a redirect, and for a policy's own response. */
  readonly code?: string
  /** Why, for operators: a visitor is not shown it. */
  readonly reason?: string
  /** Where a record redirects to. A policy's redirect is not shown: it may hold what is good for one use. */
  readonly location?: string
}

/** The settings of a port, without what guards it: of `requireHeader` its name only, of `healthCheck` the path without its query. */
export type ExplainedSettings = Omit<PortSettings, "requireHeader"> & {
  readonly requireHeader?: { readonly name: string }
}

/** What may be shown of settings: nothing but the fields that are known here. */
export const explainedSettings = (settings: PortSettings): ExplainedSettings => {
  const shown: Partial<Record<keyof PortSettings, unknown>> = {}
  for (const name of PORT_SETTINGS) if (settings[name] !== undefined) shown[name] = settings[name]
  const { requireHeader, healthCheck } = settings
  if (requireHeader !== undefined) shown.requireHeader = { name: requireHeader.name }
  if (healthCheck !== undefined) shown.healthCheck = { ...healthCheck, path: healthCheck.path.replace(/\?.*$/s, "?…") }
  return shown as ExplainedSettings
}
