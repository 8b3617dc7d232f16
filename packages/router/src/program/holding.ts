import { responseFormat } from "@project-ingress/forward"
import { accept, monotonicNow } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { firstHeader } from "./sender.ts"
import type { WakingRequest } from "./wakes.ts"

/** How long requests wait for a machine of which nothing shows that it runs. */
export interface HoldingOptions {
  /**
   * A navigation: then it gets the page that shows the start, 503 `MACHINE_STARTING`, which reloads by itself. In ms, 0 to 1 900, so that it is
   * there within 2 s; 1 200.
   */
  readonly pageAfterMs?: number | undefined
  /** What a script sends, or asks for JSON: then 503 with `Retry-After`. In ms, 0 or more, 1 000. */
  readonly holdFetchMs?: number | undefined
  /**
   * A WebSocket handshake, an event stream, a form, and every client that is no browser: then 503 with `Retry-After`. In ms, 0 or more.
   * Default: `wakeTimeoutMs`, and as long as a call of the provider or a connection may take before.
   */
  readonly holdMs?: number | undefined
}

const MAX_PAGE_MS = 1_900
const DAY_MS = 86_400_000

/** One check for each of {@link HoldingOptions}. */
export const holdingOptionChecks = {
  pageAfterMs: accept.number(0, MAX_PAGE_MS),
  holdFetchMs: accept.number(0, DAY_MS),
  holdMs: accept.number(0, DAY_MS),
} as const satisfies Record<keyof HoldingOptions, OptionCheck>

/** What is known of a request that waits, whichever machines it is sent to. */
export interface Waiting {
  /** Whom the policies have proven by now. */
  readonly visitor: () => unknown
  /** When it first waited for a machine, by `monotonicNow`. */
  since: number | undefined
}

/** How long it waits for each further machine of its route at least, in ms: one of them may be up. */
const MIN_MS = 300

/** How long one request waits, in ms; `undefined`: as long as providers and connections may take. */
export const holdOf = (options: HoldingOptions, request: WakingRequest, waiting?: Waiting): number | undefined => {
  const most = longest(options, request)
  if (most === undefined || waiting === undefined) return most
  const now = monotonicNow()
  if (waiting.since === undefined) {
    waiting.since = now
    return most
  }
  return Math.max(Math.min(MIN_MS, most), most - (now - waiting.since))
}

const longest = (options: HoldingOptions, request: WakingRequest): number | undefined => {
  const { pageAfterMs = 1_200, holdFetchMs = 1_000, holdMs } = options
  return { page: pageAfterMs, fetch: holdFetchMs, client: holdMs }[waiterOf(request)]
}

/** Whoever waits: a person for a page, a script that can ask again, or somebody who cannot. */
export const waiterOf = ({ method, headers, upgrade }: WakingRequest): "page" | "fetch" | "client" => {
  if (upgrade !== false) return "client"
  const header = (lowerName: string) => firstHeader(headers, lowerName)
  // A browser never opens an `EventSource` again that got a 503.
  if (header("accept")?.toLowerCase().startsWith("text/event-stream") === true) return "client"
  const format = responseFormat(header)
  if (format === "page") return method === "GET" ? "page" : "client"
  return format === "json" ? "fetch" : "client"
}
