import type { TicketsLimited } from "@project-ingress/forward"
import type { HostnameMalformed, RouteKey } from "@project-ingress/hostname"
import type { ProviderError } from "@project-ingress/providers"
import type { PolicyError } from "./policies/policy-error.ts"
import type { RegionUnreachable } from "./regions/region-unreachable.ts"
import { problemMessage } from "./stores/decode-record.ts"
import type { RecordProblem } from "./stores/decode-record.ts"

/** The store knows for certain that there is no such route, or the route has no such service. */
export class RouteNotFound extends Error {
  readonly _tag = "RouteNotFound"
  override readonly name = "RouteNotFound"
  readonly key: RouteKey
  /** What the hostname calls a service of the route, which has none of this name. */
  readonly service: string | undefined
  constructor(fields: { readonly key: RouteKey; readonly service?: string }) {
    super(`no route for ${fields.key}${fields.service === undefined ? "" : ` has a service ${fields.service}`}`)
    this.key = fields.key
    this.service = fields.service
  }
}

/** The store cannot tell now: it failed or is not loaded yet. */
export class RouteUnknown extends Error {
  readonly _tag = "RouteUnknown"
  override readonly name = "RouteUnknown"
  readonly key: RouteKey
  readonly retryAfterMs: number | undefined
  constructor(fields: {
    readonly key: RouteKey
    readonly retryAfterMs?: number | undefined
    /** For logs, never for a client. */
    readonly cause?: unknown
  }) {
    super(`the route store cannot tell where ${fields.key} leads`, { cause: fields.cause })
    this.key = fields.key
    this.retryAfterMs = fields.retryAfterMs
  }
}

/** A route's record cannot be used, or asks for something that is not supported yet. Only its own hostnames fail. */
export class RouteInvalid extends Error {
  readonly _tag = "RouteInvalid"
  override readonly name = "RouteInvalid"
  readonly key: RouteKey
  /** The field that is wrong, and what is accepted there. */
  readonly problem: RecordProblem
  constructor(fields: { readonly key: RouteKey; readonly problem: RecordProblem }) {
    super(`the record of ${fields.key} is invalid: ${problemMessage(fields.problem)}`)
    this.key = fields.key
    this.problem = fields.problem
  }
}

/** The route's name was in use and is not given to anybody else. */
export class RouteRemoved extends Error {
  readonly _tag = "RouteRemoved"
  override readonly name = "RouteRemoved"
  readonly key: RouteKey
  constructor(fields: { readonly key: RouteKey }) {
    super(`the route ${fields.key} was removed`)
    this.key = fields.key
  }
}

/** The project exists and no machine is attached to it. */
export class MachineDetached extends Error {
  readonly _tag = "MachineDetached"
  override readonly name = "MachineDetached"
  readonly key: RouteKey
  constructor(fields: { readonly key: RouteKey }) {
    super(`no machine is attached to ${fields.key}`)
    this.key = fields.key
  }
}

/** The request has passed this router too often. */
export class LoopDetected extends Error {
  readonly _tag = "LoopDetected"
  override readonly name = "LoopDetected"
  constructor(fields: { readonly hops: number }) {
    super(`the request has passed this router ${fields.hops} times`)
  }
}

/** A WebSocket handshake in a runtime whose fetch cannot pass one on. */
export class UpgradeUnsupported extends Error {
  readonly _tag = "UpgradeUnsupported"
  override readonly name = "UpgradeUnsupported"
  constructor() {
    super("this runtime's fetch cannot pass a WebSocket on; mount the router with serveNode")
  }
}

/** The body of a GET or HEAD whose length is not known before its end, which workerd's `fetch` does not send. */
export class LengthRequired extends Error {
  readonly _tag = "LengthRequired"
  override readonly name = "LengthRequired"
  constructor() {
    super("this runtime sends the body of a GET or HEAD only with a Content-Length")
  }
}

/** A request by HTTP for a port whose settings say that it speaks TCP or UDP. */
export class PortNotHttp extends Error {
  readonly _tag = "PortNotHttp"
  override readonly name = "PortNotHttp"
  /** The port arrived at. */
  readonly port: number
  constructor(fields: { readonly port: number; readonly protocol: string }) {
    super(`port ${fields.port} speaks ${fields.protocol}, as its settings say, and not HTTP`)
    this.port = fields.port
  }
}

/** A TCP or UDP tunnel for a port whose settings do not say that it speaks that. */
export class TunnelNotAllowed extends Error {
  readonly _tag = "TunnelNotAllowed"
  override readonly name = "TunnelNotAllowed"
  /** The port arrived at. */
  readonly port: number
  constructor(fields: { readonly port: number; readonly protocol: string; readonly tunnel: string }) {
    super(
      `port ${fields.port} speaks ${fields.protocol}: a tunnel needs "protocol": "${fields.tunnel}" in its settings`,
    )
    this.port = fields.port
  }
}

/** A request that needs what its way to the port cannot carry, or whose settings contradict each other. */
export class ProtocolNotCarried extends Error {
  readonly _tag = "ProtocolNotCarried"
  override readonly name = "ProtocolNotCarried"
  /** The port arrived at. */
  readonly port: number
  /** What is missing where, as a sentence. */
  readonly reason: string
  constructor(fields: { readonly port: number; readonly reason: string }) {
    super(fields.reason)
    this.port = fields.port
    this.reason = fields.reason
  }
}

/** A TCP or UDP port of a machine without a machine proxy, which is where a tunnel ends. */
export class TunnelUnsupported extends Error {
  readonly _tag = "TunnelUnsupported"
  override readonly name = "TunnelUnsupported"
  /** The port arrived at. */
  readonly port: number
  constructor(fields: { readonly port: number }) {
    super(`port ${fields.port} is the app's own address, without a machine proxy in which a tunnel could end`)
    this.port = fields.port
  }
}

/** The project has as many requests in flight, or WebSockets, as one project may have of this host. */
export class ProjectLimited extends Error {
  readonly _tag = "ProjectLimited"
  override readonly name = "ProjectLimited"
  constructor(fields: { readonly project: string; readonly limit: number }) {
    super(`${fields.project} has ${fields.limit} requests in flight or WebSockets, as many as it may have`)
  }
}

/** The machine has as many requests in flight, or WebSockets, as one machine may have of this host. */
export class MachineLimited extends Error {
  readonly _tag = "MachineLimited"
  override readonly name = "MachineLimited"
  constructor(fields: { readonly machine: string; readonly limit: number }) {
    super(`machine ${fields.machine} has ${fields.limit} requests in flight or WebSockets, as many as it may have`)
  }
}

/** The router, a policy or a provider threw something unexpected. */
export class ProxyFailed extends Error {
  readonly _tag = "ProxyFailed"
  override readonly name = "ProxyFailed"
  constructor(fields: { readonly cause: unknown }) {
    super("the router failed", { cause: fields.cause })
  }
}

/** The router's own failures. Each has a row in `routerErrors`, or that table does not compile. */
export type OwnError =
  | HostnameMalformed
  | RouteNotFound
  | RouteUnknown
  | RouteInvalid
  | RouteRemoved
  | MachineDetached
  | LoopDetected
  | UpgradeUnsupported
  | LengthRequired
  | PortNotHttp
  | TunnelNotAllowed
  | ProtocolNotCarried
  | TunnelUnsupported
  | ProjectLimited
  | MachineLimited
  | TicketsLimited
  | ProxyFailed

/** Everything that a router answers with an error response. Distinguished by `_tag`; a `PolicyError` may have any other tag. */
export type RouterError = OwnError | ProviderError | PolicyError | RegionUnreachable
