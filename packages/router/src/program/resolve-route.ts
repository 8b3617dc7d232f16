import { candidates, routeKey } from "@project-ingress/hostname"
import type { Candidate, Grammar, HostnameForeign, Target } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import { RouteNotFound } from "../errors.ts"
import type { RouteInvalid, RouterError, RouteUnknown } from "../errors.ts"
import type { Route } from "../policies/policy.ts"
import type { PortSettings, RouteKey, RouteRecord } from "../stores/record.ts"
import type { FoundRoute, Routes } from "../stores/routes.ts"
import { settingsOf } from "../stores/settings.ts"
import { chooseByAddress } from "./candidates.ts"
import type { Choose } from "./candidates.ts"
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
  /** How one of several machines is chosen. Default: by the visitor's address. */
  readonly choose?: Choose | undefined
  /** True: ask the authority, past every cache. Default false. */
  readonly refresh?: boolean
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
  /**
   * Runs once it is known that the hostname is ours: before the look-up for a name under the grammar's domains, after it for
   * any other. Its failure ends the resolution.
   */
  readonly whenOurs: () => Effect.Effect<void, E>
}

/** A route that leads to a machine. */
export type RouteToMachine = Route & { readonly machine: Machine; readonly port: number }

export const isMachineRoute = (route: Route): route is RouteToMachine => route.machine !== undefined

/**
 * From a hostname to a machine and a port: name, candidate keys, record, rule, machine and port. `handle` goes on from here
 * and `explain` stops here; nothing else decides where a hostname leads. It begins with the call, and where the store knows at
 * once, the effect is its result: then nothing waits.
 */
export const resolveRoute = <E>(
  routes: Routes["Service"],
  grammar: Grammar,
  request: RouteRequest,
  options: ResolveOptions<E>,
): Effect.Effect<Route, RouterError | HostnameForeign | E> => {
  const { host, localPort } = request
  const { trace, whenOurs } = options
  const found = candidates(grammar, host, localPort === undefined ? {} : { localPort })
  if ("_tag" in found) {
    trace.push({ step: "hostname", outcome: "malformed", reason: found.reason })
    return Effect.fail(found)
  }
  const [first] = found
  if (first === undefined) return notOurs(host, trace, "not a hostname of the grammar: left to the caller's app")
  const keys = found.map(({ key }) => key)
  const routeOf = (known: KnownRoute) =>
    Effect.mapEager(recordOf(routes, known, options), ({ key, record }) =>
      routeTo(grammar, request, key, record, known.target, options),
    )
  // A name under the grammar's own domains is ours whatever the store says; any other one only if the store knows it.
  if (first.target.domain !== undefined) {
    trace.push({ step: "hostname", outcome: "named", keys, target: first.target })
    return Effect.flatMapEager(whenOurs(), () =>
      Effect.flatMapEager(firstKnown(routes, grammar, found, options), routeOf),
    )
  }
  trace.push({ step: "hostname", outcome: "named", keys })
  const known = Effect.catchEager(
    firstKnown(routes, grammar, found, options),
    (error): Effect.Effect<never, RouteUnknown | RouteInvalid | HostnameForeign> =>
      error._tag === "RouteNotFound"
        ? notOurs(host, trace, "no route of any of these: left to the caller's app")
        : Effect.fail(error),
  )
  return Effect.flatMapEager(known, (known) => Effect.flatMapEager(whenOurs(), () => routeOf(known)))
}

/** What a record says of a request: where it goes, and by which settings. */
const routeTo = (
  grammar: Grammar,
  request: RouteRequest,
  key: RouteKey,
  record: RouteRecord,
  target: Target,
  { choose = chooseByAddress, trace }: Pick<ResolveOptions<never>, "choose" | "trace">,
): Route => {
  const { version, epoch, kind } = record
  trace.push({ step: "record", outcome: kind, version, epoch })
  if (kind !== "machine") return { key, target, record, settings: visibilityOf(record) }
  const { method, path, clientAddress } = request
  const asked = { method, path, clientAddress, header: (lower: string) => joinedHeader(request.headers, lower) }
  const { machine, port } = selectMachine(grammar, target, record, asked, choose, trace)
  // No such service. The policies decide all the same, so that nobody learns which services a private project has.
  if (port === undefined) return { key, target, record, settings: visibilityOf(record) }
  return { key, target, record, machine, port, settings: settingsOf(record, machine.id, port) }
}

