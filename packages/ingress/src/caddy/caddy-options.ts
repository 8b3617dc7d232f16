import { accept, checkOptions } from "@project-ingress/router/internal"
import { isHostAddress } from "./literals.ts"

/** What the exporters for Caddy accept. Defaults are Caddy's own. */
export interface CaddyOptions {
  /** The IP address that servers listen on, IPv6 without brackets. Default: all. */
  readonly listenAddress?: string
  /**
   * Listening port to the port that visitors connect to, where Caddy stands behind a balancer: `{ 8080: 80, 8443: 443 }`. A rule names
   * the visitors' port. Default: they are the same.
   */
  readonly publicPorts?: Readonly<Record<number, number>>
  /**
   * The admin API: `localhost:2019`, or `unix//run/caddy/admin.sock`, which has to have `origins` in Caddy 2.6. Default: Caddy's. A
   * running Caddy keeps its own.
   */
  readonly admin?: { readonly listen: string; readonly origins?: readonly string[] }
  /** The folder of certificates and keys. Default: Caddy's. */
  readonly storage?: string
  /** Where targets of kind `capture` are looked up: the internal DNS responder, `127.0.0.1:5353`. Default: the system's resolver. */
  readonly resolver?: string
  /** How rules with `tls` get certificates. Absent: such rules are refused. */
  readonly certificates?: CaddyCertificates
  /** How long WebSockets go on after a change of the configuration, in ms, 1 to 86 400 000. Needs Caddy 2.7: 2.6 refuses it. Default: 2.6 ends them. */
  readonly streamCloseDelayMs?: number
}

/** How Caddy gets certificates. */
export interface CaddyCertificates {
  /** `internal`: Caddy's own authority, which browsers do not know. */
  readonly issuer: AcmeIssuer | "internal"
  /**
   * The URL that Caddy asks, with `?domain=NAME`, before it orders a certificate at the first visit: of `askHandler`. Absent: patterns that
   * no certificate can be ordered for in advance are refused.
   */
  readonly ask?: string
}

/** An authority that speaks ACME. */
export interface AcmeIssuer {
  /** Where the authority writes to when a certificate is about to expire. */
  readonly email: string
  /** Its directory. Default: Caddy's, which is Let's Encrypt. */
  readonly directory?: string
  /**
   * Proves names by DNS records, which wildcards need. Caddy must have been built with `github.com/caddy-dns/cloudflare`.
   * `tokenVariable` is the environment variable of Caddy's process that has the token, default `CLOUDFLARE_API_TOKEN`.
   */
  readonly dns?: { readonly provider: "cloudflare"; readonly tokenVariable?: string }
}

/** @throws {TypeError} for an option that is invalid */
export const checkCaddyOptions = (owner: string, options: CaddyOptions): void => {
  checkOptions(owner, options, {
    listenAddress: (value) => (isIpAddress(value) ? undefined : "an IP address, IPv6 without brackets"),
    publicPorts: isPorts,
    admin: accept.object,
    storage: literal("a path"),
    resolver: (value) => (isAuthority(value) ? undefined : "host:port"),
    certificates: accept.object,
    streamCloseDelayMs: accept.integer(1, 86_400_000),
  })
  const { admin, certificates } = options
  if (admin !== undefined) {
    const fields = { listen: literal("an address"), origins: accept.array(literal("an origin")) }
    checkOptions(owner, admin, fields, { at: "admin", required: ["listen"] })
  }
  if (certificates === undefined) return
  const { issuer } = certificates
  const checks = { issuer: (value: unknown) => (value === "internal" ? undefined : accept.object(value)), ask: isUrl }
  checkOptions(owner, certificates, checks, { at: "certificates", required: ["issuer"] })
  if (issuer === "internal") return
  const fields = { email: isEmail, directory: isUrl, dns: accept.object }
  checkOptions(owner, issuer, fields, { at: "certificates.issuer", required: ["email"] })
  if (issuer.dns === undefined) return
  const dnsFields = { provider: accept.oneOf("cloudflare"), tokenVariable: isVariable }
  checkOptions(owner, issuer.dns, dnsFields, { at: "certificates.issuer.dns", required: ["provider"] })
}

/** Braces would be Caddy's placeholders. */
const literal =
  (what: string) =>
  (value: unknown): string | undefined =>
    typeof value === "string" && /^[^\p{Cc}{}"`\\]{1,1024}$/u.test(value)
      ? undefined
      : `${what} without braces, quotes, backslashes and control characters`

const isIpAddress = (value: unknown): boolean =>
  typeof value === "string" && isHostAddress(value) && (value.includes(":") || /^[\d.]+$/.test(value))

const isAuthority = (value: unknown): boolean => {
  const parts = typeof value === "string" ? /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value) : null
  return parts !== null && isHostAddress(parts[1] ?? parts[2] ?? "") && isPort(Number(parts[3]))
}

const isPort = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= 65_535

const isPorts = (value: unknown): string | undefined => {
  const accepted = "an object of listening ports with the ports of visitors, each once: { 8080: 80 }"
  if (typeof value !== "object" || value === null || Array.isArray(value)) return accepted
  const ports = Object.entries(value)
  const isValid = ports.every(([from, to]) => isPort(Number(from)) && isPort(to))
  return isValid && new Set(ports.map(([, to]) => to)).size === ports.length ? undefined : accepted
}

const isUrl = (value: unknown): string | undefined =>
  typeof value === "string" && /^https?:\/\/[^\s{}"`\\\p{Cc}]{1,1024}$/u.test(value) && URL.canParse(value)
    ? undefined
    : "an http or https URL without braces"

const isEmail = (value: unknown): string | undefined =>
  typeof value === "string" && /^[^\s{}"`\\\p{Cc}@]{1,64}@[a-zA-Z\d.-]{1,253}$/u.test(value)
    ? undefined
    : "an e-mail address"

const isVariable = (value: unknown): string | undefined =>
  typeof value === "string" && /^[A-Za-z_][A-Za-z\d_]{0,127}$/.test(value)
    ? undefined
    : "the name of an environment variable"
