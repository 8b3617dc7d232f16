/**
 * The proxy inside a machine: one public port in, every local port out. Mount it with
 * `net.createServer(createMachineProxy(options).connection).listen(8080)`, or run `project-ingress-machine-proxy`.
 */
import {
  defaultHeaderNames,
  errorResponse,
  headerValue,
  requestHeaders,
  ticketVerifier,
  prefersHtml,
} from "@project-ingress/forward"
import type {
  GeneratedResponse,
  HopHeaderNames,
  ResponseHop,
  VerificationKey,
  TicketRefusal,
} from "@project-ingress/forward"
import { validateVerificationKey } from "@project-ingress/forward/internal"
import { createEngine } from "@project-ingress/forward/sockets"
import type {
  Engine,
  EngineEvent,
  IncomingRequest,
  Limits,
  UpstreamAddress,
  Decision,
} from "@project-ingress/forward/sockets"
import { machineProxyErrors } from "./error-rows.ts"
import type { MachineProxyErrorTag } from "./error-rows.ts"
import { isLoopback } from "./loopback.ts"
import { isPort, portGate } from "./ports.ts"
import type { PortRules } from "./ports.ts"
import { parseTarget } from "./target.ts"

export type { PortRange, PortRules } from "./ports.ts"

/** What {@link createMachineProxy} takes. */
export interface MachineProxyOptions {
  /** The platform's id of this machine, which a ticket must name as its audience: `mach_123`. */
  readonly machine: string
  /**
   * What verifies tickets: public halves (EdDSA) or shared secrets (HS256), several while keys rotate. A function is
   * asked at each verification; an empty list refuses everybody. `"insecure"`: whoever reaches the port reaches the
   * apps, and is believed nothing: its `X-Forwarded-*` are replaced, tunnelled headers are dropped.
   */
  readonly keys: readonly VerificationKey[] | (() => readonly VerificationKey[]) | "insecure"
  readonly ports?: PortRules
  /**
   * What apps see as `Host`. `localhost`: `localhost:<port>`, which development servers accept without configuration;
   * the public name is in `X-Forwarded-Host`. `preserve`: the public name. Default `localhost`.
   */
  readonly host?: "localhost" | "preserve"
  /** The port of a target that names none, 1 to 65535. Default 3000. */
  readonly defaultPort?: number
  /**
   * The one loopback address apps listen on, `127.x.y.z` or `::1`: for several machines on one host, each with an address
   * of its own. An app that listens on every address is reached by all of them. Default: 127.0.0.1 and ::1, raced.
   */
  readonly loopback?: string
  /** The headers of the hop; must be the router's. Default `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames
  readonly limits?: Partial<Limits>
  /** Told of every exchange and of trouble beside one. Must not throw. */
  readonly onEvent?: (event: EngineEvent) => void
  /** Told when a WebSocket opens; its end is the exchange event of status 101. Must not throw. */
  readonly onUpgrade?: () => void
}

/** Takes accepted connections; see `Engine` of `@project-ingress/forward/sockets`. */
export type MachineProxy = Engine

/**
 * Answers without a ticket, for the machine's own health check. Only when no target header is present: a routed request
 * always has one, so no path of an app is hidden.
 */
export const healthPath = "/__ingress/health"

const PSEUDONYM = "ingress-machine"
// Distinct ports asked for are remembered up to here, so that nobody's scan grows the process.
const MAX_ORIGINS = 1_024

/**
 * Makes the proxy. Opens nothing: the listener, the drain at the end and the signals are the caller's.
 *
 * @throws {TypeError} naming the option that is wrong and what it accepts
 */
