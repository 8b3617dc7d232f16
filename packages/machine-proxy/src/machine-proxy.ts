/**
 * The proxy inside a machine: one public port in, every local port out. Use
 * `net.createServer(createMachineProxy(options).connection).listen(8080)`, or run `project-ingress-machine-proxy`.
 *
 * @module
 */
import { defaultHeaderNames, headerValue, requestHeaders, ticketVerifier } from "@project-ingress/forward"
import type { RefusedTicket, ResponseHop, TicketRefusal, VerifiedTicket } from "@project-ingress/forward"
import {
  canonicalAddress,
  clientFields,
  isAuthority,
  isRefusedTicket,
  pseudonyms,
  UNPROVEN,
} from "@project-ingress/forward/internal"
import { createEngine } from "@project-ingress/forward/sockets"
import type { Decision, Engine, ForwardDirective, IncomingRequest } from "@project-ingress/forward/sockets"
import { controlRequest, controlResponder } from "./control.ts"
import type { ControlRequest } from "./control.ts"
import type { MachineProxyErrorTag } from "./error-rows.ts"
import { generatedResponses } from "./generated-responses.ts"
import { edgeHeadersReader, hopFieldsReader } from "./hop-fields.ts"
import type { HopFields } from "./hop-fields.ts"
import { listenerScan } from "./listeners.ts"
import { tracedRequest } from "./begin-trace.ts"
import type { TracedRequest } from "./begin-trace.ts"
import { watchedKeys } from "./watched-keys.ts"
import { localApps } from "./local-apps.ts"
import { isSessionId, openSessions } from "./open-sessions.ts"
import { checkMachineProxyOptions } from "./options.ts"
import type { MachineProxyOptions } from "./options.ts"
import { portWatch } from "./port-watch.ts"
import { portGate } from "./ports.ts"
import { probedPorts } from "./probed-ports.ts"
import { requestedTunnel } from "./requested-tunnel.ts"
import { parseTarget } from "./target.ts"

export type { BeginTrace, ProxyTrace } from "./begin-trace.ts"
export type { MachineProxyOptions } from "./options.ts"
export type { PortRange, PortRules } from "./ports.ts"
export { machineTls } from "./tls-key-file.ts"
export type { MachineTls } from "./tls-key-file.ts"

/** Takes accepted connections and drains them; see `Engine` of `@project-ingress/forward/sockets`. */
export type MachineProxy = Engine

/**
 * The path of the health check, `GET` without a ticket: 200, or 503 while the proxy stops. It applies only to requests without a target header: every
 * routed request has one, so no path of an app is hidden.
 */
export const healthCheckPath = "/__ingress/health"

/**
 * Creates the proxy. It opens nothing: the listener, the drain at the end and the signals are the caller's.
 *
 * ```ts
 * const proxy = createMachineProxy({ machine: "mach_123", keys: [verification] })
 * net.createServer(proxy.connection).listen(8080)
 * ```
 *
 * @throws {TypeError} naming the option, what it accepts and the kind of value it got, never a key:
 *   `createMachineProxy: ports.alow is not an option (did you mean ports.allow?)`
 */
