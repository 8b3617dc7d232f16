import { defineGrammar } from "@project-ingress/hostname"

/** A record that a zone needs. */
export interface MailDnsRecord {
  readonly type: "AAAA" | "MX" | "TXT"
  readonly name: string
  readonly value: string
  readonly priority?: number
  /** Whether Cloudflare's proxy is on. */
  readonly proxied?: boolean
}

/** The records of a platform whose projects have pages and mail, and what not to do. */
export interface MailDnsPlan {
  readonly records: readonly MailDnsRecord[]
  readonly notes: readonly string[]
}

const MX = ["route1", "route2", "route3"] as const

/**
 * What DNS of Cloudflare needs so that `misha.iterate.app` has pages by a Worker and mail by Email Routing, for every project at
 * once. `domains` are those of the grammar, one or more. Writes nothing.
 *
 * @throws {GrammarInvalid} for a domain that no grammar can have
 */
export const mailDnsPlan = ([domain, ...others]: readonly string[]): MailDnsPlan => ({
  records: defineGrammar({ domains: [domain!, ...others] }).domains.flatMap((domain) => [
    // 100::/64 is the discard prefix (RFC 6666): a proxied name needs an address, and the Worker's route responds before it.
    { type: "AAAA", name: `*.${domain}`, value: "100::", proxied: true } as const,
    ...[`*.${domain}`, domain].flatMap((name) =>
      MX.map(
        (host, at) => ({ type: "MX", name, value: `${host}.mx.cloudflare.net`, priority: 10 * (at + 1) }) as const,
      ),
    ),
    { type: "TXT", name: domain, value: "v=spf1 include:_spf.mx.cloudflare.net ~all" } as const,
  ]),
  notes: [
    "One MX at the wildcard serves every project. Never add one for a single project: a name with a record of its own is no longer covered by the wildcard, and the project's pages and those below it are gone (RFC 4592).",
    "The wildcard must not be a CNAME: a CNAME admits no MX beside it (RFC 1034 §3.6.2).",
    "Cloudflare takes 30 mail domains a zone; the wildcard and the catch-all rule of the apex need one. That the catch-all takes mail of subdomains is not documented: send one mail to a project before you promise it.",
    "Set the catch-all rule of the zone to the Worker with emailHandler. A message has at most 25 MiB.",
  ],
})

/** The plan as text, one record a line. */
export const formatMailDnsPlan = ({ records, notes }: MailDnsPlan): string => {
  const lines = records.map(({ type, name, value, priority, proxied }) =>
    [
      name.padEnd(28),
      type.padEnd(5),
      priority ?? "",
      type === "TXT" ? JSON.stringify(value) : value,
      proxied ? "proxied" : "",
    ]
      .filter((part) => part !== "")
      .join(" "),
  )
  return `${[...lines, "", ...notes.map((note) => `- ${note}`)].join("\n")}\n`
}
