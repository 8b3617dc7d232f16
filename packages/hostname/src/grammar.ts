import { isDomain, isPort, isServiceName, LABEL, labelClass, MAX_LABEL, NAME, PORT } from "./lexical.ts"
import { describe, unknownOption } from "./options.ts"

/** What {@link defineGrammar} accepts. Names are lower-case. */
export interface GrammarOptions {
  /**
   * The domains whose subdomains are targets, without root dot: the first is canonical, the rest are aliases. A single
   * label (`localhost`) is allowed. A domain may lie under another only where the label below the outer one is
   * `reserved`.
   */
  readonly domains: readonly [canonical: string, ...aliases: string[]]
  /** The port that a URL leaves out, 1 to 65535. Default 3000. */
  readonly defaultPort?: number
  /**
   * How every machine id begins. Ends with `_`, which no slug can contain, so that an id and a slug are never confused.
   * At most 32 characters. Default `mach_`.
   */
  readonly machinePrefix?: string
  /** The label under which machines have their hostnames. No project can have it as slug. Default `machines`. */
  readonly machinesLabel?: string
  /** Ports by service name. Several names may share a port; the first is used when a URL is built from the port. */
  readonly services?: Readonly<Record<string, number>>
  /** Labels that belong to the caller's own app, together with everything below them: never a project in any form. */
  readonly reserved?: readonly string[]
  /**
   * What `format` writes between port and name; `parse` accepts all three. Default `__`, which TLS clients on OpenSSL and Java
   * refuse under a wildcard certificate: choose `--` for a new platform. With `.` each project has a subdomain of its own
   * (`4096.misha.iterate.app`), which cookies can be shared in, and needs a certificate of its own.
   *
   * A service is written before `--` where ports are before `__`. A machine's port is part of the machine's label:
   * `4096__mach_123`, or `4096--mach-123` where this is not `__`.
   */
  readonly separator?: "__" | "--" | "."
  /** In characters, 1 to 63. A slug longer than 56 leaves no room for `65535__`. Default 50. */
  readonly maxSlugLength?: number
}

/** A validated grammar: frozen data, safe to share. Made by {@link defineGrammar}. */
export interface Grammar extends Required<GrammarOptions> {
  /** Derived by {@link defineGrammar} for this package; not part of the public contract. */
  readonly lookup: {
    /** Longest first: the innermost domain wins. */
    readonly domains: readonly string[]
    readonly reserved: ReadonlySet<string>
    readonly ports: ReadonlyMap<string, number>
    /** `machinePrefix` as a hostname without underscores has it: `mach-`. */
    readonly dashedPrefix: string
  }
}

/** An invalid option of {@link defineGrammar}: a programmer's error, thrown at start-up. */
export class GrammarInvalid extends TypeError {
  readonly _tag = "GrammarInvalid"
  override readonly name = "GrammarInvalid"
  /** The name of the option as given, `options` if there is no object at all. */
  readonly field: string
  /** What the option accepts, or the names of all options if this one is unknown. */
  readonly accepted: string

  constructor(options: { readonly field: string; readonly accepted: string; readonly problem: string }) {
    super(`defineGrammar: ${options.problem}`)
    this.field = options.field
    this.accepted = options.accepted
  }
}

/**
 * Validates the options once, so that `parse` need not. An option that is `undefined` is invalid, not absent: a list of
 * reserved names that got lost on its way must not make them projects.
 *
 * ```ts
 * const grammar = defineGrammar({ domains: ["iterate.app"], services: { opencode: 4096 }, reserved: ["www"] })
 * ```
 *
 * @throws {GrammarInvalid} a `TypeError` that names the option, what it accepts and the value; for an unknown option,
 *   the name that was probably meant
 */
