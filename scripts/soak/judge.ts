/** What a response to a request of a soak is: its own, a failure of ours, or something that belongs to another request. */
import { hostileResponses, SMUGGLED } from "../../test/abuse/hostile-root.ts"
import { sequenceOf, tenantOf, tokensIn } from "./token.ts"
import type { Tenant } from "./tenant.ts"

/** What became of one request. */
export type Outcome =
  /** The app's own response, with the request's own token. */
  | "responded"
  /** A generated response, with a code of ours. */
  | "typed error"
  /** The response of a hostile tenant to this request, or a connection that it broke. */
  | "hostile"
  /** The client left, as it meant to. */
  | "cancelled"
  /** The connection ended without a response. */
  | "broken"
  /** Something of another tenant was in the response; to an honest tenant's request also, something of another one or nothing of its own. */
  | "crossed"
  /** To a hostile tenant's request: what it said to another one of its own, or to none. */
  | "desynced"

export const outcomes: readonly Outcome[] = [
  "responded",
  "typed error",
  "hostile",
  "cancelled",
  "broken",
  "crossed",
  "desynced",
]

/** Those that are reported with their bytes. */
export const findings: ReadonlySet<Outcome> = new Set<Outcome>(["broken", "crossed", "desynced"])

/** One request that was sent. */
export interface Sent {
  readonly tenant: Tenant
  readonly kind: string
  readonly token: string
}

/** A response that was not the request's own, with its bytes. */
export interface Finding {
  readonly sent: Sent
  readonly outcome: Outcome
  readonly text: string
}

/** Everything that a response said: its head and its body. */
export interface Said {
  readonly code: string | undefined
  readonly text: string
  readonly whole: boolean
}

/**
 * What a response to a request is, by what it says. Each says whose it is, the hostile ones too, in their heads: one that does not name
 * this request was not given to it, but for errors in our own name. What names another tenant has crossed, whatever else it is.
 */
export const judge = ({ tenant, token }: Sent, { code, text, whole }: Said): Outcome => {
  const tokens = tokensIn(text)
  if (tokens.some((found) => tenantOf(found) !== tenant.index)) return "crossed"
  if ([...text.matchAll(/\btenant-(\d+)\b/g)].some(([, index]) => Number(index) !== tenant.index)) return "crossed"
  const others = tokens.filter((found) => found !== token)
  const own = others.length === 0 && !text.includes(SMUGGLED) && (tokens.length > 0 || code !== undefined)
  if (tenant.role !== "honest") {
    if (!own) return "desynced"
    return code === undefined ? "hostile" : "typed error"
  }
  if (!own) return whole ? "crossed" : "broken"
  if (code !== undefined) return "typed error"
  return whole && text.includes(`${tenant.name} ${token}`) ? "responded" : "broken"
}

/**
 * Those of the desynced that a `late` response does not explain. It came when its connection had the next request already, which no
 * proxy can tell: {@link https://www.rfc-editor.org/rfc/rfc9112#section-9.2 RFC 9112 §9.2}. That request's own response, then, may be
 * given to the one after it, and so on.
 */
export const unexplained = (found: readonly Finding[]): readonly Finding[] => {
  const displaced = new Set(found.map(({ sent }) => sent.token))
  const isExplained = (token: string): boolean =>
    displaced.has(token) || hostileResponses[sequenceOf(token) % hostileResponses.length]!.late === true
  return found.filter(({ sent, text }) => {
    const others = tokensIn(text).filter((token) => token !== sent.token)
    return others.length === 0 || !others.every(isExplained)
  })
}
