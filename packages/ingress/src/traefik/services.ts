import type { ExportInput } from "../fronts/front.ts"
import type { DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"
import type { TraefikDocument } from "./document.ts"
import { NotExpressible } from "./not-expressible.ts"
import type { TraefikOptions } from "./options.ts"
import { plainValue, readVersion } from "./rule-text.ts"

/** A target with the address where it is dialled. */
interface Dialled {
  readonly authority: string
  readonly weight: number
  readonly protocol: DeclaredTarget["protocol"]
}

/** Adds the service of a rule, which leads to its targets, under this name. */
export const addService = (
  document: TraefikDocument,
  name: string,
  rule: DeclaredRule,
  input: Pick<ExportInput, "address">,
  options: TraefikOptions,
): void => {
  const { protocol } = rule.match
  // What has no weight is given nothing.
  const targets = rule.targets.flatMap((target, at) =>
    target.weight === 0 ? [] : [dialled(target, `targets.${at}`, input)],
  )
  const { services } = document[protocol]
  const balancer = (target: Dialled): object => loadBalancer(document, name, target, rule, options)
  if (targets.length === 1) {
    services[name] = { loadBalancer: balancer(targets[0]!) }
    return
  }
  for (const [at, target] of targets.entries()) services[`${name}_${at}`] = { loadBalancer: balancer(target) }
  services[name] = {
    weighted: {
      services: targets.map(({ weight }, at) => ({ name: `${name}_${at}`, weight })),
      // Passes on which of them is healthy, so that the others take over.
      ...(rule.healthCheck === undefined ? {} : { healthCheck: {} }),
    },
  }
}

const dialled = (target: DeclaredTarget, field: string, { address }: Pick<ExportInput, "address">): Dialled => {
  if (target.kind === "capture")
    throw new NotExpressible(`${field}.capture`, "is dialled at the time of a request, which Traefik cannot")
  const { weight, protocol, port } = target
  if (port === undefined)
    throw new NotExpressible(`${field}.port`, "is needed by Traefik, which does not know a project's own")
  const host = target.kind === "url" ? target.host : address(target)
  if (host === undefined) throw new NotExpressible(field, "has no address now", "unresolved")
  const isIpv6 = /^[\da-fA-F:.]*:[\da-fA-F:.]*$/.test(host)
  if (!isIpv6 && !/^[\w.-]{1,253}$/.test(host))
    throw new NotExpressible(field, "has an address that is no hostname or IP address")
  return { authority: `${isIpv6 ? `[${host}]` : host}:${port}`, weight, protocol }
}

const loadBalancer = (
  document: TraefikDocument,
  name: string,
  { authority, protocol }: Dialled,
  { match, healthCheck, proxyProtocol }: DeclaredRule,
  options: TraefikOptions,
): object => {
  if (match.protocol === "http") {
    return {
      servers: [{ url: `${protocol}://${authority}/` }],
      ...(healthCheck === undefined ? {} : { healthCheck: healthCheckOf(healthCheck) }),
      ...(protocol === "https" ? transportOf(document, name, options) : {}),
    }
  }
  if (healthCheck !== undefined) throw new NotExpressible("healthCheck", "asks by HTTP, for rules of HTTP only")
  const servers = [{ address: authority }]
  if (proxyProtocol === undefined) return { servers }
  if (match.protocol === "udp") throw new NotExpressible("proxyProtocol", "is for TCP only in Traefik")
  // It moved in 3.5.2, which had a defect until 3.5.3.
  if (readVersion(options.version).minor < 6) return { servers, proxyProtocol: { version: proxyProtocol } }
  document.tcp.serversTransports[`${name}_proxy`] = { proxyProtocol: { version: proxyProtocol } }
  return { servers, serversTransport: `${name}_proxy` }
}

/** Of a service by HTTP. */
export const healthCheckOf = ({
  path,
  intervalMs = 10_000,
  statuses,
}: NonNullable<DeclaredRule["healthCheck"]>): object => {
  if (statuses !== undefined && statuses.length !== 1) {
    throw new NotExpressible("healthCheck.statuses", "has several, and Traefik expects one")
  }
  return {
    path: plainValue(path, "healthCheck.path"),
    interval: `${intervalMs}ms`,
    // The longer of the two decides the interval.
    timeout: `${Math.min(5_000, Math.floor(intervalMs / 2))}ms`,
    followRedirects: false,
    ...(statuses === undefined ? {} : { status: statuses[0] }),
  }
}

const transportOf = (
  document: TraefikDocument,
  name: string,
  { upstreamTls }: TraefikOptions,
): { readonly serversTransport?: string } => {
  const { serverName, rootCas, insecureSkipVerify = false } = upstreamTls ?? {}
  const transport = {
    ...(serverName === undefined ? {} : { serverName }),
    ...(rootCas === undefined ? {} : { rootCAs: rootCas }),
    ...(insecureSkipVerify ? { insecureSkipVerify } : {}),
  }
  if (Object.keys(transport).length === 0) return {}
  document.http.serversTransports[`${name}_tls`] = transport
  return { serversTransport: `${name}_tls` }
}
