import type { forwardFetch } from "@project-ingress/forward/fetch"
import type { MachineProvider, MachinesEvent, MachinesOptions } from "@project-ingress/providers"
import type { ErrorResponses } from "./error-response.ts"
import type { RouterError } from "./errors.ts"
import type { CookieIsolatedEvent } from "./hop/isolation-events.ts"
import type { MachineHealthEvent, MakeBalancer } from "./program/balancing.ts"
import type { ActivityOptions } from "./program/activity.ts"
import type { ExplainedRequest, ExplainOptions } from "./program/explained-request.ts"
import type { Explanation } from "./program/explanation.ts"
import type { RouterSettings } from "./program/handle.ts"
import type { HoldingOptions } from "./program/holding.ts"
import type { RegionEvent } from "./program/arrived-hop.ts"
import type { Regions } from "./program/region-hops.ts"
import type { Sender, VisitorRequest } from "./program/sender.ts"
import type { Withdrawal, Withdrawn } from "./program/withdraw.ts"
import type { TraceStep } from "./program/trace.ts"
import type { RouteStore } from "./stores/route-store.ts"
import type { StoreEvent } from "./stores/store-event.ts"

/** What `createRouter` takes. */
export interface RouterOptions extends RouterSettings, ActivityOptions {
  /** Where hostnames lead. */
  readonly store: RouteStore
  /** Who runs the machines, one provider of each type. */
  readonly providers: readonly MachineProvider[]
  /**
   * What `regions` of `@project-ingress/router/regions` returns: a request for a record of another region goes to that region's load
   * balancer. Default: every machine is reached from here, whatever region its record names.
   */
  readonly regions?: Regions
  /** How machines are reached: waking, how long requests wait for it, time-outs and bounds. Defaults as of `makeMachines`. */
  readonly machines?: Omit<MachinesOptions, "providers" | "headerNames" | "onEvent"> & HoldingOptions
  /**
   * Chooses between the machines of a route by how they are: `balancer` of `@project-ingress/router/balancer`. Default: none, and each
   * visitor of replicas stays with one, well or not; on `serveNode` that one.
   */
  readonly balancer?: MakeBalancer
  /** How long a response's head may take, in ms; 0 disables the time-out. A body has no limit. Default 120 000. */
  readonly headersTimeoutMs?: number
  /**
   * Sends a request over Fetch: every one of `router.fetch`, and `serveNode`'s to a machine without an address. Default: the
   * runtime's own client. Tests give a function.
   */
  readonly transport?: typeof forwardFetch
  /**
   * The client's IP address for `router.fetch`: what the platform vouches for, as `request.headers.get("cf-connecting-ip")`
   * on Cloudflare. Default: none is known. `serveNode` knows the peer by itself.
   */
  readonly clientAddress?: (request: Request) => string | null | undefined
  /**
   * The ports by which visitors reach the router, 1 to 65535, beside the one that their scheme implies: `[]` behind a balancer on
   * 80 and 443, `[8787]` for `docker run -p 8787:3000`. Any other port that a request names is left out of all that apps and
   * policies see, because its client made it up. Default: any port is passed on, because only the platform knows which ones are
   * published.
   */
  readonly publicPorts?: readonly number[]
  /**
   * Replaces error responses by the error's tag: a page of your own for `MachineDetached`, or for `PortClosed`, which a machine's
   * proxy finds. What it throws is ignored.
   */
  readonly errorResponses?: ErrorResponses
  /**
   * Where the pages about error codes are: a URL with `{code}` in it, `https://docs.example.com/errors/{code}`, for all codes,
   * also those of your policies. A response links to it. Default: this project's own pages, for its own codes.
   */
  readonly errorDocs?: string
  /**
   * May replace the response to a failure of one request. `undefined`, or a throw, keeps the standard one. The error's `cause`
   * is for logs only.
   */
  readonly onError?: (error: RouterError, request: Request) => Response | undefined
  /** Hears of requests, providers, stores and background work. What it throws is ignored. */
  readonly onEvent?: (event: RouterEvent) => void
  /**
   * Counts requests from their beginning and takes part in their traces: `instrument` of what `observe` of
   * `@project-ingress/router/observability` returns. What it throws is ignored. Default: none; `traceparent` and `tracestate` pass
   * unchanged.
   */
  readonly instrument?: Instrument
}

/** What a router reports. Holds no value of a header, no body and no secret. */
export type RouterEvent =
  | RequestEvent
  | RedirectLoopEvent
  | CookieIsolatedEvent
  | AccessWithdrawnEvent
  | BoundEvent
  | ClientBoundsEvent
  | MachineHealthEvent
  | MachinesEvent
  | RegionEvent
  | StoreEvent

/** A client, a project or a machine has as many as it may have of a host, and something was refused for it alone. */
export interface BoundEvent {
  readonly type: "bound_reached"
  readonly bound: "client" | "project" | "machine"
  readonly of: "connections" | "requests" | "webSockets"
  /** The client's address or IPv6 network; `owner org_1`, `project prj_1` or `machine mach_1` of a project's record; the machine's id. */
  readonly key: string
  readonly limit: number
  /** How many were refused since the last event of this key, which comes once a second at most. */
  readonly count: number
}

/**
 * A warning: bounds per client are off (`active: false`) while most requests come from one private address and nobody said
 * whether it is a proxy's; or they are on again.
 */