export const defineGrammar = (options: GrammarOptions): Grammar => {
  if (typeof options !== "object" || options === null) {
    throw invalid("options", options, "an object with at least domains")
  }
  const unknown = unknownOption(options, fields)
  if (unknown) throw new GrammarInvalid({ field: unknown.name, accepted: fields.join(", "), problem: unknown.problem })
  const given: Validated = { ...defaults, ...options }
  for (const field of fields) {
    const [isValid, accepted] = rules[field]
    if (!isValid(given[field], given)) throw invalid(field, given[field], accepted)
  }
  const { services, reserved, machinesLabel } = given
  // Copied: the caller's arrays may change later.
  const domains = [...given.domains] as const
  return Object.freeze({
    ...given,
    domains: Object.freeze(domains),
    services: Object.freeze({ ...services }),
    reserved: Object.freeze([...reserved]),
    lookup: Object.freeze({
      domains: domains.toSorted((a, b) => b.length - a.length),
      reserved: new Set([...reserved, machinesLabel]),
      ports: new Map(Object.entries(services)),
      dashedPrefix: given.machinePrefix.replaceAll("_", "-"),
    }),
  })
}

/** The grammar's domain that `name` is, or is under. Whole labels only: `xiterate.app` is not under `iterate.app`. */
export const domainOf = (grammar: Grammar, name: string): string | undefined => {
  for (const domain of grammar.lookup.domains) if (isUnder(name, domain)) return domain
  return undefined
}

/** Whether `name` is `domain` or a subdomain of it. */
export const isUnder = (name: string, domain: string): boolean => {
  const before = name.length - domain.length - 1
  return name.endsWith(domain) && (before === -1 || name.charCodeAt(before) === 46)
}

const invalid = (field: string, value: unknown, accepted: string): GrammarInvalid =>
  new GrammarInvalid({ field, accepted, problem: `${field} must be ${accepted}, got ${describe(value)}` })

const defaults = {
  defaultPort: 3000,
  machinePrefix: "mach_",
  machinesLabel: "machines",
  services: {},
  reserved: [],
  separator: "__",
  maxSlugLength: 50,
} as const

type Validated = Required<GrammarOptions>
/** Types are promises of TypeScript alone: every rule begins with what JavaScript may bring. */
type Rule = readonly [isValid: (value: unknown, options: Validated) => boolean, accepted: string]

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((part) => typeof part === "string")

const rules: Readonly<Record<keyof Validated, Rule>> = {
  domains: [
    (domains, { machinesLabel, reserved }) =>
      isStrings(domains) &&
      domains.length > 0 &&
      domains.every(
        (domain, index) =>
          isDomain(domain) &&
          domains.indexOf(domain) === index &&
          // Without `reserved`, `preview.iterate.app` would be both a project of `iterate.app` and a domain.
          domain.split(".").every((label, at, labels) => {
            const isNested = domains.includes(labels.slice(at + 1).join("."))
            return !isNested || (label !== machinesLabel && isStrings(reserved) && reserved.includes(label))
          }),
      ),
    "an array of distinct lower-case domains, nested only below reserved labels",
  ],
  defaultPort: [isPort, PORT],
  machinePrefix: [
    (prefix) => typeof prefix === "string" && /^[a-z](?:[a-z\d]|_(?!_)){0,30}_$/.test(prefix),
    "lower-case letters, digits and single inner _, then _",
  ],
  machinesLabel: [(label) => typeof label === "string" && isServiceName(label), NAME],
  services: [
    (services) =>
      typeof services === "object" &&
      services !== null &&
      Object.entries(services).every(([name, port]) => isServiceName(name) && isPort(port)),
    `an object of names (${NAME}), each with ${PORT}`,
  ],
  reserved: [
    // One leading underscore is allowed: `_dmarc`, `_acme-challenge` (RFC 8552).
    (reserved, { machinePrefix }) =>
      isStrings(reserved) &&
      reserved.every(
        (name) =>
          name.length <= MAX_LABEL &&
          labelClass(name, name.startsWith("_") ? 1 : 0, 95) > 0 &&
          !name.startsWith(machinePrefix),
      ),
    `an array of labels (${LABEL}), no machine id`,
  ],
  separator: [(separator) => ["__", "--", "."].includes(separator as string), '"__", "--" or "."'],
  maxSlugLength: [(length) => isPort(length) && length <= MAX_LABEL, "an integer from 1 to 63"],
}

const fields = Object.keys(rules) as readonly (keyof Validated)[]
