import { hopHeaderNames } from "@project-ingress/forward"
import type { VerificationKey } from "@project-ingress/forward"
import { validErrorDocs } from "@project-ingress/forward/internal"
import type { Limits } from "@project-ingress/forward/sockets"
import { parseKeys, readKeyFile } from "./keys.ts"
import { isLoopback } from "./loopback.ts"
import type { LogLevel } from "./log.ts"
import type { MachineProxyOptions } from "./options.ts"
import { relayKeysProblem, relayUrl } from "./relay/options.ts"
import { integer, matching, oneOf, portRanges } from "./variable-parsers.ts"
import type { VariableParser } from "./variable-parsers.ts"
import { appVariables, limitEntries, variables } from "./variables.ts"
import type { Variable } from "./variables.ts"

/** What the command needs to run. */
export interface Config {
  /** The IP address or hostname to listen on. */
  readonly host: string
  /** The port to listen on; 0: any free one. */
  readonly port: number
  readonly log: LogLevel
  /** The drain time-out in ms: how long a stop waits for in-flight requests. */
  readonly drainMs: number
  /** How much of it the listener and kept connections stay open, in ms. Default 7 000, at most 70 % of `drainMs`. */
  readonly graceMs?: number
  /** The file that the keys came from, to be read again. */
  readonly keysFile?: string
  /** The file of the key that it speaks TLS by, made if there is none. Default: plain HTTP. */
  readonly tlsKeyFile?: string
  /** The relay that the machine dials out to. Default: none. */
  readonly relayUrl?: string
  /** A file descriptor that is written to once connections are accepted; see `notifyReady`. */
  readonly readyFd?: number
  readonly proxy: MachineProxyOptions & { readonly keys: readonly VerificationKey[] | "insecure" }
}

/** A configuration, or every problem at once; either with warnings. Each is a sentence, and none shows a key. */
export type ConfigResult =
  | { readonly config: Config; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[]; readonly warnings: readonly string[] }

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the environment. A variable that is set must be valid: an empty or misspelt value is a problem, because a proxy
 * that silently falls back to a default opens what somebody meant to close. Never throws.
 */
export const readConfig = (environment: Environment, flags: { readonly insecure: boolean }): ConfigResult => {
  const problems: string[] = []
  const warnings = Object.keys(environment)
    .filter((name) => name.startsWith("INGRESS_") && !(name in variables) && !appVariables.has(name))
    .map((name) => `${JSON.stringify(name.slice(0, 64))} is not a variable of this command and is ignored`)

  const read = <A>(name: Variable, parse: VariableParser<A>): A | undefined => {
    const value = environment[name]
    if (value === undefined) return undefined
    const parsed = parse(value)
    if (parsed === undefined) {
      problems.push(`${name}: ${JSON.stringify(value.slice(0, 64))} is not accepted; expected ${variables[name]}`)
    }
    return parsed
  }

  const host = read("HOST", matching(/^[A-Za-z0-9.:_%-]{1,253}$/))
  const port = read("PORT", integer(0, 65_535))
  const machine = read("INGRESS_MACHINE", matching(/^[!-~]{1,255}$/))
  if (environment["INGRESS_MACHINE"] === undefined) {
    problems.push(`INGRESS_MACHINE: is not set; expected ${variables.INGRESS_MACHINE}`)
  }
  const keys = readKeys(environment, flags.insecure, problems)
  const allow = read("INGRESS_ALLOW_PORTS", portRanges)
  const deny = read("INGRESS_DENY_PORTS", portRanges)
  const hostPolicy = read("INGRESS_HOST_POLICY", oneOf("localhost", "preserve"))
  const defaultPort = read("INGRESS_DEFAULT_PORT", integer(1, 65_535))
  const loopback = read("INGRESS_LOOPBACK", (value) => (isLoopback(value) ? value : undefined))
  const headerNames = read("INGRESS_HEADER_PREFIX", (value) => {
    try {
      return hopHeaderNames(value)
    } catch {
      return undefined
    }
  })
  const errorDocs = read("INGRESS_ERROR_DOCS", (value) => (validErrorDocs(value) === undefined ? value : undefined))
  const log = read("INGRESS_LOG", oneOf("access", "errors", "off"))
  const drainMs = read("INGRESS_DRAIN_MS", integer(0, 600_000))
  const tlsKeyFile = read("INGRESS_TLS_KEY_FILE", matching(/^[^\0]+$/))
  const relay = read("INGRESS_RELAY_URL", (value) => (relayUrl(value) === undefined ? undefined : value))
  const relayProblem = relay === undefined || keys === undefined ? undefined : relayKeysProblem(keys)
  if (relayProblem !== undefined) problems.push(`INGRESS_RELAY_URL: ${relayProblem}`)
  const graceMs = read("INGRESS_DRAIN_GRACE_MS", integer(0, 600_000))
  const readyFd = read("INGRESS_READY_FD", integer(3, 65_535))
  const limits: { -readonly [Name in keyof Limits]?: Limits[Name] } = {}
  for (const [name, { limit, from, to }] of limitEntries) {
    const value = read(name, integer(from, to))
    if (value !== undefined) limits[limit] = value
  }

  if (problems.length > 0 || machine === undefined || keys === undefined) return { problems, warnings }
  const keysFile = environment["INGRESS_TICKET_KEYS_FILE"]
  return {
    warnings,
    config: {
      host: host ?? "0.0.0.0",
      port: port ?? 8080,
      log: log ?? "access",
      drainMs: drainMs ?? 10_000,
      ...given({ graceMs, keysFile, tlsKeyFile, relayUrl: relay, readyFd }),
      proxy: {
        machine,
        keys,
        ports: given({ allow, deny }),
        ...given({ host: hostPolicy, defaultPort, loopback, headerNames, errorDocs }),
        ...(Object.keys(limits).length === 0 ? {} : { limits }),
      },
    },
  }
}

/** The entries that have a value. */
const given = <A extends object>(entries: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)) as {
    [K in keyof A]?: Exclude<A[K], undefined>
  }

/** Keys come from one place: of two, one would be forgotten at the next rotation. */
const readKeys = (
  environment: Environment,
  insecure: boolean,
  problems: string[],
): Config["proxy"]["keys"] | undefined => {
  const inline = environment["INGRESS_TICKET_KEYS"]
  const file = environment["INGRESS_TICKET_KEYS_FILE"]
  const problem = (name: Variable, what: string): undefined => {
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
  if (file !== undefined) {
    const read = readKeyFile(file)
    if ("keys" in read) return read.keys
    return problem("INGRESS_TICKET_KEYS_FILE", `${JSON.stringify(file.slice(0, 256))} ${read.problem}`)
  }
  if (inline === undefined) return problem("INGRESS_TICKET_KEYS", "is not set")
  const read = parseKeys(inline)
  return "keys" in read ? read.keys : problem("INGRESS_TICKET_KEYS", read.problem)
}
