import { frozenJson } from "../frozen-json.ts"
import { InvalidInput } from "./errors.ts"
import type { Change } from "./operations.ts"
import type { PastRequest, State } from "./state.ts"

/** How long a request's key is remembered at least, in ms: longer than any caller retries. */
const KEPT_MS = 86_400_000

/** A call that its caller may make again. */
export interface KeyedRequest {
  readonly key: string
  /** A digest of the operation and what it is given. */
  readonly call: string
}

/** `call`: the operation's name and its arguments. */
export const keyedRequest = async (key: string, call: readonly unknown[]): Promise<KeyedRequest> => {
  const bytes = new TextEncoder().encode(textOf(call))
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
  return { key, call: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") }
}

/** What an earlier call with the same key did. @throws {InvalidInput} if it was another call */
export const pastRequest = ({ requests }: State, { key, call }: KeyedRequest): PastRequest | undefined => {
  const past = requests.get(key)
  if (past === undefined || past.call === call) return past
  throw new InvalidInput({ field: "requestKey", accepted: "a key that no other call was given" })
}

export const rememberRequest = ({ state, now }: Change, { key, call }: KeyedRequest, subject: string): void =>
  state.requests.set(key, { call, subject, until: now + KEPT_MS })

/** Input that is no plain data is refused by the operation itself. */
const textOf = (call: readonly unknown[]): string => {
  try {
    return JSON.stringify(frozenJson(call))
  } catch {
    return ""
  }
}
