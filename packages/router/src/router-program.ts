import { defaultHeaderNames, ticketSigner } from "@project-ingress/forward"
import type { HopHeaderNames } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { repeatedReport } from "@project-ingress/forward/internal"
import { makeMachines } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import type { Grammar, HostnameForeign } from "@project-ingress/hostname"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { errorResponder, reasonOf, rowOf } from "./error-response.ts"
import type { AskedRequest, ErrorResponder, FailedResponse } from "./error-response.ts"
import { ProxyFailed } from "./errors.ts"
import type { RouterError } from "./errors.ts"
import { isolationEvents } from "./hop/isolation-events.ts"
import { isResponse } from "./hosts/request-response.ts"
import { activityReports } from "./program/activity.ts"
import type { Balancer } from "./program/balancing.ts"
import { namedPolicies } from "./program/authorize.ts"
import { checkAccess } from "./program/check-access.ts"
import type { AccessCheck } from "./program/check-access.ts"
import { explain } from "./program/explain.ts"
import type { ExplainedRequest } from "./program/explained-request.ts"
import type { Explanation } from "./program/explanation.ts"
import { handle } from "./program/handle.ts"
import type { Handled } from "./program/handle.ts"
import { machineControl } from "./program/machine-control.ts"
import { withdraw } from "./program/withdraw.ts"
import type { Withdrawal } from "./program/withdraw.ts"
import { instrumented } from "./program/instrument.ts"
import type { RegionHops } from "./program/region-hops.ts"
import type { Sender, VisitorRequest } from "./program/sender.ts"
import type { TraceStep } from "./program/trace.ts"
import type { RedirectLoopEvent, Router, RouterEvent, RouterOptions } from "./router-options.ts"
import type { PortSettings } from "./stores/record.ts"
import type { StoreStats } from "./stores/route-store.ts"
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
  readonly publicPorts: readonly number[] | undefined
  readonly errors: Pick<ErrorResponder, "forRow">
  readonly grammar: Grammar
  readonly routes: Routes["Service"]
  /** How requests get from region to region; `undefined` where there is one region. */
  readonly hops: RegionHops | undefined
  /**
   * Runs the program for one request and makes the host's response of what it came to; then the request's event is reported.
   * If `respond` throws, it is called once more, with a failure. `original` is for `onError` and is called only when needed.
   */
  readonly run: <A, R>(
    request: VisitorRequest & AskedRequest,
    sender: Sender<A>,
    original: () => Request,
    respond: (outcome: RequestOutcome<A>) => R | Promise<R>,
  ) => R | Promise<R>
  /** Reports an event. Never throws. */
  readonly report: (event: RouterEvent) => void
  /** The response for an error that a host met outside the program. */
  readonly failed: (error: RouterError, request: AskedRequest, original: () => Request) => FailedResponse
  readonly explain: (asked: string | VisitorRequest, options?: ExplainedRequest) => Promise<Explanation>
  /** What the store holds now, if it tells. */
  readonly storeStats: () => StoreStats | undefined
  readonly watch: (signal: AbortSignal) => Promise<void>
  /** Decides about a request that was let in to a machine once more, as of now. Never rejects. */
  readonly checkAccess: (request: VisitorRequest, machine: string) => Promise<AccessCheck>
  readonly withdraw: Router["withdraw"]
  /** What ends sessions in machines that have no machine proxy; added to by hosts that see the bytes. */
  readonly onWithdrawn: Set<(sessions: Withdrawal["sessions"], machines: ReadonlySet<string>) => void>
  /** What chooses between machines from now on; set by whoever has one. */
  readonly balancing: { balancer?: Balancer | undefined }
}

/** Long enough for a development server that compiles, short enough that somebody learns why. In ms. */
const HEADERS_TIMEOUT_MS = 120_000

