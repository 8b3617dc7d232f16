import { PolicyError } from "@project-ingress/router"
import type { Policy, PolicyRequest, Visitor } from "@project-ingress/router"
import { createRemoteJWKSet, customFetch, errors, jwtVerify } from "jose"
import type { JWTPayload } from "jose"

/** What {@link cloudflareAccess} takes. */
export interface CloudflareAccessOptions {
  /** `team.cloudflareaccess.com`. */
  readonly teamDomain: string
  /** The AUD tag of the Access application in front of the router. */
  readonly audience: string
  /** How keys are fetched. Default: the runtime's `fetch`. */
  readonly fetch?: typeof globalThis.fetch
}

/**
 * Who the visitor is, as Cloudflare Access in front of the router has decided. Opens nothing by itself: mount it before `visibility` and `authorize`. Requests
 * without a JWT go on without a visitor: they came past Access, or it lets everybody in there.
 */
export const cloudflareAccess = ({
  teamDomain,
  audience,
  fetch = globalThis.fetch,
}: CloudflareAccessOptions): Policy => {
  const issuer = `https://${teamDomain}`
  const keys = createRemoteJWKSet(new URL(`${issuer}/cdn-cgi/access/certs`), {
    cacheMaxAge: 3_600_000,
    // For an unknown kid. Keys rotate every six weeks; anybody can write one.
    cooldownDuration: 60_000,
    [customFetch]: atMostEvery(10_000, fetch),
  })
  const verified = async (assertion: string): Promise<JWTPayload> => {
    const options = { issuer, audience, algorithms: ["RS256"], requiredClaims: ["exp", "iat"] }
    return (await jwtVerify(assertion, keys, options)).payload
  }
  const prove = async (assertion: string) => {
    try {
      return { visitor: visitorOf(await verified(assertion)) }
    } catch (cause) {
      return { deny: isOfTheToken(cause) ? invalid() : unavailable() }
    }
  }
  return {
    name: "Cloudflare Access",
    reservedCookies: ["CF_Authorization", "CF_AppSession"],
    onRequest: ({ header }: PolicyRequest) => {
      const assertion = header("cf-access-jwt-assertion")
      return assertion === undefined ? undefined : prove(assertion)
    },
    onForward: (edit) => edit.remove("cf-access-jwt-assertion"),
  }
}

/** A person has a `sub`; a service token an empty one, and the name of its client in `common_name`. */
const visitorOf = ({ sub, exp, ...claims }: JWTPayload): Visitor => {
  const { common_name: client, identity_nonce: nonce } = claims as { common_name?: string; identity_nonce?: string }
  const isPerson = sub !== undefined && sub !== ""
  const subject = isPerson ? sub : (client ?? "")
  const id = (nonce ?? subject).replaceAll(/[^\w-]/g, "_").slice(0, 128)
  return { subject, by: "cloudflare-access", id, ambient: isPerson, expiresAt: exp! * 1000 }
}

/** While keys cannot be fetched, they are not asked for at every request. */
const atMostEvery = (ms: number, fetch: typeof globalThis.fetch) => {
  let failedAt = -Infinity
  return async (url: string, init: object): Promise<Response> => {
    if (Date.now() < failedAt + ms) throw new errors.JWKSTimeout()
    const response = await fetch(url, init).catch(() => undefined)
    if (response?.status === 200) return response
    failedAt = Date.now()
    throw new errors.JWKSTimeout()
  }
}

const isOfTheToken = (cause: unknown): boolean =>
  [
    errors.JWTInvalid,
    errors.JWTExpired,
    errors.JWTClaimValidationFailed,
    errors.JWSInvalid,
    errors.JWSSignatureVerificationFailed,
    errors.JOSEAlgNotAllowed,
    errors.JWKSNoMatchingKey,
  ].some((kind) => cause instanceof kind)

const deny = (status: number, code: string, title: string, reason: string, retryAfterMs?: number): PolicyError =>
  new PolicyError({
    tag: "CloudflareAccessFailed",
    row: { status, code, error: "http_request_denied", title },
    reason,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
const invalid = () =>
  deny(401, "ACCESS_JWT_INVALID", "Open this address through its sign-in again.", "the JWT is not valid")
const unavailable = () =>
  deny(503, "ACCESS_KEYS_UNAVAILABLE", "The sign-in cannot be checked at the moment.", "no keys from Access", 10_000)
