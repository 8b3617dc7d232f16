import type { PolicyRequest } from "../policies/policy.ts"

/** Where a document of a navigation goes. `empty`: a service worker passed it on, which no script can make a request of its own look like. */
const DESTINATIONS: ReadonlySet<string | undefined> = new Set([undefined, "document", "empty"])

/**
 * Whether a person's tab goes there: not a script's request, a frame, a WebSocket, or anything but a `GET`. A client that does not say
 * (Fetch Metadata, §2) is believed: it is no browser with a script of an app's in it.
 */
export const isNavigation = (request: PolicyRequest): boolean => {
  const { method, upgrade, header } = request
  const mode = header("sec-fetch-mode")
  const destination = header("sec-fetch-dest")
  if (method !== "GET" || upgrade) return false
  return mode === undefined ? destination === undefined : mode === "navigate" && DESTINATIONS.has(destination)
}

/**
 * Whether a page of the very same host sent it: by `Sec-Fetch-Site` where a browser says it, else by `Origin`, whose scheme a load balancer
 * that ends TLS may have changed for us. No script sets either.
 */
export const isSameOrigin = ({ header }: PolicyRequest, authority: string): boolean => {
  const site = header("sec-fetch-site")
  if (site !== undefined) return site === "same-origin"
  return [`https://${authority}`, `http://${authority}`].includes(header("origin") ?? "")
}

/** Whether it loads a script for a service worker, which would then see every request of the hostname (Service Workers §4.4). */
export const isServiceWorkerScript = ({ header }: PolicyRequest): boolean =>
  header("service-worker") !== undefined || header("sec-fetch-dest") === "serviceworker"
