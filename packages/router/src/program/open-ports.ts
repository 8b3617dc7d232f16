import { publicPort } from "@project-ingress/forward/internal"
import { format } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { originText, publicOrigin } from "../hop/origin.ts"
import type { ListeningPort } from "../policies/inspection.ts"
import type { Policy } from "../policies/policy.ts"
import type { MachineRoute } from "../stores/record.ts"
import { settingsOf } from "../stores/settings.ts"
import { authorize } from "./authorize.ts"
import type { MachinePorts } from "./machine-control.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { VisitorRequest } from "./sender.ts"

/**
 * Of the ports on which something listens, those that the visitor of a request may open: the policies are asked about each of them, as about a
 * page that the visitor opens there.
 */
export const openPorts = (
  grammar: Grammar,
  policies: readonly Policy[],
  request: VisitorRequest,
  route: RouteToMachine,
  { ports }: MachinePorts,
): Effect.Effect<readonly ListeningPort[]> => {
  const asked = new PageRequest(request)
  const listed = async ({ port, process }: MachinePorts["ports"][number]): Promise<ListeningPort | undefined> => {
    const there = routeTo(route, port)
    const policy = authorize(policies, asked, undefined, [], "ports")
    const decided = Effect.flatMapEager(policy.onRequest(), () => policy.onRoute(there))
    const verdict = await Effect.runPromise(Effect.result(decided))
    // Whatever ends the request would end the visitor's own.
    if (!Result.isSuccess(verdict) || verdict.success !== undefined) return undefined
    const { visibility = "public" } = there.settings
    return { port, process, visibility, url: urlOf(grammar, request, route, port) }
  }
  return Effect.promise(async (signal) => {
    const open: ListeningPort[] = []
    for (let at = 0; at < ports.length && !signal.aborted; at += AT_ONCE) {
      // oxlint-disable-next-line no-await-in-loop -- a few at a time
      const found = await Promise.all(ports.slice(at, at + AT_ONCE).map(listed))
      open.push(...found.filter((each) => each !== undefined))
    }
    return open
  })
}

/** So many ports are asked about at a time: a policy may ask somebody else. */
const AT_ONCE = 16

/** What a visitor sends who opens a port's first page. */
class PageRequest implements VisitorRequest {
  readonly method = "GET"
  readonly path = "/"
  readonly upgrade = false
  readonly host: string
  readonly headers: VisitorRequest["headers"]
  readonly scheme: VisitorRequest["scheme"]
  readonly clientAddress: string | undefined
  readonly localPort: number | undefined
  readonly #request: VisitorRequest

  constructor(request: VisitorRequest) {
    this.host = request.host
    this.headers = request.headers
    this.scheme = request.scheme
    this.clientAddress = request.clientAddress
    this.localPort = request.localPort
    this.#request = request
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }
}

/** The same machine by the same key, on another port, with the settings of that one. */
const routeTo = (route: RouteToMachine, port: number): RouteToMachine => {
  const { machine, target } = route
  const { port: _, service: __, ...rest } = target
  const record = route.record as MachineRoute
  return {
    ...route,
    target: { ...rest, port },
    port,
    settings: settingsOf(record, machine.id, port),
  }
}

/** Where the visitor opens a port of the machine, by their own scheme, public port and domain. */
const urlOf = (
  grammar: Grammar,
  request: VisitorRequest,
  { target, key, port: own }: RouteToMachine,
  port: number,
): string | undefined => {
  if (port === own) return `${publicOrigin(request)}/`
  // A name below a wildcard has no labels for ports, and one of a listening port leads elsewhere on others.
  if (key.startsWith("d:") && key !== `d:${target.customDomain}`) return undefined
  const { port: _, service: __, ...rest } = target
  const hostname = format(grammar, { ...rest, port })
  return typeof hostname === "string" ? `${originText(request.scheme, hostname, publicPort(request))}/` : undefined
}
