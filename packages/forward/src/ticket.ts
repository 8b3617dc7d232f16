import { base64url } from "jose"
import { importSigningKey } from "./ticket-keys.ts"
import type { SigningKey } from "./ticket-keys.ts"

/** What a ticket says. */
export interface TicketClaims {
  /** The machine that may accept it: `aud`. Not empty. */
  readonly machine: string
  /** The one port that it opens, 1 to 65535. */
  readonly port: number
  /** The route's own name in the target header: a hostname of 1 to 253 characters, or `localhost`. */
  readonly name: string
  /** How long it is valid, in ms: 1 000 to 60 000, the default. */
  readonly validForMs?: number
  /** Its own id: `jti`. Default: 128 random bits. */
  readonly id?: string
}

/** The longest time for which a ticket is valid, in ms: for a verifier, too, whatever the ticket says. */
export const ticketMaxAgeMs = 60_000

// RFC 8725 §3.11: says what kind of token this is, so that no other JWT under the same key passes for one.
export const TICKET_TYPE = "ingress-ticket+jwt"

/** A ticket for one port of one machine, as a JWT. Rejects with a `TypeError` if the key or a claim is invalid. */
export const signTicket = async (key: SigningKey, claims: TicketClaims): Promise<string> => {
  const { machine, port, name, validForMs = ticketMaxAgeMs, id = newTicketId() } = claims
  if (!(validForMs >= 1_000 && validForMs <= ticketMaxAgeMs)) {
    throw new TypeError(`validForMs must be 1000 to ${ticketMaxAgeMs}, got ${validForMs}`)
  }
  if (machine === "") throw new TypeError("machine must not be empty")
  if (!isTicketPort(port)) throw new TypeError("port must be an integer, 1 to 65535")
  if (!isTicketName(name)) throw new TypeError("name must be a text of 1 to 253 characters")
  const now = Math.floor(Date.now() / 1000)
  return compactJws(
    key,
    { alg: key.alg, kid: key.kid, typ: TICKET_TYPE },
    { port, name, aud: machine, jti: id, iat: now, exp: now + Math.ceil(validForMs / 1000) },
  )
}

/**
 * A JWS in its compact form (RFC 7515 §7.1). Three lines of WebCrypto, where jose's `SignJWT` would be 4 kB in each Worker; what reads
 * tickets, which others may have written, is jose.
 */
const compactJws = async (key: SigningKey, header: object, claims: object): Promise<string> => {
  const input = [header, claims].map((part) => base64url.encode(JSON.stringify(part))).join(".")
  const algorithm = key.alg === "EdDSA" ? "Ed25519" : "HMAC"
  const signature = await crypto.subtle.sign(algorithm, await importSigningKey(key), new TextEncoder().encode(input))
  return `${input}.${base64url.encode(new Uint8Array(signature))}`
}

export const newTicketId = (): string => base64url.encode(crypto.getRandomValues(new Uint8Array(16)))

export const isTicketPort = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535

export const isTicketName = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= 253
