import { hopHeaderNames } from "@project-ingress/forward"
import type { VerificationKey } from "@project-ingress/forward"
import { defaultLimits } from "@project-ingress/forward/sockets"
import type { Limits } from "@project-ingress/forward/sockets"
import { parseKeys, readKeyFile } from "./keys.ts"
import type { KeysResult } from "./keys.ts"
import { isLoopback } from "./loopback.ts"
import type { LogLevel } from "./log.ts"
import type { MachineProxyOptions } from "./machine-proxy.ts"
import type { PortRange } from "./ports.ts"

/** What the command needs to run. */
export interface Config {
  /** The address to listen on. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly log: LogLevel
  /** How long a stop waits for requests at hand, in ms. */
  readonly drainMs: number
  /** Where the keys came from, to be read again. */
  readonly keysFile?: string
  /** Written to once connections are taken; see `notifyReady`. */
  readonly readyFd?: number
  readonly proxy: MachineProxyOptions & { readonly keys: readonly VerificationKey[] | "insecure" }
}

/** What was read: a configuration, or every problem at once. Warnings come with either. */
export type ConfigResult =
  | { readonly config: Config; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[]; readonly warnings: readonly string[] }

type Environment = Readonly<Record<string, string | undefined>>

interface LimitVariable {
  readonly limit: keyof Limits
  readonly what: string
  readonly from: number
  readonly to: number
}

/** The limits that an operator may need. Defaults are the engine's; their reasons stand at each field of `Limits`. */
const limitVariables = {
  INGRESS_MAX_CONNECTIONS: {
    limit: "maxConnections",
    what: "connections open at once",
    from: 1,
    to: 1_000_000,
  },
  // Never 0: a client that never finishes its head would hold a connection for ever.
  INGRESS_HEADERS_TIMEOUT_MS: {
    limit: "headersTimeoutMs",
    what: "ms until the end of a request's head",
    from: 100,
    to: 600_000,
  },
  INGRESS_KEEP_ALIVE_MS: {
    limit: "keepAliveTimeoutMs",
    what: "ms between two requests of a connection",
    from: 100,
    to: 3_600_000,
  },
  INGRESS_BODY_IDLE_MS: {
    limit: "bodyIdleTimeoutMs",
    what: "ms without an octet of a request's body",
    from: 100,
    to: 3_600_000,
  },
  INGRESS_UPSTREAM_HEADERS_TIMEOUT_MS: {
    limit: "upstreamHeadersTimeoutMs",
    what: "ms until an app's answer begins, 0 for ever",
    from: 0,
    to: 3_600_000,
  },
} as const satisfies Readonly<Record<string, LimitVariable>>

type LimitName = keyof typeof limitVariables
const limitEntries = Object.entries(limitVariables) as readonly (readonly [LimitName, LimitVariable])[]

/** Every variable with what it accepts, in the order of `--help`. */
export const variables = {
  HOST: "an IP address or hostname to listen on; default 0.0.0.0",
  PORT: "a port to listen on, 0 to 65535, 0 for any; default 8080",
  INGRESS_MACHINE: "this machine's id, 1 to 255 visible ASCII characters; required",
  INGRESS_TICKET_KEYS: 'JSON Web Keys, {"keys":[…]} or […]; this or the next is required without --insecure',
  INGRESS_TICKET_KEYS_FILE: "the path of a file of such keys, read again on SIGHUP",
  INGRESS_ALLOW_PORTS: "ports and ranges, 1 to 65535, as in 3000,4000-4999; default all",
  INGRESS_DENY_PORTS: "ports and ranges, 1 to 65535, as in 22,6000-6063, which win over the allowed; default 22,25",
  INGRESS_HOST_POLICY: "localhost or preserve, what apps see as Host; default localhost",
  INGRESS_DEFAULT_PORT: "the port of a target without one, 1 to 65535; default 3000",
  INGRESS_LOOPBACK: "the one loopback address apps listen on, 127.x.y.z or ::1; default 127.0.0.1 and ::1",
  INGRESS_HEADER_PREFIX:
    'what the hop\'s headers begin with, 1 to 64 of a-z, 0-9 and inner "-"; default x-iterate-proxy',
  INGRESS_LOG: "access, errors or off; default access",
  INGRESS_DRAIN_MS: "ms that a stop waits for requests at hand, 0 to 600000; default 10000",
  INGRESS_READY_FD: "an open file descriptor for a newline once connections are taken, 3 to 65535; default none",
  ...(Object.fromEntries(
    limitEntries.map(([name, { limit, what, from, to }]) => [
      name,
      `${what}, ${from} to ${to}; default ${defaultLimits[limit]}`,
    ]),
  ) as Readonly<Record<LimitName, string>>),
} as const

type Variable = keyof typeof variables

// Set for the apps inside a machine by `machineEnvironment` of `@project-ingress/hostname`; shared with this process.
const FOR_APPS = new Set(["INGRESS_BASE_URL", "INGRESS_DOMAIN", "INGRESS_PORT_URL"])

/**
 * Reads the environment. A variable that is set must be right: an empty or misspelt one is a problem, because a proxy that
 * silently falls back to a default opens what somebody meant to close. No problem shows a key.
 */