export const createMachineProxy = (options: MachineProxyOptions): MachineProxy => {
  checkMachineProxyOptions("createMachineProxy", options)
  const { headerNames = defaultHeaderNames, host = "localhost", defaultPort = 3000, onUpgrade } = options
  const verify = ticketVerifierOf(options)
  const isOpen = portGate(options.ports ?? {})
  const readHopFields = hopFieldsReader(headerNames)
  const readEdgeHeaders = edgeHeadersReader()
  const appOn = localApps(options.loopback)
  const { errorDocs } = options
  const { failure, health } = generatedResponses({ headerNames, pseudonym: pseudonyms.machineProxy, errorDocs })
  const sessions = openSessions()
  const probed = probedPorts(options.ports ?? {}, defaultPort)
  const ports = portWatch(listenerScan({ isOpen, loopback: options.loopback, probed }))
  const control = controlResponder({
    ports,
    sessions,
    failure: (tag, request, stamp) => failure(tag, request, { trusted: true, stamp }),
    stampField: headerNames.stamp,
  })
  const refused = (tag: MachineProxyErrorTag, request: IncomingRequest, stamp = UNPROVEN) =>
    failure(tag, request, { trusted: false, stamp })

  const upgraded = ({ status }: { readonly status: number }): void => {
    if (status !== 101) return
    try {
      onUpgrade?.()
    } catch {
      // A counter that fails must not fail the request.
    }
  }

  const withStamps = (response: string, refusal: string): StampedResponses => {
    const hop: ResponseHop = { headerNames, stamped: false, uncached: true, add: [headerNames.stamp, response] }
    const afterUpgrade = (head: { readonly status: number }): ResponseHop => {
      upgraded(head)
      return hop
    }
    return { response: hop, upgradeResponse: onUpgrade === undefined ? hop : afterUpgrade, refusal }
  }
  const unproven = withStamps(UNPROVEN, UNPROVEN)
  const byTicket = new WeakMap<VerifiedTicket, StampedResponses>()
  const responsesOf = (ticket: VerifiedTicket | undefined): StampedResponses => {
    if (ticket?.stamps === undefined) return unproven
    let responses = byTicket.get(ticket)
    if (responses === undefined) {
      responses = withStamps(ticket.stamps.response, ticket.stamps.refusal)
      byTicket.set(ticket, responses)
    }
    return responses
  }

  const onRequest = (request: IncomingRequest): Decision | Promise<Decision> => {
    const { head } = request
    const fields = readHopFields(head.headers)
    const { ticket, tickets, target, targets, looped } = fields
    if (targets === 0 && head.method === "GET" && head.target === healthCheckPath) {
      return health(!engine.draining())
    }
    // Only apps get this header, so its sender was reached through this proxy (RFC 9110 §7.6).
    if (looped) return refused("LoopDetected", request)
    const onlyTarget = targets > 1 ? INVALID_TARGET : target
    const asked = targets === 0 ? controlRequest(request) : undefined
    if (verify === undefined)
      return asked === undefined
        ? forward(request, onlyTarget, fields, undefined)
        : refused("ControlUnavailable", request)
    // Of two tickets, every reader may choose another one.
    if (tickets > 1) return refused("TicketInvalid", request)
    const verified = verify(ticket)
    return verified instanceof Promise
      ? verified.then((late) => decide(request, onlyTarget, fields, asked, late))
      : decide(request, onlyTarget, fields, asked, verified)
  }

  const decide = (
    request: IncomingRequest,
    targetField: string | undefined,
    fields: HopFields,
    asked: ControlRequest | undefined,
    ticket: VerifiedTicket | RefusedTicket,
  ): Decision | Promise<Decision> => {
    if (isRefusedTicket(ticket)) return refused(refusalTags[ticket.refusal], request, ticket.stamp)
    return asked === undefined
      ? forward(request, targetField, fields, ticket)
      : control(request, asked, ticket, ticket.stamps ?? { response: UNPROVEN, refusal: UNPROVEN })
  }

  /** `ticket`: proves that the sender is the router. */
  const forward = (
    request: IncomingRequest,
    targetField: string | undefined,
    { edgeHeaders, session, protocol }: HopFields,
    ticket: VerifiedTicket | undefined,
  ): Decision => {
    const { head } = request
    const trusted = ticket !== undefined
    const responses = responsesOf(ticket)
    const { refusal: stamp } = responses
    const target = parseTarget(targetField, defaultPort)
    if (target === "missing") return failure("TargetMissing", request, { trusted, stamp })
    if (target === "invalid") return failure("TargetInvalid", request, { trusted, stamp })
    const { port } = target
    // What a ticket opens is one port under one name, and only there is its bearer believed. One with a scope opens none.
    if (ticket !== undefined && (ticket.port !== port || ticket.name !== (target.hostname ?? LOCAL_NAME))) {
      return failure("TicketWrongTarget", request, { trusted: false, stamp })
    }
    if (port === request.localPort) return failure("LoopDetected", request, { trusted, port, stamp })
    if (!isOpen(port)) return failure("PortForbidden", request, { trusted, port, stamp })
    const tunnel = protocol === undefined ? undefined : requestedTunnel(protocol, request, trusted)
    if (typeof tunnel === "string") return failure(tunnel, request, { trusted, port, stamp })
    if (trusted && isSessionId(session) && !sessions.open(session, request))
      return failure("AccessWithdrawn", request, { trusted, port, stamp })
    const app = appOn(port)
    const { via } = headerNames
    const trace = tracedRequest(options.beginTrace, request, port)
    const response = head.upgrade ? responses.upgradeResponse : responses.response
    const headers = requestHeaders(head.headers, {
      headerNames,
      host:
        host === "localhost"
          ? app.authority
          : ((trusted ? forwardedHost(request) : undefined) ?? target.hostname ?? app.authority),
      pseudonym: pseudonyms.machineProxy,
      trusted,
      edgeHeaders: readEdgeHeaders(edgeHeaders),
      upgrade: head.upgrade,
      expect: head.expect,
      trailers: true,
      add: trusted ? [via, head.host] : [via, head.host, ...clientOf(request, target.hostname ?? head.host)],
    })
    const directive: StampedDirective = {
      origin: app.address,
      headers: trace === undefined ? headers : trace.fields(headers),
      response: trace === undefined ? response : trace.heard(response),
      tunnel: tunnel?.kind,
      refusal: stamp,
      trace,
    }
    return directive
  }

  const engine = createEngine({
    onRequest,
    // Only what has a valid ticket, or needs none, is sent on.
    failure: (tag, request, directive, unread) => {
      // The engine gives back what `forward` made.
      const made = directive as StampedDirective | undefined
      made?.trace?.failed(tag)
      return failure(tag, request, {
        trusted: directive !== undefined && verify !== undefined,
        port: directive?.origin.port,
        unread,
        stamp: made?.refusal ?? UNPROVEN,
      })
    },
    headerNames,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })
  return {
    ...engine,
    drain: (drainOptions) => {
      ports.end()
      return engine.drain(drainOptions)
    },
  }
}

