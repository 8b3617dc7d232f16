import { readAuthority } from "./authority.ts"
import { domainOf, isUnder, type Grammar } from "./grammar.ts"
import { isDomain, isMachineId, isServiceName, isSlug, readPort, separatorAt } from "./lexical.ts"
import { foreign, malformed, type HostnameForeign, type HostnameMalformed } from "./outcome.ts"
import type { CustomDomainTarget, MachineTarget, ProjectTarget, Target } from "./target.ts"

/**
 * What a raw `Host` value names. It may carry `:port`, a root dot and upper case (RFC 9110 §7.2, RFC 1034 §3.1,
 * RFC 4343); the `:port` is where the client connected and is dropped.
 *
 * ```text
 * misha.iterate.app                      4096__misha.iterate.app    4096--misha.iterate.app    4096.misha.iterate.app
 * opencode--misha.iterate.app            opencode.misha.iterate.app
 * mach_123.machines.iterate.app          4096__mach_123.machines.iterate.app          4096__mach_123.iterate.app
 * ```
 *
 * Left of `__` stands a port; left of `--` a port or a service. The first separator of a label counts. A reserved name
 * is foreign with everything below it and with any port or service before it. `xn--` labels (RFC 5890) are no slugs.
 *
 * Never throws, reads at most 260 characters of any input, and makes no `Error`.
 */
export const parse = (
  grammar: Grammar,
  host: string,
): ProjectTarget | MachineTarget | HostnameForeign | HostnameMalformed => {
  const name = readAuthority(host)
  if (typeof name !== "string") return name
  const domain = domainOf(grammar, name)
  if (domain === undefined || name.length === domain.length) return foreign(host)

  const end = name.length - domain.length - 1
  const dot = name.lastIndexOf(".", end - 1)
  const last = name.slice(dot + 1, end)
  if (dot === -1) return parseLabel(grammar, host, last, domain)
  const first = name.slice(0, dot)
  const isMachines = last === grammar.machinesLabel
  if (!isMachines && grammar.lookup.reserved.has(last)) return foreign(host)
  // A machine's port stands in the machine's own label: `4096__mach_123`, never `4096.mach_123`.
  if (first.includes(".") || last.startsWith(grammar.machinePrefix)) return tooDeep(host, domain)
  if (isMachines) return parseMachine(grammar, host, first, domain, false)
  const port = readPort(first)
  if (port === 0 && !isServiceName(first)) return notPort(host, first)
  return project(grammar, host, last, port, first, domain)
}

/**
 * What a raw `Host` names on a project's own domain, which stands for the project: `example.com`, `4096.example.com`,
 * `opencode.example.com`, `4096__mach_123.example.com`. One label at most: a certificate's wildcard covers no more.
 *
 * Foreign when the host is not on `domain`, when `domain` is not a domain, and when `domain` lies under the grammar's
 * own, where a project could otherwise claim another's name. Never throws.
 */
export const parseCustomDomain = (
  grammar: Grammar,
  host: string,
  domain: string,
): CustomDomainTarget | MachineTarget | HostnameForeign | HostnameMalformed => {
  const name = readAuthority(host)
  if (typeof name !== "string") return name
  const customDomain = domain.toLowerCase()
  if (!isUnder(name, customDomain) || !isDomain(customDomain) || domainOf(grammar, customDomain) !== undefined) {
    return foreign(host)
  }
  const label = name.slice(0, -customDomain.length - 1)
  if (label.includes(".")) return tooDeep(host, customDomain)
  if (separatorAt(label) !== -1 || label.startsWith(grammar.machinePrefix)) {
    return parseMachine(grammar, host, label, customDomain, true)
  }
  const port = readPort(label)
  if (port === 0 && label !== "" && !isServiceName(label)) return notPort(host, label)
  return select({ _tag: "Target", kind: "project", customDomain }, port, label)
}

/** The one label before a domain: `misha`, `4096__misha`, `opencode--misha`, `mach_123`, `4096__mach_123`. */
const parseLabel = (
  grammar: Grammar,
  host: string,
  label: string,
  domain: string,
): ProjectTarget | MachineTarget | HostnameForeign | HostnameMalformed => {
  const at = separatorAt(label)
  const name = at === -1 ? label : label.slice(at + 2)
  if (name.startsWith(grammar.machinePrefix)) return parseMachine(grammar, host, label, domain, false)
  const service = at === -1 ? "" : label.slice(0, at)
  const port = readPort(service)
  if (at !== -1 && port === 0) {
    // Browsers show `xn--bcher-kva` as `bücher`: no service `xn`, and nobody's slug (RFC 5890 §2.3.1).
    if (label.startsWith("xn--")) return notSlug(grammar, host, label)
    if (label.charCodeAt(at) === 95 || !isServiceName(service)) return notPort(host, service)
  }
  return grammar.lookup.reserved.has(name) ? foreign(host) : project(grammar, host, name, port, service, domain)
}

/** A label where only a machine may stand, alone or behind a port. */
const parseMachine = (
  grammar: Grammar,
  host: string,
  label: string,
  domain: string,
  custom: boolean,
): MachineTarget | HostnameMalformed => {
  const at = separatorAt(label)
  const before = at === -1 ? "" : label.slice(0, at)
  const port = readPort(before)
  if (at !== -1 && port === 0) return notPort(host, before)
  const machine = at === -1 ? label : label.slice(at + 2)
  if (!isMachineId(machine, grammar.machinePrefix)) {
    return malformed(host, "machine", `"${machine}" is not a machine id: ${grammar.machinePrefix} and ${letters}.`)
  }
  return custom
    ? select({ _tag: "Target", kind: "machine", machine, customDomain: domain }, port, "")
    : select({ _tag: "Target", kind: "machine", machine, domain }, port, "")
}

const project = (
  grammar: Grammar,
  host: string,
  slug: string,
  port: number,
  service: string,
  domain: string,
): ProjectTarget | HostnameMalformed =>
  isSlug(slug, grammar.maxSlugLength)
    ? select({ _tag: "Target", kind: "project", slug, domain }, port, service)
    : notSlug(grammar, host, slug)

/** Completes a target that nobody else holds yet: spreading optional keys would cost more than the rest of the parse. */
const select = <T extends Target>(
  target: T & { port?: number; service?: string },
  port: number,
  service: string,
): T => {
  if (port > 0) target.port = port
  else if (service !== "") target.service = service
  return target
}

const tooDeep = (host: string, domain: string): HostnameMalformed =>
  malformed(host, "labels", `Too many labels stand before ${domain}.`)

const notPort = (host: string, text: string): HostnameMalformed =>
  malformed(host, "port", `"${text}" is no port (1 to 65535), nor a service name where one may stand.`)

const notSlug = (grammar: Grammar, host: string, text: string): HostnameMalformed =>
  malformed(host, "slug", `"${text}" is not a slug: ${grammar.maxSlugLength} ${letters}, not only digits.`)

const letters = "lower-case letters, digits and single inner hyphens"
