import type { IncomingMessage } from "node:http"
import type { TLSSocket } from "node:tls"
import { headerValue } from "@project-ingress/forward"
import { headerValues, isAuthority } from "@project-ingress/forward/internal"
import { candidates, isPlatformName } from "@project-ingress/hostname"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { RouterProgram } from "../../router-program.ts"
import type { RouterEngine } from "../router-engine.ts"

/** Whether a request is the router's; a promise where a store has to be asked. Never throws and never rejects. */
export type IsOurs = (request: IncomingMessage) => boolean | Promise<boolean>

/**
 * Tells whose a request is: the router's, if its hostname is one of the grammar or has a record, and the app's otherwise. A look-up
 * that fails is no miss: then it is the router's, which says 503. The router decides about its own once more, as ever, by the same
 * head, so that a mistake here leads to no machine.
 */
export const ownerOf = ({ program, identityOf }: Pick<RouterEngine, "program" | "identityOf">): IsOurs => {
  const known = new WeakMap<IncomingMessage, boolean | Promise<boolean>>()
  const find = (request: IncomingMessage): boolean | Promise<boolean> => {
    const { method = "", url = "", rawHeaders } = request
    const { remoteAddress = "", localPort, encrypted = false } = request.socket as Partial<TLSSocket>
    const hosts = headerValues(rawHeaders, "host")
    // RFC 9112 §3.2.2: the authority of an absolute-form replaces the Host that came with it.
    const named = /^[a-z][\w+.-]*:\/\/([^/?#]*)/i.exec(url)?.[1]
    // Of two, each reader may take another one (RFC 9112 §3.2: 400). The app has those that are all its own, as without us.
    if (hosts.length > 1)
      return anyOf([...hosts, ...(named === undefined ? [] : [named])].map((host) => isOurs(program, host, localPort)))
    const host = named ?? hosts[0] ?? ""
    const ofClient = () => {
      const head = { host, headers: rawHeaders }
      return isOurs(program, identityOf({ head, encrypted, remoteAddress }).host, localPort)
    }
    if (host !== "" && !isAuthority(host)) return mentionsDomain(program, host)
    const header = (lowerName: string) => headerValue(rawHeaders, lowerName)
    const arrived = program.hops?.arrived({ method, path: url, header })
    return arrived === undefined ? ofClient() : arrived.then((hop) => hop !== undefined || ofClient())
  }
  return (request) => {
    // Made by the app itself, as tests do.
    if ((request.socket as unknown) === undefined) return false
    let owner = known.get(request)
    if (owner === undefined) {
      owner = find(request)
      known.set(request, owner)
    }
    return owner
  }
}

const anyOf = (each: readonly (boolean | Promise<boolean>)[]): boolean | Promise<boolean> =>
  each.includes(true) ? true : Promise.all(each.map(async (one) => one)).then((all) => all.includes(true))

const isOurs = (program: RouterProgram, host: string, localPort: number | undefined): boolean | Promise<boolean> => {
  const { grammar, routes } = program
  const found = candidates(grammar, host, localPort === undefined ? {} : { localPort })
  // An invalid name under our own domains is ours to refuse; any other one may mean something to the app.
  if ("_tag" in found) return isAuthority(host) ? isUnder(program, host) : mentionsDomain(program, host)
  const [first, ...others] = found.map(({ key }) => key)
  if (first === undefined) return false
  if (found[0]!.target.domain !== undefined) return true
  const fiber = Effect.runFork(routes.lookup([first, ...others]))
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) return isHit(exit)
  return new Promise((resolve) => void fiber.addObserver((late) => resolve(isHit(late))))
}

/** Anything but a miss. */
const isHit = (exit: Exit.Exit<unknown, { readonly _tag: string }>): boolean => {
  if (Exit.isSuccess(exit)) return true
  const error = Cause.findError(exit.cause)
  return Result.isFailure(error) || error.success._tag !== "RouteNotFound"
}

const isUnder = ({ grammar }: RouterProgram, host: string): boolean =>
  isPlatformName(grammar, host.replace(/:\d+$/, ""))

/** What is no authority may be read as one by somebody: where it names one of our domains, it is refused. */
const mentionsDomain = ({ grammar }: RouterProgram, host: string): boolean => {
  const lower = host.toLowerCase()
  return grammar.domains.some((domain) => lower.includes(domain))
}
