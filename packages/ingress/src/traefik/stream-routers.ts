import type { DeclaredRule } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { certificateOf } from "./certificates.ts"
import type { TraefikDocument } from "./document.ts"
import { entryPointOf } from "./entry-points.ts"
import { nobody } from "./nobody.ts"
import { NotExpressible } from "./not-expressible.ts"
import type { TraefikOptions } from "./options.ts"
import { priorityOf } from "./priority.ts"
import { readVersion, tcpRuleText } from "./rule-text.ts"

/**
 * Adds the router of a rule for TCP connections: by the name in their ClientHello, or by the port alone. `isDown`: its targets cannot be
 * dialled now, and connections are closed.
 */
export const addTcpRouter = (
  document: TraefikDocument,
  name: string,
  rule: DeclaredRule,
  rank: number,
  options: TraefikOptions,
  { isDown }: { readonly isDown: boolean },
): void => {
  const { match, tls = false, passthrough = false, allowCidrs } = rule
  const middlewares = {
    ...(allowCidrs === undefined ? {} : { [`${name}_allow`]: { ipAllowList: { sourceRange: allowCidrs } } }),
    ...(isDown ? { [`${name}_unavailable`]: nobody() } : {}),
  }
  Object.assign(document.tcp.middlewares, middlewares)
  // Traefik has no service of its own for TCP: what is here is never dialled.
  if (isDown) document.tcp.services[name] = { loadBalancer: { servers: [{ address: "127.0.0.1:9" }] } }
  document.tcp.routers[name] = {
    entryPoints: [entryPointOf(matchPort(rule), "tcp", options).name],
    rule: tcpRuleText(match, readVersion(options.version)),
    priority: priorityOf(match, rank, 1),
    ...(Object.keys(middlewares).length === 0 ? {} : { middlewares: Object.keys(middlewares) }),
    service: name,
    ...(passthrough ? { tls: { passthrough } } : tls ? { tls: certificateOf(match.hostname, options.acme) } : {}),
  }
}

/** Adds the router of a UDP port. Without its entry point Traefik would give it every UDP port. */
export const addUdpRouter = (
  document: TraefikDocument,
  name: string,
  rule: DeclaredRule,
  rank: number,
  options: TraefikOptions,
): void => {
  if (rule.allowCidrs !== undefined) throw new NotExpressible("allowCidrs", "is not for UDP in Traefik")
  if (rank > 0) throw new NotExpressible("match.port", "is that of an older rule, and a UDP port has one router")
  document.udp.routers[name] = { entryPoints: [entryPointOf(matchPort(rule), "udp", options).name], service: name }
}
