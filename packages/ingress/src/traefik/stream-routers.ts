import type { DeclaredRule } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { certificateOf } from "./certificates.ts"
import type { TraefikDocument } from "./document.ts"
import { entryPointOf } from "./entry-points.ts"
import { NotExpressible } from "./not-expressible.ts"
import type { TraefikOptions } from "./options.ts"
import { priorityOf } from "./priority.ts"
import { readVersion, tcpRuleText } from "./rule-text.ts"

/** Adds the router of a rule for TCP connections: by the name in their ClientHello, or by the port alone. */
export const addTcpRouter = (
  document: TraefikDocument,
  name: string,
  rule: DeclaredRule,
  rank: number,
  options: TraefikOptions,
): void => {
  const { match, tls = false, passthrough = false, allowCidrs } = rule
  if (allowCidrs !== undefined) {
    document.tcp.middlewares[`${name}_allow`] = { ipAllowList: { sourceRange: allowCidrs } }
  }
  document.tcp.routers[name] = {
    entryPoints: [entryPointOf(matchPort(rule), "tcp", options).name],
    rule: tcpRuleText(match, readVersion(options.version)),
    priority: priorityOf(match, rank, 1),
    ...(allowCidrs === undefined ? {} : { middlewares: [`${name}_allow`] }),
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
