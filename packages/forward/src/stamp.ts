import { base64url } from "jose"
import { framed } from "./framed.ts"
import type { TicketUse } from "./ticket.ts"

/** What a ticket says, as both sides compute its stamps from it. */
export type StampedTicket = TicketUse & {
  readonly machine: string
  /** The ticket's own id: 128 random bits, so that no stamp of one ticket is that of another. */
  readonly id: string
}

/**
 * What the machine proxy writes into its responses to requests with one ticket: only the machine that the ticket is for can
 * compute it. Two roles, so that what proves one kind of response never passes for the other.
 */
export interface Stamps {
  /** Of an app's response, passed on. */
  readonly response: string
  /** Of a response that the machine proxy generated itself, which has its error code. */
  readonly refusal: string
}

/** What a router expects of the responses to a request. */
export interface ExpectedStamps extends Stamps {
  /** Whether {@link UNPROVEN} is accepted, too: then anybody at the machine's address is believed. */
  readonly unproven: boolean
}

/** The stamp of a machine proxy that cannot prove itself: without a ticket, or without a machine's secret. */
export const UNPROVEN = "unproven"

/** Computes both stamps of a ticket: once for each ticket on either side. */
export const stampsOf = async (secret: CryptoKey, ticket: StampedTicket): Promise<Stamps> => {
  const [response, refusal] = await Promise.all([
    stampOf(secret, "response", ticket),
    stampOf(secret, "refusal", ticket),
  ])
  return { response, refusal }
}

/** One stamp: HMAC-SHA-256 over the role and everything that the ticket says. */
export const stampOf = async (
  secret: CryptoKey,
  role: keyof Stamps,
  { machine, id, ...use }: StampedTicket,
): Promise<string> => {
  // No port is written like a scope.
  const what = use.scope === undefined ? [String(use.port), use.name] : [`scope ${use.scope}`]
  const text = framed("project-ingress/stamp/1", role, machine, id, ...what)
  return base64url.encode(new Uint8Array(await crypto.subtle.sign("HMAC", secret, text)))
}

/**
 * What a response's stamp proves: `response` or `refusal` by that role; `unproven`: that a machine proxy says it can prove
 * nothing; `absent`: that no machine proxy of ours gave it; `wrong`: that somebody pretends to be one. Compares in constant time.
 */
export type Proof = "response" | "refusal" | "unproven" | "wrong" | "absent"

/** What a response's stamp proves, if that of its request's ticket is `expected`. */
export const proofOf = (stamp: string | undefined, expected: Stamps): Proof => {
  if (stamp === undefined) return "absent"
  if (isEqual(stamp, expected.response)) return "response"
  if (isEqual(stamp, expected.refusal)) return "refusal"
  return stamp === UNPROVEN ? "unproven" : "wrong"
}

/**
 * Whether a response is the machine's own, or its app's. A refusal is one only with an error code, which the machine proxy takes
 * out of every app's response. `expected` is `undefined` for a request that had no ticket, whose response nothing can prove.
 */
export const isProven = (
  stamp: string | undefined,
  expected: ExpectedStamps | undefined,
  response: { readonly status: number; readonly code: string | undefined },
): boolean => {
  if (stamp === undefined || expected === undefined) return stamp !== undefined
  const proof = proofOf(stamp, expected)
  if (proof === "refusal") return isRefusal(response)
  return proof === "response" || (proof === "unproven" && expected.unproven)
}

const isRefusal = ({ status, code }: { readonly status: number; readonly code: string | undefined }): boolean =>
  status >= 400 && code !== undefined

const isEqual = (a: string, b: string): boolean => {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}
