import { derivedBytes } from "@project-ingress/forward/internal"
import type { SigningKey } from "@project-ingress/forward"
import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose"
import { makeClockTable } from "../stores/reading/clock-table.ts"

/** What a signed value is for. A value of one purpose is worth nothing for another: each has keys of its own. */
export type Purpose = "state" | "code" | "session" | "token" | "link" | "link-session"

/** What a signed value says, by short names. It is signed and not encrypted: whoever has the value can read it. */
export type Claims = Readonly<Record<string, string | number | boolean>>

/** A value whose signature is right and which has not ended. */
export interface VerifiedValue {
  readonly claims: Claims
  /** In ms since 1970. */
  readonly expiresAt: number
}

/** Signs the values of one purpose, and reads them. */
export interface SignedValues {
  /** A compact JWT of `A-Z a-z 0-9 - _ .`, valid for `validForMs` from now, at least one second. */
  readonly sign: (claims: Claims, validForMs: number) => Promise<string>
  /** Never throws; `undefined` for anything that is not valid now. At once for a value that was seen before. */
  readonly verify: (value: string) => VerifiedValue | undefined | Promise<VerifiedValue | undefined>
}

/** In characters. A session has some 300; a longer text is refused before it costs anything. */
export const maxSignedLength = 2_048
const MAX_VERIFIED = 10_000
/** Two routers disagree on the time by some seconds. */
const CLOCK_SKEW_S = 5

/**
 * Values that this platform alone signs and reads: JWTs by HS256 (RFC 7519), under a key that is derived from the signing key and the
 * purpose. The first key signs, and each of them verifies. At most 10 000 verified values are remembered, divided among their subjects.
 */
export const signedValues = (keys: readonly [SigningKey, ...SigningKey[]], purpose: Purpose): SignedValues => {
  const type = `ingress-${purpose}+jwt`
  const derived = new Map<SigningKey, Promise<Uint8Array>>()
  const secretOf = (key: SigningKey): Promise<Uint8Array> => {
    let secret = derived.get(key)
    if (secret === undefined) {
      secret = derivedBytes(key, `project-ingress/access/${purpose}/1`)
      derived.set(key, secret)
    }
    return secret
  }
  const verified = makeClockTable<VerifiedValue>(MAX_VERIFIED)

  const verify = async (value: string): Promise<VerifiedValue | undefined> => {
    for (const key of namedBy(value, keys)) {
      try {
        const { payload } = await jwtVerify(value, await secretOf(key), {
          algorithms: ["HS256"],
          typ: type,
          clockTolerance: CLOCK_SKEW_S,
          requiredClaims: ["exp", "iat"],
        })
        const { exp, iat: _, ...claims } = payload
        const found = { claims: claims as Claims, expiresAt: exp! * 1000 }
        verified.set(value, found, { share: String(claims["sub"]) })
        return found
      } catch {
        // Another key of the same name may verify it.
      }
    }
    return undefined
  }

  return {
    sign: async (claims, validForMs) => {
      const [key] = keys
      const now = Math.floor(Date.now() / 1000)
      return new SignJWT(claims)
        .setProtectedHeader({ alg: "HS256", kid: key.kid, typ: type })
        .setIssuedAt(now)
        .setExpirationTime(now + Math.ceil(validForMs / 1000))
        .sign(await secretOf(key))
    },
    verify: (value) => {
      const known = verified.get(value)
      if (known !== undefined) {
        if (known.expiresAt + CLOCK_SKEW_S * 1000 > Date.now()) return known
        verified.delete(value)
        return undefined
      }
      return value.length > maxSignedLength ? undefined : verify(value)
    },
  }
}

/** The keys that a value's header names; none for a text that is not a JWT. */
const namedBy = (value: string, keys: readonly SigningKey[]): readonly SigningKey[] => {
  try {
    const { kid } = decodeProtectedHeader(value)
    return keys.filter((key) => key.kid === kid)
  } catch {
    return []
  }
}
