import { candidates, routeKey } from "@project-ingress/hostname"
import type { Candidate, Grammar } from "@project-ingress/hostname"
import { headerValue } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { originIn, publicOrigin } from "../hop/origin.ts"
import { requestUrlFields } from "../hop/rewrite-origins.ts"
import type { ProjectOrigins } from "../hop/rewrite-origins.ts"
import type { Routes } from "../stores/routes.ts"
import { namedPort } from "./select-machine.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { VisitorRequest } from "./sender.ts"

/**
 * The origins in `Origin`, `Referer` and the like that are ports of the request's own project: with the visitor's own scheme and public
 * port, and a hostname that the store takes to the very route of the request. What cannot be looked up now is not among them.
 */
export const projectOrigins = (
  routes: Routes["Service"],
  grammar: Grammar,
  request: VisitorRequest,
  route: RouteToMachine,
): Effect.Effect<ProjectOrigins> => {
  const own = publicOrigin(request)
  // An app that sees public names is sent them as they are.
  const others = route.settings.appOrigin === "public" ? [] : named(request).filter((origin) => origin !== own)
  return others.length === 0
    ? Effect.succeed({ own, ports: new Map([[own, route.port]]) })
    : withOthers(routes, grammar, request, route, own, others)
}

const withOthers = Effect.fnUntraced(function* (
  routes: Routes["Service"],
  grammar: Grammar,
  request: VisitorRequest,
  route: RouteToMachine,
  own: string,
  others: readonly string[],
): Effect.fn.Return<ProjectOrigins> {
  const ports = new Map([[own, route.port]])
  for (const origin of others) {
    const port = yield* portBehind(routes, grammar, request, route, own, origin)
    if (port !== undefined) ports.set(origin, port)
  }
  return { own, ports }
})

/** The origins that the request names, as written. Of each field the first: browsers send one. */
const named = ({ headers }: VisitorRequest): readonly string[] =>
  requestUrlFields.flatMap((name) => {
    const url = headerValue(headers, name)
    return url === undefined ? [] : (originIn(url)?.text ?? [])
  })

/** The port of the request's project that an origin leads to; `undefined` if it is any other origin. */
const portBehind = Effect.fnUntraced(function* (
  routes: Routes["Service"],
  grammar: Grammar,
  request: VisitorRequest,
  route: RouteToMachine,
  own: string,
  origin: string,
): Effect.fn.Return<number | undefined> {
  const { record } = route
  const parts = originIn(origin)
  const visitor = originIn(own)
  if (record.kind !== "machine" || parts?.scheme !== visitor?.scheme || parts?.port !== visitor?.port) return undefined
  const { localPort } = request
  const found = candidates(grammar, parts!.hostname, localPort === undefined ? {} : { localPort })
  if ("_tag" in found) return undefined
  const at = found.findIndex((candidate) => leadsTo(candidate, route))
  if (at === -1) return undefined
  const { target } = found[at]!
  const port = namedPort(grammar, target, record) ?? { port: record.port ?? grammar.defaultPort }
  if (port.port === undefined || at === 0) return port.port
  // On a custom domain a more exact name may be another project's.
  const [first, ...rest] = found.slice(0, at + 1).map(({ key }) => key)
  const known = yield* Effect.result(routes.lookup([first!, ...rest], { refresh: false }))
  return Result.isSuccess(known) && known.success.key === found[at]!.key ? port.port : undefined
})

const leadsTo = ({ key, target }: Candidate, route: RouteToMachine): boolean =>
  target.kind === "machine"
    ? routeKey(target) === route.key && target.customDomain === route.target.customDomain
    : key === route.key && target.customDomain === route.target.customDomain
