import { AccessDenied } from "./access-denied.ts"
import type { Outcome, Policy } from "./policy.ts"

/** As the setting `requireHeader`. */
interface Required {
  readonly name: string
  readonly sha256: string
}

/**
 * Carries out `requireHeader`: requests for the port carry that field, in one line, with the value that has that SHA-256; all others
 * are 403. The field is taken out before the machine, so that no app sees it or sends it back. The value is compared in constant
 * time, by its hash; the right value is remembered as long as the record is in use, and compared in constant time as well.
 */
export const requireHeader = (): Policy => {
  const right = new WeakMap<Required, string>()
  return {
    name: "required header",
    explainable: true,
    enforces: ["requireHeader"],
    onRoute: ({ header }, { settings }) => {
      const required = settings.requireHeader
      if (required === undefined) return undefined
      const value = header(required.name)
      if (value === undefined) return denied()
      const known = right.get(required)
      if (known !== undefined) return isEqual(known, value) ? undefined : denied()
      return hashOf(value).then((hash): Outcome => {
        if (!isEqual(required.sha256, hash)) return denied()
        right.set(required, value)
        return undefined
      })
    },
    onForward: (edit, { settings }) => {
      if (settings.requireHeader !== undefined) edit.remove(settings.requireHeader.name)
    },
  }
}

/** Of the bytes as they were sent: a field's characters stand for one byte each. */
const hashOf = async (value: string): Promise<string> => {
  const bytes = Uint8Array.from(value, (character) => character.charCodeAt(0))
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** In a time that depends on the length of `given` alone. */
const isEqual = (expected: string, given: string): boolean => {
  let difference = expected.length ^ given.length
  for (let at = 0; at < given.length; at++) {
    // Past the end of `expected` the code is NaN, which counts as 0: the lengths differ by then.
    difference |= expected.charCodeAt(at) ^ given.charCodeAt(at)
  }
  return difference === 0
}

const denied = (): Outcome => ({
  deny: new AccessDenied({ reason: "the field of requireHeader is absent or wrong" }),
})