export interface ClientBoundsEvent {
  readonly type: "client_bounds"
  readonly active: boolean
  /** The address, and the option that mends it. */
  readonly reason: string
}

/** What was open of a visitor was ended, because the access was withdrawn. Names no visitor. */
export interface AccessWithdrawnEvent {
  readonly type: "access_withdrawn"
  /** The public authority. */
  readonly host: string
  readonly machine: string
  readonly port: number
  /**
   * `denied`: a policy no longer lets the visitor in. `expired`: the session, token or link has ended. `generation`: all grants of the
   * project were withdrawn. `removed`: there is no such route any more. `moved`: it leads to other machines now, or to none. `unknown`: for a minute nobody could tell. `session`: by `withdraw`.
   */
  readonly reason: "denied" | "expired" | "generation" | "removed" | "moved" | "unknown" | "session"
  /** How many exchanges and WebSockets. */
  readonly count: number
}

/** An app redirected a visitor to the URL just asked for, so that the browser gives up after some twenty times. */
export interface RedirectLoopEvent {
  readonly type: "redirect_loop"
  /** The public authority: lower case, without root dot and default port. */
  readonly host: string
  /** The id of the machine. */
  readonly machine: string
  readonly port: number
  /** What is probably wrong, and the setting of the port that mends it. */
  readonly reason: string
  /** How often it happened since the last event of this machine, which comes once a second at most. */
  readonly count: number
}

/** A request of ours, reported once, when the head of its response is known. */
export interface RequestEvent {
  readonly type: "request"
  /** Names the request: the same in the response that the router or the machine's proxy generated for it. */
  readonly requestId: string
  readonly method: string
  /** The authority that was asked for: lower case, without root dot and default port. */
  readonly host: string
  /** The client's IP address, where it is known: behind a trusted proxy its client's, never the proxy's own. */
  readonly clientAddress?: string
  /** The status sent; 499 if the client left before it. */
  readonly status: number
  /** The tag of the failure, if the router generated the response for one; a hidden 404 has the tag of what it hides. */
  readonly error?: string
  /** The code of the error response that the router or the machine's proxy generated: `PORT_CLOSED`. Absent for an app's own responses. */
  readonly code?: string
  /** The failure as a sentence that names provider, machine and the field that is wrong: for logs, never for a client. */
  readonly reason?: string
  /** In ms, until the head of the response. */
  readonly durationMs: number
  /** The id of the machine that responded. */
  readonly machine?: string
  /** How the route was decided: the steps that `explain` shows. */
  readonly trace: readonly TraceStep[]
}

/** Watches requests from their beginning to the head of their response. What it throws is ignored. */
export interface Instrument {
  /** Called once for each router that is made with it: which names its events have. */
  readonly configured?: (router: {
    /** The names of its policies. */
    readonly policies: readonly string[]
    /** The types of its providers. */
    readonly providers: readonly string[]
  }) => void
  /** Called when a request arrives, before it is known whether its hostname is the router's. */
  readonly begin: (
    request: Pick<VisitorRequest, "method" | "host" | "scheme" | "headers" | "requestId" | "upgrade">,
  ) => RequestInstrument | undefined
}

/** Watches one request. */
export interface RequestInstrument {
  /**
   * Called once, before the request is decided: gives what sends it to machines, and to other regions, instead of `sender`. `tunnel`:
   * the prefix of the fields that machine proxies restore. Default: `sender` itself.
   */
  readonly sender?: (<A>(sender: Sender<A>, tunnel: string) => Sender<A>) | undefined
  /** Called once, with the event that is reported; `undefined` if the hostname is not the router's. */
  readonly end: (event: RequestEvent | undefined) => void
}

/** A router. Nothing in it leads to a key or a token. */
export interface Router {
  /**
   * The response, or `undefined` for a hostname that is not ours. Never rejects. `context` is a Worker's: work that goes on
   * after the response, as the start of a machine for the next request, is handed to its `waitUntil`.
   */
  readonly fetch: (
    request: Request,
    context?: { readonly waitUntil?: (work: Promise<unknown>) => void },
  ) => Promise<Response | undefined>
  /**
   * Ends what is open of sessions, tokens or links in the machines behind a hostname: event streams, responses, uploads, WebSockets (1008). For `fetch`, which
   * is out of the way once it has returned a response; `serveNode` finds withdrawn access out by itself. Withdraw the access first: this
   * ends what is open, and refuses nothing later. Rejects with the router's error if the hostname cannot be resolved, with
   * the signal's reason, and with a `TypeError` for an option that is unknown, missing or invalid.
   */
  readonly withdraw: (hostname: string, withdrawal: Withdrawal) => Promise<Withdrawn>
  /**
   * What a hostname or a request leads to now, by the decisions of a request, without touching the machine or calling its provider. Of a
   * `Request`, policies that are `explainable` are asked; of a hostname, if `policies` is true. Its body is not read.
   */
  readonly explain: {
    (hostname: string, request?: ExplainedRequest): Promise<Explanation>
    (request: Request, options?: ExplainOptions): Promise<Explanation>
  }
  /**
   * Follows what providers report of their machines, as docker does by its events, so that no request meets one that has
   * moved. For processes that stay; `serveNode` does it by itself. Resolves when the signal ends.
   */
  readonly watch: (options: { readonly signal: AbortSignal }) => Promise<void>
  /** Ends what the store keeps open. `fetch` answers 503 from then on where the store cannot tell. */
  readonly dispose: () => Promise<void>
}
