import { defaultHeaderNames, ticketSigner } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { headerValues, validGeneratedResponse } from "@project-ingress/forward/internal"
import type { GeneratedResponse, HopHeaderNames, SigningKey, TicketSigner } from "@project-ingress/forward"
import type { Grammar, HostnameForeign } from "@project-ingress/hostname"
import type { MachineMismatch } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import { makeFailureBudget } from "@project-ingress/providers/internal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import {
  LoopDetected,
  MachineDetached,
  ProxyFailed,
  RouteNotFound,
  RouteRemoved,
  UpgradeUnsupported,
} from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { programCookies } from "../hop/cookie-isolation.ts"
import type { CookieIsolation, CookieSource } from "../hop/cookie-isolation.ts"
import { filteredFields } from "../hop/filtered-fields.ts"
import type { FilteredField } from "../hop/filtered-fields.ts"
import { maxHops, timesPassed } from "../hop/loop.ts"
import { headerEdits } from "./header-edits.ts"
import type { Inspection } from "../policies/inspection.ts"
import { PolicyMistake } from "../policies/policy-error.ts"
import type { PolicyInput, Route } from "../policies/policy.ts"
import { Routes } from "../stores/routes.ts"
import { authorize, isDecided, ownRequest, namedPolicies, redirect } from "./authorize.ts"
import type { Decided } from "./authorize.ts"
import type { Balancer, RequestBalance } from "./balancing.ts"
import type { ActivityReports } from "./activity.ts"
import type { Candidates } from "./candidates.ts"
import type { HoldingOptions, Waiting } from "./holding.ts"
import type { RegionHops } from "./region-hops.ts"
import { projectOrigins } from "./project-origins.ts"
import { protocolMismatch } from "./protocol.ts"
import { redirectLocation } from "./redirect-location.ts"
import { isMachineRoute, resolveRoute } from "./resolve-route.ts"
import { machineControl } from "./machine-control.ts"
import type { ControlSettings } from "./machine-control.ts"
import { machineInspection } from "./inspect-machine.ts"
import { sendToMachine } from "./send-to-machine.ts"
import type { MachineResponse } from "./send-to-machine.ts"
import { RequestEnded } from "./sender.ts"
import type { RequestEnd, Sender, VisitorRequest } from "./sender.ts"
import type { TraceStep } from "./trace.ts"

/** What a router is made of beside the services `Routes` and `Machines`. */
export interface RouterSettings {
  readonly grammar: Grammar
  /**
   * What signs tickets: the private half (EdDSA), or a shared secret (HS256), with which root in any machine can send requests to
   * every other machine, and prove to be it.
   */
  readonly signingKey: SigningKey
  /**
   * Whether responses are accepted of machine proxies that cannot prove which machine they are: those that run without keys
   * (`--insecure`), or with a key that holds no machine's secret (see `machineKey`). Then whoever sits at a machine's address is
   * believed. Default false: such a response is 502 `MACHINE_UNPROVEN`.
   */
  readonly unprovenMachines?: boolean
  /** In order; the first outcome counts. Default: none; then every port is public but those that their record calls private. */
  readonly policies?: readonly PolicyInput[]
  /** The headers of the hop; must be the machine's. Default `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames
  /**
   * Keeps cookies of apps and of the platform apart. Default `{}`: under the grammar's domains no app's cookie reaches another
   * project or the platform, and on a custom domain none leaves the record's own domain. `false` leaves all to the apps.
   */
  readonly isolateCookies?: CookieIsolation | false
  /**
   * Takes fields out of apps' responses by which a browser remembers something for a hostname, or does something to its whole
   * site; under the grammar's domains only. `true` for every {@link FilteredField}. Default `false`.
   */
  readonly filterResponseHeaders?: boolean | readonly FilteredField[]
}

/** What a router may have beside its settings. */
export interface HandleParts {
  /** Looked into at each request: a host may bring a balancer. */
  readonly balancing?: { readonly balancer?: Balancer | undefined }
  readonly hops?: RegionHops | undefined
  /** How long requests wait for machines that sleep. Default: the defaults. */
  readonly holding?: HoldingOptions | undefined
  /** Hears which machines are in use. */
  readonly activity?: ActivityReports | undefined
  /** Sends what the router itself asks of machine proxies. Default: the runtime's own client. */
  readonly transport?: ControlSettings["transport"]
  /** Signs the tickets. Default: one of its own. */
  readonly tickets?: TicketSigner
}

/** A request's response: a machine's, or one that a policy or the record asked for. */
export type Handled<A> = MachineResponse<A> | { readonly _tag: "Generated"; readonly response: GeneratedResponse }

