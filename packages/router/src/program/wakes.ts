import { isSafe } from "@project-ingress/forward/internal"
import type { PortSettings } from "../stores/record.ts"
import { firstHeader } from "./sender.ts"
import type { VisitorRequest } from "./sender.ts"

/** The part of a request that decides whether it wakes. */
export type WakingRequest = Pick<VisitorRequest, "method" | "headers" | "upgrade">

/** Which requests a row is about, and under which setting `wake` of the port they start a machine that sleeps. */
export interface WakeRow {
  /** For the docs. */
  readonly requests: string
  readonly matches: (request: WakingRequest, hasVisitor: boolean) => boolean
  /** Without the setting. */
  readonly unset: boolean
  /** With `visitors`, of a request that has a visitor; one without never wakes. */
  readonly visitors: boolean
  readonly any: boolean
}

/** A browser guesses that somebody may come. Two older fields say the same. */
const isSpeculative = ({ headers }: WakingRequest): boolean =>
  firstHeader(headers, "sec-purpose") !== undefined ||
  firstHeader(headers, "purpose")?.toLowerCase() === "prefetch" ||
  firstHeader(headers, "x-moz")?.toLowerCase() === "prefetch"

/** What a browser says that a request is for; `undefined` from whatever is not a browser, and from one over plain http. */
const mode = ({ headers }: WakingRequest): string | undefined => firstHeader(headers, "sec-fetch-mode")

const isOfSameSite = ({ headers }: WakingRequest): boolean => {
  const site = firstHeader(headers, "sec-fetch-site")
  return site === "same-origin" || site === "same-site"
}

/**
 * What wakes: the first row that a request matches decides. `docs/waking.md` shows the same table. There is no list of crawlers, because what
 * calls itself a browser is one for all that anybody knows.
 */
export const wakeRows: readonly WakeRow[] = [
  {
    requests: "a prefetch or prerender: any with `Sec-Purpose`",
    matches: isSpeculative,
    unset: false,
    visitors: false,
    any: false,
  },
  {
    requests: "`OPTIONS`, as a preflight is",
    matches: ({ method }) => method === "OPTIONS",
    unset: false,
    visitors: false,
    any: false,
  },
  {
    requests: "a WebSocket handshake",
    matches: ({ upgrade }) => upgrade !== false,
    unset: true,
    visitors: true,
    any: true,
  },
  {
    requests: "a method that is not safe, as of a form or a webhook",
    matches: ({ method }) => !isSafe(method),
    unset: true,
    visitors: true,
    any: true,
  },
  {
    requests: "`HEAD`, by which the page looks whether the machine is up",
    matches: ({ method }) => method === "HEAD",
    unset: false,
    visitors: false,
    any: true,
  },
  {
    requests: "a navigation: `Sec-Fetch-Mode: navigate`",
    matches: (request) => mode(request) === "navigate",
    unset: true,
    visitors: true,
    any: true,
  },
  {
    requests: "any other with a visitor, whom a policy has proven",
    matches: (_, hasVisitor) => hasVisitor,
    unset: true,
    visitors: true,
    any: true,
  },
  {
    requests: "what a page of the same site loads or fetches: `Sec-Fetch-Site: same-origin` or `same-site`",
    matches: (request) => mode(request) !== undefined && isOfSameSite(request),
    unset: true,
    visitors: true,
    any: true,
  },
  {
    requests: "what a page of another site loads",
    matches: (request) => mode(request) !== undefined,
    unset: false,
    visitors: false,
    any: true,
  },
  {
    requests: "any other, without `Sec-Fetch-Mode`: crawlers, link previews, monitors, `curl`",
    matches: () => true,
    unset: false,
    visitors: false,
    any: true,
  },
]

/** Whether a request that the policies let through starts a machine that sleeps. */
export const wakes = (setting: PortSettings["wake"], request: WakingRequest, hasVisitor: boolean): boolean => {
  if (setting === "never" || (setting === "visitors" && !hasVisitor)) return false
  const row = wakeRows.find(({ matches }) => matches(request, hasVisitor))!
  return row[setting ?? "unset"]
}
