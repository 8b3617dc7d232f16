import { certificateNames, format, type Grammar } from "@project-ingress/hostname"
import { accept, checkOptions } from "@project-ingress/router/internal"
import { ConfigInvalid } from "./config-invalid.ts"
import { decodeConfig } from "./decode-config.ts"
import type { ServicesConfig } from "./services-config.ts"

/** What a plan depends on beside the grammar. */
export interface ServicePlanOptions {
  /** Whether the grammar's domains are on the Public Suffix List. */
  readonly publicSuffix: boolean
}

/** How a hostname is written: `opencode--misha.iterate.app` or `opencode.misha.iterate.app`. */
export type SiteShape = "flat" | "nested"

/** Under which names a project's services are reached, and what these names mean to browsers and certificates. */
export interface ServicePlan {
  readonly project: string
  readonly publicSuffix: boolean
  /** By name. */
  readonly services: readonly PlannedService[]
  readonly shapes: readonly PlannedShape[]
  /** Every certificate name that `services` need, each once. */
  readonly certificates: readonly string[]
}

/** One service and its hostnames. */
export interface PlannedService {
  readonly name: string
  readonly port: number
  /** Absent: as the project says. */
  readonly visibility?: "public" | "private"
  readonly hostnames: readonly PlannedHostname[]
}

/** One hostname of a service. */
export interface PlannedHostname {
  readonly hostname: string
  readonly shape: SiteShape
  /** The name of the certificate that covers it. */
  readonly certificate: string
  /**
   * What a browser takes for its site. Where the domain is not on the list, all of its names are one site: the domain, or one above it.
   */
  readonly site: string
}

/** What the services of a project share in one shape, between each other and with other tenants. */
export interface PlannedShape {
  readonly shape: SiteShape
  /** Whether a session with one service, without `SameSite=None`, is sent with another's requests to it. */
  readonly sharesSessions: boolean
  /** The `Domain` that makes a cookie one of all services of the project. `undefined`: there is no such cookie. */
  readonly cookieDomain: string | undefined
  /** Whether services of other projects are other sites. */
  readonly isApart: boolean
}

/**
 * The plan of a project's services, under every domain of the grammar.
 *
 * @throws {ConfigInvalid} if the configuration is not valid, or a service and the project are too long for one label
 */
export const servicePlan = (
  grammar: Grammar,
  project: string,
  config: ServicesConfig,
  options: ServicePlanOptions,
): ServicePlan => {
  checkOptions("servicePlan", options, { publicSuffix: accept.boolean }, { required: ["publicSuffix"] })
  const { publicSuffix } = options
  const names = certificateNames(grammar, [project])
  const services = Object.entries(decodeConfig(config).services).map(([name, { port, visibility }]) => ({
    name,
    port,
    ...(visibility === undefined ? {} : { visibility }),
    hostnames: grammar.domains.flatMap((domain) =>
      (["flat", "nested"] as const).map((shape) => {
        const hostname = hostnameOf(grammar, { project, service: name, domain, shape })
        const parent = hostname.slice(hostname.indexOf(".") + 1)
        return {
          hostname,
          shape,
          certificate: names.find((each) => each === `*.${parent}`)!,
          site: siteOf(hostname, domain, publicSuffix),
        }
      }),
    ),
  }))
  const [domain] = grammar.domains
  return {
    project,
    publicSuffix,
    services,
    // The table of docs/sites.md, which a browser made.
    shapes: [
      { shape: "flat", sharesSessions: !publicSuffix, cookieDomain: undefined, isApart: publicSuffix },
      { shape: "nested", sharesSessions: true, cookieDomain: `${project}.${domain}`, isApart: publicSuffix },
    ],
    certificates: [...new Set(services.flatMap(({ hostnames }) => hostnames.map(({ certificate }) => certificate)))],
  }
}

/** @throws {ConfigInvalid} */
const hostnameOf = (
  grammar: Grammar,
  {
    project,
    service,
    domain,
    shape,
  }: { readonly project: string; readonly service: string; readonly domain: string; readonly shape: SiteShape },
): string => {
  const written = { ...grammar, separator: shape === "flat" ? "--" : "." } as const
  const hostname = format(written, { kind: "project", slug: project, service, domain })
  if (typeof hostname === "string") return hostname
  throw new ConfigInvalid({
    problems: [{ field: `services.${service}`, accepted: `part of a hostname of ${project}: ${hostname.reason}` }],
  })
}

/** The public suffix and one label before it. */
const siteOf = (hostname: string, domain: string, publicSuffix: boolean): string => {
  if (!publicSuffix) return domain
  const [label] = hostname
    .slice(0, -domain.length - 1)
    .split(".")
    .toReversed()
  return `${label}.${domain}`
}
