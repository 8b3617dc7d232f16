import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose"
import { importSigningKey, importVerificationKey, validateSigningKey } from "./ticket-keys.ts"
import type { SigningKey, VerificationKey } from "./ticket-keys.ts"

/** What a ticket says. */
export interface TicketClaims {
  /** The machine that may accept it: `aud`. Not empty. */
  readonly machine: string
  /** How long it is valid, in ms: 1 000 to 60 000, the default. */
  readonly validForMs?: number
}

/** Why a ticket was refused. After `wrong-machine` a router can look the route up again; nothing helps after the others. */
export type TicketRefusal = "missing" | "invalid" | "wrong-machine"

/** The longest time for which a ticket is valid, in ms: for a verifier, too, whatever the ticket says. */
const ticketMaxAgeMs = 60_000

// RFC 8725 §3.11: says what kind of token this is, so that no other JWT under the same key passes for one.
const TYPE = "ingress-ticket+jwt"
// Routers and machines disagree on the time by some seconds.
const CLOCK_SKEW_S = 5
// A router uses one ticket for half a minute, so a few for each router that there is.
const MAX_VERIFIED = 256
const MAX_SIGNED = 10_000

/** A ticket for one machine, as a JWT. Rejects with a `TypeError` if the key or a claim is invalid. */
export const signTicket = async (key: SigningKey, claims: TicketClaims): Promise<string> => {
  const validForMs = claims.validForMs ?? ticketMaxAgeMs
  if (!(validForMs >= 1_000 && validForMs <= ticketMaxAgeMs)) {
    throw new TypeError(`validForMs must be 1000 to ${ticketMaxAgeMs}, got ${validForMs}`)
  }
  if (claims.machine === "") throw new TypeError("machine must not be empty")
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT()
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: TYPE })
    .setAudience(claims.machine)
    .setIssuedAt(now)
    .setExpirationTime(now + Math.ceil(validForMs / 1000))
    .sign(await importSigningKey(key))
}

/**
 * Gives tickets for machines. It gives the same one again for half of its validity, because to sign costs more than the rest
 * of a request. Holds tickets for at most 10 000 machines and drops the oldest one first.
 *
 * The key is imported at once. What cannot be seen before (halves of a pair that do not belong together) is a rejection with
 * a `TypeError` of every ticket.
 *
 * @throws {TypeError} for a key that cannot sign; the message never holds the key
 */
export const ticketSigner = (key: SigningKey): ((machine: string) => string | Promise<string>) => {
  const problem = validateSigningKey(key)
  if (problem !== undefined) throw new TypeError(problem)
  importSigningKey(key).catch(() => {})
  const signed = new Map<string, { readonly ticket: string | Promise<string>; readonly until: number }>()
  return (machine) => {
    const known = signed.get(machine)
    const now = Date.now()
    if (known !== undefined && known.until > now) return known.ticket
    const until = now + ticketMaxAgeMs / 2
    const ticket = signTicket(key, { machine })
    signed.delete(machine)
    signed.set(machine, { ticket, until })
    if (signed.size > MAX_SIGNED) signed.delete(signed.keys().next().value!)
    ticket.then(
      (value) => signed.set(machine, { ticket: value, until }),
      () => signed.delete(machine),
    )
    return ticket
  }
}

/** Verifies tickets for one machine: `undefined` for a valid one. Synchronous for a ticket seen before, as nearly every one was. */
export type TicketVerifier = (
  ticket: string | undefined,
) => TicketRefusal | undefined | Promise<TicketRefusal | undefined>

/**
 * A verifier for one machine. Several keys are in use at once, so that keys rotate without a restart: `keys` is called for
 * each ticket, and once it gives another array than before, every ticket is verified again. At most 256 verified tickets are
 * held. Of several keys with one `kid` each is tried. An invalid key verifies nothing; `validateVerificationKey` names it beforehand.
 */
export const ticketVerifier = (keys: () => readonly VerificationKey[], machine: string): TicketVerifier => {
  const verified = new Map<string, number>()
  let current: readonly VerificationKey[] = []
  // A router reuses its ticket, so the last one is mostly the next one; to compare it is cheaper than to hash it.
  let last = ""
  let lastUntil = 0
  return (ticket) => {
    if (ticket === undefined || ticket === "") return "missing"
    const latest = keys()
    if (latest !== current) {
      current = latest
      last = ""
      verified.clear()
    }
    if (ticket === last && lastUntil > Date.now()) return undefined
    const until = verified.get(ticket)
    if (until !== undefined) {
      if (until > Date.now()) {
        last = ticket
        lastUntil = until
        return undefined
      }
      verified.delete(ticket)
      return "invalid"
    }
    // Our tickets are shorter than 400 bytes; a long text is refused before it costs anything.
    if (ticket.length > 2_048) return "invalid"
    return verify(ticket, latest, machine).then((result) => {
      if (typeof result === "string") return result
      // Not when the keys have changed meanwhile: the ticket's one may have been withdrawn.
      if (latest !== current) return undefined
      if (verified.size >= MAX_VERIFIED) verified.delete(verified.keys().next().value!)
      verified.set(ticket, result)
      return undefined
    })
  }
}

const verify = async (
  ticket: string,
  keys: readonly VerificationKey[],
  machine: string,
): Promise<TicketRefusal | number> => {
  // Nothing but a name in the token says which key it is of, and a list that changes may give one name to two.
  for (const key of namedBy(ticket, keys)) {
    const result = await verifyWith(key, ticket, machine)
    if (result !== "invalid") return result
  }
  return "invalid"
}

/** The keys that a ticket's header names. The key says the algorithm, never the token (RFC 8725 §3.1). */
const namedBy = (ticket: string, keys: readonly VerificationKey[]): readonly VerificationKey[] => {
  try {
    const { kid, alg } = decodeProtectedHeader(ticket)
    return keys.filter((key) => key.kid === kid && key.alg === alg)
  } catch {
    return []
  }
}

const verifyWith = async (key: VerificationKey, ticket: string, machine: string): Promise<TicketRefusal | number> => {
  try {
    const { payload } = await jwtVerify(ticket, await importVerificationKey(key), {
      algorithms: [key.alg],
      typ: TYPE,
      clockTolerance: CLOCK_SKEW_S,
      requiredClaims: ["aud", "exp", "iat"],
      maxTokenAge: ticketMaxAgeMs / 1000,
    })
    if (payload.aud !== machine) return "wrong-machine"
    return (Math.min(payload.exp!, payload.iat! + ticketMaxAgeMs / 1000) + CLOCK_SKEW_S) * 1000
  } catch {
    return "invalid"
  }
}
