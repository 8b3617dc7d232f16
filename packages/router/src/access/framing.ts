import type { PolicyRequest, Route } from "../policies/policy.ts"
import type { CookieAttributes } from "./cookies.ts"

/**
 * How cookies of ours are set on a route: `framed` where its `embed` names an origin, so that they are sent in frames there, too; else `Lax`.
 */
export const sameSiteOf = ({ settings }: Pick<Route, "settings">): CookieAttributes["sameSite"] =>
  isEmbedded(settings.embed) ? "framed" : "Lax"

const isEmbedded = (embed: readonly string[] | undefined): boolean => embed !== undefined && embed.length > 0

/**
 * What `Content-Security-Policy` says of those who may frame a route: its own pages, and the origins of `embed`. Every ancestor of a frame
 * counts (CSP 3 §6.4.2.1). `undefined` where `embed` is absent.
 */
export const frameAncestors = ({ settings: { embed } }: Pick<Route, "settings">): string | undefined =>
  embed === undefined ? undefined : ["frame-ancestors 'self'", ...embed].join(" ")

/** Whether a browser loads the request into a frame (Fetch Metadata §2.1). */
export const isFramed = ({ header }: Pick<PolicyRequest, "header">): boolean =>
  /^(?:iframe|frame|embed|object|fencedframe)$/.test(header("sec-fetch-dest") ?? "")

/**
 * Whether a browser would keep a `Lax` cookie back: the request comes from another site and is no navigation by a safe method
 * (RFC 6265bis §5.6.3). It sends one that is `SameSite=None`, and then the router makes up for the difference, except that a frame is navigated
 * to as a window is. By what browsers say themselves (Fetch Metadata §2): one that does not say sends no handshake and no
 * unsafe method without `Origin` either, which is checked in any case.
 */
export const isCrossSite = ({ header, method }: Pick<PolicyRequest, "header" | "method">): boolean =>
  header("sec-fetch-site") === "cross-site" &&
  !(header("sec-fetch-mode") === "navigate" && (method === "GET" || method === "HEAD"))
