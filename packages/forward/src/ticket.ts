import { base64url } from "jose"
import { importSigningKey } from "./ticket-keys.ts"
import type { SigningKey } from "./ticket-keys.ts"

/** What a ticket opens: one port under one name, or what a scope allows, and never both. */
export type TicketUse = PortUse | ScopeUse

/** One port of the machine under one name: of each request of a visitor. */
export interface PortUse {
  /** The one port that it opens, 1 to 65535. */
  readonly port: number
  /** The route's own name in the target header: a hostname of 1 to 253 characters, or `localhost`. */
  readonly name: string
  readonly scope?: undefined
}

/** A path of the machine proxy's own: of the router alone, on behalf of nobody. Opens no port. */
export interface ScopeUse {
  readonly scope: TicketScope
  readonly port?: undefined
  readonly name?: undefined
}

/** `inspect`: which ports are listening. `control`: ends the open exchanges of sessions. */
export type TicketScope = (typeof ticketScopes)[number]

export const ticketScopes = ["inspect", "control"] as const

/** What a ticket says. */
export type TicketClaims = TicketUse & {
  /** The machine that may accept it: `aud`. Not empty. */
  readonly machine: string
  /** How long it is valid, in ms: 1 000 to 60 000, the default. */
  readonly validForMs?: number
  /** Its own id: `jti`. Default: 128 random bits. */
  readonly id?: string
}

/** The longest time for which a ticket is valid, in ms: for a verifier, too, whatever the ticket says. */
export const ticketMaxAgeMs = 60_000

// RFC 8725 §3.11: says what kind of token this is, so that no other JWT under the same key passes for one.
export const TICKET_TYPE = "ingress-ticket+jwt"

/** A ticket for one machine, as a JWT. Rejects with a `TypeError` if the key or a claim is invalid. */
export const signTicket = async (key: SigningKey, claims: TicketClaims): Promise<string> => {
  const { machine, validForMs = ticketMaxAgeMs, id = newTicketId() } = claims
  if (!(validForMs >= 1_000 && validForMs <= ticketMaxAgeMs)) {
    throw new TypeError(`validForMs must be 1000 to ${ticketMaxAgeMs}, got ${validForMs}`)
  }
  if (machine === "") throw new TypeError("machine must not be empty")
  const use = checkedUse(claims)
  const now = Math.floor(Date.now() / 1000)
  return compactJws(
    key,
    { alg: key.alg, kid: key.kid, typ: TICKET_TYPE },
    { ...use, aud: machine, jti: id, iat: now, exp: now + Math.ceil(validForMs / 1000) },
  )
}

/** What goes into the ticket: a proxy that does not know scopes refuses one, because it has no port. */
const checkedUse = ({ port, name, scope }: TicketUse): TicketUse => {
  if (scope !== undefined) {
    if (!isTicketScope(scope)) throw new TypeError(`scope must be ${ticketScopes.join(" or ")}`)
    if (port !== undefined || name !== undefined)
      throw new TypeError("a ticket has a scope, or port and name, not both")
    return { scope }
  }
  if (!isTicketPort(port)) throw new TypeError("port must be an integer, 1 to 65535")
  if (!isTicketName(name)) throw new TypeError("name must be a text of 1 to 253 characters")
  return { port, name }
}

/** What a ticket opens, as it says itself; `undefined`: nothing that is known, or two things at once. */
export const readUse = ({ port, name, scope }: Readonly<Record<string, unknown>>): TicketUse | undefined => {
  if (scope !== undefined)
    return isTicketScope(scope) && port === undefined && name === undefined ? { scope } : undefined
  return isTicketPort(port) && isTicketName(name) ? { port, name } : undefined
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

const isTicketScope = (value: unknown): value is TicketScope => ticketScopes.some((scope) => scope === value)

const isTicketPort = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535

const isTicketName = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= 253
