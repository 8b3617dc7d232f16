import type { Grammar } from "./grammar.ts"
import { MAX_LABEL, MAX_NAME } from "./lexical.ts"
import { refused, type HostnameMalformed } from "./outcome.ts"
import { parse, parseCustomDomain } from "./parse.ts"
import { routeKey, type TargetInput } from "./target.ts"

/** A target whose hostname does not fit. Plain data, like the other outcomes. */
export interface HostnameTooLong {
  readonly _tag: "HostnameTooLong"
  /** What would have to be shorter: the longest part of what does not fit. */
  readonly part: "service" | "slug" | "machine" | "domain"
  /** The length of what does not fit (the slug, the label or the whole name), in octets. */
  readonly length: number
  /** What is allowed: `maxSlugLength`, 63 for a label or 253 for a name (RFC 1035 §2.3.4). */
  readonly limit: number
  /** One English sentence. */
  readonly reason: string
}

/**
 * The hostname of a target, lower-case, without port of the URL and root dot. What comes out, `parse` reads back as the
 * very same target, and `parseCustomDomain` where the target has a `customDomain`.
 *
 * Writes the forms that one wildcard certificate covers: `4096__misha`, `opencode--misha`, `4096__mach_123.machines`;
 * on a custom domain `4096` and `opencode`. A port is always written: only `url` leaves the default port out.
 *
 * An invalid target gives `HostnameMalformed`, never a hostname: a slug that is reserved or no slug, a port out of
 * range, port and service at once, a domain that is not the grammar's.
 */
export const format = (grammar: Grammar, target: TargetInput): string | HostnameTooLong | HostnameMalformed => {
  const { kind, slug, machine, port, service, customDomain } = target
  const domain = customDomain ?? target.domain ?? grammar.domains[0]
  const part = kind === "project" ? "slug" : "machine"
  const name = slug ?? machine
  const label = [service ?? port, name]
    .filter((text) => text !== undefined)
    .join(service === undefined ? grammar.separator : "--")
  const machines = kind === "machine" && customDomain === undefined && grammar.machinesLabel
  const hostname = [label, machines, domain].filter(Boolean).join(".")
  const tooLong =
    limited("slug", slug ?? "", grammar.maxSlugLength) ??
    limited((service ?? "").length > (name ?? "").length ? "service" : part, label, MAX_LABEL) ??
    // No label is as long then as what is left for the domain.
    limited("domain", hostname, MAX_NAME)
  if (tooLong) return tooLong

  // The promise is kept by reading back: whatever is wrong with a part, it then reads as something else.
  const read =
    customDomain === undefined ? parse(grammar, hostname) : parseCustomDomain(grammar, hostname, customDomain)
  if (read._tag === "HostnameMalformed") return read
  const same =
    read._tag === "Target" &&
    routeKey(read) === routeKey(target) &&
    read.port === port &&
    read.service === service &&
    (read.customDomain ?? read.domain) === domain
  return same ? hostname : refused(hostname, part, hostname, `a name of that ${kind}`)
}

/** What is wrong with the length of `text`, if anything. */
const limited = (part: HostnameTooLong["part"], text: string, limit: number): HostnameTooLong | undefined => {
  const { length } = text
  const reason = `The ${part} is too long: ${length} octets, at most ${limit}.`
  return length > limit ? { _tag: "HostnameTooLong", part, length, limit, reason } : undefined
}
