import { accept, isToken, setsCookie } from "@project-ingress/forward/internal"
import type { Grammar, RouteKey, Target } from "@project-ingress/hostname"
import { customDomain } from "./canonical-name.ts"

/** How a router keeps cookies apart. */
export interface CookieIsolation {
  /**
   * Names of the platform's own cookies, case-sensitive; one that ends with `*` is a prefix: `["session", "__Host-platform-*"]`.
   * No app gets them and none can set them by `Set-Cookie`, under every hostname. Policies get them, and may set them.
   * Default: none.
   */
  readonly reserved?: readonly string[]
}

/** What a router does with cookies: of its option, and of policies that have cookies of their own. */
export type ProgramCookies = Pick<CookieSource, "narrows" | "reserved">

export const programCookies = (
  isolation: CookieIsolation | false,
  policies: readonly { readonly reservedCookies?: readonly string[] }[],
): ProgramCookies => {
  const { reserved = [] } = isolation || {}
  return {
    narrows: isolation !== false,
    reserved: [...reserved, ...policies.flatMap(({ reservedCookies = [] }) => reservedCookies)],
  }
}

/** The hostname whose app sets a cookie, and what it names. */
export interface CookieSource {
  /** Whether a `Domain` that reaches others is removed. */
  readonly narrows: boolean
  readonly grammar: Grammar
  readonly target: Target
  /** The key of the record that decided. */
  readonly key: RouteKey
  /** The authority that the visitor asked for. */
  readonly host: string
  /** Names of cookies that no app may set. */
  readonly reserved: readonly string[]
  /** Hears of each cookie that the app does not get to set as it meant to. */
  readonly onIsolated: ((source: CookieSource, outcome: IsolatedOutcome, cookie: string) => void) | undefined
}

/** `narrowed`: its `Domain` was removed. `refused`: its name is reserved, and it was removed. */
export type IsolatedOutcome = "narrowed" | "refused"

/**
 * Whether an app may write a domain, which is lower-case, in a cookie's `Domain`. Under the grammar's domains: its own hostname, its project's, and
 * what lies below them, which is no other project's. On a custom domain: the record's own domain and what lies below it, because
 * the name above may have names of other owners, except where that reaches one of the grammar's domains. Only plain names are
 * read: browsers also undo escapes and fold characters.
 */
export const mayShareBelow = ({ grammar, target, key, host }: CookieSource, domain: string): boolean => {
  if (!PLAIN.test(domain)) return false
  const name = host.replace(/:\d*$/, "").toLowerCase()
  if (target.domain === undefined) {
    return isBelow(domain, customDomain(key) ?? name) && !grammar.domains.some((each) => isBelow(each, domain))
  }
  const site = target.kind === "project" ? `${target.slug}.${target.domain}` : name
  return domain === name || isBelow(domain, site)
}

const PLAIN = /^[a-z\d_-]+(?:\.[a-z\d_-]+)*$/

/** Takes cookies out of a response, in place, that no app may set. */
export const refuseReserved = (fields: string[], source: CookieSource): void => {
  const { reserved, onIsolated } = source
  if (reserved.length === 0) return
  for (let i = fields.length - 2; i >= 0; i -= 2) {
    const name = fields[i]!
    if (name.length !== 10 || name.toLowerCase() !== "set-cookie" || !setsCookie(fields[i + 1]!, reserved)) continue
    onIsolated?.(source, "refused", cookieName(fields[i + 1]!))
    fields.splice(i, 2)
  }
}

/** The name in a `Set-Cookie` value; empty for a cookie without one, whose text is its value. */
export const cookieName = (value: string): string => /^[^=;]*(?==)/.exec(value)?.[0].trim() ?? ""

const isBelow = (name: string, domain: string): boolean => name === domain || name.endsWith(`.${domain}`)

/** Checks the option `isolateCookies`. */
export const isCookieIsolation = (value: unknown): string | undefined => {
  if (value === false) return undefined
  const isKnown = accept.object(value) === undefined && Object.keys(value as object).every((key) => key === "reserved")
  const { reserved = [] } = isKnown ? (value as CookieIsolation) : {}
  const isRead =
    isKnown &&
    Array.isArray(reserved) &&
    Array.from(reserved as readonly unknown[]).every((name) => isReservedName(name) === undefined)
  return isRead ? undefined : "false or { reserved: names of cookies, a prefix with * at its end }"
}

/** Checks the name of a cookie that is reserved. `*` alone would be every cookie. */
export const isReservedName = (name: unknown): string | undefined =>
  typeof name === "string" && /^[^*]+\*?$/.test(name) && isToken(name)
    ? undefined
    : "the name of a cookie, a prefix with * at its end"
