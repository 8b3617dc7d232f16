import { cidrMatcher } from "@project-ingress/forward/internal"
import { defineGrammar } from "@project-ingress/hostname"
import { parseBalancers, parseSigningKey } from "./edge-hops.ts"
import type { EdgeHops } from "./edge-hops.ts"
import { parseGoDuration } from "./go-duration.ts"
import { parseListenAddress } from "./listen-address.ts"
import type { ListenAddress } from "./listen-address.ts"

/** What is logged at least. */
export type LogLevel = "debug" | "info" | "warn" | "error"

/** What the command needs to run. */
export interface EdgeConfig {
  /** `edgeproxy`: as EdgeProxy documents itself. `standard`: as this project's router is elsewhere. */
  readonly mode: "edgeproxy" | "standard"
  readonly listen: ListenAddress
  /** Holds a password: never logged. */
  readonly databaseUrl: string
  /** A UUID in lower case; with another source than `sql` any name. */
  readonly region: string
  /** Where routes are: EdgeProxy's tables, read again and again; this project's registry; or tables with a log of changes. */
  readonly source: "sql" | "registry" | "feed"
  /** How often the source is looked at, in ms. With a source that notifies, for what it did not notify of. */
  readonly intervalMs: number
  /** Where the routes are kept for the next start. Not with the source `sql`. */
  readonly stateFile?: string
  /** The platform's own domains, whose names are projects. Not with the source `sql`. */
  readonly domains?: readonly [string, ...string[]]
  /** How other regions are reached. Absent: as their records say. Mode `standard` only. */
  readonly hops?: EdgeHops
  readonly logLevel: LogLevel
  /** Ranges of addresses that are connected to beside public ones. */
  readonly allowCidrs: readonly string[]
  /** The proxies in front. Absent: nobody said. */
  readonly trustedProxies?: readonly string[]
  /** How long requests may go on after a signal, in ms. */
  readonly drainMs: number
  /** Where certificate servers ask which domains are served. Mode `standard` only. */
  readonly ask?: ListenAddress
  /** A query of domains that redirect. Mode `standard` only. */
  readonly redirectsSql?: string
}

/** Every environment variable with what it accepts, in the order of `--help`. */
export const edgeVariables = {
  EDGEPROXY_HTTP_ADDR: "an address to listen on, as in :8080, 127.0.0.1:8080 or [::1]:8080; default :8080",
  EDGEPROXY_DATABASE_URL: "a URL of Postgres, postgres://user:password@host:5432/database; required",
  EDGEPROXY_REGION_ID:
    "the UUID of the region that this proxy runs in, with another source than sql any name of letters, digits, dots, hyphens and _; required",
  EDGEPROXY_UPDATE_INTERVAL:
    "how often routes are read, a Go duration as in 10s, 1m30s or 500ms, 10ms to 24h, default 10s; with another source than sql to 1m, default 1s",
  EDGEPROXY_LOG_LEVEL: "debug, info, warn or error; anything else is info; default info",
  INGRESS_EDGE_MODE: "edgeproxy, as EdgeProxy's README says, or standard; default edgeproxy",
  INGRESS_EDGE_ALLOW_CIDRS:
    "ranges that machines may be in beside public addresses, as in 10.0.0.0/8,fd00::/8; default all private ones",
  INGRESS_EDGE_TRUSTED_PROXIES: "ranges of the proxies in front, which say who the client is; default none is known",
  INGRESS_EDGE_DRAIN: "how long requests may go on after SIGTERM, a Go duration, 0s to 1h; default 30s",
  INGRESS_EDGE_ASK_ADDR:
    "mode standard: an address to say on which domains may have certificates; default 127.0.0.1:9180",
  INGRESS_EDGE_REDIRECTS_SQL:
    "mode standard, source sql: a query of domain_name, redirect_to and redirect_status_code; default none redirects",
  INGRESS_EDGE_SOURCE: "mode standard: sql, registry or feed, where routes are read; default sql",
  INGRESS_EDGE_STATE: "source registry or feed: a file that keeps the routes for the next start; default none",
  INGRESS_EDGE_DOMAINS:
    "source registry or feed: the platform's own domains, whose names are projects, as in iterate.app; default none",
  INGRESS_EDGE_SIGNING_KEY:
    "mode standard: what --generate-key prints, the same in every region: signs requests to other regions; default none",
  INGRESS_EDGE_BALANCERS:
    "mode standard: where the edges of other regions are reached, as in <region>=https://fra.example.com,<region>=http://10.9.0.5:8080; with INGRESS_EDGE_SIGNING_KEY",
} as const

