import { mergeOverrides } from "../documents/merge-overrides.ts"
import type { EntryPoint } from "./entry-points.ts"
import type { TraefikCompose, TraefikOptions } from "./options.ts"

/** A text as compose reads it: a `$` begins a variable. */
export const composeText = (text: string): string => text.replaceAll("$", "$$$$")

/** The stack's compose file: Traefik, and the user's own services as they are. */
export const composeDocument = (
  compose: TraefikCompose,
  used: readonly EntryPoint[],
  staticText: string,
  options: TraefikOptions,
): unknown => {
  const { services = {}, network = "bridge", image = `traefik:v${options.version ?? "3.6"}` } = compose
  const ports = [...new Set(used.map(publishedPort))]
  const dockerproxy = Object.hasOwn(services, "dockerproxy") ? services["dockerproxy"] : undefined
  const hasHealth = typeof dockerproxy === "object" && dockerproxy !== null && Object.hasOwn(dockerproxy, "healthcheck")
  const needsSocket = options.docker !== undefined && (options.docker.endpoint ?? "unix:").startsWith("unix:")
  const document = {
    services: {
      ...services,
      traefik: {
        image: composeText(image),
        restart: "unless-stopped",
        ...(network === "host" ? { network_mode: "host" } : { ports }),
        volumes: [
          "./traefik:/etc/traefik:ro",
          ...(options.acme === undefined ? [] : ["acme:/acme"]),
          ...(needsSocket ? ["/var/run/docker.sock:/var/run/docker.sock:ro"] : []),
        ],
        // Compose does not look into mounted files: without this a changed static configuration would start nothing.
        labels: { "project-ingress.static": contentHash(staticText) },
        // A container that is to be replaced says so with this file, and is then unhealthy while it still serves.
        healthcheck: {
          test: ["CMD-SHELL", "test ! -f /tmp/drain && traefik healthcheck"],
          interval: "5s",
          timeout: "3s",
          retries: 2,
          start_period: "5s",
        },
        stop_grace_period: "30s",
        ...(dockerproxy === undefined
          ? {}
          : { depends_on: { dockerproxy: { condition: hasHealth ? "service_healthy" : "service_started" } } }),
      },
    },
    ...(options.acme === undefined ? {} : { volumes: { acme: {} } }),
  }
  return mergeOverrides(document, options.overrides?.compose, options.overrides?.lists)
}

const publishedPort = ({ port, address, transport }: EntryPoint): string => {
  const container = /(\d+)(?:\/udp)?$/.exec(address)![1]
  return `${port}:${container}${transport === "udp" ? "/udp" : ""}`
}

/** FNV-1a, 64 bits: it must differ when the content does, and protects nothing. */
const contentHash = (text: string): string => {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash.toString(16).padStart(16, "0")
}
