import type { DeclaredIngress, Ingress } from "../resource/ingress.ts"
import { sha256Hex } from "../resource/sha256.ts"
import type { ExposedRecord } from "../storage/ingress-storage.ts"

/** A name that is exposed. */
export interface Exposed {
  /** The full name. */
  readonly name: string
  readonly type: "A" | "AAAA"
  /** Where the name leads by DNS: the proxy's address, or the target's where there is no route. */
  readonly content: string
  readonly owner?: string
  /** In ms since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  /** Absent: DNS only. */
  readonly route?: ExposedRoute
  /** The name of the certificate that covers it, so that none is ordered: `*.internal.example.com`. */
  readonly certificate?: string
}

/** Where the proxy sends the requests for a name. */
export interface ExposedRoute {
  /** The id of the ingress. */
  readonly ingress: string
  /** An IP address. */
  readonly target: string
  readonly port: number
  readonly protocol: "http" | "https"
  /** In ms since 1970. */
  readonly createdAt: number
}

/** What is exposed, by what is stored. */
export const exposedOf = (
  { id, type, content, owner, createdAt, updatedAt }: ExposedRecord,
  ingress: DeclaredIngress | undefined,
  certificate: string | undefined,
): Exposed => {
  const route = ingress === undefined ? undefined : routeOf(ingress)
  return {
    name: id,
    type: type as Exposed["type"],
    content,
    ...(owner === undefined ? {} : { owner }),
    createdAt,
    updatedAt,
    ...(route === undefined ? {} : { route }),
    ...(certificate === undefined ? {} : { certificate }),
  }
}

const routeOf = ({ id, createdAt, rules }: DeclaredIngress): ExposedRoute | undefined => {
  const target = rules[0]?.targets[0]
  if (target?.kind !== "url") return undefined
  const { host, port, protocol } = target
  return { ingress: id, target: host, port, protocol: protocol === "https" ? "https" : "http", createdAt }
}

/** The ingress of a name: one rule, which leads to one address. */
export const ingressOf = (
  name: string,
  hostname: string,
  { target, port, protocol }: Pick<ExposedRoute, "target" | "port" | "protocol">,
  tls: boolean,
): Ingress => ({
  name,
  rules: [
    {
      match: { hostname },
      target: { url: `${protocol}://${target.includes(":") ? `[${target}]` : target}:${port}` },
      ...(tls ? { tls, redirectHttp: true } : {}),
    },
  ],
})

const PREFIX = "expose-"

/** The name of a hostname's ingress: no two hostnames have the same, so `a-b.x` and `a.b.x` do not either. */
export const ingressName = async (hostname: string): Promise<string> => {
  return `${PREFIX}${hostname.split(".")[0]!.slice(0, 40)}-${(await sha256Hex(hostname)).slice(0, 12)}`
}

/** The hostname that an ingress was made here for; `undefined`: it was made by somebody else. */
export const hostnameOf = async ({ name, rules }: DeclaredIngress): Promise<string | undefined> => {
  const hostname = rules.length === 1 ? rules[0]!.match.hostname?.text : undefined
  if (!name.startsWith(PREFIX) || hostname === undefined) return undefined
  return (await ingressName(hostname)) === name ? hostname : undefined
}