type Variable = keyof typeof edgeVariables

type Environment = Readonly<Record<string, string | undefined>>

/** Where the private addresses of machines are (RFC 1918, 6598, 4193). Not loopback, and not link-local: credentials of clouds are served there. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]

/** A configuration, or every problem at once: sentences that name the variable, and none of which shows the database's URL. */
export type EdgeConfigResult = { readonly config: EdgeConfig } | { readonly problems: readonly string[] }

/** Reads the environment. Never throws. */
export const readEdgeConfig = (environment: Environment): EdgeConfigResult => {
  const problems: string[] = []
  const refuse = (name: Variable, found: string): void => {
    problems.push(`${name}: ${found}; expected ${edgeVariables[name]}`)
  }
  const read = <A>(name: Variable, parse: (value: string) => A | undefined): A | undefined => {
    // Empty is not set, as in EdgeProxy.
    const value = environment[name] || undefined
    const parsed = value === undefined ? undefined : parse(value)
    const isSecret = name === "INGRESS_EDGE_SIGNING_KEY"
    if (value !== undefined && parsed === undefined)
      refuse(name, isSecret ? "is not accepted" : `${shown(value)} is not accepted`)
    return parsed
  }

  const mode = read("INGRESS_EDGE_MODE", (value) => (value === "edgeproxy" || value === "standard" ? value : undefined))
  const source = read("INGRESS_EDGE_SOURCE", (value) => sources.find((each) => each === value)) ?? "sql"
  const isPolled = source === "sql"
  const regionFrom = isPolled ? uuidOf : regionName
  const listen = read("EDGEPROXY_HTTP_ADDR", parseListenAddress)
  const intervalMs = read("EDGEPROXY_UPDATE_INTERVAL", durationFrom(10, isPolled ? 86_400_000 : 60_000))
  const drainMs = read("INGRESS_EDGE_DRAIN", durationFrom(0, 3_600_000))
  const allowCidrs = read("INGRESS_EDGE_ALLOW_CIDRS", ranges)
  const trustedProxies = read("INGRESS_EDGE_TRUSTED_PROXIES", ranges)
  const ask = read("INGRESS_EDGE_ASK_ADDR", parseListenAddress)
  const redirectsSql = read("INGRESS_EDGE_REDIRECTS_SQL", (value) => value)
  const stateFile = read("INGRESS_EDGE_STATE", (value) => value)
  const domains = read("INGRESS_EDGE_DOMAINS", ownDomains)
  const signingKey = read("INGRESS_EDGE_SIGNING_KEY", parseSigningKey)
  const balancers = read("INGRESS_EDGE_BALANCERS", (value) => parseBalancers(value, regionFrom))

  const databaseUrl = environment["EDGEPROXY_DATABASE_URL"]
  if (!databaseUrl) refuse("EDGEPROXY_DATABASE_URL", "is not set")
  else if (!/^postgres(?:ql)?:\/\//.test(databaseUrl) || !URL.canParse(databaseUrl))
    refuse("EDGEPROXY_DATABASE_URL", "is not accepted")
  const regionId = environment["EDGEPROXY_REGION_ID"]
  const region = regionFrom(regionId ?? "")
  if (region === undefined)
    refuse("EDGEPROXY_REGION_ID", regionId ? `invalid region id: ${shown(regionId)}` : "invalid region id: is not set")
  const unless = (condition: string, given: Partial<Record<Variable, unknown>>): void => {
    for (const [name, value] of Object.entries(given))
      if (value !== undefined) refuse(name as Variable, `is set without ${condition}`)
  }
  if (mode !== "standard")
    unless("INGRESS_EDGE_MODE=standard", {
      INGRESS_EDGE_ASK_ADDR: ask,
      INGRESS_EDGE_REDIRECTS_SQL: redirectsSql,
      INGRESS_EDGE_SOURCE: environment["INGRESS_EDGE_SOURCE"] || undefined,
      INGRESS_EDGE_SIGNING_KEY: signingKey,
      INGRESS_EDGE_BALANCERS: balancers,
    })
  else if (!isPolled) unless("INGRESS_EDGE_SOURCE=sql", { INGRESS_EDGE_REDIRECTS_SQL: redirectsSql })
  if (isPolled)
    unless("INGRESS_EDGE_SOURCE=registry or feed", { INGRESS_EDGE_STATE: stateFile, INGRESS_EDGE_DOMAINS: domains })
  if (!environment["INGRESS_EDGE_BALANCERS"]) unless("INGRESS_EDGE_BALANCERS", { INGRESS_EDGE_SIGNING_KEY: signingKey })
  if (!environment["INGRESS_EDGE_SIGNING_KEY"])
    unless("INGRESS_EDGE_SIGNING_KEY", { INGRESS_EDGE_BALANCERS: balancers })

  if (problems.length > 0 || !databaseUrl || region === undefined) return { problems }
  const config: EdgeConfig = {
    mode: mode ?? "edgeproxy",
    listen: listen ?? { port: 8080 },
    databaseUrl,
    region,
    source,
    intervalMs: intervalMs ?? (isPolled ? 10_000 : 1_000),
    logLevel: levels.find((level) => level === environment["EDGEPROXY_LOG_LEVEL"]?.toLowerCase()) ?? "info",
    allowCidrs: allowCidrs ?? PRIVATE,
    ...(trustedProxies === undefined ? {} : { trustedProxies }),
    drainMs: drainMs ?? 30_000,
  }
  if (mode !== "standard") return { config }
  return {
    config: {
      ...config,
      ask: ask ?? { hostname: "127.0.0.1", port: 9180 },
      ...(redirectsSql === undefined ? {} : { redirectsSql }),
      ...(stateFile === undefined ? {} : { stateFile }),
      ...(domains === undefined ? {} : { domains }),
      ...(signingKey === undefined || balancers === undefined ? {} : { hops: { signingKey, balancers } }),
    },
  }
}

/** In order of what they leave out. */
export const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"]

const sources = ["sql", "registry", "feed"] as const

const regionName = (value: string): string | undefined => (/^[\w.-]{1,64}$/.test(value) ? value : undefined)

const ownDomains = (value: string): EdgeConfig["domains"] => {
  const [first = "", ...others] = value.split(",").map((each) => each.trim())
  const domains = [first, ...others] as const
  try {
    defineGrammar({ domains })
    return domains
  } catch {
    return undefined
  }
}

const shown = (value: string): string => JSON.stringify(value.slice(0, 64))

const durationFrom =
  (from: number, to: number) =>
  (value: string): number | undefined => {
    const ms = parseGoDuration(value)
    return ms !== undefined && ms >= from && ms <= to ? ms : undefined
  }

const ranges = (value: string): readonly string[] | undefined => {
  const found = value.split(",").map((each) => each.trim())
  try {
    cidrMatcher("ranges", found)
    return found
  } catch {
    return undefined
  }
}

/** The forms that `uuid.Parse` of Go takes, in its usual form. */
const uuidOf = (value: string): string | undefined => {
  const text = value.toLowerCase()
  const dashed = /^(?:urn:uuid:|(\{))?([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})(\})?$/.exec(text)
  if (dashed !== null) return (dashed[1] === undefined) === (dashed[3] === undefined) ? dashed[2] : undefined
  return /^[\da-f]{32}$/.test(text) ? text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") : undefined
}
