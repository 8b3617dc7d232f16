import { isDomain, isPort, isServiceName, joined, LABEL, MAX_LABEL, NAME, PORT } from "./lexical.ts"

/** What {@link defineGrammar} accepts. Names are lower-case. */
export interface GrammarOptions {
  /**
   * The domains whose subdomains are targets, without root dot: the first is canonical, the rest are aliases. A single
   * label (`localhost`) is fine. A domain may lie under another only where the label below the outer one is `reserved`.
   */
  readonly domains: readonly [canonical: string, ...aliases: string[]]
  /** The port that needs no mention in a URL, 1 to 65535. Default 3000. */
  readonly defaultPort?: number
  /**
   * How every machine id begins. Ends with `_`, which no slug can hold, so that an id and a slug are never confused.
   * At most 32 characters. Default `mach_`.
   */
  readonly machinePrefix?: string
  /** The label that machines stand under. No project can have it as slug. Default `machines`. */
  readonly machinesLabel?: string
  /** Ports by service name. Several names may share a port; the first is used when a URL is built from the port. */
  readonly services?: Readonly<Record<string, number>>
  /** Labels that belong to the caller's own app, together with everything below them: never a project in any form. */
  readonly reserved?: readonly string[]
  /** What `format` writes between port and name; `parse` takes both. Default `__`. */
  readonly separator?: "__" | "--"
  /** In octets, 1 to 63. Beyond 56 a slug leaves no room for `65535__`. Default 50. */
  readonly maxSlugLength?: number
}

/** A checked grammar: frozen data, safe to share. Make it with {@link defineGrammar}. */
export interface Grammar extends Required<GrammarOptions> {
  /** Derived by {@link defineGrammar} for this package; not a part to rely on. */
  readonly lookup: {
    /** Longest first: the innermost domain wins. */
    readonly domains: readonly string[]
    readonly reserved: ReadonlySet<string>
    readonly ports: ReadonlyMap<string, number>
  }
}

/** A programmer's error in {@link GrammarOptions}, thrown at start-up. */
export class GrammarInvalid extends Error {
  readonly _tag = "GrammarInvalid"
  override readonly name = "GrammarInvalid"
  /** The option that is wrong. */
  readonly field: keyof GrammarOptions
  /** What the option accepts. */
  readonly accepted: string

  constructor({ field, value }: { readonly field: keyof GrammarOptions; readonly value: unknown }) {
    const [, accepted] = rules[field]
    super(`${field} accepts ${accepted}, not ${JSON.stringify(value)}`)
    this.field = field
    this.accepted = accepted
  }
}

/**
 * Checks the options once, so that `parse` need not.
 *
 * @throws {GrammarInvalid} naming the field and what it accepts
 */
export const defineGrammar = (options: GrammarOptions): Grammar => {
  const checked: Checked = { ...defaults, ...options }
  for (const field of Object.keys(rules) as (keyof Checked)[]) {
    const value = checked[field]
    if (!fits(field, value, checked)) throw new GrammarInvalid({ field, value })
  }
  const { services, reserved, machinesLabel } = checked
  // Copied: the caller's arrays may change later.
  const domains = [...checked.domains] as const
  return Object.freeze({
    ...checked,
    domains: Object.freeze(domains),
    services: Object.freeze({ ...services }),
    reserved: Object.freeze([...reserved]),
    lookup: Object.freeze({
      domains: domains.toSorted((a, b) => b.length - a.length),
      reserved: new Set([...reserved, machinesLabel]),
      ports: new Map(Object.entries(services)),
    }),
  })
}

/** The grammar's domain that `name` is, or is under. Whole labels only: `xiterate.app` is not under `iterate.app`. */
export const domainOf = (grammar: Grammar, name: string): string | undefined => {
  for (const domain of grammar.lookup.domains) if (isUnder(name, domain)) return domain
  return undefined
}

export const isUnder = (name: string, domain: string): boolean => {
  const before = name.length - domain.length - 1
  return name.endsWith(domain) && (before === -1 || name.charCodeAt(before) === 46)
}

const defaults = {
  defaultPort: 3000,
  machinePrefix: "mach_",
  machinesLabel: "machines",
  services: {},
  reserved: [],
  separator: "__",
  maxSlugLength: 50,
} as const

type Checked = Required<GrammarOptions>
type Rules = {
  readonly [Field in keyof Checked]: readonly [
    fits: (value: Checked[Field], options: Checked) => boolean,
    accepted: string,
  ]
}

const fits = <Field extends keyof Checked>(field: Field, value: Checked[Field], options: Checked): boolean =>
  rules[field][0](value, options)

const rules: Rules = {
  domains: [
    (domains, { machinesLabel, reserved }) =>
      domains.length > 0 &&
      domains.every(
        (domain, index) =>
          isDomain(domain) &&
          domains.indexOf(domain) === index &&
          // Without `reserved`, `preview.iterate.app` would be both a project of `iterate.app` and a domain.
          domain.split(".").every((label, at, labels) => {
            const isNested = domains.includes(labels.slice(at + 1).join("."))
            return !isNested || (label !== machinesLabel && reserved.includes(label))
          }),
      ),
    "distinct lower-case domains, nested only below reserved labels",
  ],
  defaultPort: [isPort, PORT],
  machinePrefix: [
    (prefix) => /^[a-z](?:[a-z\d]|_(?!_)){0,30}_$/.test(prefix),
    "lower-case letters, digits and single inner _, then _",
  ],
  machinesLabel: [isServiceName, NAME],
  services: [
    (services) => Object.entries(services).every(([name, port]) => isServiceName(name) && isPort(port)),
    `${NAME}, with ${PORT}`,
  ],
  reserved: [
    // One leading underscore is allowed: `_dmarc`, `_acme-challenge` (RFC 8552).
    (reserved, { machinePrefix }) =>
      reserved.every(
        (name) =>
          name.length <= MAX_LABEL &&
          joined(name, name.startsWith("_") ? 1 : 0, 95) > 0 &&
          !name.startsWith(machinePrefix),
      ),
    `${LABEL}, no machine id`,
  ],
  separator: [(separator) => ["__", "--"].includes(separator), "__ or --"],
  maxSlugLength: [(length) => isPort(length) && length <= MAX_LABEL, "an integer from 1 to 63"],
}