/**
 * The program: one request from its head to its response. Fails with everything that a router answers with an error response,
 * and with `HostnameForeign` for a hostname that is not ours. Needs no more than what it is given: a test gives it fakes.
 * Every decision is added to `trace`; `onIsolated` hears of each cookie that an app does not get to set as it meant to. Without a
 * balancer, which is looked for at each request, one of several machines is chosen by the visitor's address; `hops` sends on what
 * belongs to another region.
 */
export const handle = (
  settings: RouterSettings,
  onIsolated?: CookieSource["onIsolated"],
  { balancing = {}, hops, holding = {}, activity, transport = forwardFetch, tickets }: HandleParts = {},
) => {
  const { grammar, headerNames = defaultHeaderNames, isolateCookies = {}, filterResponseHeaders = false } = settings
  const policies = namedPolicies(settings.policies ?? [])
  const send = {
    grammar,
    cookies: programCookies(isolateCookies, policies),
    onIsolated,
    filtered: filteredFields(filterResponseHeaders),
    headerNames,
    edits: headerEdits(policies, headerNames),
    holding,
    activity,
    tickets: tickets ?? ticketSigner(settings.signingKey, { unprovenMachines: settings.unprovenMachines }),
  }
  const refreshes = makeFailureBudget()
  const inspection = machineInspection(grammar, policies)
  const controlOf = (machines: Machines["Service"]) =>
    machineControl(machines, { headerNames, tickets: send.tickets, transport })

  const run = <A>(
    routes: Routes["Service"],
    machines: Machines["Service"],
    request: VisitorRequest,
    sender: Sender<A>,
    trace: TraceStep[],
  ): Effect.Effect<Handled<A>, RouterError | HostnameForeign> => {
    const policy = request.platform === undefined ? authorize(policies, request, sender.waitUntil, trace) : ownRequest

    /** What is decided without the route, once it is known that the hostname is ours. */
    const whenOurs = (): Effect.Effect<void, RouterError | Decided> => {
      const refused = refusedAtOnce(request)
      return refused === undefined ? policy.onRequest() : Effect.fail(refused)
    }

    const waiting: Waiting = { visitor: policy.visitor, since: undefined }
    const { balancer } = balancing
    /** What is known of the request's tries, once a record asked for more than to send it to its machine. */
    let balance: RequestBalance | undefined
    const choose = balancer && ((among: Candidates) => (balance ??= balancer.begin()).choose(among))

    const resolve = (refresh: boolean) =>
      resolveRoute(routes, grammar, request, {
        choose,
        refresh,
        trace,
        waitUntil: sender.waitUntil,
        whenOurs: refresh ? () => Effect.void : whenOurs,
      })
    /** Past every cache only as often as the machine's budget allows: who says that it is not there may say so forever. */
    const lookAgain = ({ provider, machine }: Pick<MachineMismatch, "provider" | "machine">) =>
      resolve(refreshes.take({ share: provider, key: JSON.stringify([provider, machine]) }))
    const reach = (route: Route): Effect.Effect<Handled<A>, RouterError | Decided> => {
      if (!isMachineRoute(route)) return withoutMachine(grammar, request, route)
      const refused =
        protocolMismatch(request, route, sender.endsTunnels) ?? sender.admit?.(route.record, route.machine)
      if (refused !== undefined) return Effect.fail(refused)
      const visitor = policy.visitor()
      if (visitor !== undefined) sender.onLetIn?.(visitor, route)
      // To the router there a request of the platform's own would be a visitor's, whom its policies refuse: it goes to the machine itself.
      if (request.platform === undefined && hops?.isElsewhere(route.record, trace)) {
        const { type: provider, externalId: machine } = route.machine
        const again = () => lookAgain({ provider, machine })
        return Effect.catchDefect(hops.send(request, route, sender, again), endOf)
      }
      const attempt = (by: Sender<A>) =>
        Effect.catchDefect(
          Effect.flatMapEager(projectOrigins(routes, grammar, request, route), (origins) =>
            sendToMachine(machines, send, request, route, origins, by, { waiting, session: visitor?.id }),
          ),
          endOf,
        )
      if (route.settings.healthCheck !== undefined) balance ??= balancer?.begin()
      const sent: Effect.Effect<Handled<A>, RouterError | Decided> = balance === undefined
        ? attempt(sender)
        : balance.send({ route, sender, trace, machines, send, attempt, again: proceed })
      return visitor?.mayInspect === true && request.method !== "HEAD" ? Effect.flatMap(sent, withListening) : sent
    }
    /** What listens instead of a port that is closed, for a visitor who may know. */
    const withListening = (handled: Handled<A>): Effect.Effect<Handled<A>> => {
      const isClosed = handled._tag === "Machine" && handled.code === "PORT_CLOSED" && handled.listening === undefined
      if (!isClosed || handled.byRouter === true) return Effect.succeed(handled)
      const instead = inspection.instead(controlOf(machines), request, handled.route)
      return Effect.map(instead, (listening) => (listening === undefined ? handled : { ...handled, listening }))
    }
    /** The response that a policy makes of what listens. */
    const inspect = (route: Route, wanted: Inspection): Effect.Effect<Handled<A>, RouterError | Decided> => {
      if (!isMachineRoute(route)) return withoutMachine(grammar, request, route)
      // The router there decides again, and asks.
      if (hops?.isElsewhere(route.record, []) === true) return reach(route)
      const refused = sender.admit?.(route.record, route.machine)
      if (refused !== undefined) return Effect.fail(refused)
      return Effect.flatMap(inspection.inspect(controlOf(machines), request, route, wanted), (listening) =>
        generatedBy(() => wanted.respond(listening)),
      )
    }
    const proceed = (route: Route): Effect.Effect<Handled<A>, RouterError | Decided> =>
      Effect.flatMapEager(policy.onRoute(route), (wanted) =>
        wanted === undefined ? reach(route) : inspect(route, wanted),
      )
    const proceedElsewhere = (moved: MachineMismatch) =>
      // Looked up even if this request is lost: the next one then finds the machine.
      Effect.flatMap(lookAgain(moved), (route) => (sender.replayable("no") ? proceed(route) : Effect.fail(moved)))

    return Effect.catchEager(Effect.flatMapEager(resolve(false), proceed), (error) =>
      isMismatch(error) ? Effect.catch(proceedElsewhere(error), responseOf) : responseOf(error),
    )
  }

  return <A>(
    request: VisitorRequest,
    sender: Sender<A>,
    trace: TraceStep[] = [],
  ): Effect.Effect<Handled<A>, RouterError | HostnameForeign, Routes | Machines> =>
    Effect.contextWith((services: Context.Context<Routes | Machines>) =>
      run(Context.get(services, Routes), Context.get(services, Machines), request, sender, trace),
    )
}

