import type { Grammar } from "./grammar.ts"
import { malformed, type HostnameForeign, type HostnameMalformed } from "./outcome.ts"
import { parse } from "./parse.ts"
import type { ProjectTarget } from "./target.ts"

/** A valid e-mail address at a project. */
export interface Mailbox {
  readonly _tag: "Mailbox"
  /** As sent, 1 to 64 bytes: the project decides whether its case matters (RFC 5321 §2.4). */
  readonly localPart: string
  /** The project, without port and service. */
  readonly target: ProjectTarget
}

/**
 * The project that an e-mail address belongs to: `anything@misha.iterate.app`. The same three outcomes as `parse`.
 *
 * Accepts the dot-string form of RFC 5321 §4.1.2 in ASCII, with a local part of at most 64 bytes. Quoted local parts,
 * SMTPUTF8, comments and angle brackets are malformed, and so are a port, a service, a machine, a `:port` and a root
 * dot after the `@`: mail is for a project as a whole. Never throws.
 */
export const parseEmail = (grammar: Grammar, address: string): Mailbox | HostnameForeign | HostnameMalformed => {
  // Bounded before the search: 64 for the local part, the `@`, 253 for the name (RFC 5321 §4.5.3.1).
  const [, localPart = "", host = ""] = ADDRESS.exec(address.slice(0, 319)) ?? []
  if (localPart === "" || address.length > 318) {
    return malformed(
      address,
      "authority",
      "An e-mail address has a local part of 1 to 64 characters, @ and a hostname.",
    )
  }
  const target = parse(grammar, host)
  if (target._tag !== "Target") return { ...target, host: address.slice(0, 260) }
  if (target.kind === "machine" || target.port !== undefined || target.service !== undefined) {
    return malformed(
      address,
      target.kind === "machine" ? "machine" : "port",
      "Mail is for a project as a whole: without port, service and machine.",
    )
  }
  return { _tag: "Mailbox", localPart, target }
}

/**
 * RFC 5322 §3.2.3 `atext` with single inner dots, `@`, then no `:port` and no root dot (an IP literal may contain
 * colons).
 */
const ADDRESS = /^(?!\.)((?:[\w!#$%&'*+/=?^`{|}~-]|\.(?![.@])){1,64})@(\[.*|[^:]*[^.:])$/
