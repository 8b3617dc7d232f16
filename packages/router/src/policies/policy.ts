import type { Target } from "@project-ingress/hostname"
import { AccessDenied, LoginRequired } from "../errors.ts"
import type { RouteKey, RouteRecord } from "../stores/record.ts"

/** What a policy decides on: the request's head and the route it resolved to. No body. */
export interface PolicyInput {
  readonly method: string
  /** The authority as sent, port included. */
  readonly host: string
  /** Path and query as sent, not normalised: decide on it only after parsing it yourself. */
  readonly path: string
  /** The first value of a field, by lower-case name, as the client sent it: untrusted. */
  readonly header: (lowerName: string) => string | undefined
  /** True for a WebSocket handshake, which deserves the same answer as a request. */
  readonly upgrade: boolean
  /** What the hostname says. */
  readonly target: Target
  readonly key: RouteKey
  /** Where it leads now: authorise this, not the name. */
  readonly record: RouteRecord
}

/**
 * A decision between look-up and machine: nothing wakes, and nothing is sent, before every policy returned `undefined`. They
 * run in order; the first refusal counts. A policy that throws, or returns something else, refuses (500).
 */
export type Policy = (input: PolicyInput) => Refusal | undefined | void | Promise<Refusal | undefined | void>

export type Refusal = AccessDenied | LoginRequired

/** What the policies say. Synchronous as long as they are. Throws what they throw, and on a return value that is no refusal. */
export const decide = (
  policies: readonly Policy[],
  input: PolicyInput,
): Refusal | undefined | Promise<Refusal | undefined> => {
  for (let at = 0; at < policies.length; at++) {
    const said = policies[at]!(input)
    if (said instanceof Promise) {
      const rest = policies.slice(at + 1)
      return said.then((late) => refusalIn(late) ?? decide(rest, input))
    }
    const refusal = refusalIn(said)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** Fails closed: `return false` is a mistake, and must not let anybody in. */
const refusalIn = (said: unknown): Refusal | undefined => {
  if (said === undefined || said instanceof AccessDenied || said instanceof LoginRequired) return said
  throw new TypeError("a policy must return undefined, an AccessDenied or a LoginRequired")
}
