import { headerValue } from "@project-ingress/forward"
import { isSafe } from "@project-ingress/forward/internal"
import type { VisitorRequest } from "../program/sender.ts"
import type { AppOrigin } from "./app-origin.ts"
import { cookieName, mayShareBelow } from "./cookie-isolation.ts"
import type { CookieSource } from "./cookie-isolation.ts"
import { originIn } from "./origin.ts"

/** The origins of one project, as the visitor's browser writes them. */
export interface ProjectOrigins {
  /** The one that was asked. */
  readonly own: string
  /** Those that the request names, its own among them, with the port behind each. */
  readonly ports: ReadonlyMap<string, number>
}

/** Fields of a request in which a client names its own origin, or the URL that it asks for (WebDAV: RFC 4918 §10.3). */
export const requestUrlFields: readonly string[] = ["origin", "referer", "destination"]

/**
 * Rewrites {@link requestUrlFields} where they name an origin of the request's own project. Every other origin stays as it
 * came: that a request is cross-site is for the app to see.
 */
export const rewriteRequest = (fields: string[], app: AppOrigin, { ports }: ProjectOrigins): void => {
  if (!app.isRewritten) return
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    // By length first: most fields have another one.
    if (!requestUrlFields.some((each) => each.length === name.length && each === name.toLowerCase())) continue
    const value = fields[i + 1]!
    const text = originIn(value)?.text
    const port = text === undefined ? undefined : ports.get(text)
    if (port !== undefined) fields[i + 1] = app.of(port) + value.slice(text!.length)
  }
}

/** What a response is rewritten for. */
export interface RewrittenResponse {
  readonly app: AppOrigin
  /** The origin that the visitor sees. */
  readonly publicOrigin: string
  /** The `Origin` of the request and what the app was sent for it; `undefined` without one, or if the app sees public names. */
  readonly origin: { readonly sent: string; readonly given: string } | undefined
  /** Who sets the cookies. */
  readonly cookies: CookieSource
}

/** What the response to a request is rewritten for. */
export const rewrittenResponse = (
  request: VisitorRequest,
  app: AppOrigin,
  { own, ports }: ProjectOrigins,
  cookies: CookieSource,
): RewrittenResponse => {
  const sent = app.isRewritten ? headerValue(request.headers, "origin") : undefined
  const port = sent === undefined ? undefined : ports.get(sent)
  return {
    app,
    publicOrigin: own,
    origin: sent === undefined ? undefined : { sent, given: port === undefined ? sent : app.of(port) },
    cookies,
  }
}

/**
 * Rewrites the app's own origin to the public one where a browser acts on it: redirects, links, and what CORS compares. Other
 * ports of localhost stay, because an OAuth callback to the visitor's own machine is one (dev-tunnels#532); so do bodies and
 * every other field.
 */
export const rewriteResponse = (fields: string[], to: RewrittenResponse): void => {
  let cors = false
  let varies = false
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    // The first letters of the names below, which most fields do not begin with.
    if (!"aclrstvACLRSTV".includes(name[0]!)) continue
    const lower = name.toLowerCase()
    if (lower === "vary") varies ||= /(?:^|,)\s*(?:origin|\*)\s*(?:,|$)/i.test(fields[i + 1]!)
    cors ||= lower.startsWith("access-control-") || lower === "timing-allow-origin"
    const rewrite = rewrites.get(lower)
    if (rewrite !== undefined) fields[i + 1] = rewrite(fields[i + 1]!, to)
  }
  // The value depends on who asked: a cache must not give it to another origin (Fetch §3.2.7).
  if (cors && !varies && to.origin !== undefined) fields.push("Vary", "Origin")
}

/** A URL as the visitor must see it: the same text unless it begins with the app's own origin. */
const publicUrl = (url: string, { app, publicOrigin }: Pick<RewrittenResponse, "app" | "publicOrigin">): string => {
  const length = app.lengthIn(url)
  return length === 0 ? url : publicOrigin + url.slice(length)
}

/**
 * A redirect to the URL just asked for, in the app's own words another one: `https://localhost:3000/` for the public `https:`
 * URL that the app believes to be `http:`. After a form was sent, the same is a common way to show its result.
 */
export const isRedirectLoop = (
  { method, path }: VisitorRequest,
  { status, header }: { readonly status: number; readonly header: (lowerName: string) => string | undefined },
  to: RewrittenResponse,
): boolean => {
  if (status < 300 || status > 399 || !isSafe(method)) return false
  const location = header("location")
  if (location === undefined || to.app.lengthIn(location) === 0) return false
  return publicUrl(location, to).replace(/#.*$/s, "") === to.publicOrigin + path
}

/**
 * `<url>; rel=preload`, by comma; a parameter's quoted text may hold angle brackets (RFC 8288 §3). Of any text each character is
 * read once: an app must not keep the router busy by a `<` or `"` that has no end, ten thousand times.
 */
const LINK_PARTS = /"(?:[^"\\]|\\.)*(?:"|$)|<[^<>]*>/g

/** `5; url=/next`, with or without quotation marks (HTML, shared declarative refresh steps). */
const REFRESH = /^(\s*[\d.]+\s*[;,\s]\s*(?:url\s*=\s*)?["']?)(.*)$/is

/** The domain in an attribute of a cookie, without one leading dot (RFC 6265 §5.2.3). Linear, because apps write it. */
const domainIn = (attribute: string): string | undefined => {
  const at = attribute.indexOf("=")
  if (at === -1 || attribute.slice(0, at).trim().toLowerCase() !== "domain") return undefined
  return attribute
    .slice(at + 1)
    .trim()
    .replace(/^\./, "")
    .toLowerCase()
}

/** Only if it is what this request's `Origin` was rewritten to: any other value is the app's own decision. */
const allowedOrigin = (value: string, { origin }: RewrittenResponse): string =>
  value
    .split(",")
    .map((each) =>
      origin !== undefined && each.trim() === origin.given ? each.replace(origin.given, () => origin.sent) : each,
    )
    .join(",")

const rewrites: ReadonlyMap<string, (value: string, to: RewrittenResponse) => string> = new Map(
  Object.entries({
    location: publicUrl,
    "content-location": publicUrl,
    refresh: (value, to) => value.replace(REFRESH, (_, before: string, url: string) => before + publicUrl(url, to)),
    link: (value, to) =>
      value.replace(LINK_PARTS, (part) => (part[0] === "<" ? `<${publicUrl(part.slice(1, -1), to)}>` : part)),
    "access-control-allow-origin": allowedOrigin,
    "timing-allow-origin": allowedOrigin,
    // Without the attribute a cookie is for the host alone (RFC 6265 §5.2.3): what an app means by its own name, which the
    // browser does not know, and all that it may have where the domain is not its project's.
    "set-cookie": (value, { app, cookies }) => {
      const names = app.cookieDomains
      if ((names.length === 0 && !cookies.narrows) || !/domain/i.test(value)) return value
      const [pair, ...attributes] = value.split(";")
      const kept = attributes.filter((attribute) => {
        const domain = domainIn(attribute)
        if (domain === undefined || domain === "") return true
        if (names.includes(domain)) return false
        if (!cookies.narrows || mayShareBelow(cookies, domain)) return true
        cookies.onIsolated?.(cookies, "narrowed", cookieName(pair!))
        return false
      })
      return [pair, ...kept].join(";")
    },
  }),
)