export const readConfig = (environment: Environment, flags: { readonly insecure: boolean }): ConfigResult => {
  const problems: string[] = []
  const warnings = Object.keys(environment)
    .filter((name) => name.startsWith("INGRESS_") && !(name in variables) && !FOR_APPS.has(name))
    .map((name) => `${JSON.stringify(name.slice(0, 64))} is not a variable of this command and is ignored`)

  const complain = (name: Variable, value: string): undefined => {
    problems.push(`${name}: ${JSON.stringify(value.slice(0, 64))} is not accepted; expected ${variables[name]}`)
  }
  const read = <A>(name: Variable, parse: (value: string) => A | undefined): A | undefined => {
    const value = environment[name]
    if (value === undefined) return undefined
    const parsed = parse(value)
    return parsed === undefined ? complain(name, value) : parsed
  }

  const host = read("HOST", (value) => (/^[A-Za-z0-9.:_%-]{1,253}$/.test(value) ? value : undefined))
  const port = read("PORT", integer(0, 65_535))
  const machine = read("INGRESS_MACHINE", (value) => (/^[!-~]{1,255}$/.test(value) ? value : undefined))
  if (environment["INGRESS_MACHINE"] === undefined) {
    problems.push(`INGRESS_MACHINE: is not set; expected ${variables.INGRESS_MACHINE}`)
  }
  const keys = readKeys(environment, flags.insecure, problems)
  const allow = read("INGRESS_ALLOW_PORTS", portRanges)
  const deny = read("INGRESS_DENY_PORTS", portRanges)
  const policy = read("INGRESS_HOST_POLICY", oneOf("localhost", "preserve"))
  const defaultPort = read("INGRESS_DEFAULT_PORT", integer(1, 65_535))
  const loopback = read("INGRESS_LOOPBACK", (value) => (isLoopback(value) ? value : undefined))
  const names = read("INGRESS_HEADER_PREFIX", (value) => {
    try {
      return hopHeaderNames(value)
    } catch {
      return undefined
    }
  })
  const log = read("INGRESS_LOG", oneOf("access", "errors", "off"))
  const drainMs = read("INGRESS_DRAIN_MS", integer(0, 600_000))
  const readyFd = read("INGRESS_READY_FD", integer(3, 65_535))
  const limits: { -readonly [Name in keyof Limits]?: Limits[Name] } = {}
  for (const [name, { limit, from, to }] of limitEntries) {
    const value = read(name, integer(from, to))
    if (value !== undefined) limits[limit] = value
  }

  if (problems.length > 0 || machine === undefined || keys === undefined) return { problems, warnings }
  return {
    warnings,
    config: {
      host: host ?? "0.0.0.0",
      port: port ?? 8080,
      log: log ?? "access",
      drainMs: drainMs ?? 10_000,
      ...(environment["INGRESS_TICKET_KEYS_FILE"] === undefined
        ? {}
        : { keysFile: environment["INGRESS_TICKET_KEYS_FILE"] }),
      ...(readyFd === undefined ? {} : { readyFd }),
      proxy: {
        machine,
        keys,
        ports: { ...(allow === undefined ? {} : { allow }), ...(deny === undefined ? {} : { deny }) },
        ...(policy === undefined ? {} : { host: policy }),
        ...(defaultPort === undefined ? {} : { defaultPort }),
        ...(loopback === undefined ? {} : { loopback }),
        ...(names === undefined ? {} : { headerNames: names }),
        ...(Object.keys(limits).length === 0 ? {} : { limits }),
      },
    },
  }
}

/** Keys come from one place: of two, one would be forgotten at the next rotation. */
const readKeys = (
  environment: Environment,
  insecure: boolean,
  problems: string[],
): Config["proxy"]["keys"] | undefined => {
  const inline = environment["INGRESS_TICKET_KEYS"]
  const file = environment["INGRESS_TICKET_KEYS_FILE"]
  const complain = (name: Variable, what: string): undefined => {
    problems.push(`${name}: ${what}; expected ${variables[name]}`)
  }
  if (insecure) {
    for (const name of ["INGRESS_TICKET_KEYS", "INGRESS_TICKET_KEYS_FILE"] as const) {
      if (environment[name] !== undefined)
        problems.push(`${name}: is set together with --insecure; expected one of them`)
    }
    return "insecure"
  }
  if (inline !== undefined && file !== undefined) {
    problems.push("INGRESS_TICKET_KEYS_FILE: is set together with INGRESS_TICKET_KEYS; expected one of them")
    return undefined
  }
  if (inline === undefined && file === undefined) return complain("INGRESS_TICKET_KEYS", "is not set")
  const name = file === undefined ? "INGRESS_TICKET_KEYS" : "INGRESS_TICKET_KEYS_FILE"
  const read: KeysResult = file === undefined ? parseKeys(inline!) : readKeyFile(file)
  if ("keys" in read) return read.keys
  return complain(name, file === undefined ? read.problem : `${JSON.stringify(file.slice(0, 256))} ${read.problem}`)
}

const integer = (from: number, to: number) => (value: string) => {
  if (!/^(?:0|[1-9][0-9]{0,8})$/.test(value)) return undefined
  const number = Number(value)
  return number >= from && number <= to ? number : undefined
}

const oneOf =
  <A extends string>(...accepted: readonly A[]) =>
  (value: string): A | undefined =>
    accepted.find((candidate) => candidate === value)

const port = integer(1, 65_535)

const portRanges = (value: string): readonly PortRange[] | undefined => {
  const ranges: PortRange[] = []
  for (const part of value.split(",")) {
    const [first, last, ...rest] = part.trim().split("-")
    const from = port(first ?? "")
    const to = last === undefined ? from : port(last)
    if (rest.length > 0 || from === undefined || to === undefined || from > to) return undefined
    ranges.push(last === undefined ? from : [from, to])
  }
  return ranges
}
