import { importJWK, jwtVerify, SignJWT } from "jose"
import type { JWK } from "jose"

/**
 * A JSON Web Key (RFC 7517) with its id: `kty: "OKP", crv: "Ed25519"` for EdDSA, so that a machine holds nothing that can
 * sign, or `kty: "oct"` of at least 32 octets for HS256, where one secret on both sides is enough.
 */
export type TicketKey = JWK & { readonly kid: string; readonly alg: "EdDSA" | "HS256" }

/** What a ticket says. */
export interface TicketClaims {
  /** The machine that may accept it: `aud`. */
  readonly machine: string
  /** Milliseconds it is good for, 1 000 to 60 000. */
  readonly validForMs?: number
}

/** Why a ticket was refused. `wrong-machine` is the one refusal that a router can mend, by looking the route up again. */
export type TicketRefusal = "missing" | "invalid" | "wrong-machine"

/** The longest a ticket may live, in ms. Also the most a verifier accepts, whatever the ticket says. */
export const ticketMaxAgeMs = 60_000

// RFC 8725 §3.11: says what kind of token this is, so that no other JWT under the same key passes for one.
const TYPE = "ingress-ticket+jwt"
// Routers and machines disagree on the time by some seconds.
const CLOCK_SKEW_S = 5
const REMEMBERED = 256

/** A ticket for one machine, as a JWT. Rejects with a `TypeError` when the key or a claim is out of range. */
export const signTicket = async (key: TicketKey, claims: TicketClaims): Promise<string> => {
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
    .sign(await importKey(key))
}

/**
 * Mints tickets and hands the same one out again for half of its life, because signing costs more than the rest of a
 * request. Remembers 10 000 machines; the ones longest unused are forgotten first.
 */
export const ticketSigner = (key: TicketKey): ((machine: string) => string | Promise<string>) => {
  const minted = new Map<string, { readonly ticket: string | Promise<string>; readonly until: number }>()
  return (machine) => {
    const known = minted.get(machine)
    const now = Date.now()
    if (known !== undefined && known.until > now) return known.ticket
    const until = now + ticketMaxAgeMs / 2
    const ticket = signTicket(key, { machine })
    minted.delete(machine)
    minted.set(machine, { ticket, until })
    if (minted.size > 10_000) minted.delete(minted.keys().next().value!)
    ticket.then(
      (value) => minted.set(machine, { ticket: value, until }),
      () => minted.delete(machine),
    )
    return ticket
  }
}

/** Verifies tickets for one machine: `undefined` is good. Synchronous for a ticket seen before, which is nearly always. */
export type TicketVerifier = (
  ticket: string | undefined,
) => TicketRefusal | undefined | Promise<TicketRefusal | undefined>

/**
 * A verifier for one machine. Several keys are good at once, so that keys rotate without a restart: `keys` is asked at each
 * verification, and a change of it forgets what was verified. At most 256 verified tickets are remembered.
 */
export const ticketVerifier = (keys: () => readonly TicketKey[], machine: string): TicketVerifier => {
  const verified = new Map<string, number>()
  let current: readonly TicketKey[] = []
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
    // A ticket of ours is below 400 octets; a longer one is not worth the work.
    if (ticket.length > 2_048) return "invalid"
    return verify(ticket, latest, machine).then((result) => {
      if (typeof result === "string") return result
      if (verified.size >= REMEMBERED) verified.delete(verified.keys().next().value!)
      if (latest === current) verified.set(ticket, result)
      return undefined
    })
  }
}

/** A fresh EdDSA pair: the private half for the router, the public half for the machines. */
export const generateTicketKeys = async (
  kid: string,
): Promise<{ readonly signing: TicketKey; readonly verification: TicketKey }> => {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"])
  const export_ = async (key: CryptoKey): Promise<TicketKey> => {
    const { kty, crv, x, d } = (await crypto.subtle.exportKey("jwk", key)) as JWK
    return { kty: kty!, crv: crv!, x: x!, ...(d === undefined ? {} : { d }), kid, alg: "EdDSA" }
  }
  return { signing: await export_(pair.privateKey), verification: await export_(pair.publicKey) }
}

/** Whether something read from outside is a key this module takes; says what is wrong otherwise, never the key itself. */
export const validateTicketKey = (value: unknown): string | undefined => {
  if (typeof value !== "object" || value === null) return "a key must be a JSON Web Key object"
  const key = value as Record<string, unknown>
  if (typeof key["kid"] !== "string" || key["kid"] === "") return `a key must have a "kid"`
  if (key["alg"] === "EdDSA") {
    if (key["kty"] !== "OKP" || key["crv"] !== "Ed25519" || typeof key["x"] !== "string") {
      return `an EdDSA key must have kty "OKP", crv "Ed25519" and x`
    }
    return undefined
  }
  if (key["alg"] === "HS256") {
    // RFC 7518 §3.2: a key of the hash's size or larger; 32 octets are 43 characters of base64url.
    if (key["kty"] !== "oct" || typeof key["k"] !== "string" || key["k"].length < 43) {
      return `an HS256 key must have kty "oct" and k of at least 32 octets in base64url`
    }
    return undefined
  }
  return `a key must have alg "EdDSA" or "HS256"`
}

/** The same for a key that signs: a public half verifies, and only a private one signs. */
export const validateSigningKey = (value: unknown): string | undefined => {
  const problem = validateTicketKey(value)
  if (problem !== undefined) return problem
  const key = value as TicketKey
  return key.kty === "OKP" && !("d" in key) ? `an EdDSA key must be the private half, with "d"` : undefined
}

const verify = async (ticket: string, keys: readonly TicketKey[], machine: string): Promise<TicketRefusal | number> => {
  try {
    const { payload } = await jwtVerify(
      ticket,
      async ({ kid, alg }) => {
        // The key says the algorithm, never the token (RFC 8725 §3.1).
        const key = keys.find((candidate) => candidate.kid === kid && candidate.alg === alg)
        if (key === undefined) throw new TypeError("unknown key")
        return importKey(key)
      },
      {
        algorithms: ["EdDSA", "HS256"],
        typ: TYPE,
        clockTolerance: CLOCK_SKEW_S,
        requiredClaims: ["aud", "exp", "iat"],
        maxTokenAge: ticketMaxAgeMs / 1000,
      },
    )
    if (payload.aud !== machine) return "wrong-machine"
    return (Math.min(payload.exp!, payload.iat! + ticketMaxAgeMs / 1000) + CLOCK_SKEW_S) * 1000
  } catch {
    return "invalid"
  }
}

const imported = new WeakMap<TicketKey, Promise<CryptoKey>>()
const importKey = (key: TicketKey): Promise<CryptoKey> => {
  let known = imported.get(key)
  if (known === undefined) {
    const problem = validateTicketKey(key)
    if (problem !== undefined) throw new TypeError(problem)
    known = (
      key.kty === "oct"
        ? crypto.subtle.importKey(
            "raw",
            Uint8Array.from(atob(key.k!.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0)),
            { name: "HMAC", hash: "SHA-256" },
            false,
            ["sign", "verify"],
          )
        : importJWK(key, key.alg)
    ) as Promise<CryptoKey>
    imported.set(key, known)
  }
  return known
}
