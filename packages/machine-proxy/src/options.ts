import type { HopHeaderNames, VerificationKey } from "@project-ingress/forward"
import { accept, checkOptions, kindOf, validErrorDocs, validHeaderNames } from "@project-ingress/forward/internal"
import { defaultLimits } from "@project-ingress/forward/sockets"
import type { EngineEvent, Limits } from "@project-ingress/forward/sockets"
import type { BeginTrace } from "./begin-trace.ts"
import { verificationKeyProblem } from "./keys.ts"
import { isLoopback } from "./loopback.ts"
import { isPort } from "./ports.ts"
import type { PortRules } from "./ports.ts"

/** What {@link createMachineProxy} takes. */
export interface MachineProxyOptions {
  /** The platform's id of this machine, which a ticket must name as its audience: `mach_123`. Not empty. */
  readonly machine: string
  /**
   * The keys that verify tickets, each with a `kid` of its own; several while keys rotate. Of `machineKey(signingKey, machine)`:
   * then this machine proves who it is, which a router asks for. A public half alone (EdDSA) verifies and proves nothing. With a
   * shared secret (HS256) every machine can sign tickets for every other one, and prove to be it. An array must have at least one key. A function is called at creation and for each
   * ticket; while the array that it returns is empty, every request is refused.
   *
   * `"insecure"`: whoever reaches the port reaches every app. Nothing that such a client says about itself is believed:
   * its `X-Forwarded-*` are replaced, and its tunnelled headers are dropped.
   */
  readonly keys: readonly VerificationKey[] | (() => readonly VerificationKey[]) | "insecure"
  /** Which ports may be reached. Default: all but 22 and 25. */
  readonly ports?: PortRules
  /**
   * What apps see as `Host` where the router has not decided it, which one of ours does for every request. `localhost`:
   * `localhost:<port>`, which development servers accept without configuration; the public name is in `X-Forwarded-Host`.
   * `preserve`: the public name. Default `localhost`.
   */
  readonly host?: "localhost" | "preserve"
  /** The port of a target that names none, 1 to 65535. Default 3000. */
  readonly defaultPort?: number
  /**
   * The one loopback address that apps listen on, `127.x.y.z` or `::1`: for several machines on one host, each with an
   * address of its own. An app that listens on every address is reached by all of them. Default: 127.0.0.1 and ::1,
   * raced.
   */
  readonly loopback?: string
  /** The header names of the hop, from `hopHeaderNames`; must be the router's. Default `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames
  /**
   * Where the pages about error codes are: a URL with `{code}` in it, `https://docs.example.com/errors/{code}`. A generated
   * response links to it. Default: this project's own pages.
   */
  readonly errorDocs?: string
  /** Times in ms, sizes in bytes; each field of `Limits` has its default and the reason for it. */
  readonly limits?: Partial<Limits>
  /** Called once per request when it is over, and for each internal error. What it throws is ignored. */
  readonly onEvent?: (event: EngineEvent) => void
  /**
   * Called when a WebSocket opens; when it closes, `onEvent` gets its event with status 101. What it throws is ignored.
   */
  readonly onUpgrade?: () => void
  /**
   * Takes part in the traces of requests that go to an app: `layer` of `./effect` gives it. What it throws is ignored. Default:
   * `traceparent` and `tracestate` pass unchanged.
   */
  readonly beginTrace?: BeginTrace
}

/**
 * Checks options that came from JavaScript as much as from TypeScript.
 *
 * @throws {TypeError} naming `owner`, the option and what it accepts, never a key
 */
export const checkMachineProxyOptions = (owner: string, options: unknown): void => {
  checkOptions(owner, options, fields, { required: ["machine", "keys"] })
  const { keys, ports, limits } = options as MachineProxyOptions
  // `ports: undefined` may be a list of allowed ports that got lost on its way: it must not open every port.
  if ("ports" in (options as object)) checkPorts(owner, ports)
  if (limits !== undefined) checkOptions(owner, limits, limitFields, { at: "limits" })
  if (keys !== "insecure") checkKeys(owner, typeof keys === "function" ? keys() : keys, typeof keys === "function")
}

const checkPorts = (owner: string, ports: unknown): void => {
  const ranges = accept.array()
  checkOptions(owner, ports, { allow: ranges, deny: ranges }, { at: "ports" })
  for (const name of ["allow", "deny"] as const) {
    if (!(name in (ports as object))) continue
    const list = (ports as PortRules)[name]
    if (list === undefined) throw new TypeError(`${owner}: ports.${name} must be an array of ports, got undefined`)
  }
}

const checkKeys = (owner: string, keys: unknown, isReturned: boolean): void => {
  if (!Array.isArray(keys)) throw new TypeError(`${owner}: keys() must return an array, got ${kindOf(keys)}`)
  const problem = verificationKeyProblem(keys, (index) => `${isReturned ? "keys()" : "keys"}[${index}]`)
  if (problem !== undefined) throw new TypeError(`${owner}: ${problem}`)
}

const isKeys = (value: unknown): boolean =>
  value === "insecure" || typeof value === "function" || (Array.isArray(value) && value.length > 0)

const unless = (isValid: (value: unknown) => boolean, accepted: string) => (value: unknown) =>
  isValid(value) ? undefined : accepted

const fields = {
  machine: accept.string,
  keys: unless(isKeys, 'a non-empty array of verification keys, a function that returns an array, or "insecure"'),
  ports: accept.object,
  host: accept.oneOf("localhost", "preserve"),
  defaultPort: unless(isPort, "a port, 1 to 65535"),
  loopback: unless(isLoopback, "127.x.y.z or ::1"),
  headerNames: validHeaderNames,
  errorDocs: validErrorDocs,
  limits: accept.object,
  onEvent: accept.function,
  onUpgrade: accept.function,
  beginTrace: accept.function,
}

const limitFields = Object.fromEntries(Object.keys(defaultLimits).map((name) => [name, accept.number(0)]))
