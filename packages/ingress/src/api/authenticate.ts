import { sha256 } from "../resource/sha256.ts"
import { readCaller } from "./caller.ts"
import type { Caller } from "./caller.ts"
import { RequestProblem } from "./request-problem.ts"

/**
 * The caller of a token. `undefined`: the token is not accepted, and the response is 401. Anything else than a {@link Caller}, and a
 * throw, is 500: a mistake here would open the ingresses of all owners.
 */
export type Authenticate = (token: string) => Caller | undefined | Promise<Caller | undefined>

/** A token that the API accepts, as it is or as its SHA-256 in lower-case hex; and whose it is. */
export type ApiToken = ({ readonly token: string } | { readonly sha256: string }) & Caller

/** RFC 6750 §2.1; the scheme in any case (RFC 9110 §11.1). Two fields are one value with a comma, which is no token. */
const CREDENTIALS = /^bearer +([A-Za-z\d\-._~+/]{1,4096}=*)$/i

/**
 * The caller of a request.
 *
 * @throws {RequestProblem} (rejects) 401 without a token, or with one that is not accepted
 */
export const callerOf = async (request: Request, authenticate: Authenticate): Promise<Caller> => {
  const token = CREDENTIALS.exec(request.headers.get("authorization") ?? "")?.[1]
  // RFC 6750 §3.1: without a token the response has the scheme and no error.
  if (token === undefined) throw unauthorized("a bearer token is required", "")
  const caller: unknown = await authenticate(token)
  if (caller === undefined) throw unauthorized("the token is not accepted", ', error="invalid_token"')
  return readCaller(caller)
}

const unauthorized = (message: string, error: string): RequestProblem =>
  new RequestProblem("unauthorized", message, undefined, { "www-authenticate": `Bearer realm="ingress"${error}` })

/** Accepts fixed tokens. How long it takes depends on how many there are, and not on what was sent. */
export const authenticateByTokens = (tokens: readonly ApiToken[]): Authenticate => {
  // The values and not their promise: a promise of one request must not be awaited by another in a Worker.
  let known: readonly { readonly hash: Uint8Array; readonly caller: Caller }[] | undefined
  return async (token) => {
    const given = await sha256(token)
    known ??= await Promise.all(
      tokens.map(async (each) => ({
        hash: "token" in each ? await sha256(each.token) : bytesOf(each.sha256),
        caller: each.owner === undefined ? {} : { owner: each.owner },
      })),
    )
    let found: Caller | undefined
    for (const { hash, caller } of known) if (isEqual(given, hash)) found = caller
    return found
  }
}

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))

/** Both are 32 bytes; looks at all of them. */
const isEqual = (a: Uint8Array, b: Uint8Array): boolean => {
  let difference = 0
  for (const [at, byte] of a.entries()) difference |= byte ^ b[at]!
  return difference === 0
}
