/** A router on the socket engine: what all hosts share that know sockets. */
import { forwardErrors, headerValue } from "@project-ingress/forward"
import type { ForwardErrorTag, GeneratedResponse, HeaderList } from "@project-ingress/forward"
import { accept, cidrMatcher, nextRequestId } from "@project-ingress/forward/internal"
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
import type { Router } from "../router-options.ts"
import { programOf } from "../router-program.ts"
import type { RouterProgram } from "../router-program.ts"
import { hostBounds } from "./bounds.ts"
import { checkBounds } from "./bounds-options.ts"
import type { Bounds } from "./bounds-options.ts"
import { forwardedHeaderNames, identityReader } from "./client-identity.ts"
import type { ClientIdentity, ForwardedHeader, IdentifiedRequest } from "./client-identity.ts"
import { openAccess } from "./open-access.ts"
import { reportError } from "./report-error.ts"
import type { ReportError } from "./report-error.ts"
import { serveExchange } from "./sockets.ts"
import type { HostResponses } from "./sockets.ts"
import { trustProblem } from "./trust-problem.ts"

/** What every host on sockets takes. */
export interface RouterEngineOptions {
  /**
   * The proxies in front of this host, as ranges of their addresses: `["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]`. Of a request
   * that comes from one of them, `forwardedHeaders` say who the client is, read from the right: trusted proxies are skipped, and
   * the first other address is the client. The same fields of anybody else are worthless and are never read. So a range must
   * hold proxies only, and no client. Default: none.
   */
  readonly trustedProxies?: readonly string[]
  /**
   * The fields that **every** trusted proxy overwrites, removes or, for addresses, appends to. One that a proxy passes through as
   * the client sent it must not be read: the client would choose its value. `x-forwarded-host` replaces `Host` where it is decided
   * which hostname is asked for. `x-forwarded-port` is the port of an authority without one. `forwarded` (RFC 7239) says all of it
   * and excludes the others. Default: all `x-forwarded-*` of these, and `forwarded` for a request that has none of them.
   */
  readonly forwardedHeaders?: readonly ForwardedHeader[]
  /**
   * How much of the host one client, one project and one machine may have at a time. What is beyond is refused for that one alone,
   * with an event of the router: 429 `CLIENT_LIMITED`, 503 `PROJECT_LIMITED`, 503 `MACHINE_LIMITED`. Unless `trustedProxies` is
   * given (`[]`: there is none), bounds per client are off, with an event, while most requests come from one private address.
   */
  readonly bounds?: Bounds
  /**
   * Bounds of the engine. The defaults differ from the engine's own where machines are not on loopback, and in `minBodyRate`: 240
   * bytes a second, unless the port's settings say another one.
   */
  readonly limits?: Partial<Limits>
  /** The engine's events: one for each request when it is over, with bytes, and errors beside them. */
  readonly onEvent?: (event: EngineEvent) => void
}

/** What each of {@link RouterEngineOptions} must be. */
export const engineOptionChecks = {
  trustedProxies: accept.array(accept.string),
  forwardedHeaders: accept.array(accept.oneOf(...forwardedHeaderNames)),
  bounds: accept.object,
  limits: accept.object,
  onEvent: accept.function,
}

/** What a host adds to the engine of its router. */
export interface RouterEngineParts {
  /** The name of the host's function, for errors of options. */
  readonly owner: string
  /** Responds to a hostname that is not the router's. Default: 404. */
  readonly fallback?: HostResponses["fallback"] | undefined
  /** Responds before anything else is asked about a request. */
  readonly first?: ((request: IncomingRequest) => GeneratedResponse | undefined) | undefined
  readonly proxyProtocol?: EngineOptions["proxyProtocol"]
}

/** A router on an engine, and what its host needs of it. */
export interface RouterEngine {
  readonly engine: Engine
  readonly program: RouterProgram
  readonly identityOf: (request: IdentifiedRequest) => ClientIdentity
  /** `unread`: what is known of a request that could not be read. */
  readonly failure: (
    tag: ForwardErrorTag,
    request: IncomingRequest | undefined,
    unread?: HeaderList,
  ) => GeneratedResponse
  /** The response for a hostname that leads nowhere. */
  readonly own: (tag: "RouteNotFound" | "HostnameMalformed", request: IncomingRequest) => GeneratedResponse
  readonly report: ReportError
}

/** Machines are a network away, and many. */
const limits = {
  connectTimeoutMs: 10_000,
  poolIdleTimeoutMs: 60_000,
  maxPools: 10_000,
  minBodyRate: 240,
} satisfies Partial<Limits>

/** The engine of a host on sockets. Opens nothing. The caller has checked which options there are. */
export const routerEngine = (
  router: Router,
  options: RouterEngineOptions,
  { owner, fallback, first, proxyProtocol }: RouterEngineParts,
): RouterEngine => {
  checkBounds(owner, options.bounds ?? {})
  const problem = trustProblem(options, proxyProtocol !== undefined)
  if (problem !== undefined) throw new TypeError(`${owner}: ${problem}`)
  const { trustedProxies, forwardedHeaders } = options
  const program = programOf(router)
  program.balancing.balancer ??= balancer(program)
  const identityOf = identityReader(trustedProxies && { trustedProxies, forwardedHeaders }, program.publicPorts, owner)
  const { headerNames, errors } = program
  const report = reportError(options.onEvent)
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

  const own: RouterEngine["own"] = (tag, request) => errors.forRow(tag, routerErrors[tag], askedRequest(request))
  const notFound = (request: IncomingRequest): GeneratedResponse => own("RouteNotFound", request)

  const serve = (request: IncomingRequest, identity: ClientIdentity): Decision | Promise<Decision> => {
    const held = bounds.enter(identity, request.head.upgrade)
    if (held === undefined) return failure("ClientLimited", request)
    request.onOver(() => held.release())
    return serveExchange(program, request, identity, held, access, { failure, fallback: fallback ?? notFound })
  }

  const engine = createEngine({
    onRequest: (request) => {
      // Before the bounds: whether this process takes requests is asked of every one that is full, too.
      const response = first?.(request)
      if (response !== undefined) return response
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
    limits: { ...limits, ...options.limits },
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })

  const bounds = hostBounds(options.bounds ?? {}, {
    limits: engine.limits,
    isProxy: trustedProxies && cidrMatcher(`${owner}: trustedProxies`, trustedProxies),
    report: program.report,
  })
  const access = openAccess(program)

  return { engine, program, identityOf, failure, own, report }
}
