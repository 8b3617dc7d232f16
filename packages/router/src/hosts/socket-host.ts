import { forwardErrors, headerValue } from "@project-ingress/forward"
import type { ForwardErrorTag, GeneratedResponse, HeaderList } from "@project-ingress/forward"
import { errorEvent, healthResponse, nextRequestId } from "@project-ingress/forward/internal"
import { createEngine } from "@project-ingress/forward/sockets"
import type {
  Decision,
  Engine,
  EngineEvent,
  EngineOptions,
  IncomingRequest,
  Limits,
} from "@project-ingress/forward/sockets"
import { balancer } from "../balancer.ts"
import type { AskedRequest } from "../error-response.ts"
import { routerErrors } from "../error-rows.ts"
import type { RouterProgram } from "../router-program.ts"
import { hostBounds } from "./bounds.ts"
import type { Bounds } from "./bounds-options.ts"
import type { ClientIdentity } from "./client-identity.ts"
import { openAccess } from "./open-access.ts"
import { serveExchange } from "./sockets.ts"

/**
 * The path of the health check: `GET` without a `Host` or with an IP address for one, as load balancers ask. 200, or 503 while the
 * host stops. No route is hidden, because an IP address is never one.
 */
export const healthCheckPath = "/__ingress/health"

/** Machines are a network away, and many. */
const ownLimits = {
  connectTimeoutMs: 10_000,
  poolIdleTimeoutMs: 60_000,
  maxPools: 10_000,
  minBodyRate: 240,
} satisfies Partial<Limits>

/** The responses of a host that has none of a machine. */
export interface OwnResponses {
  readonly failure: (tag: ForwardErrorTag, request: IncomingRequest) => GeneratedResponse
  /** For a hostname that is not the router's. */
  readonly notFound: (request: IncomingRequest) => GeneratedResponse
  /** For a hostname that no URL can hold. */
  readonly malformed: (request: IncomingRequest) => GeneratedResponse
  /** Reports what is wrong beside a request. */
  readonly report: (tag: ForwardErrorTag, cause: unknown) => void
}

/** What a host on the engine decides by itself. */
export interface SocketHostOptions {
  readonly identityOf: (request: IncomingRequest) => ClientIdentity
  /** Whether an address is a trusted proxy's. `undefined`: nobody said whether there is one. */
  readonly isProxy: ((address: string) => boolean) | undefined
  /** The response for a hostname that is not the router's. */
  readonly unmatched: (
    request: IncomingRequest,
    identity: ClientIdentity,
    own: OwnResponses,
  ) => GeneratedResponse | Promise<GeneratedResponse>
  readonly bounds: Bounds | undefined
  readonly limits: Partial<Limits> | undefined
  readonly isReady?: (() => boolean) | undefined
  readonly proxyProtocol?: EngineOptions["proxyProtocol"]
  readonly onEvent: ((event: EngineEvent) => void) | undefined
}

/** The router's program on the socket engine, and its responses. Opens nothing. */
export const socketHost = (
  program: RouterProgram,
  options: SocketHostOptions,
): { readonly engine: Engine; readonly own: OwnResponses } => {
  const { identityOf, proxyProtocol, onEvent } = options
  program.balancing.balancer ??= balancer(program)
  const { headerNames, errors } = program
  /** Of what could not be understood as a request nothing is known but how a response is to look. */
  const askedRequest = (request: IncomingRequest | undefined, unread?: HeaderList): AskedRequest => {
    if (request === undefined) return { method: "GET", host: "", headers: unread ?? [], requestId: nextRequestId() }
    const { method, headers } = request.head
    return { method, host: identityOf(request).host, headers, requestId: request.id }
  }
  const failure = (
    tag: ForwardErrorTag,
    request: IncomingRequest | undefined,
    unread?: HeaderList,
  ): GeneratedResponse => errors.forRow(tag, forwardErrors[tag], askedRequest(request, unread))
  const routerFailure = (tag: "RouteNotFound" | "HostnameMalformed") => (request: IncomingRequest) =>
    errors.forRow(tag, routerErrors[tag], askedRequest(request))
  const own: OwnResponses = {
    failure,
    notFound: routerFailure("RouteNotFound"),
    malformed: routerFailure("HostnameMalformed"),
    report: (tag, cause) => {
      try {
        onEvent?.(errorEvent(tag, cause))
      } catch {
        // A log that fails must not fail the request.
      }
    },
  }
  const responses = {
    failure,
    fallback: (request: IncomingRequest, identity: ClientIdentity) => options.unmatched(request, identity, own),
  }

  const serve = (request: IncomingRequest, identity: ClientIdentity): Decision | Promise<Decision> => {
    const held = bounds.enter(identity, request.head.upgrade)
    if (held === undefined) return failure("ClientLimited", request)
    request.onOver(() => held.release())
    return serveExchange(program, request, identity, held, access, responses)
  }

  const engine = createEngine({
    onRequest: (request) => {
      // Before the bounds: whether this process takes requests is asked of every one that is full, too.
      if (request.head.target === healthCheckPath && isHealthCheck(request))
        return healthResponse(engine.draining() ? "draining" : options.isReady?.() === false ? "starting" : "ok")
      const arrived = program.hops?.arrived({
        method: request.head.method,
        path: request.head.target,
        header: (lowerName) => headerValue(request.head.headers, lowerName),
      })
      return arrived === undefined
        ? serve(request, identityOf(request))
        : arrived.then((hop) => serve(request, hop === undefined ? identityOf(request) : { ...hop, hop }))
    },
    failure: (tag, request, _, unread) => failure(tag, request, unread),
    admission: {
      admit: (remoteAddress) => bounds.admit(remoteAddress),
      release: (remoteAddress) => bounds.release(remoteAddress),
    },
    headerNames,
    limits: { ...ownLimits, ...options.limits },
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(onEvent === undefined ? {} : { onEvent }),
  })

  const bounds = hostBounds(options.bounds ?? {}, {
    limits: engine.limits,
    isProxy: options.isProxy,
    report: program.report,
  })
  const access = openAccess(program)
  return { engine, own }
}

/** Not by what a proxy says of the request: a check is the proxy's own. */
const isHealthCheck = ({ head: { method, host } }: IncomingRequest): boolean =>
  method === "GET" && /^(?:(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[[\da-f:.]+\](?::\d+)?)?$/i.test(host)
