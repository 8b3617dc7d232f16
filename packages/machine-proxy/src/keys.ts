import { readFileSync, statSync } from "node:fs"
import { validateVerificationKey } from "@project-ingress/forward/internal"
import type { VerificationKey } from "@project-ingress/forward"

/** Keys, or what is wrong with them: a sentence's end that never holds key material. */
export type KeysResult = { readonly keys: readonly VerificationKey[] } | { readonly problem: string }

// Ten thousand keys; what is larger was meant to be something else.
const MAX_FILE = 1_048_576

/** Reads `{"keys":[…]}` (RFC 7517 §5) or `[…]`: at least one key, and every one good. */
export const parseKeys = (text: string): KeysResult => {
  const list = keyList(text)
  if (list === undefined) return { problem: "is not JSON of that shape" }
  if (list.length === 0) return { problem: "holds no key" }
  for (const [index, key] of list.entries()) {
    const problem = validateVerificationKey(key)
    if (problem !== undefined) return { problem: `key ${index + 1} of ${list.length}: ${problem}` }
  }
  return { keys: list as readonly VerificationKey[] }
}

/** The same from a file. At once, because nothing may be verified between two halves of it. */
export const readKeyFile = (path: string): KeysResult => {
  try {
    const stat = statSync(path)
    // A pipe would wait for its writer, and every request with it.
    if (!stat.isFile()) return { problem: "is not a file" }
    if (stat.size > MAX_FILE) return { problem: `is larger than ${MAX_FILE} octets` }
    return parseKeys(readFileSync(path, "utf8"))
  } catch (error) {
    return { problem: `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown reason"})` }
  }
}

/** Keys that can change while requests are served. */
export interface ReloadableKeys {
  /** For {@link MachineProxyOptions.keys}. */
  readonly current: () => readonly VerificationKey[]
  /** Reads the file again; when anything is wrong with it the keys stay as they were. */
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
