import type { GeneratedResponse } from "@project-ingress/forward"
import type { Visibility } from "../stores/record.ts"

/** A port of the route's machine on which something listens, and which the visitor may open. */
export interface ListeningPort {
  readonly port: number
  /** The name of the process, as it says itself: untrusted text of at most 64 characters. `undefined` where it is not known. */
  readonly process: string | undefined
  /** Where the visitor opens it; `undefined` where the port has no hostname of its own. */
  readonly url: string | undefined
  /** `public`: a visitor without credentials may open it as well. */
  readonly visibility: Visibility
}

/** What listens, as far as the visitor may open it. */
export interface ListeningPorts {
  /** By number. At most 256. */
  readonly ports: readonly ListeningPort[]
  /** Names this list: `since` of the next {@link Inspection}. 1 to 64 of `A-Z a-z 0-9 . - _`. */
  readonly version: string
}

/** What a policy wants to know of the route's machine before it responds. No machine is started for it. */
export interface Inspection {
  /** How long to wait for another list of ports than `since`, in ms, 0 to 30 000. Default 0: not at all. */
  readonly waitMs?: number
  /** The version that the visitor knows. Default: the one at the beginning. */
  readonly since?: string | undefined
  /** Makes the response. `undefined`: the machine cannot be asked, because it sleeps, or its proxy is too old or not there. */
  readonly respond: (listening: ListeningPorts | undefined) => GeneratedResponse
}

/** The longest wait, in ms. */
export const MAX_INSPECTION_MS = 30_000

/** Whether a policy's `inspect` is one. */
export const isInspection = (value: unknown): value is Inspection => {
  const { waitMs = 0, since, respond } = (value ?? {}) as Readonly<Record<string, unknown>>
  const isWait = typeof waitMs === "number" && waitMs >= 0 && waitMs <= MAX_INSPECTION_MS
  return isWait && (since === undefined || isVersion(since)) && typeof respond === "function"
}

/** Whether a text may be the name of a list. */
export const isVersion = (value: unknown): value is string => typeof value === "string" && /^[\w.-]{1,64}$/.test(value)
