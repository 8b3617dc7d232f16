import { parse, parseCustomDomain, portOf, routeKey } from "@project-ingress/hostname"
import type { Grammar, Target } from "@project-ingress/hostname"
import { originIn, originText, publicOrigin } from "../hop/origin.ts"
import type { MachineRoute } from "../stores/record.ts"
import type { PolicyRequest, Route } from "./policy.ts"

/**
 * Whether an `Origin` is the request's own, or one of the same project: another port, service or machine of the route's record, with the
 * visitor's own scheme and public port, under the same kind of name. Without a grammar only the request's own is. Only as browsers write
 * it (RFC 6454 §6.1): what is spelt otherwise, `null` and several values are nobody's.
 */
export const isProjectOrigin = (
  grammar: Grammar | undefined,
  request: Pick<PolicyRequest, "scheme" | "host" | "port">,
  route: Pick<Route, "target" | "record">,
  text: string,
): boolean => {
  if (text === publicOrigin(request)) return true
  const origin = originIn(text)
  if (grammar === undefined || origin === undefined) return false
  const { scheme, hostname, port } = origin
  if (scheme !== request.scheme || port !== request.port || originText(scheme, hostname, port) !== text) return false
  const { target, record } = route
  const { customDomain } = target
  const named =
    customDomain === undefined ? parse(grammar, hostname) : parseCustomDomain(grammar, hostname, customDomain)
  if (named._tag !== "Target") return false
  if (named.kind === "machine" && target.kind === "project") {
    return record.kind === "machine" && leadsTo(record, named.machine)
  }
  return routeKey(named) === routeKey(target) && isName(grammar, named, route)
}

const leadsTo = ({ machine, replicas = [] }: MachineRoute, id: string): boolean =>
  machine.id === id || replicas.some((replica) => replica.id === id)

/** On a custom domain, a label that is no port and no service may be the domain of another project. */
const isName = (grammar: Grammar, named: Target, { record }: Pick<Route, "record">): boolean => {
  const { service, customDomain } = named
  if (service === undefined || customDomain === undefined || portOf(grammar, named) !== undefined) return true
  return record.kind === "machine" && record.services !== undefined && Object.hasOwn(record.services, service)
}
