import type { Grammar } from "./grammar.ts"
import { MAX_LABEL, MAX_NAME } from "./lexical.ts"
import { malformed, type HostnameMalformed } from "./outcome.ts"
import { parse, parseCustomDomain } from "./parse.ts"
import { routeKey, type TargetInput } from "./target.ts"

/** A target whose hostname would be too long. Plain data, like the other outcomes. */
export interface HostnameTooLong {
  readonly _tag: "HostnameTooLong"
  /** What to shorten: the longest part of what is too long. */
  readonly part: "service" | "slug" | "machine" | "domain"
  /** The length of what is too long (the slug, the label or the whole name), in bytes. */
  readonly length: number
  /** The maximum, in bytes: `maxSlugLength`, 63 for a label or 253 for a name (RFC 1035 §2.3.4). */
  readonly limit: number
  /** One English sentence. */
  readonly reason: string
}

/**
 * The hostname of a target, lower-case, without a URL's port and without root dot. `parse` reads it back as the same
 * target, or `parseCustomDomain` if the target has a `customDomain`.
 *
 * Writes the forms of the grammar's `separator`; on a custom domain always `4096` and `opencode`. What
 * {@link certificateNames} lists covers them. A port is always written: only `url` leaves the default port out.
 *
 * ```text
 * __   4096__misha   opencode--misha   4096__mach_123.machines   80__mach_1.example.com
 * --   4096--misha   opencode--misha   4096--mach-123.machines   80--mach_1.example.com
 * .    4096.misha    opencode.misha    4096--mach-123.machines   80--mach_1.example.com
 * ```
 *
 * An invalid target gives `HostnameMalformed`, never a hostname: a reserved or invalid slug, a port out of range, both
 * a port and a service, a domain outside the grammar. Never throws for a target whose fields have the declared types.
 */
export const format = (grammar: Grammar, target: TargetInput): string | HostnameTooLong | HostnameMalformed => {
  const { kind, slug, machine, port, service, customDomain } = target
  const domain = customDomain ?? target.domain ?? grammar.domains[0]
  const part = kind === "project" ? "slug" : "machine"
  const machines = kind === "machine" && customDomain === undefined && grammar.machinesLabel
  const name = slug ?? (machines ? machineName(grammar, machine) : machine)
  const labels = [service ?? port, name].filter((text) => text !== undefined).join(separatorOf(grammar, target))
  const hostname = [labels, machines, domain].filter(Boolean).join(".")
  // Of two labels the second is a slug, which has a limit of its own.
  const [label = ""] = labels.split(".", 1)
  const tooLong =
    limited("slug", slug ?? "", grammar.maxSlugLength) ??
    limited((service ?? "").length > (name ?? "").length ? "service" : part, label, MAX_LABEL) ??
    // With every label within its limit, only a long domain can make the whole name too long.
    limited("domain", hostname, MAX_NAME)
  if (tooLong) return tooLong

  // Every invalid part shows itself by reading back: the hostname is then malformed or means another target.
  const read =
    customDomain === undefined ? parse(grammar, hostname) : parseCustomDomain(grammar, hostname, customDomain)
  if (read._tag === "HostnameMalformed") return read
  const same =
    read._tag === "Target" &&
    routeKey(read) === routeKey(target) &&
    read.port === port &&
    read.service === service &&
    (read.customDomain ?? read.domain) === domain
  return same ? hostname : malformed(hostname, part, `The ${kind} has no hostname: "${hostname}" means something else.`)
}

/** What the grammar writes before the name of a target: a service is never before `__`, a machine never below its port. */
const separatorOf = ({ separator }: Grammar, { kind, service }: TargetInput): Grammar["separator"] =>
  (kind === "machine" && separator === ".") || (service !== undefined && separator === "__") ? "--" : separator

/** A machine's id below the label of machines: without its prefix's underscores where the grammar writes none. */
const machineName = ({ separator, machinePrefix, lookup }: Grammar, machine: string): string =>
  separator === "__" ? machine : machine.replace(machinePrefix, lookup.dashedPrefix)

/** The outcome for a `text` longer than `limit`. */
const limited = (part: HostnameTooLong["part"], text: string, limit: number): HostnameTooLong | undefined => {
  const { length } = text
  const reason = `The ${part} is too long: ${length} characters, at most ${limit}.`
  return length > limit ? { _tag: "HostnameTooLong", part, length, limit, reason } : undefined
}
