import type { HostnameMalformed, RouteKey } from "@project-ingress/hostname"
import type { ProviderError } from "@project-ingress/providers"

/** No such route: authoritative. */
export class RouteNotFound extends Error {
  readonly _tag = "RouteNotFound"
  override readonly name = "RouteNotFound"
  readonly key: RouteKey
  constructor(fields: { readonly key: RouteKey; readonly service?: string }) {
    super(`no route for ${fields.key}${fields.service === undefined ? "" : ` has a service ${fields.service}`}`)
    this.key = fields.key
  }
}

/** The route store cannot say now. */
export class RouteUnknown extends Error {
  readonly _tag = "RouteUnknown"
  override readonly name = "RouteUnknown"
  readonly key: RouteKey
  readonly retryAfterMs: number | undefined
  constructor(fields: {
    readonly key: RouteKey
    readonly retryAfterMs?: number | undefined
    readonly cause?: unknown
  }) {
    super(`the route store cannot tell where ${fields.key} leads`, { cause: fields.cause })
    this.key = fields.key
    this.retryAfterMs = fields.retryAfterMs
  }
}

/** A policy's no. */
export class AccessDenied extends Error {
  readonly _tag = "AccessDenied"
  override readonly name = "AccessDenied"
  /** True: the client sees what it would see if there were no such route. */
  readonly hidden: boolean
  constructor(fields: { readonly hidden?: boolean; readonly reason?: string } = {}) {
    super(fields.reason ?? "a policy denied access")
    this.hidden = fields.hidden ?? false
  }
}

/** A policy's "who are you?": a navigation is sent to `location`, anything else gets a 401. */
export class LoginRequired extends Error {
  readonly _tag = "LoginRequired"
  override readonly name = "LoginRequired"
  /** A URL or a path. */
  readonly location: string
  /** Throws a `TypeError` when the location holds anything but visible ASCII: it becomes a header. */
  constructor(fields: { readonly location: string }) {
    if (!/^[\x21-\x7e]+$/.test(fields.location)) throw new TypeError("location must be a URL in visible ASCII")
    super("a policy asks for a login")
    this.location = fields.location
  }
}

/** The request has been here too often. */
export class LoopDetected extends Error {
  readonly _tag = "LoopDetected"
  override readonly name = "LoopDetected"
  constructor(fields: { readonly hops: number }) {
    super(`the request has passed this router ${fields.hops} times`)
  }
}

/** A WebSocket handshake where the runtime cannot pass one on. */
export class UpgradeUnsupported extends Error {
  readonly _tag = "UpgradeUnsupported"
  override readonly name = "UpgradeUnsupported"
  constructor() {
    super("this runtime's fetch cannot pass a WebSocket on; mount the router with serveNode")
  }
}

/** Something in the router, a policy or a provider threw what it never should. */
export class ProxyFailed extends Error {
  readonly _tag = "ProxyFailed"
  override readonly name = "ProxyFailed"
  constructor(fields: { readonly cause: unknown }) {
    super("the router failed", { cause: fields.cause })
  }
}

/** All that can become an answer of the router's own. Each has a row in `routerErrors`. */
export type RouterError =
  | HostnameMalformed
  | RouteNotFound
  | RouteUnknown
  | AccessDenied
  | LoginRequired
  | LoopDetected
  | UpgradeUnsupported
  | ProxyFailed
  | ProviderError