/** The program of a router. Opens nothing and starts nothing. Throws as `makeMachines` does. */
export const makeProgram = (options: RouterOptions): RouterProgram => {
  const { headerNames = defaultHeaderNames, onError, onEvent } = options
  const errors = errorResponder({ ...options, headerNames })
  const report = (event: RouterEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must not fail the request.
    }
  }
  const reportLoop = repeatedReport<Omit<RedirectLoopEvent, "type" | "count">>((loop, count) =>
    report({ type: "redirect_loop", ...loop, count }),
  )
  const { pageAfterMs, holdFetchMs, holdMs, ...machinesOptions } = options.machines ?? {}
  const holding = { pageAfterMs, holdFetchMs, holdMs }
  const machines = makeMachines({ ...machinesOptions, providers: options.providers, headerNames, onEvent: report })
  const services = Context.make(Routes, fromStore(options.store, { onEvent: report })).pipe(
    Context.add(Machines, machines),
  )
  const balancing: RouterProgram["balancing"] = {}
  const hops = options.regions?.hops({ signingKey: options.signingKey, headerNames, onEvent: report })
  const observe =
    options.instrument &&
    instrumented(options.instrument, {
      policies: namedPolicies(options.policies ?? []).map(({ name }) => name),
      providers: options.providers.map(({ type }) => type),
    })
  const activity = activityReports(options)
  const tickets = ticketSigner(options.signingKey, { unprovenMachines: options.unprovenMachines })
  const { transport = forwardFetch } = options
  const parts = { balancing, hops, holding, activity, tickets, transport }
  const program = handle(options, onEvent && isolationEvents(report), parts)
  const policies = namedPolicies(options.policies ?? [])
  const routes = Context.get(services, Routes)
  const control = machineControl(machines, { headerNames, tickets, transport })
  const onWithdrawn: RouterProgram["onWithdrawn"] = new Set()
  const runFork = Effect.runForkWith(services)

  const failed: RouterProgram["failed"] = (error, request, original) => {
    const response = errors.forError(error, request)
    try {
      const replaced: unknown = onError?.(error, original())
      return isResponse(replaced) ? { response, replaced } : { response }
    } catch {
      return { response }
    }
  }

  /** A response that the machine's proxy generated for a failure may be replaced as one of the router's own. */
  const replaced = <A>(
    outcome: RequestOutcome<A>,
    request: AskedRequest,
    sender: Pick<Sender<A>, "discard">,
  ): RequestOutcome<A> => {
    if (outcome._tag !== "Machine" || outcome.code === undefined) return outcome
    const { listening, route } = outcome
    const response =
      listening === undefined
        ? errors.replacing(outcome.status, outcome.code, request)
        : errors.portClosed(route.port, listening, request)
    if (response === undefined) return outcome
    sender.discard(outcome.response)
    return { _tag: "Generated", response }
  }

  const run = <A, R>(
    request: VisitorRequest & AskedRequest,
    sender: Sender<A>,
    original: () => Request,
    respond: (outcome: RequestOutcome<A>) => R | Promise<R>,
  ): R | Promise<R> => {
    const started = performance.now()
    const trace: TraceStep[] = []
    const observed = observe?.(request)
    const failure = (error: RouterError) => ({ _tag: "Failed", error, ...failed(error, request, original) }) as const
    const end = (outcome: RequestOutcome<unknown>) => {
      if (outcome._tag === "NotOurs" || (onEvent === undefined && observed === undefined)) {
        observed?.end(undefined)
        return
      }
      const { requestId, method, host, clientAddress } = request
      const durationMs = performance.now() - started
      const client = clientAddress === undefined ? {} : { clientAddress }
      const event = {
        type: "request",
        requestId,
        method,
        host,
        ...client,
        ...reported(outcome),
        durationMs,
        trace,
      } as const
      report(event)
      observed?.end(event)
      if (outcome._tag === "Machine" && outcome.redirectsToItself) {
        const { machine, port, settings } = outcome.route
        reportLoop(machine.id, { host, machine: machine.id, port, reason: loopReason(port, settings) })
      }
    }
    const sending = observed === undefined ? sender : observed.sender(sender, headerNames.tunnel)
    const finish = (exit: ProgramExit<A>): R | Promise<R> => {
      const outcome = replaced(requestOutcome(exit, failure), request, sender)
      try {
        const response = respond(outcome)
        end(outcome)
        return response
      } catch (cause) {
        // A machine's response that cannot be passed on, or a policy's edit of it that failed.
        if (outcome._tag === "Machine") sender.discard(outcome.response)
        const instead = failure(new ProxyFailed({ cause }))
        end(instead)
        return respond(instead)
      }
    }
    const fiber = runFork(program(request, sending, trace), request.onAbort ? {} : { signal: request.signal })
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return finish(exit)
    return new Promise<ProgramExit<A>>((resolve) => {
      fiber.addObserver(resolve)
      request.onAbort?.(() => fiber.interruptUnsafe())
    }).then(finish)
  }

  return {
    headerNames,
    headersTimeoutMs: options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
    transport,
    clientAddress: options.clientAddress,
    publicPorts: options.publicPorts && [...options.publicPorts],
    errors,
    grammar: options.grammar,
    routes,
    hops,
    run,
    report,
    failed,
    explain: (asked, request) =>
      Effect.runPromiseWith(services)(explain({ ...options, hops }, asked, request, balancing.balancer?.peek)),
    storeStats: () => options.store.stats?.(),
    checkAccess: (request, machine) =>
      Effect.runPromise(checkAccess(routes, { grammar: options.grammar, policies }, request, machine), {
        signal: request.signal,
      }),
    onWithdrawn,
    withdraw: async (host, withdrawal) => {
      const withdrawn = await withdraw({ routes, grammar: options.grammar, control, hops }, host, withdrawal)
      const ids = new Set(withdrawn.machines.map(({ machine }) => machine))
      for (const end of onWithdrawn) end(withdrawal.sessions, ids)
      return withdrawn
    },
    balancing,
    watch: async (signal) => void (await Effect.runPromiseExit(machines.watch, { signal })),
  }
}

