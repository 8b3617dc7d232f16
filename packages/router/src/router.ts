/**
 * Hostname to route to machine to answer. `createRouter` gives a fetch handler for Workers, Bun and Deno; `serveNode` of
 * `./node` mounts the same router on sockets; `./effect` has the program itself, with its services.
 */
import { defaultHeaderNames } from "@project-ingress/forward"
import { validateSigningKey } from "@project-ingress/forward/internal"
import type { forwardFetch } from "@project-ingress/forward/fetch"
import { makeMachines } from "@project-ingress/providers"
import type { MachineProvider } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { endingOf } from "./request-outcome.ts"
import type { Ending } from "./request-outcome.ts"
import type { RouterError } from "./errors.ts"
import { explain } from "./program/explain.ts"
import type { Explanation } from "./program/explain.ts"
import { fetchDoor, replacement } from "./hosts/fetch.ts"
import { handle } from "./program/handle.ts"
import type { Settings } from "./program/handle.ts"
import type { Exchange, Inbound } from "./program/exchange.ts"
import type { RouteStore } from "./stores/route-store.ts"
import { fromStore, Routes } from "./stores/routes.ts"

export { AccessDenied, LoginRequired } from "./errors.ts"
export type { RouterError } from "./errors.ts"
export type { Explanation } from "./program/explain.ts"
export type { Policy, PolicyInput } from "./policies/policy.ts"
export type { Lookup, LookupOptions, RouteKey, RouteRecord, RouteStore } from "./stores/route-store.ts"

/** What {@link createRouter} takes. */
export interface RouterOptions extends Settings {
  readonly store: RouteStore
  readonly providers: readonly MachineProvider[]
  /** Whether a machine that does not run is started for who asks for it, and how long that may take; as of `makeMachines`. */
  readonly wake?: boolean
  readonly wakeTimeoutMs?: number
  /**
   * What sends a request over Fetch: the fetch door's to every machine, and `serveNode`'s to one without an address. Default:
   * the platform's own client. Tests give a function.
   */
  readonly transport?: typeof forwardFetch
  /**
   * The client's IP address, for `X-Forwarded-For` of the fetch door: what the platform vouches for, as
   * `request.headers.get("cf-connecting-ip")` on Cloudflare. Default: none is sent. `serveNode` knows the peer by itself.
   */
  readonly clientAddress?: (request: Request) => string | undefined
  /** May replace the answer to a failure. `undefined`, or a throw, leaves ours. The error's `cause` is for logs only. */
  readonly onError?: (error: RouterError, request: Request) => Response | undefined
  /** Told once of each request of ours when its answer's head is known. What it throws is dropped. */
  readonly onEvent?: (event: RouterEvent) => void
}

/** One line of a log. Holds no header, no body and no secret. */
export interface RouterEvent {
  readonly method: string
  /** The authority as sent. */
  readonly host: string
  /** The status sent; 499 when the client left before it. */
  readonly status: number
  /** What failed, when the router answered by itself: `ROUTE_NOT_FOUND`, or the tag's own code behind a hidden 404. */
  readonly error?: RouterError["_tag"]
  /** The same as a sentence, which names provider, machine and the field that is wrong: for logs, never for a client. */
  readonly reason?: string
  /** Until the head of the answer. */
  readonly durationMs: number
  /** The machine that answered. */
  readonly machine?: string
}

/** One request beside its head. */
export interface RunOptions {
  /** Aborted when the client leaves. Read only when the program has to wait. */
  readonly signal: AbortSignal
  /** For `onError`. Called only when needed. */
  readonly request: () => Request
}

/** A router. */
export interface Router {
  /**
   * The answer, or `undefined` for a hostname that is not ours. Never rejects and never throws. `context` is a Worker's: what
   * goes on after an answer, as the start of a machine for the next request, is handed to its `waitUntil`.
   */
  readonly fetch: (
    request: Request,
    context?: { readonly waitUntil?: (work: Promise<unknown>) => void },
  ) => Promise<Response | undefined>
  /** What a hostname leads to now. */
  readonly explain: (hostname: string) => Promise<Explanation>
  /**
   * Follows what providers tell of their machines, as docker does by its events, so that no request meets one that has
   * moved. For processes that stay; `serveNode` does it by itself. Resolves when the signal ends.
   */
  readonly watch: (options: { readonly signal: AbortSignal }) => Promise<void>
  /** For hosts, as `serveNode`: the same program over another transport. Never rejects. */
  readonly run: <A>(inbound: Inbound, exchange: Exchange<A>, options: RunOptions) => Promise<Ending<A>>
  readonly options: RouterOptions
}

/**
 * Makes a router. Opens nothing and starts nothing.
 *
 * @throws {TypeError} when the signing key is none that can sign, or `providers` holds what is none
 */
export const createRouter = (options: RouterOptions): Router => {
  const problem = validateSigningKey(options.signingKey)
  if (problem !== undefined) throw new TypeError(`signing: ${problem}`)
  const { headerNames: names = defaultHeaderNames, onEvent, providers, wake, wakeTimeoutMs } = options
  const machines = makeMachines({
    providers,
    headerNames: names,
    ...(wake === undefined ? {} : { wake }),
    ...(wakeTimeoutMs === undefined ? {} : { wakeTimeoutMs }),
  })
  const context = Context.make(Routes, fromStore(options.store)).pipe(Context.add(Machines, machines))
  const program = handle(options)
  const runExit = Effect.runPromiseExitWith(context)

  const tell = (event: RouterEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must not fail the request.
    }
  }

  const run: Router["run"] = async (inbound, exchange, running) => {
    const started = performance.now()
    const ending = endingOf(await runExit(program(inbound, exchange), running), inbound, names)
    if (ending._tag === "Foreign") return ending
    const common = { method: inbound.method, host: inbound.host, durationMs: performance.now() - started }
    if (ending._tag === "Answered") {
      tell({ ...common, status: ending.status, machine: ending.machine.id })
      return ending
    }
    if (ending._tag === "ClientLeft") {
      tell({ ...common, status: 499 })
      return ending
    }
    const response = options.onError === undefined ? undefined : replacement(options, ending.error, running.request())
    const { _tag: error } = ending.error
    const reason = "message" in ending.error ? ending.error.message : ending.error.reason
    tell({ ...common, status: response?.status ?? ending.answer.status, error, reason })
    return response === undefined ? ending : { ...ending, response }
  }

  return {
    run,
    options,
    fetch: fetchDoor(options, run),
    watch: async ({ signal }) => void (await Effect.runPromiseExit(machines.watch, { signal })),
    explain: (hostname) => Effect.runPromiseWith(context)(explain(options, hostname)),
  }
}
