import type { Grammar } from "./grammar.ts"
import { MAX_LABEL, MAX_NAME } from "./lexical.ts"
import { malformed, type HostnameMalformed } from "./outcome.ts"
import { parse, parseCustomDomain } from "./parse.ts"
import type { TargetInput } from "./target.ts"

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
  const { customDomain, port } = target
  const domain = customDomain ?? target.domain ?? grammar.domains[0]
  const service = "service" in target ? target.service : undefined
  const name = target.kind === "project" ? target.slug : target.machine
  const part = target.kind === "project" ? "slug" : "machine"
  const place = name !== undefined && customDomain === undefined ? part : "domain"
  if (place === "slug" && `${name}`.length > grammar.maxSlugLength) {
    return tooLong("slug", `${name}`.length, grammar.maxSlugLength)
  }
  const selector = service ?? port
  const separator = selector === undefined || name === undefined ? "" : service === undefined ? grammar.separator : "--"
  const label = `${selector ?? ""}${separator}${name ?? ""}`
  if (label.length > MAX_LABEL) {
    return tooLong((service ?? "").length > (name ?? "").length ? "service" : part, label.length, MAX_LABEL)
  }
  const machines = place === "machine" ? `${grammar.machinesLabel}.` : ""
  const hostname = `${label}${label && "."}${machines}${domain}`
  // No label is as long then as what is left for the domain.
  if (hostname.length > MAX_NAME) return tooLong("domain", hostname.length, MAX_NAME)

  // The promise is kept by reading back: whatever is wrong with a part, it then reads as something else.
  const read =
    customDomain === undefined ? parse(grammar, hostname) : parseCustomDomain(grammar, hostname, customDomain)
  if (read._tag === "HostnameMalformed") return read
  const same =
    read._tag === "Target" &&
    read.kind === target.kind &&
    read.port === port &&
    (read.kind === "machine" ? read.machine === name : read.slug === name && read.service === service) &&
    (read.customDomain ?? read.domain) === domain
  return same ? hostname : malformed(hostname, part, `This hostname would not name that ${target.kind}.`)
}

const tooLong = (part: HostnameTooLong["part"], length: number, limit: number): HostnameTooLong => ({
  _tag: "HostnameTooLong",
  part,
  length,
  limit,
  reason: `${length} octets are too long, ${limit} are allowed; the longest part is the ${part}.`,
})
