import { defaultLimits } from "@project-ingress/forward/sockets"
import type { Limits } from "@project-ingress/forward/sockets"

interface LimitVariable {
  readonly limit: keyof Limits
  readonly what: string
  readonly from: number
  readonly to: number
}

/** The limits that an operator may need to change. Defaults are the engine's; `Limits` has the reason for each. */
const limitVariables = {
  INGRESS_MAX_CONNECTIONS: {
    limit: "maxConnections",
    what: "open connections from clients",
    from: 1,
    to: 1_000_000,
  },
  // Never 0, no time-out: a client that never finishes its request's head would occupy a connection forever.
  INGRESS_HEADERS_TIMEOUT_MS: {
    limit: "headersTimeoutMs",
    what: "ms from a request's first byte to the end of its headers",
    from: 100,
    to: 600_000,
  },
  INGRESS_KEEP_ALIVE_MS: {
    limit: "keepAliveTimeoutMs",
    what: "ms that a connection may be idle between two requests",
    from: 100,
    to: 3_600_000,
  },
  INGRESS_BODY_IDLE_MS: {
    limit: "bodyIdleTimeoutMs",
    what: "ms without a byte of a request's body",
    from: 100,
    to: 3_600_000,
  },
  INGRESS_MIN_BODY_RATE: {
    limit: "minBodyRate",
    what: "bytes a second that a request's body must have after 5 s, 0 for none, which leaves it to the router",
    from: 0,
    to: 1_000_000,
  },
  INGRESS_UPSTREAM_HEADERS_TIMEOUT_MS: {
    limit: "upstreamHeadersTimeoutMs",
    what: "ms until an app's response headers, 0 disables the time-out",
    from: 0,
    to: 3_600_000,
  },
  INGRESS_TUNNEL_PING_MS: {
    limit: "tunnelPingMs",
    what: "ms without a byte of a tunnel of TCP or UDP until a ping, 0 for none",
    from: 0,
    to: 3_600_000,
  },
  INGRESS_DATAGRAM_IDLE_MS: {
    limit: "datagramIdleTimeoutMs",
    what: "ms without a datagram until a tunnel of UDP ends, 0 for never",
    from: 0,
    to: 86_400_000,
  },
} as const satisfies Readonly<Record<string, LimitVariable>>

type LimitName = keyof typeof limitVariables

/** The variables that set a limit, with the range of each. */
export const limitEntries = Object.entries(limitVariables) as readonly (readonly [LimitName, LimitVariable])[]

/** Every environment variable with what it accepts, in the order of `--help`. */
export const variables = {
  HOST: "an IP address or hostname to listen on; default 0.0.0.0",
  PORT: "a port to listen on, 0 to 65535, 0 for any free one; default 8080",
  INGRESS_MACHINE: "this machine's id, 1 to 255 visible ASCII characters; required",
  INGRESS_TICKET_KEYS: 'JSON Web Keys, {"keys":[…]} or […]; this or the next is required without --insecure',
  INGRESS_TICKET_KEYS_FILE: "the path of a file of such keys, read again on SIGHUP",
  INGRESS_TLS_KEY_FILE:
    "the path of a PEM file with a private key, made if there is none: speaks TLS only, by that key; default plain HTTP",
  INGRESS_RELAY_URL:
    "the URL of a relay to dial out to, as wss://relay.example.com, without the machine's id; ws:// for private addresses; default none",
  INGRESS_ALLOW_PORTS: "ports and ranges, 1 to 65535, as in 3000,4000-4999; default all",
  INGRESS_DENY_PORTS:
    "ports and ranges, 1 to 65535, as in 22,6000-6063, which take precedence over the allowed; default 22,25",
  INGRESS_HOST_POLICY:
    "localhost or preserve, what apps see as Host where the router has not decided it; default localhost",
  INGRESS_DEFAULT_PORT: "the port of a target without one, 1 to 65535; default 3000",
  INGRESS_LOOPBACK: "the one loopback address that apps listen on, 127.x.y.z or ::1; default 127.0.0.1 and ::1",
  INGRESS_HEADER_PREFIX:
    'the prefix of the headers between router and machine, 1 to 64 of a-z, 0-9 and inner "-"; default x-iterate-proxy',
  INGRESS_ERROR_DOCS:
    "the URL of the pages about error codes, http or https, with {code} in it; default this project's own",
  INGRESS_LOG: "access, errors or off; default access",
  INGRESS_DRAIN_MS: "drain time-out in ms, for in-flight requests at a stop, 0 to 600000; default 10000",
  INGRESS_DRAIN_GRACE_MS:
    "ms of that in which a stop keeps listening, for load balancers to find out, 0 to 600000; default 7000, at most 70 %",
  INGRESS_READY_FD:
    "an open file descriptor that gets a newline when the proxy accepts connections, 3 to 65535; default none",
  ...(Object.fromEntries(
    limitEntries.map(([name, { limit, what, from, to }]) => [
      name,
      `${what}, ${from} to ${to}; default ${defaultLimits[limit]}`,
    ]),
  ) as Readonly<Record<LimitName, string>>),
} as const

/** The name of an environment variable. */
export type Variable = keyof typeof variables

/**
 * Variables that are not the command's but share its prefix: `machineEnvironment` of `@project-ingress/hostname` sets
 * them for the apps of a machine.
 */
export const appVariables: ReadonlySet<string> = new Set(["INGRESS_BASE_URL", "INGRESS_DOMAIN", "INGRESS_PORT_URL"])
