import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose"
import { secretOfKey } from "./machine-secret.ts"
import { stampOf, stampsOf } from "./stamp.ts"
import type { StampedTicket, Stamps } from "./stamp.ts"
import { readUse, TICKET_TYPE, ticketMaxAgeMs } from "./ticket.ts"
import type { TicketUse } from "./ticket.ts"
import { importVerificationKey } from "./ticket-keys.ts"
import type { VerificationKey } from "./ticket-keys.ts"

/** Why a ticket was refused. After `wrong-machine` a router can look the route up again; after `invalid` sign another one. */
export type TicketRefusal = "missing" | "invalid" | "wrong-machine"

/**
 * A valid ticket. Whether it is for what the request asks for (`port` and `name`, or `scope`) is for the caller to check: one with a
 * scope has no port.
 */
export type VerifiedTicket = TicketUse & {
  /** What proves the responses to it; `undefined` if the key holds no machine's secret. */
  readonly stamps: Stamps | undefined
  /** When it ends, in ms since 1970. */
  readonly until: number
}

/** A ticket that is not accepted. */
export interface RefusedTicket {
  readonly refusal: TicketRefusal
  /** What proves that this machine refused it, where the ticket could be read. */
  readonly stamp?: string | undefined
}

/** Verifies tickets for one machine. Synchronous for a ticket seen before, as nearly every one was. */
export type TicketVerifier = (
  ticket: string | undefined,
) => VerifiedTicket | RefusedTicket | Promise<VerifiedTicket | RefusedTicket>

// Routers and machines disagree on the time by some seconds.
const CLOCK_SKEW_S = 5
// A router uses one ticket of a port for half a minute, so a few for each port in use and each router that there is.
const MAX_VERIFIED = 1_024

const MISSING: RefusedTicket = { refusal: "missing" }
const INVALID: RefusedTicket = { refusal: "invalid" }
const WRONG_MACHINE: RefusedTicket = { refusal: "wrong-machine" }

/** Whether a verifier refused the ticket. */
export const isRefusedTicket = (ticket: VerifiedTicket | RefusedTicket): ticket is RefusedTicket => "refusal" in ticket

/**
 * A verifier for one machine. Several keys are in use at once, so that keys rotate without a restart: `keys` is called for
 * each ticket, and once it gives another array than before, every ticket is verified again. At most 1 024 verified tickets are
 * held. Of several keys with one `kid` each is tried. An invalid key verifies nothing; `validateVerificationKey` names it beforehand.
 */
export const ticketVerifier = (keys: () => readonly VerificationKey[], machine: string): TicketVerifier => {
  const verified = new Map<string, VerifiedTicket>()
  let current: readonly VerificationKey[] = []
  // A router reuses its ticket, so the last one is mostly the next one; to compare it is cheaper than to hash it.
  let last = ""
  let lastVerified: VerifiedTicket | undefined
  const secrets = new WeakMap<VerificationKey, Promise<CryptoKey | undefined>>()
  const secretOf = (key: VerificationKey): Promise<CryptoKey | undefined> => {
    let secret = secrets.get(key)
    if (secret === undefined) {
      secret = secretOfKey(key, machine)
      secrets.set(key, secret)
    }
    return secret
  }
  return (ticket) => {
    if (ticket === undefined || ticket === "") return MISSING
    const latest = keys()
    if (latest !== current) {
      current = latest
      last = ""
      verified.clear()
    }
    if (ticket === last && lastVerified!.until > Date.now()) return lastVerified!
    const known = verified.get(ticket)
    if (known !== undefined) {
      if (known.until > Date.now()) {
        last = ticket
        lastVerified = known
        return known
      }
      verified.delete(ticket)
      last = ""
    }
    // Our tickets are shorter than 1 000 bytes; a long text is refused before it costs anything.
    if (ticket.length > 2_048) return INVALID
    return verify(ticket, latest, machine, secretOf).then((result) => {
      // Not kept when the keys have changed meanwhile: the ticket's one may have been withdrawn.
      if (isRefusedTicket(result) || latest !== current) return result
      if (verified.size >= MAX_VERIFIED) verified.delete(verified.keys().next().value!)
      verified.set(ticket, result)
      return result
    })
  }
}

/** The keys that a ticket's header names; none if the list is invalid. */
const namedBy = ({ kid, alg }: ReadTicket, keys: readonly VerificationKey[]): readonly VerificationKey[] => {
  try {
    return keys.filter((key) => key.kid === kid && key.alg === alg)
  } catch {
    return []
  }
}

type SecretOf = (key: VerificationKey) => Promise<CryptoKey | undefined>

const verify = async (
  ticket: string,
  keys: readonly VerificationKey[],
  machine: string,
  secretOf: SecretOf,
): Promise<VerifiedTicket | RefusedTicket> => {
  const read = readTicket(ticket, machine)
  if (read === undefined) return INVALID
  // Nothing but a name in the token says which key it is of, and a list that changes may give one name to two. The key says the
  // algorithm, never the token (RFC 8725 §3.1).
  const named = namedBy(read, keys)
  for (const key of named) {
    const result = await verifyWith(key, ticket, machine)
    if (result === "wrong-machine") return WRONG_MACHINE
    if (result !== "invalid") {
      const secret = await secretOf(key)
      const stamps = secret === undefined ? undefined : await stampsOf(secret, read.claims)
      return { ...read.use, stamps, until: result }
    }
  }
  return { refusal: "invalid", stamp: await refusalStamp(named[0], read.claims, secretOf) }
}

/**
 * The stamp of a refusal, over what an unverified ticket says, so that a router whose ticket has expired knows that the machine
 * itself said so. Whoever reaches the machine proxy can have it computed for texts of its own. That proves nothing to a router
 * but a refusal, never an app's response, and only for the id of a ticket that the router has sent: 128 random bits, which
 * are known to nobody but who received that request, and who could as well refuse it by itself.
 */
const refusalStamp = async (
  key: VerificationKey | undefined,
  claims: StampedTicket,
  secretOf: SecretOf,
): Promise<string | undefined> => {
  try {
    const secret = key === undefined ? undefined : await secretOf(key)
    return secret === undefined ? undefined : await stampOf(secret, "refusal", claims)
  } catch {
    // Of a key that is invalid.
    return undefined
  }
}

interface ReadTicket {
  readonly kid: unknown
  readonly alg: unknown
  readonly use: TicketUse
  readonly claims: StampedTicket
}

/** What a ticket says, not verified yet; `undefined` for a text that is not one of ours. */
const readTicket = (ticket: string, machine: string): ReadTicket | undefined => {
  try {
    const { kid, alg } = decodeProtectedHeader(ticket)
    const { jti: id, ...said } = decodeJwt(ticket)
    const use = readUse(said)
    if (typeof id !== "string" || id === "" || id.length > 64 || use === undefined) return undefined
    return { kid, alg, use, claims: { ...use, machine, id } }
  } catch {
    return undefined
  }
}

/** When a ticket ends, in ms since 1970. */
const verifyWith = async (
  key: VerificationKey,
  ticket: string,
  machine: string,
): Promise<"invalid" | "wrong-machine" | number> => {
  try {
    const { payload } = await jwtVerify(ticket, await importVerificationKey(key), {
      algorithms: [key.alg],
      typ: TICKET_TYPE,
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