export const createMachineProxy = (options: MachineProxyOptions): MachineProxy => {
  const { machine, headerNames: names = defaultHeaderNames, host = "localhost", defaultPort = 3000, loopback } = options
  if (typeof machine !== "string" || machine === "") throw refused("machine", machine, "the machine's id")
  if (!isPort(defaultPort)) throw refused("defaultPort", defaultPort, "a port, 1 to 65535")
  if (host !== "localhost" && host !== "preserve") throw refused("host", host, `"localhost" or "preserve"`)
  if (loopback !== undefined && !isLoopback(loopback)) throw refused("loopback", loopback, "127.x.y.z or ::1")
  const verify = options.keys === "insecure" ? undefined : ticketVerifier(keySource(options.keys), machine)
  const allowed = portGate(options.ports ?? {})

  const response: ResponseHop = { headerNames: names, stamped: false, add: [names.stamp, "1"] }
  const { onUpgrade } = options
  const switching = (answer: { readonly status: number }): ResponseHop => {
    if (answer.status === 101) onUpgrade?.()
    return response
  }
  // Each is made once, as data and as a page.
  const answers = [
    new Map<MachineProxyErrorTag, GeneratedResponse>(),
    new Map<MachineProxyErrorTag, GeneratedResponse>(),
  ] as const
  const failure = (tag: MachineProxyErrorTag, request: IncomingRequest | undefined): GeneratedResponse => {
    const page = request !== undefined && prefersHtml((lowerName) => headerValue(request.head.headers, lowerName))
    const made = answers[page ? 1 : 0]
    let answer = made.get(tag)
    if (answer === undefined) {
      answer = errorResponse(machineProxyErrors[tag], {
        headerNames: names,
        pseudonym: PSEUDONYM,
        page,
        add: response.add,
      })
      made.set(tag, answer)
    }
    return answer
  }
  const healthy: GeneratedResponse = {
    status: 200,
    headers: ["Content-Type", "application/json", "Cache-Control", "no-store", ...response.add],
    body: `{"status":"ok"}\n`,
  }

  const places = new Map<number, Place>()
  const placeOf = (port: number): Place => {
    let place = places.get(port)
    if (place === undefined) {
      if (places.size >= MAX_ORIGINS) places.clear()
      place = { origin: { pool: String(port), host: loopback ?? "loopback", port }, authority: `localhost:${port}` }
      places.set(port, place)
    }
    return place
  }

  // Lengths first: one comparison of numbers spares nearly every field the lower-casing.
  const viaLength = names.via.length
  const ticketLength = names.ticket.length
  const targetLength = names.targetHost.length

  const onRequest = (request: IncomingRequest): Decision | Promise<Decision> => {
    const { head } = request
    const list = head.headers
    let ticket: string | undefined
    let target: string | undefined
    let tickets = 0
    let targets = 0
    let looped = false
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i]!
      const length = name.length
      if (length !== viaLength && length !== ticketLength && length !== targetLength) continue
      const lower = name.toLowerCase()
      if (lower === names.via) looped = true
      else if (lower === names.ticket) {
        tickets++
        ticket = list[i + 1]!
      } else if (lower === names.targetHost) {
        targets++
        target = list[i + 1]!
      }
    }
    if (targets === 0 && head.method === "GET" && head.target === healthPath) return healthy
    // Only an app is given this header, so whoever sends it was reached through us (RFC 9110 §7.6).
    if (looped) return failure("LoopDetected", request)
    const asked = targets > 1 ? TWICE : target
    if (verify === undefined) return forward(request, asked, false)
    // Two tickets are as good as none: which of them would count is a matter of parsing.
    if (tickets > 1) return failure("TicketInvalid", request)
    const refusal = verify(ticket)
    if (refusal === undefined) return forward(request, asked, true)
    if (typeof refusal === "string") return failure(refusals[refusal], request)
    return refusal.then((late) =>
      late === undefined ? forward(request, asked, true) : failure(refusals[late], request),
    )
  }

  const forward = (request: IncomingRequest, asked: string | undefined, trusted: boolean): Decision => {
    const { head } = request
    const target = parseTarget(asked, defaultPort)
    if (target === "missing") return failure("TargetMissing", request)
    if (target === "invalid") return failure("TargetInvalid", request)
    if (target.port === request.localPort) return failure("LoopDetected", request)
    if (!allowed(target.port)) return failure("PortForbidden", request)
    const place = placeOf(target.port)
    const add = trusted ? [names.via, head.host] : identity(request, names, target.hostname ?? head.host)
    return {
      origin: place.origin,
      headers: requestHeaders(head.headers, {
        headerNames: names,
        host: host === "preserve" ? publicAuthority(head.headers, target.hostname, trusted, place) : place.authority,
        pseudonym: PSEUDONYM,
        trusted,
        upgrade: head.upgrade,
        expect: head.expect,
        trailers: true,
        add,
      }),
      response: head.upgrade && onUpgrade !== undefined ? switching : response,
    }
  }

  return createEngine({
    onRequest,
    failure,
    headerNames: names,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })
}

interface Place {
  readonly origin: UpstreamAddress
  readonly authority: string
}

/** No hostname, so that two target headers take the way of an invalid one. */
const TWICE = ","

const refusals = {
  missing: "TicketMissing",
  invalid: "TicketInvalid",
  "wrong-machine": "MachineMisdirected",
} as const satisfies Record<TicketRefusal, MachineProxyErrorTag>

/** The name the client used: the router knows it with its port, the target header without. */
const publicAuthority = (
  list: readonly string[],
  hostname: string | undefined,
  trusted: boolean,
  place: Place,
): string => {
  const forwarded = trusted ? headerValue(list, "x-forwarded-host") : undefined
  const match = forwarded === undefined ? null : /^[A-Za-z0-9._-]{1,253}(?::([1-9][0-9]{0,4}))?$/.exec(forwarded)
  if (match !== null && (match[1] === undefined || Number(match[1]) <= 65_535)) return match[0]
  return hostname ?? place.authority
}

/** Who the client is, as seen from here: for a sender that has not proved to be our router. */
const identity = (request: IncomingRequest, names: HopHeaderNames, host: string): string[] => {
  const proto = request.encrypted ? "https" : "http"
  // A socket on :: shows IPv4 peers as ::ffff:192.0.2.1.
  const address = request.remoteAddress.replace(/^::ffff:(?=\d+\.)/i, "")
  const node = address === "" ? "unknown" : address.includes(":") ? `"[${address}]"` : address
  const quoted = host.replaceAll(/["\\]/g, "\\$&")
  return [
    names.via,
    request.head.host,
    "X-Forwarded-Host",
    host,
    "X-Forwarded-Proto",
    proto,
    ...(address === "" ? [] : ["X-Forwarded-For", address]),
    "Forwarded",
    // RFC 7239 §4 and §6: IPv6 and anything beyond a token is quoted.
    `for=${node};host="${quoted}";proto=${proto}`,
  ]
}

const keySource = (keys: unknown): (() => readonly VerificationKey[]) => {
  if (typeof keys === "function") return keys as () => readonly VerificationKey[]
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new TypeError(`keys must be at least one ticket key, a function that gives them, or "insecure"`)
  }
  for (const [index, key] of (keys as readonly unknown[]).entries()) {
    const problem = validateVerificationKey(key)
    if (problem !== undefined) throw new TypeError(`keys[${index}]: ${problem}`)
  }
  const checked = keys as readonly VerificationKey[]
  return () => checked
}

const refused = (field: string, value: unknown, accepted: string): TypeError =>
  new TypeError(`${field}: ${JSON.stringify(value)} is not accepted; expected ${accepted}`)
