import { defaultHeaderNames } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { makeMachines } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import type { HostnameForeign } from "@project-ingress/hostname"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { responseForError } from "./error-response.ts"
import type { ErrorResponses, FailedResponse } from "./error-response.ts"
import { ProxyFailed } from "./errors.ts"
import type { RouterError } from "./errors.ts"
import { explain } from "./program/explain.ts"
import { handle } from "./program/handle.ts"
import type { Handled } from "./program/handle.ts"
import type { Sender, VisitorRequest } from "./program/sender.ts"
import type { TraceStep } from "./program/trace.ts"
import type { Router, RouterEvent, RouterOptions } from "./router-options.ts"
import { fromStore, Routes } from "./stores/routes.ts"

/** What a request came to. */
export type RequestOutcome<A> =
  /** The hostname is not ours. */
  | { readonly _tag: "NotOurs" }
  | { readonly _tag: "ClientLeft" }
  | ({ readonly _tag: "Failed"; readonly error: RouterError } & FailedResponse)
  | Handled<A>

/** What the hosts run: the program with its services, and what they need of the options. */
export interface RouterProgram {
  readonly headerNames: HopHeaderNames
  /** In ms; 0 disables the time-out. */
  readonly headersTimeoutMs: number
  readonly transport: typeof forwardFetch
  readonly clientAddress: ((request: Request) => string | null | undefined) | undefined
  readonly errorResponses: ErrorResponses | undefined
  /** Runs the program for one request. `original` is for `onError` and is called only when needed. Never rejects. */
  readonly run: <A>(request: VisitorRequest, sender: Sender<A>, original: () => Request) => Promise<RequestOutcome<A>>
  /** The response for an error that a host met outside the program. */
  readonly failed: (error: RouterError, headers: HeaderList, original: () => Request) => FailedResponse
  readonly explain: Router["explain"]
  readonly watch: (signal: AbortSignal) => Promise<void>
}

/** Long enough for a development server that compiles, short enough that somebody learns why. In ms. */
const HEADERS_TIMEOUT_MS = 120_000

/** The program of a router. Opens nothing and starts nothing. Throws as `makeMachines` does. */
export const makeProgram = (options: RouterOptions): RouterProgram => {
  const { headerNames = defaultHeaderNames, errorResponses, onError, onEvent } = options
  const report = (event: RouterEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must not fail the request.
    }
  }
  const machines = makeMachines({ ...options.machines, providers: options.providers, headerNames, onEvent: report })
  const services = Context.make(Routes, fromStore(options.store, { onEvent: report })).pipe(
    Context.add(Machines, machines),
  )
  const program = handle(options)
  const runExit = Effect.runPromiseExitWith(services)

  const failed: RouterProgram["failed"] = (error, headers, original) => {
    const response = responseForError(error, { headers, headerNames, errorResponses })
    try {
      const replaced = onError?.(error, original())
      return replaced === undefined ? { response } : { response, replaced }
    } catch {
      return { response }
    }
  }

  const run: RouterProgram["run"] = async (request, sender, original) => {
    const started = performance.now()
    const trace: TraceStep[] = []
    const exit = await runExit(program(request, sender, trace), {
      get signal() {
        return request.signal
      },
    })
    const outcome = requestOutcome(exit, (error) => failed(error, request.headers, original))
    if (outcome._tag !== "NotOurs") {
      const { method, host } = request
      const durationMs = performance.now() - started
      report({ type: "request", method, host, ...reported(outcome), durationMs, trace })
    }
    return outcome
  }

  return {
    headerNames,
    headersTimeoutMs: options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
    transport: options.transport ?? forwardFetch,
    clientAddress: options.clientAddress,
    errorResponses,
    run,
    failed,
    explain: (hostname, request) => Effect.runPromiseWith(services)(explain(options, hostname, request)),
    watch: async (signal) => void (await Effect.runPromiseExit(machines.watch, { signal })),
  }
}

/** Reads how the program ended. Anything unexpected is a `ProxyFailed`: no request ends in a throw. */
const requestOutcome = <A>(
  exit: Exit.Exit<Handled<A>, RouterError | HostnameForeign>,
  failedResponse: (error: RouterError) => FailedResponse,
): RequestOutcome<A> => {
  if (Exit.isSuccess(exit)) return exit.value
  const failed = (error: RouterError) => ({ _tag: "Failed", error, ...failedResponse(error) }) as const
  const found = Cause.findError(exit.cause)
  if (Result.isSuccess(found)) {
    return found.success._tag === "HostnameForeign" ? { _tag: "NotOurs" } : failed(found.success as RouterError)
  }
  if (Cause.hasInterruptsOnly(exit.cause)) return { _tag: "ClientLeft" }
  return failed(new ProxyFailed({ cause: Cause.squash(exit.cause) }))
}

/** What an event says of how a request of ours ended. */
const reported = (outcome: Exclude<RequestOutcome<unknown>, { readonly _tag: "NotOurs" }>) => {
  if (outcome._tag === "Machine") return { status: outcome.status, machine: outcome.route.machine.id }
  if (outcome._tag === "Generated") return { status: outcome.response.status }
  // nginx's number for it: no status was sent.
  if (outcome._tag === "ClientLeft") return { status: 499 }
  const { error, response, replaced } = outcome
  const reason = "message" in error ? error.message : error.reason
  return { status: (replaced ?? response).status, error: error._tag, reason }
}

// Beside the router, not in it: nothing that can be printed or serialised leads to a key or a token.
const programs = new WeakMap<Router, RouterProgram>()

export const registerProgram = (router: Router, program: RouterProgram): Router => {
  programs.set(router, program)
  return router
}

/** The program behind a router. Throws a `TypeError` for what `createRouter` did not make. */
export const programOf = (router: Router): RouterProgram => {
  const program = programs.get(router)
  if (program === undefined) throw new TypeError("router must be what createRouter returned")
  return program
}
