import type { VerificationKey } from "@project-ingress/forward"
import { validateVerificationKey } from "@project-ingress/forward/internal"
import { readSmallFile } from "./read-small-file.ts"

/** Keys, or what is wrong with them: the end of a sentence, without key material. */
export type KeysResult = { readonly keys: readonly VerificationKey[] } | { readonly problem: string }

/**
 * What is wrong with the first key of a list that cannot be used, or with two that have the same `kid`: which of such two a
 * machine means to trust, or to withdraw, nobody can tell. Names the key by `nameOf(index)` and its `kid`, and never shows its value.
 */
export const verificationKeyProblem = (
  keys: readonly unknown[],
  nameOf: (index: number) => string,
): string | undefined => {
  const kids = new Set<string>()
  for (const [index, key] of keys.entries()) {
    const problem = validateVerificationKey(key)
    const kid = (key as { readonly kid?: unknown } | null | undefined)?.kid
    const named = typeof kid === "string" && kid !== "" ? ` (kid ${JSON.stringify(kid.slice(0, 64))})` : ""
    if (problem !== undefined) return `${nameOf(index)}: ${problem}${named}`
    if (kids.has(kid as string)) return `${nameOf(index)}: an earlier key has the same kid${named}`
    kids.add(kid as string)
  }
  return undefined
}

/**
 * What to log of keys with which this machine verifies tickets and proves nothing, so that a router refuses its responses;
 * `undefined` if there is none.
 */
export const unprovenReason = (keys: readonly VerificationKey[] | "insecure"): string | undefined => {
  if (keys === "insecure") return "without keys this machine cannot prove who it is"
  const kids = keys.filter((key) => key.kty === "OKP" && key.machineSecret === undefined).map(({ kid }) => kid)
  if (kids.length === 0) return undefined
  return `with the keys ${kids.join(" ")} this machine cannot prove who it is`
}

/** The end of a line about {@link unprovenReason}: what to do. */
export const UNPROVEN_HINT =
  "a router refuses its responses unless it has unprovenMachines; keys --machine prints a key that proves it"

/** Reads `{"keys":[…]}` (RFC 7517 §5) or `[…]`: at least one key, and every one valid. */
export const parseKeys = (text: string): KeysResult => {
  const list = keyList(text)
  if (list === undefined) return { problem: "is not JSON of that shape" }
  if (list.length === 0) return { problem: "contains no key" }
  const problem = verificationKeyProblem(list, (index) => `key ${index + 1} of ${list.length}`)
  return problem === undefined ? { keys: list as readonly VerificationKey[] } : { problem }
}

/** Reads the same from a file. Synchronous, so that no ticket is verified while half of a file is read. */
export const readKeyFile = (path: string): KeysResult => {
  const read = readSmallFile(path)
  return "text" in read ? parseKeys(read.text) : read
}

/** Keys that can change while requests are served. */
export interface ReloadableKeys {
  /** For {@link MachineProxyOptions.keys}. */
  readonly current: () => readonly VerificationKey[]
  /** Reads the file again. If anything is wrong with it, the current keys stay. */
  readonly reload: () => KeysResult
}

/** The keys of a file that was read once already. */
export const reloadableKeys = (path: string, initial: readonly VerificationKey[]): ReloadableKeys => {
  let keys = initial
  return {
    current: () => keys,
    reload: () => {
      const read = readKeyFile(path)
      if ("keys" in read) keys = read.keys
      return read
    },
  }
}

const keyList = (text: string): readonly unknown[] | undefined => {
  try {
    const json: unknown = JSON.parse(text)
    const list = Array.isArray(json) ? json : (json as { readonly keys?: unknown } | null)?.keys
    return Array.isArray(list) ? list : undefined
  } catch {
    // The parser's message quotes what it read, which may be a key.
    return undefined
  }
}
