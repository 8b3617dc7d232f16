import { candidates, routeKey } from "@project-ingress/hostname"
import type { Candidate, Grammar, HostnameForeign, Target } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { RouteNotFound } from "../errors.ts"
import type { RouteInvalid, RouterError, RouteUnknown } from "../errors.ts"
import type { Route } from "../policies/policy.ts"
import type { PortSettings, RouteKey, RouteRecord } from "../stores/record.ts"
import { Routes } from "../stores/routes.ts"
import type { FoundRoute } from "../stores/routes.ts"
import { settingsOf } from "../stores/settings.ts"
import { namedPort, selectMachine } from "./select-machine.ts"
import { joinedHeader } from "./sender.ts"
import type { VisitorRequest } from "./sender.ts"
import type { TraceStep } from "./trace.ts"

/** The part of a request that decides where it goes. */
export type RouteRequest = Pick<VisitorRequest, "host" | "method" | "path" | "headers" | "clientAddress" | "localPort">

/** How a route is resolved. */
export interface ResolveOptions<E> {
  /** Every decision is added here, as data. */
  readonly trace: TraceStep[]
  /** True: ask the authority, past every cache. Default false. */
  readonly refresh?: boolean
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
  /**
   * Runs once it is known that the hostname is ours: before the look-up for a name under the grammar's domains, after it for
   * any other. Its failure ends the resolution.
   */
  readonly whenOurs: Effect.Effect<void, E>
}

/** A route that leads to a machine. */
export type RouteToMachine = Route & { readonly machine: Machine; readonly port: number }

export const isMachineRoute = (route: Route): route is RouteToMachine => route.machine !== undefined

/**
 * From a hostname to a machine and a port: name, candidate keys, record, rule, machine and port. `handle` goes on from here
 * and `explain` stops here; nothing else decides where a hostname leads.
 */
export const resolveRoute = Effect.fnUntraced(function* <E>(
  grammar: Grammar,
  request: RouteRequest,
  options: ResolveOptions<E>,
): Effect.fn.Return<Route, RouterError | HostnameForeign | E, Routes> {
  const { host, localPort } = request
  const { trace, whenOurs } = options
  const routes = yield* Routes
  const found = candidates(grammar, host, localPort === undefined ? {} : { localPort })
  if ("_tag" in found) {
    trace.push({ step: "hostname", outcome: "malformed", reason: found.reason })
    return yield* Effect.fail(found)
  }
  const [first] = found
  if (first === undefined) return yield* notOurs(host, trace, "not a hostname of the grammar: left to the caller's app")
  // A name under the grammar's own domains is ours whatever the store says; any other one only if the store knows it.
  const platform = first.target.domain !== undefined
  const keys = found.map(({ key }) => key)
  trace.push({ step: "hostname", outcome: "named", keys, ...(platform ? { target: first.target } : {}) })
  if (platform) yield* whenOurs
  const known = yield* Effect.catchEager(
    firstKnown(routes, grammar, found, options),
    (error): Effect.Effect<never, RouteNotFound | RouteUnknown | RouteInvalid | HostnameForeign> =>
      platform || error._tag !== "RouteNotFound"
        ? Effect.fail(error)
        : notOurs(host, trace, "no route of any of these: left to the caller's app"),
  )
  if (!platform) yield* whenOurs
  const { target } = known

  // On a custom domain the name says only which machine is asked for. A domain without a machine of its own has none to show.
  const ofMachine = target.kind === "machine" && !platform && known.record.kind === "machine"
  const { key, record } = ofMachine ? yield* machineOf(routes, known, routeKey(target), options) : known
  const { version, epoch, kind } = record
  trace.push({ step: "record", outcome: kind, version, epoch })
  if (kind !== "machine") return { key, target, record, settings: visibilityOf(record) }
  const { method, path, clientAddress } = request
  const asked = { method, path, clientAddress, header: (lower: string) => joinedHeader(request.headers, lower) }
  const { machine, port } = selectMachine(grammar, target, record, asked, trace)
  // No such service. The policies decide all the same, so that nobody learns which services a private project has.
  if (port === undefined) return { key, target, record, settings: visibilityOf(record) }
  return { key, target, record, machine, port, settings: settingsOf(record, machine.id, port) }
})

const visibilityOf = ({ visibility }: RouteRecord): PortSettings => (visibility === undefined ? {} : { visibility })

/** A route that the store knows, and what the hostname names in it. */
interface KnownRoute extends FoundRoute {
  readonly target: Target
}

/**
 * The first candidate that leads somewhere. On a custom domain, a label that is neither a port nor a service of the domain's
 * project is not one of its names: the next candidate, such as the wildcard above it, is looked up.
 */
const firstKnown = Effect.fnUntracedEager(function* (
  routes: Routes["Service"],
  grammar: Grammar,
  found: readonly Candidate[],
  options: LookUpOptions,
): Effect.fn.Return<KnownRoute, RouteNotFound | RouteUnknown | RouteInvalid> {
  for (let rest = found; ;) {
    const [first, ...others] = rest.map(({ key }) => key)
    const known = yield* lookUp(routes, [first!, ...others], options)
    const at = rest.findIndex(({ key }) => key === known.key)
    const { target } = rest[at]!
    rest = rest.slice(at + 1)
    const isName = target.service === undefined || knowsService(grammar, target, known.record)
    if (isName || rest.length === 0) return { ...known, target }
  }
})

const knowsService = (grammar: Grammar, target: Target, record: RouteRecord): boolean =>
  record.kind !== "machine" || namedPort(grammar, target, record)?.port !== undefined

/** One look-up, and what came of it as a step of the trace. Eager, because most stores know at once. */
const lookUp = Effect.fnUntracedEager(function* (
  routes: Routes["Service"],
  keys: readonly [RouteKey, ...RouteKey[]],
  { refresh = false, waitUntil, trace }: LookUpOptions,
): Effect.fn.Return<FoundRoute, RouteNotFound | RouteUnknown | RouteInvalid> {
  const found = yield* Effect.result(
    routes.lookup(keys, { refresh, ...(waitUntil === undefined ? {} : { waitUntil }) }),
  )
  if (Result.isSuccess(found)) {
    const { record: _, ...source } = found.success
    trace.push({ step: "lookup", outcome: "hit", ...source })
    return found.success
  }
  const error = found.failure
  const { _tag, key } = error
  if (_tag === "RouteInvalid") trace.push({ step: "refused", outcome: error.problem.code, key, reason: error.message })
  else trace.push({ step: "lookup", outcome: _tag === "RouteNotFound" ? "miss" : "unknown", key })
  return yield* Effect.fail(error)
})

type LookUpOptions = Omit<ResolveOptions<never>, "whenOurs">

/** The machine's own record, if it and the domain have one owner; otherwise there is no such route. */
const machineOf = Effect.fnUntraced(function* (
  routes: Routes["Service"],
  domain: FoundRoute,
  key: RouteKey,
  options: LookUpOptions,
): Effect.fn.Return<FoundRoute, RouterError> {
  const machine = yield* lookUp(routes, [key], options)
  const { owner } = domain.record
  if (owner !== undefined && machine.record.owner === owner) return machine
  options.trace.push({
    step: "refused",
    outcome: "OWNER",
    key,
    reason: `${domain.key} and ${key} have no owner in common: 404`,
  })
  return yield* Effect.fail(new RouteNotFound({ key }))
})

const notOurs = (host: string, trace: TraceStep[], reason: string): Effect.Effect<never, HostnameForeign> => {
  trace.push({ step: "hostname", outcome: "foreign", reason })
  return Effect.fail({ _tag: "HostnameForeign", host } as const)
}