const visibilityOf = ({ visibility }: RouteRecord): PortSettings => (visibility === undefined ? {} : { visibility })

/** A route that the store knows, and what the hostname names in it. */
interface KnownRoute extends FoundRoute {
  readonly target: Target
}

/**
 * The first candidate that leads somewhere. On a custom domain, a label that is neither a port nor a service of the domain's
 * project is not one of its names: the next candidate, such as the wildcard above it, is looked up.
 */
const firstKnown = (
  routes: Routes["Service"],
  grammar: Grammar,
  found: readonly Candidate[],
  options: LookUpOptions,
): Effect.Effect<KnownRoute, RouteNotFound | RouteUnknown | RouteInvalid> => {
  const [first, ...others] = found.map(({ key }) => key)
  return Effect.flatMapEager(lookUp(routes, [first!, ...others], options), (known) => {
    const at = found.findIndex(({ key }) => key === known.key)
    const { target } = found[at]!
    const rest = found.slice(at + 1)
    const isName = target.service === undefined || knowsService(grammar, target, known.record)
    return isName || rest.length === 0
      ? Effect.succeed({ ...known, target })
      : firstKnown(routes, grammar, rest, options)
  })
}

const knowsService = (grammar: Grammar, target: Target, record: RouteRecord): boolean =>
  record.kind !== "machine" || namedPort(grammar, target, record)?.port !== undefined

/** One look-up, and what came of it as a step of the trace. */
const lookUp = (
  routes: Routes["Service"],
  keys: readonly [RouteKey, ...RouteKey[]],
  { refresh = false, waitUntil, trace }: LookUpOptions,
): Effect.Effect<FoundRoute, RouteNotFound | RouteUnknown | RouteInvalid> => {
  const looked = routes.lookup(keys, { refresh, ...(waitUntil === undefined ? {} : { waitUntil }) })
  const traced = Effect.mapEager(looked, (found) => {
    const { record: _, ...source } = found
    trace.push({ step: "lookup", outcome: "hit", ...source })
    return found
  })
  return Effect.mapErrorEager(traced, (error) => {
    const { _tag, key } = error
    if (_tag === "RouteInvalid")
      trace.push({ step: "refused", outcome: error.problem.code, key, reason: error.message })
    else trace.push({ step: "lookup", outcome: _tag === "RouteNotFound" ? "miss" : "unknown", key })
    return error
  })
}

type LookUpOptions = Omit<ResolveOptions<never>, "whenOurs">

/**
 * The record that decides. On a custom domain the name says only which machine is asked for: then it is the machine's own, if it
 * and the domain have one owner; otherwise there is no such route. A domain without a machine of its own has none to show.
 */
const recordOf = (
  routes: Routes["Service"],
  known: KnownRoute,
  options: LookUpOptions,
): Effect.Effect<FoundRoute, RouterError> => {
  const { target, record } = known
  if (target.kind !== "machine" || target.domain !== undefined || record.kind !== "machine")
    return Effect.succeed(known)
  const key = routeKey(target)
  return Effect.flatMapEager(lookUp(routes, [key], options), (machine) => {
    if (record.owner !== undefined && machine.record.owner === record.owner) return Effect.succeed(machine)
    const reason = `${known.key} and ${key} have no owner in common: 404`
    options.trace.push({ step: "refused", outcome: "OWNER", key, reason })
    return Effect.fail(new RouteNotFound({ key }))
  })
}

const notOurs = (host: string, trace: TraceStep[], reason: string): Effect.Effect<never, HostnameForeign> => {
  trace.push({ step: "hostname", outcome: "foreign", reason })
  return Effect.fail({ _tag: "HostnameForeign", host } as const)
}
