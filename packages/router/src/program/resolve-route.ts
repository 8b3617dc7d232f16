import { headerValue } from "@project-ingress/forward"
import { candidates, routeKey } from "@project-ingress/hostname"
import type { Grammar, HostnameForeign } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { RouteNotFound } from "../errors.ts"
import type { RouteInvalid, RouterError, RouteUnknown } from "../errors.ts"
import type { Route } from "../policies/policy.ts"
import type { RouteKey } from "../stores/record.ts"
import { Routes } from "../stores/routes.ts"
import type { FoundRoute } from "../stores/routes.ts"
import { settingsOf } from "../stores/settings.ts"
import { selectMachine } from "./select-machine.ts"
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
  const found = candidates(grammar, host, localPort === undefined ? {} : { localPort })
  if ("_tag" in found) {
    trace.push({ step: "hostname", outcome: "malformed", reason: found.reason })
    return yield* Effect.fail(found)
  }
  const [first, ...others] = found
  if (first === undefined) return yield* notOurs(host, trace, "not a hostname of the grammar: left to the caller's app")
  const keys = [first.key, ...others.map(({ key }) => key)] as const
  // A name under the grammar's own domains is ours whatever the store says; any other one only if the store knows it.
  const platform = first.target.domain !== undefined
  trace.push({ step: "hostname", outcome: "named", keys, ...(platform ? { target: first.target } : {}) })
  if (platform) yield* whenOurs
  const known = yield* Effect.catchTag(
    lookUp(keys, options, trace),
    "RouteNotFound",
    (missing): Effect.Effect<never, RouteNotFound | HostnameForeign> =>
      platform ? Effect.fail(missing) : notOurs(host, trace, "no route of any of these: left to the caller's app"),
  )
  if (!platform) yield* whenOurs

  const { target } = found.find(({ key }) => key === known.key)!
  // On a custom domain the name says only which machine is asked for.
  const ofMachine = target.kind === "machine" && !platform
  const { key, record } = ofMachine ? yield* machineOf(known, routeKey(target), options, trace) : known
  const { version, epoch, kind } = record
  trace.push({ step: "record", outcome: kind, version, epoch })
  if (kind !== "machine") {
    const { visibility } = record
    return { key, target, record, settings: visibility === undefined ? {} : { visibility } }
  }
  const { method, path, clientAddress } = request
  const asked = { method, path, clientAddress, header: (lower: string) => headerValue(request.headers, lower) }
  const { machine, port } = selectMachine(grammar, target, record, asked, trace)
  if (port === undefined) return yield* Effect.fail(new RouteNotFound({ key, service: target.service! }))
  return { key, target, record, machine, port, settings: settingsOf(record, machine.id, port) }
})

/** One look-up, and what came of it as a step of the trace. */
const lookUp = Effect.fnUntraced(function* (
  keys: readonly [RouteKey, ...RouteKey[]],
  { refresh = false, waitUntil }: LookUpOptions,
  trace: TraceStep[],
): Effect.fn.Return<FoundRoute, RouteNotFound | RouteUnknown | RouteInvalid, Routes> {
  const routes = yield* Routes
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

type LookUpOptions = Pick<ResolveOptions<never>, "refresh" | "waitUntil">

/** The machine's own record, if it and the domain have one owner; otherwise there is no such route. */
const machineOf = Effect.fnUntraced(function* (
  domain: FoundRoute,
  key: RouteKey,
  options: LookUpOptions,
  trace: TraceStep[],
): Effect.fn.Return<FoundRoute, RouterError, Routes> {
  const machine = yield* lookUp([key], options, trace)
  const { owner } = domain.record
  if (owner !== undefined && machine.record.owner === owner) return machine
  trace.push({
    step: "refused",
    outcome: "OWNER",
    key,
    reason: `${domain.key} and ${key} have no owner in common: 404`,
  })
  return yield* Effect.fail(new RouteNotFound({ key }))
})

const notOurs = (host: string, trace: TraceStep[], reason: string): Effect.Effect<never, HostnameForeign> =>
  Effect.suspend(() => {
    trace.push({ step: "hostname", outcome: "foreign", reason })
    return Effect.fail({ _tag: "HostnameForeign", host } as const)
  })
