import type { Access } from "./define-access.ts"
import { cookieValues, setCookie, withoutBlanks } from "./cookies.ts"
import { randomId, sha256 } from "./sha256.ts"

/** How long a person may take to sign in. */
const STATE_MS = 600_000
/** Attempts that a browser may have begun and not ended, as in tabs of a restored window. */
const MAX_ATTEMPTS = 8
/** Cookies that one response takes away: an app's script can make any number of its own. */
const MAX_REMOVED = 24

/** What an attempt was begun for. */
export interface AttemptClaims {
  readonly host: string
  readonly project: string
  readonly generation: number
}

/** An attempt that has begun: `hash` is for the control plane, the cookies for the browser. */
export interface BegunAttempt {
  readonly hash: string
  readonly cookies: readonly string[]
}

/** The attempts of a browser to sign in: a cookie for each, which the code that comes back has to fit. */
export interface Attempts {
  readonly begin: (cookieField: string | undefined, claims: AttemptClaims) => Promise<BegunAttempt>
  /** The attempt of that hash, if this browser has begun it and it has not ended. Its cookie is taken away by `remove`. */
  readonly find: (
    cookieField: string | undefined,
    hash: string,
  ) => Promise<{ readonly claims: AttemptClaims; readonly remove: string } | undefined>
}

/** Whether a text may be the hash of an attempt: SHA-256 in base64url. */
export const isAttemptHash = (text: unknown): text is string => typeof text === "string" && /^[\w-]{43}$/.test(text)

export const makeAttempts = ({ signed, cookies }: Access): Attempts => {
  const values = signed("state")
  const nameOf = (hash: string): string => `${cookies.state}-${hash.slice(0, 8)}`
  return {
    begin: async (cookieField, { host, project, generation }) => {
      const value = await values.sign({ id: randomId(), host, prj: project, gen: generation }, STATE_MS)
      const hash = await sha256(value)
      const name = nameOf(hash)
      // Browsers send the oldest first (RFC 6265 §5.4).
      const others = namesOf(cookieField, `${cookies.state}-`).filter((other) => other !== name)
      const tooMany = others.slice(0, Math.max(0, others.length - MAX_ATTEMPTS + 1)).slice(0, MAX_REMOVED)
      return {
        hash,
        cookies: [setCookie(name, value, { validForMs: STATE_MS, sameSite: "Lax" }), ...tooMany.map(removed)],
      }
    },
    find: async (cookieField, hash) => {
      const name = nameOf(hash)
      for (const value of cookieValues(cookieField, name)) {
        if ((await sha256(value)) !== hash) continue
        const { host, prj: project, gen: generation } = (await values.verify(value))?.claims ?? {}
        if (typeof host !== "string" || typeof project !== "string" || typeof generation !== "number") continue
        return { claims: { host, project, generation }, remove: removed(name) }
      }
      return undefined
    },
  }
}

const removed = (name: string): string => setCookie(name, "", { validForMs: 0, sameSite: "Lax" })

/** The names in a `Cookie` field that begin so, once each; only of the characters that such a name has. */
const namesOf = (field: string | undefined, prefix: string): readonly string[] => {
  if (field === undefined || !field.includes(prefix)) return []
  const names = field.split(";").map((pair) => withoutBlanks(pair.split("=", 1)[0]!))
  return [...new Set(names.filter((name) => name.startsWith(prefix) && /^[\w-]{1,64}$/.test(name)))]
}