/** Why a request is refused before any policy is asked. */
export const refusedAtOnce = ({
  headers,
  upgrade,
}: Pick<VisitorRequest, "headers" | "upgrade">): LoopDetected | UpgradeUnsupported | undefined => {
  const passed = timesPassed(headerValues(headers, "via"))
  if (passed > maxHops) return new LoopDetected({ hops: passed })
  return upgrade === "unsupported" ? new UpgradeUnsupported() : undefined
}

/** A response that a policy makes, which may fail as the policy may. */
const generatedBy = (
  respond: () => unknown,
): Effect.Effect<Extract<Handled<never>, { readonly _tag: "Generated" }>, ProxyFailed> => {
  try {
    const response = respond()
    const problem = validGeneratedResponse(response)
    if (problem === undefined) return Effect.succeed({ _tag: "Generated", response: response as GeneratedResponse })
    return Effect.fail(new ProxyFailed({ cause: new PolicyMistake(`inspect.respond of a policy: ${problem}`) }))
  } catch (cause) {
    return Effect.fail(new ProxyFailed({ cause }))
  }
}

/** How a request ended while it was sent. */
const endOf = (defect: unknown): Effect.Effect<never, RequestEnd> =>
  defect instanceof RequestEnded ? Effect.fail(defect.end) : Effect.die(defect)

// By its class's own tag: a policy may give its errors any tag.
const isMismatch = (error: RouterError | Decided | HostnameForeign): error is MachineMismatch =>
  error._tag === "MachineMismatch" && "machine" in error

/** The response that a policy or a record asked for by ending the request; any other end is an error. */
const responseOf = <E extends { readonly _tag: string }>(
  error: E | Decided,
): Effect.Effect<Extract<Handled<never>, { readonly _tag: "Generated" }>, Exclude<E, Decided>> =>
  isDecided(error)
    ? Effect.succeed({ _tag: "Generated", response: error.response })
    : Effect.fail(error as Exclude<E, Decided>)

/** What a route that leads to no machine comes to. */
export const withoutMachine = (
  grammar: Grammar,
  request: VisitorRequest,
  { key, record, target }: Route,
): Effect.Effect<never, RouterError | Decided> => {
  if (record.kind === "machine") return Effect.fail(new RouteNotFound({ key, service: target.service! }))
  if (record.kind === "removed") return Effect.fail(new RouteRemoved({ key }))
  const location = record.kind === "redirect" ? redirectLocation(grammar, record, target, request) : undefined
  if (record.kind !== "redirect" || location === undefined) return Effect.fail(new MachineDetached({ key }))
  return Effect.fail(redirect(record.status, location))
}
