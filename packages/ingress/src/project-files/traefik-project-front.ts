import { mergeOverrides } from "../documents/merge-overrides.ts"
import type { ExportProblem } from "../fronts/front.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { exportTraefik } from "../traefik/export-traefik.ts"
import { traefikLabels } from "../traefik/labels.ts"
import type { TraefikOptions } from "../traefik/options.ts"
import type { ProjectFront, ProjectFrontOptions } from "./project-front.ts"
import { traefikDashboard } from "./traefik-dashboard.ts"

/** The files of the stack, in itsUP's layout: `proxy/docker-compose.yml`, `proxy/traefik/…`, and labels in the projects' compose files. */
export const traefikProjectFront: ProjectFront = {
  isProxy: true,
  overrides: "traefik.yml",
  variables: { LETSENCRYPT_EMAIL: "public", TRAEFIK_ADMIN: "secret" },
  requires: ["traefikDomain"],
  export: (input, options) => {
    const { settings, overrides = {}, variables, labelled = [] } = options
    // Nothing is written without it: see `requires`.
    if (settings === undefined) return { files: [], problems: [] }
    const shared = sharedOptions(options)
    const dashboard = traefikDashboard(settings.traefikDomain, variables["TRAEFIK_ADMIN"]!, shared)
    const { files, problems } = exportTraefik(input, {
      ...shared,
      labelled: [...labelled, dashboard.ingress],
      documents: { dashboard: dashboard.document },
      // itsUP's policy: maps are merged, lists replaced.
      overrides: {
        static: mergeOverrides({ api: { dashboard: true } }, overrides, REPLACED) as typeof overrides,
        compose: inProxynet,
        lists: REPLACED,
      },
      compose: { services: { dockerproxy: dockerproxy(settings.versions?.["dockerproxy"] ?? "0.3.0") } },
    })
    return {
      files: files.map((file) => ({
        ...file,
        path: `proxy/${file.path}`,
        ...(file.path === "traefik/dynamic/_dashboard.yml" ? { mode: 0o600 } : {}),
      })),
      problems: [...problems, ...dashboardTaken(input.ingresses, settings.traefikDomain)],
    }
  },
  labels: (project, services, options) => {
    const rules = services.flatMap(({ service, rules, labelled }) => {
      const inLabels = new Set(labelled)
      return (
        rules
          // HTTP on a port of its own is in a file; TCP and UDP only enable the container.
          .filter((rule) => rule.match.protocol !== "http" || inLabels.has(rule))
          .map((rule) => ({ service, port: rule.targets[0]!.port!, rule }))
      )
    })
    const empty = { services: Object.fromEntries(services.map(({ service }) => [service, {}])) }
    const { compose, problems } = traefikLabels(project, empty, rules, sharedOptions(options))
    const made = compose["services"] as Readonly<Record<string, { readonly labels?: readonly string[] }>>
    const taken = rules.filter(({ rule }) => isAt(rule, options.settings?.traefikDomain))
    return {
      labels: new Map(services.map(({ service }) => [service, made[service]?.labels ?? []])),
      problems: [
        ...problems.map(({ kind, field, reason }) => {
          const [, at, rest = ""] = /^rules\.(\d+)\.?(.*)$/.exec(field)!
          return { kind, rule: rules[Number(at)]!.rule, field: rest, reason }
        }),
        ...taken.map(({ rule }) => ({ kind: "unsupported" as const, rule, field: "", reason: TAKEN })),
      ],
    }
  },
}

const REPLACED = { "**": "replace" } as const

const sharedOptions = ({ settings, variables }: ProjectFrontOptions): TraefikOptions => {
  const version = settings?.versions?.["traefik"]?.replace(/^v/, "")
  return {
    ...(version === undefined ? {} : { version }),
    listen: { 80: ":8080", 443: ":8443" },
    acme: { email: variables["LETSENCRYPT_EMAIL"]!, challenge: "http" },
    docker: { endpoint: "tcp://dockerproxy:2375", network: "proxynet" },
  }
}

/** Traefik is in both networks: the socket's proxy is not reached from the projects'. */
const inProxynet = {
  services: { traefik: { networks: ["default", "proxynet"] } },
  networks: { proxynet: { external: true } },
}

/** Shows Traefik the list of containers, and nothing else of Docker. */
const dockerproxy = (version: string): object => ({
  image: `tecnativa/docker-socket-proxy:${version}`,
  restart: "unless-stopped",
  environment: { CONTAINERS: "1" },
  volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"],
})

const TAKEN = "must have another hostname: traefikDomain is that of Traefik's own dashboard"

const isAt = (rule: DeclaredRule, domain: string | undefined): boolean =>
  rule.match.protocol !== "udp" && rule.match.hostname?.wildcard === domain && [80, 443].includes(matchPort(rule))

const dashboardTaken = (ingresses: readonly DeclaredIngress[], domain: string): readonly ExportProblem[] =>
  ingresses.flatMap(({ name, rules }) =>
    rules.flatMap((rule, at) =>
      isAt(rule, domain) ? [{ kind: "unsupported" as const, ingress: name, field: `rules.${at}`, reason: TAKEN }] : [],
    ),
  )
