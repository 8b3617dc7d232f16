import { mergeOverrides } from "../documents/merge-overrides.ts"
import type { EntryPoint } from "./entry-points.ts"
import { entryPointAt } from "./entry-points.ts"
import { PING_ADDRESS } from "./options.ts"
import type { TraefikAcme, TraefikOptions } from "./options.ts"

/** Those of the rules, and those of HTTP that are always there: fewer changes need a start. By port. */
export const allEntryPoints = (used: readonly EntryPoint[], options: TraefikOptions): readonly EntryPoint[] => {
  const always = [80, 443, ...(options.ports ?? [])].map((port) => entryPointAt(port, "tcp", options))
  const all = new Map([...always, ...used].map((each) => [each.name, each]))
  return [...all.values()].toSorted((a, b) => a.port - b.port || (a.transport < b.transport ? -1 : 1))
}

/** The static configuration: what Traefik reads once, when it starts. */
export const staticDocument = (entryPoints: readonly EntryPoint[], options: TraefikOptions): unknown => {
  const { acme, api, docker, overrides } = options
  const reusePort = options.compose?.network === "host" ? { reusePort: true } : {}
  const document = {
    global: { checkNewVersion: false, sendAnonymousUsage: false },
    entryPoints: {
      ...Object.fromEntries(entryPoints.map((each) => [each.name, { ...entryPoint(each, options), ...reusePort }])),
      ping: { address: PING_ADDRESS, ...reusePort },
      ...(api === undefined ? {} : { traefik: { address: api, ...reusePort } }),
    },
    ping: { entryPoint: "ping" },
    // The entry point `traefik` is the API's alone, and `insecure` says that no password is asked for there.
    ...(api === undefined ? {} : { api: { insecure: true, dashboard: false } }),
    ...(acme === undefined
      ? {}
      : { certificatesResolvers: { [acme.resolver ?? "letsencrypt"]: { acme: resolver(acme) } } }),
    providers: {
      ...(docker === undefined
        ? {}
        : {
            docker: {
              endpoint: docker.endpoint ?? "unix:///var/run/docker.sock",
              exposedByDefault: false,
              ...(docker.network === undefined ? {} : { network: docker.network }),
            },
          }),
      // A folder: a file that is mounted alone is not seen again after a rename.
      file: { directory: "/etc/traefik/dynamic", watch: true },
    },
  }
  return mergeOverrides(document, overrides?.static, overrides?.lists)
}

const entryPoint = ({ address, transport }: EntryPoint, { trustedIps }: TraefikOptions): object => {
  if (transport === "udp") return { address }
  const { forwardedHeaders = [], proxyProtocol = [] } = trustedIps ?? {}
  return {
    address,
    ...(forwardedHeaders.length === 0 ? {} : { forwardedHeaders: { trustedIPs: forwardedHeaders } }),
    ...(proxyProtocol.length === 0 ? {} : { proxyProtocol: { trustedIPs: proxyProtocol } }),
  }
}

const resolver = ({ email, challenge, storage = "/acme/acme.json", caServer }: TraefikAcme): object => ({
  email,
  storage,
  ...(caServer === undefined ? {} : { caServer }),
  ...(challenge === "http" ? { httpChallenge: { entryPoint: "web" } } : {}),
  ...(challenge === "tls" ? { tlsChallenge: {} } : {}),
  ...(typeof challenge === "object" ? { dnsChallenge: { provider: challenge.dns } } : {}),
})