type ProgramExit<A> = Exit.Exit<Handled<A>, RouterError | HostnameForeign>

/** Reads how the program ended. Anything unexpected is a `ProxyFailed`: no request ends in a throw. */
const requestOutcome = <A>(
  exit: ProgramExit<A>,
  failed: (error: RouterError) => RequestOutcome<A>,
): RequestOutcome<A> => {
  if (Exit.isSuccess(exit)) return exit.value
  const found = Cause.findError(exit.cause)
  if (Result.isSuccess(found)) {
    return found.success._tag === "HostnameForeign" ? { _tag: "NotOurs" } : failed(found.success as RouterError)
  }
  if (Cause.hasInterruptsOnly(exit.cause)) return { _tag: "ClientLeft" }
  return failed(new ProxyFailed({ cause: Cause.squash(exit.cause) }))
}

const loopReason = (port: number, { forwardedProto }: PortSettings): string => {
  const mend =
    forwardedProto === true ? "the app does not read X-Forwarded-Proto" : "set forwardedProto: true on the port"
  return `port ${port} redirects to the URL that was asked for, often to have https: ${mend}`
}

/** What an event says of how a request of ours ended. */
const reported = (outcome: Exclude<RequestOutcome<unknown>, { readonly _tag: "NotOurs" }>) => {
  if (outcome._tag === "Machine") {
    const { status, code, route } = outcome
    // Whoever is root in the machine may have written it.
    return { status, ...(code !== undefined && /^\w{1,64}$/.test(code) ? { code } : {}), machine: route.machine.id }
  }
  if (outcome._tag === "Generated") {
    const { status, code } = outcome.response
    return { status, ...(code === undefined ? {} : { code }) }
  }
  // nginx's number for it: no status was sent.
  if (outcome._tag === "ClientLeft") return { status: 499 }
  const { error, response, replaced } = outcome
  return { status: (replaced ?? response).status, error: error._tag, code: rowOf(error).code, reason: reasonOf(error) }
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
