import { readAuthority } from "./authority.ts"
import { domainOf, isUnder, type Grammar } from "./grammar.ts"
import { isDomain, isMachineId, isServiceName, isSlug, LABEL, NAME, PORT, readPort, separatorAt } from "./lexical.ts"
import { foreign, malformed, malformedPart, type HostnameForeign, type HostnameMalformed } from "./outcome.ts"
import type { CustomDomainTarget, MachineTarget, ProjectTarget, Target } from "./target.ts"

/**
 * The target that a raw `Host` value names. The value may have `:port`, a root dot and upper case (RFC 9110 §7.2, RFC
 * 1034 §3.1, RFC 4343); the `:port` is where the client connected and is dropped.
 *
 * ```text
 * misha.iterate.app                      4096__misha.iterate.app    4096--misha.iterate.app    4096.misha.iterate.app
 * opencode--misha.iterate.app            opencode.misha.iterate.app
 * mach_123.machines.iterate.app          4096__mach_123.machines.iterate.app          4096__mach_123.iterate.app
 * mach-123.machines.iterate.app          4096--mach-123.machines.iterate.app
 * ```
 *
 * Before `__` is a port; before `--` a port or a service. The first separator of a label counts. Below the label of machines
 * a hyphen may stand for each underscore of an id's prefix. A reserved name is foreign together with everything below it and
 * with any port or service before it. `xn--` labels (RFC 5890) are never slugs.
 *
 * Never throws, reads at most 260 characters of any input, and creates no `Error`.
 */
export const parse = (
  grammar: Grammar,
  host: string,
): ProjectTarget | MachineTarget | HostnameForeign | HostnameMalformed => {
  const name = readAuthority(host)
  if (typeof name !== "string") return name
  const domain = domainOf(grammar, name)
  if (domain === undefined || name === domain) return foreign(host)

  const end = name.length - domain.length - 1
  const dot = name.lastIndexOf(".", end - 1)
  const last = name.slice(dot + 1, end)
  if (dot === -1) return parseLabel(grammar, host, last, domain, false)
  const first = name.slice(0, dot)
  const isMachines = last === grammar.machinesLabel
  if (!isMachines && grammar.lookup.reserved.has(last)) return foreign(host)
  // A machine's port is part of the machine's own label: `4096__mach_123`, never `4096.mach_123`.
  if (first.includes(".") || last.startsWith(grammar.machinePrefix)) return tooDeep(host, domain)
  if (isMachines) return parseLabel(grammar, host, first, domain, true)
  return complete(grammar, host, { _tag: "Target", kind: "project", slug: last, domain }, first, true)
}

/**
 * The target that a raw `Host` names on a project's own domain, which stands for the project: `example.com`,
 * `4096.example.com`, `opencode.example.com`, `4096__mach_123.example.com`. One label at most: a certificate's wildcard
 * covers no more.
 *
 * Foreign if the host is not `domain` or under it, if `domain` is not a valid domain, and if `domain` lies under one of
 * the grammar's own, where a project could otherwise claim the name of another. Never throws.
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
  const at = separatorAt(label)
  if (at === -1 && !label.startsWith(grammar.machinePrefix)) {
    return complete(grammar, host, { _tag: "Target", kind: "project", customDomain }, label || undefined, true)
  }
  const machine = textAfter(label, at)
  return complete(
    grammar,
    host,
    { _tag: "Target", kind: "machine", machine, customDomain },
    textBefore(label, at),
    false,
  )
}

/** The single label before a domain: `misha`, `4096__misha`, `opencode--misha`, `mach_123`, `4096__mach_123`. */
const parseLabel = (
  grammar: Grammar,
  host: string,
  label: string,
  domain: string,
  isMachine: boolean,
): ProjectTarget | MachineTarget | HostnameForeign | HostnameMalformed => {
  const at = separatorAt(label)
  const before = textBefore(label, at)
  const name = textAfter(label, at)
  if (isMachine || name.startsWith(grammar.machinePrefix)) {
    const { machinePrefix, lookup } = grammar
    const isDashedId = isMachine && name.startsWith(lookup.dashedPrefix)
    const machine = isDashedId ? machinePrefix + name.slice(machinePrefix.length) : name
    return complete(grammar, host, { _tag: "Target", kind: "machine", machine, domain }, before, false)
  }
  const isDashed = at > 0 && label.charCodeAt(at) === 45
  const project = complete(grammar, host, { _tag: "Target", kind: "project", slug: name, domain }, before, isDashed)
  // A reserved name need not be a slug: `_dmarc`.
  const isNamed = project._tag === "Target" || project.part === "slug"
  return isNamed && grammar.lookup.reserved.has(name) ? foreign(host) : project
}

/** The text before the separator at `at`; `undefined` if there is none. */
const textBefore = (label: string, at: number): string | undefined => (at === -1 ? undefined : label.slice(0, at))

/** The text after the separator at `at`; the whole label if there is none. */
const textAfter = (label: string, at: number): string => (at === -1 ? label : label.slice(at + 2))

/**
 * Sets the port or service of a new target from `text`, and validates it. The target is changed in place, because
 * spreading optional keys would cost more than the rest of the parse; the caller has just made it.
 */
const complete = <T extends Target>(
  grammar: Grammar,
  host: string,
  target: T & { port?: number; service?: string },
  text: string | undefined,
  mayBeService: boolean,
): T | HostnameMalformed => {
  if (text !== undefined) {
    const port = readPort(text)
    if (port > 0) target.port = port
    else if (mayBeService && isServiceName(text)) target.service = text
    else return malformedPart(host, "port", text, mayBeService ? `${PORT} or a service name` : PORT)
  }
  const { machinePrefix, maxSlugLength } = grammar
  if (target.kind === "machine") {
    if (!isMachineId(target.machine, machinePrefix)) {
      return malformedPart(host, "machine", target.machine, `a machine id: ${machinePrefix} and ${LABEL}`)
    }
  } else if (target.slug !== undefined && !isSlug(target.slug, maxSlugLength)) {
    return malformedPart(host, "slug", target.slug, `a slug: at most ${maxSlugLength} ${NAME}`)
  }
  return target
}

const tooDeep = (host: string, domain: string): HostnameMalformed =>
  malformed(host, "labels", `Too many labels before ${domain}.`)
