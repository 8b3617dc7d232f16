import { publicPort } from "@project-ingress/forward/internal"
import { format } from "@project-ingress/hostname"
import type { Grammar, Target } from "@project-ingress/hostname"
import { originText } from "../hop/origin.ts"
import type { RedirectRoute } from "../stores/record.ts"

/** What a redirect keeps of the request. */
export interface RedirectedRequest {
  readonly scheme: "http" | "https"
  /** The authority as sent, port included. */
  readonly host: string
  /** Path and query as sent. */
  readonly path: string
}

/**
 * Where a redirect record sends a visitor. A project keeps the visitor's own scheme, public port, service or port in the
 * hostname, path and query: `https://4096__old.iterate.app:8443/x` becomes `https://4096__new.iterate.app:8443/x`. The
 * hostname is in the form that the grammar writes, whichever of its forms the visitor used. A URL
 * without a path keeps path and query; one with a path is the whole location. `undefined`: the project's name is too long
 * for a hostname together with the port or service.
 */
export const redirectLocation = (
  grammar: Grammar,
  { to }: RedirectRoute,
  target: Target,
  request: RedirectedRequest,
): string | undefined => {
  // What a path holds beyond visible ASCII cannot stand in a header.
  const path = request.path.replaceAll(/[^\x21-\x7e]/g, (character) => encodeURIComponent(character))
  if (typeof to === "string") {
    const url = new URL(to)
    return url.pathname === "/" && url.search === "" && !to.endsWith("/") ? url.origin + path : url.href
  }
  const { port, service } = target
  const hostname = format(grammar, {
    kind: "project",
    slug: to.project,
    ...(target.domain === undefined ? {} : { domain: target.domain }),
    ...(port === undefined ? {} : { port }),
    ...(service === undefined ? {} : { service }),
  })
  if (typeof hostname !== "string") return undefined
  return originText(request.scheme, hostname, publicPort(request)) + path
}
