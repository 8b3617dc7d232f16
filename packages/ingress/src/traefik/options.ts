import { accept, checkOptions, cidrMatcher } from "@project-ingress/router/internal"
import type { OptionCheck } from "@project-ingress/router/internal"
import type { ListPolicies } from "../documents/merge-overrides.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"

/** What `exportTraefik` accepts. */
export interface TraefikOptions {
  /** The version that reads the files, 3.0 and later: `"3.7"`. Default `"3.6"`. */
  readonly version?: string
  /** Where Traefik listens for a port that visitors connect to: `{ 80: ":8080", 443: ":8443" }`. Default `:<port>`. */
  readonly listen?: Readonly<Record<number, string>>
  /** Ports of TCP that are listened on though no rule has them: those of labels, or of rules to come. Default none but 80 and 443. */
  readonly ports?: readonly number[]
  /** Certificates from an authority that speaks ACME. Absent: the certificates are in `documents`, or Traefik's default one. */
  readonly acme?: TraefikAcme
  /** Proxies in front of Traefik whose word about a visitor's address counts. Default: nobody's. */
  readonly trustedIps?: {
    /** Networks whose `X-Forwarded-*` are kept. `allowCidrs` then goes by the last address in it that is not theirs. */
    readonly forwardedHeaders?: readonly string[]
    /** Networks that begin connections with the PROXY protocol. */
    readonly proxyProtocol?: readonly string[]
  }
  /** Reads labels of containers, too. Absent: files only. */
  readonly docker?: {
    /** `tcp://dockerproxy:2375`. Default: the socket, `unix:///var/run/docker.sock`. */
    readonly endpoint?: string
    /** The network on which containers are dialled. */
    readonly network?: string
  }
  /**
   * Where Traefik's API listens, `127.0.0.1:8081`, without a password: it shows every rule, also the values of required header fields.
   * `traefikFront` can ask it what is running. Default: there is no API.
   */
  readonly api?: string
  /** How targets that speak https are verified. Default: by the system's authorities, for the name or address dialled. */
  readonly upstreamTls?: {
    readonly serverName?: string
    /** Files of authorities, where Traefik sees them. */
    readonly rootCas?: readonly string[]
    /** True: anybody who answers at the address is taken for the target. Default false. */
    readonly insecureSkipVerify?: boolean
  }
  /**
   * Ingresses whose rules are said in labels of containers, and not here: their hostnames are theirs, too, and what no rule of them takes is
   * not left to a wider pattern.
   */
  readonly labelled?: readonly DeclaredIngress[]
  /** Your own dynamic configuration by name: middlewares for entry points, certificates. Written as `traefik/dynamic/_<name>.yml`. */
  readonly documents?: Readonly<Record<string, unknown>>
  /** Your changes of the static configuration and of the stack's compose file. */
  readonly overrides?: {
    readonly static?: Readonly<Record<string, unknown>>
    readonly compose?: Readonly<Record<string, unknown>>
    /** What becomes of lists, by path; without a policy a list that both have is an error. */
    readonly lists?: ListPolicies
  }
  /** Writes the stack's `docker-compose.yml`, too. */
  readonly compose?: TraefikCompose
}

/** How certificates are ordered. */
export interface TraefikAcme {
  readonly email: string
  /** `http`: port 80 must be reachable. A DNS provider by its name in Traefik: wildcards, too; its secrets are environment variables of Traefik. */
  readonly challenge: "http" | "tls" | { readonly dns: string }
  /** The resolver's name. Default `letsencrypt`. */
  readonly resolver?: string
  /** Where Traefik keeps keys and certificates. Default `/acme/acme.json`. */
  readonly storage?: string
  /** Another authority, or the staging one. */
  readonly caServer?: string
  /** Certificates that cover several hostnames: what one of them covers orders none of its own. */
  readonly certificates?: readonly { readonly main: string; readonly sans?: readonly string[] }[]
}

/** The stack's compose file. */
export interface TraefikCompose {
  /** Default `traefik:v<version>`. */
  readonly image?: string
  /** `host`: Traefik shares the host's network, and can be replaced without a gap. Default `bridge`: ports are published. */
  readonly network?: "bridge" | "host"
  /** Your own services, which pass as they are: `dockerproxy`, `dns`, `crowdsec`. */
  readonly services?: Readonly<Record<string, unknown>>
}

/** Where health is asked for. */
export const PING_ADDRESS = "127.0.0.1:8082"

const cidrs: OptionCheck = (value) => {
  const accepted = "an array of networks: 10.0.0.0/8"
  if (!Array.isArray(value) || !value.every((each) => typeof each === "string")) return accepted
  try {
    cidrMatcher("trustedIps", value)
    return undefined
  } catch {
    return accepted
  }
}

const text =
  (pattern: RegExp, accepted: string): OptionCheck =>
  (value) =>
    typeof value === "string" && pattern.test(value) ? undefined : accepted

