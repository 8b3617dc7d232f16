/**
 * The 404 of an ingress manager that this package takes the place of, for hostnames that no ingress has: see docs/ingress-api.md.
 *
 * @module
 */
import type { ErrorResponses } from "@project-ingress/router"

/** Which proxy the manager drove: `caddy` since December 2025, `envoy` before. */
export type HypemanFront = "caddy" | "envoy"

/** For `errorResponses` of `createRouter`: plain text in the words of `hypeman` for `ROUTE_NOT_FOUND`. All else is the router's own. */
export const hypemanResponses = (front: HypemanFront): ErrorResponses => {
  const text = textOf(front)
  return {
    RouteNotFound: (_row, { subject }) => ({
      status: 404,
      headers: Object.entries(fields).flat(),
      body: text(subject.hostname ?? ""),
    }),
  }
}

/**
 * The same for a fetch handler: `(await router.fetch(request)) ?? noIngress(request)`, or the `fallback` of `serveNode`, for hostnames that the
 * router does not know.
 */
export const hypemanNotFound = (front: HypemanFront): ((request: Request) => Response) => {
  const text = textOf(front)
  return ({ url, method }) =>
    new Response(method === "HEAD" ? null : text(new URL(url).hostname), { status: 404, headers: fields })
}

// `nosniff`: what a visitor chose is in it, and stays text.
const fields = {
  "content-type": "text/plain; charset=utf-8",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
}

const textOf = (front: HypemanFront): ((hostname: string) => string) => {
  if (front === "caddy") return (hostname) => `Not Found: no ingress configured for hostname ${shown(hostname)}`
  if (front === "envoy") return () => "No ingress found for this hostname"
  throw new TypeError('front must be "caddy" or "envoy"')
}

/** A hostname has at most 253 characters (RFC 1035 §2.3.4), and none that another reader of logs or pages takes for more. */
const shown = (hostname: string): string => hostname.slice(0, 253).replaceAll(/[^\w.:[\]-]/g, "?")
