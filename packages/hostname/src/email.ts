import type { Grammar } from "./grammar.ts"
import { malformed, type HostnameForeign, type HostnameMalformed } from "./outcome.ts"
import { parse } from "./parse.ts"
import type { ProjectTarget } from "./target.ts"

/** An e-mail address at a project. */
export interface Mailbox {
  readonly _tag: "Mailbox"
  /** As sent, at most 64 octets: whether its case matters is for the project to say (RFC 5321 §2.4). */
  readonly localPart: string
  readonly target: ProjectTarget
}

/**
 * The project that an address is for: `anything@misha.iterate.app`. The same three outcomes as `parse`.
 *
 * Takes the dot-string form of RFC 5321 §4.1.2 in ASCII, local part at most 64 octets. Quoted local parts, SMTPUTF8,
 * comments and angle brackets are malformed, and so are a port, a service, a machine, a `:port` and a root dot behind
 * the `@`: mail goes to a project. Never throws.
 */
export const parseEmail = (grammar: Grammar, address: string): Mailbox | HostnameForeign | HostnameMalformed => {
  // Bounded before the search: 64 for the local part, the `@`, 253 for the name (RFC 5321 §4.5.3.1).
  const [, localPart = "", host = ""] = ADDRESS.exec(address.slice(0, 319)) ?? []
  if (localPart === "" || address.length > 318) {
    return malformed(address, "authority", "An e-mail address is a dot-string of at most 64 octets, @ and a hostname.")
  }
  const target = parse(grammar, host)
  if (target._tag !== "Target") return { ...target, host: address.slice(0, 260) }
  if (target.kind === "machine" || target.port !== undefined || target.service !== undefined) {
    return malformed(address, target.kind === "machine" ? "machine" : "port", "Mail goes to a project as a whole.")
  }
  return { _tag: "Mailbox", localPart, target }
}

/** RFC 5322 §3.2.3 `atext` with single inner dots, `@`, then no `:port` and no root dot (an IP literal may hold colons). */
const ADDRESS = /^(?!\.)((?:[\w!#$%&'*+/=?^`{|}~-]|\.(?![.@])){1,64})@(\[.*|[^:]*[^.:])$/