const ADDRESS = /^(?:[\d.]+|\[[\da-fA-F:]+\])?:(\d{1,5})$/
const address = text(ADDRESS, "an address: :8080, 127.0.0.1:8080")
const names: OptionCheck = (value) =>
  accept.object(value) ??
  (Object.keys(value as object).every((name) => /^[a-z\d][a-z\d-]{0,62}$/.test(name))
    ? undefined
    : "an object whose names are of a-z, 0-9 and -")
const strings: OptionCheck = (value) =>
  Array.isArray(value) && value.every((each) => typeof each === "string" && each !== "")
    ? undefined
    : "an array of texts"

const listen: OptionCheck = (value) => {
  const accepted = 'an object of addresses by port: { 80: ":8080" }'
  if (accept.object(value) !== undefined) return accepted
  const isGood = Object.entries(value as object).every(([port, each]) => isPort(port) && address(each) === undefined)
  return isGood ? undefined : accepted
}
const isPort = (port: string): boolean => /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535

/** Checks the options of `exportTraefik`, and of `traefikFront` which has more. @throws {TypeError} */
export const checkTraefikOptions = (owner: string, options: TraefikOptions): void => {
  checkOptions(owner, options, {
    version: text(/^3\.\d{1,3}(?:\.\d+)?$/, 'a version from "3.0" up'),
    listen,
    ports: (value) =>
      Array.isArray(value) && value.every((port) => isPort(String(port))) ? undefined : "an array of ports",
    acme: accept.object,
    trustedIps: accept.object,
    docker: accept.object,
    api: address,
    upstreamTls: accept.object,
    labelled: (value) => (Array.isArray(value) ? undefined : "an array of ingresses"),
    documents: names,
    overrides: accept.object,
    compose: accept.object,
  })
  const { acme, trustedIps, docker, upstreamTls, overrides, compose } = options
  if (acme !== undefined) checkAcme(owner, acme)
  if (trustedIps !== undefined) {
    checkOptions(owner, trustedIps, { forwardedHeaders: cidrs, proxyProtocol: cidrs }, { at: "trustedIps" })
  }
  if (docker !== undefined)
    checkOptions(owner, docker, { endpoint: accept.string, network: accept.string }, { at: "docker" })
  if (upstreamTls !== undefined) {
    const checks = { serverName: accept.string, rootCas: strings, insecureSkipVerify: accept.boolean }
    checkOptions(owner, upstreamTls, checks, { at: "upstreamTls" })
  }
  if (overrides !== undefined) {
    const checks = { static: accept.object, compose: accept.object, lists: accept.object }
    checkOptions(owner, overrides, checks, { at: "overrides" })
    if (overrides.compose !== undefined && compose === undefined) {
      throw new TypeError(`${owner}: overrides.compose must be absent without compose`)
    }
  }
  if (compose === undefined) return
  const checks = {
    image: accept.string,
    network: text(/^(?:bridge|host)$/, "bridge or host"),
    services: (value: unknown) =>
      accept.object(value) ?? (Object.hasOwn(value as object, "traefik") ? "an object without traefik" : undefined),
  }
  checkOptions(owner, compose, checks, { at: "compose" })
  // On the host's network no name of a container is resolved.
  const host = /^tcp:\/\/([^:/]+)/.exec(docker?.endpoint ?? "")?.[1]
  if (compose.network === "host" && host !== undefined && Object.hasOwn(compose.services ?? {}, host)) {
    throw new TypeError(`${owner}: docker.endpoint must be a published address with compose.network host`)
  }
}

const checkAcme = (owner: string, acme: TraefikAcme): void => {
  const checks = {
    email: text(/^[^\s@${}]+@[^\s@${}]+$/, "an address of mail, no placeholder"),
    challenge: (value: unknown) => {
      const dns = accept.object(value) === undefined ? (value as { readonly dns?: unknown }).dns : undefined
      const isGood = value === "http" || value === "tls" || (typeof dns === "string" && /^[a-z\d-]+$/.test(dns))
      return isGood ? undefined : "http, tls or { dns } with the name of a provider"
    },
    resolver: text(/^[\w-]+$/, "a name of letters, digits, - and _"),
    storage: accept.string,
    caServer: accept.string,
    certificates: (value: unknown) =>
      Array.isArray(value) && value.every((each) => accept.object(each) === undefined)
        ? undefined
        : "an array of objects",
  }
  checkOptions(owner, acme, checks, { required: ["email", "challenge"], at: "acme" })
  const hostname = text(/^(?:\*\.)?(?:[a-z\d_](?:[a-z\d_-]*[a-z\d])?\.)+[a-z][a-z\d-]*$/, "a hostname, or *. and one")
  for (const [at, certificate] of (acme.certificates ?? []).entries()) {
    const sans: OptionCheck = (value) =>
      Array.isArray(value) && value.every((each) => hostname(each) === undefined) ? undefined : "an array of hostnames"
    checkOptions(owner, certificate, { main: hostname, sans }, { required: ["main"], at: `acme.certificates[${at}]` })
    const all = [certificate.main, ...(certificate.sans ?? [])]
    if (acme.challenge === "http" || acme.challenge === "tls") {
      if (all.some((name) => name.startsWith("*."))) {
        throw new TypeError(`${owner}: acme.challenge must be { dns }, the only one for wildcards`)
      }
    }
  }
}
