import { IngressInvalid } from "../resource/errors.ts"
import { decodeIngress } from "../resource/decode-ingress.ts"
import type { DeclaredRule, IngressMatch, IngressRule } from "../resource/ingress.ts"
import { isIPv4, isIPv6 } from "./ip-address.ts"
import type { IngressRow } from "./project-schema.ts"

/** What is wrong with a row: its key, and a sentence that follows the key. */
export interface RowProblem {
  readonly path: readonly (string | number)[]
  readonly sentence: string
}

/** The rules of a row, one for each hostname, or all that is wrong with it. `host`: where its target is. */
export const rowRules = async (
  row: IngressRow,
  host: string,
): Promise<{ readonly rules: readonly DeclaredRule[]; readonly problems: readonly RowProblem[] }> => {
  const problems = [...inertFields(row), ...sourceProblems(row.allow_source_ips)]
  const kind = kindOf(row)
  if (typeof kind !== "string") problems.push(kind)
  if (problems.length > 0 || typeof kind !== "string") return { rules: [], problems }
  const names = hostnames(row)
  const rules: DeclaredRule[] = []
  for (const name of names.length === 0 ? [undefined] : names) {
    try {
      const { rules: declared } = await decodeIngress({ name: "row", rules: [ruleOf(row, kind, host, name?.hostname)] })
      rules.push(...declared)
    } catch (cause) {
      if (!(cause instanceof IngressInvalid)) throw cause
      problems.push(inTermsOfRow(cause, name?.path))
    }
  }
  return { rules, problems }
}

type Kind = "http" | "tcp" | "udp"

/** Passthrough and UDP say what a row is, also where `router` is left out. */
const kindOf = ({ router, protocol, passthrough }: IngressRow): Kind | RowProblem => {
  if (protocol === "udp") {
    if (router !== undefined && router !== "udp") return { path: ["router"], sentence: "must be udp where protocol is" }
    return "udp"
  }
  if (router === "udp") {
    if (protocol === "tcp") return { path: ["protocol"], sentence: "must be udp where router is" }
    return "udp"
  }
  return passthrough === true ? "tcp" : (router ?? "http")
}

/** Fields that the first users of this format could write, and that never did anything. */
const inertFields = ({ path_remove, dns }: IngressRow): RowProblem[] => [
  ...(path_remove === true ? [{ path: ["path_remove"], sentence: "must be absent: it removes nothing" }] : []),
  ...(dns !== undefined
    ? [{ path: ["dns"], sentence: "must be absent: it has no effect here, write dns into docker-compose.yml" }]
    : []),
]

const sourceProblems = (sources: readonly string[] | undefined): RowProblem[] => {
  if (sources?.length === 0) return [{ path: ["allow_source_ips"], sentence: "must not be empty when configured" }]
  return (sources ?? []).flatMap((source, at) =>
    isSource(source)
      ? []
      : [
          {
            path: ["allow_source_ips", at],
            sentence: `must be a valid IP or CIDR: ${source.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 64)}`,
          },
        ],
  )
}

const isSource = (source: string): boolean => {
  const [address = "", bits, ...more] = source.split("/")
  const width = isIPv4(address) ? 32 : isIPv6(address) ? 128 : undefined
  if (width === undefined || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width)
}

const hostnames = ({
  domain,
  tls,
}: IngressRow): readonly { readonly hostname: string; readonly path: readonly (string | number)[] }[] => {
  const all = [
    ...(domain !== undefined ? [{ hostname: domain, path: ["domain"] }] : []),
    ...(tls ? [{ hostname: tls.main, path: ["tls", "main"] }] : []),
    ...(tls?.sans ?? []).map((hostname, at) => ({ hostname, path: ["tls", "sans", at] })),
  ]
  const seen = new Set<string>()
  return all.filter(({ hostname }) => {
    const name = hostname.toLowerCase()
    return !seen.has(name) && seen.add(name)
  })
}

/** A row as a rule. What does not go together is found by the decoder of ingresses, so nothing is left out here because of its kind. */
const ruleOf = (row: IngressRow, kind: Kind, host: string, hostname: string | undefined): IngressRule => {
  const { hostport, path_prefix, passthrough, proxyprotocol, allow_source_ips } = row
  const isTls =
    kind === "http" ||
    (kind === "tcp" && passthrough !== true && hostname !== undefined) ||
    (kind === "udp" && !!row.tls)
  // Without a name nothing but the port tells one connection from another.
  const port = hostport ?? (kind === "tcp" && hostname !== undefined ? 443 : undefined)
  const match: IngressMatch = {
    protocol: kind,
    ...(hostname === undefined ? {} : { hostname }),
    ...(port === undefined ? {} : { port }),
    ...(path_prefix !== undefined ? { path: path_prefix } : {}),
  }
  const authority = `${host.includes(":") ? `[${host}]` : host}:${row.port ?? 8080}`
  return {
    match,
    target: { url: `${kind}://${authority}` },
    ...(isTls ? { tls: true } : {}),
    ...(kind === "http" && hostport === undefined ? { redirectHttp: true } : {}),
    ...(passthrough === true ? { passthrough } : {}),
    ...(proxyprotocol ? { proxyProtocol: proxyprotocol } : {}),
    ...(allow_source_ips ? { allowCidrs: allow_source_ips.map(withBits) } : {}),
  }
}

const withBits = (source: string): string =>
  source.includes("/") ? source : `${source}/${source.includes(":") ? 128 : 32}`

/** Which field of a row the field of a rule was made of. */
const fields: readonly (readonly [field: string, key: string])[] = [
  ["match.path", "path_prefix"],
  ["match.port", "hostport"],
  ["target", "service"],
  ["allowCidrs", "allow_source_ips"],
  ["proxyProtocol", "proxyprotocol"],
  ["passthrough", "passthrough"],
  ["tls", "tls"],
]

const inTermsOfRow = (
  { field, accepted }: IngressInvalid,
  name: readonly (string | number)[] | undefined,
): RowProblem => {
  const own = field.replace(/^rules\.0\./, "")
  if (own === "match.hostname") return { path: name ?? ["domain"], sentence: `must be ${accepted}` }
  const key = fields.find(([each]) => own === each || own.startsWith(`${each}.`))?.[1]
  return { path: key === undefined ? [] : [key], sentence: `must be ${accepted.replaceAll("match.", "")}` }
}
