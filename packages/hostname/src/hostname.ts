/**
 * The hostname grammar of project-ingress: `4096__misha.iterate.app` is port 4096 of the machine that project `misha`
 * is attached to. This package alone defines it, for router, machines, dashboards and certificates.
 *
 * Pure and synchronous, without dependencies, for any JavaScript runtime. A host is untrusted input: `parse` never
 * throws and returns one of three plain values, distinguished by `_tag`. The rules are those of RFC 1035 and 1123
 * (names), RFC 3986 §3.2 (authority) and RFC 9110 §7.2 (`Host`); where they leave a choice, ambiguous input is refused.
 *
 * Further entries: `./email` (`parseEmail`), `./environment` (`machineEnvironment`) and, for Effect, `./schema`.
 *
 * @module
 */
export { candidates, isPlatformName, type Candidate, type CandidatesOptions } from "./candidates.ts"
export { certificateNames } from "./certificates.ts"
export { format, type HostnameTooLong } from "./format.ts"
export { defineGrammar, GrammarInvalid, type Grammar, type GrammarOptions } from "./grammar.ts"
export type { HostnameForeign, HostnameMalformed, HostnamePart } from "./outcome.ts"
export { parse, parseCustomDomain } from "./parse.ts"
export {
  portOf,
  routeKey,
  type CustomDomainTarget,
  type MachineTarget,
  type ProjectTarget,
  type RouteKey,
  type Target,
  type TargetInput,
} from "./target.ts"
export { url, type UrlOptions } from "./url.ts"
