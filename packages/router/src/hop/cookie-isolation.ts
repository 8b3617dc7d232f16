import { accept, isToken } from "@project-ingress/forward/internal"
import type { Grammar, Target } from "@project-ingress/hostname"

/** How a router keeps cookies apart. */
export interface CookieIsolation {
  /**
   * Names of the platform's own cookies, case-sensitive; one that ends with `*` is a prefix: `["session", "__Host-platform-*"]`.
   * No app gets them and none can set them by `Set-Cookie`, under every hostname. Policies get them, and may set them.
   * Default: none.
   */
  readonly reserved?: readonly string[]
}

/** The hostname whose app sets a cookie, and what it names. */
export interface CookieSource {
  readonly grammar: Grammar
  readonly target: Target
  /** The authority as the visitor sent it. */
  readonly host: string
}

/**
 * Whether an app may write a domain, which is lower-case, in a cookie's `Domain`. Under the grammar's domains: its own hostname, its project's, and
 * what lies below them, which is no other project's. On a custom domain its owner decides, as anywhere in the web, except that the
 * cookie reaches none of the grammar's domains. Only plain names are read: browsers also undo escapes and fold characters.
 */
export const mayShareBelow = ({ grammar, target, host }: CookieSource, domain: string): boolean => {
  if (!PLAIN.test(domain)) return false
  if (target.domain === undefined) return !grammar.domains.some((each) => isBelow(each, domain))
  const name = host.replace(/:\d*$/, "").toLowerCase()
  const site = target.kind === "project" ? `${target.slug}.${target.domain}` : name
  return domain === name || isBelow(domain, site)
}

const PLAIN = /^[a-z\d_-]+(?:\.[a-z\d_-]+)*$/

const isBelow = (name: string, domain: string): boolean => name === domain || name.endsWith(`.${domain}`)

/** Checks the option `isolateCookies`. */
export const isCookieIsolation = (value: unknown): string | undefined => {
  if (value === false) return undefined
  const isKnown = accept.object(value) === undefined && Object.keys(value as object).every((key) => key === "reserved")
  const { reserved = [] } = isKnown ? (value as CookieIsolation) : {}
  const isRead = isKnown && Array.isArray(reserved) && Array.from(reserved as readonly unknown[]).every(isName)
  return isRead ? undefined : "false or { reserved: names of cookies, a prefix with * at its end }"
}

/** `*` alone would be every cookie. */
const isName = (name: unknown): boolean => typeof name === "string" && /^[^*]+\*?$/.test(name) && isToken(name)