/** The public name with its port, which the target header does not have; a sender with a ticket may say it. */
const forwardedHost = ({ head }: IncomingRequest): string | undefined => {
  const host = headerValue(head.headers, "x-forwarded-host")
  return host !== undefined && isAuthority(host) ? host : undefined
}

/** Who asked, from the connection alone: for a sender that has not proven to be the router. */
const clientOf = ({ encrypted, remoteAddress }: IncomingRequest, host: string): string[] =>
  clientFields({ host, scheme: encrypted ? "https" : "http", clientAddress: canonicalAddress(remoteAddress) }, "all")

const ticketVerifierOf = ({ keys, machine, onEvent }: MachineProxyOptions) => {
  if (keys === "insecure") return undefined
  if (typeof keys === "function") return ticketVerifier(watchedKeys(keys, onEvent), machine)
  // Copied: a key that the caller's array gets later has not been checked.
  const copied = [...keys]
  return ticketVerifier(() => copied, machine)
}

/** What the responses to one ticket bear. */
interface StampedResponses {
  readonly response: ResponseHop
  /** For a WebSocket's handshake. */
  readonly upgradeResponse: ForwardDirective["response"]
  /** The stamp of what the proxy generates itself. */
  readonly refusal: string
}

interface StampedDirective extends ForwardDirective {
  readonly refusal: string
  readonly trace: TracedRequest | undefined
}

/** The name in tickets for a target that names none: `localhost:<port>`. */
const LOCAL_NAME = "localhost"

/** Two target headers are treated as an invalid one: of two, every reader may choose another one. */
const INVALID_TARGET = ","

const refusalTags = {
  missing: "TicketMissing",
  invalid: "TicketInvalid",
  "wrong-machine": "MachineMisdirected",
} as const satisfies Record<TicketRefusal, MachineProxyErrorTag>
