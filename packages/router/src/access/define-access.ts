import { accept, checkOptions, isToken, validateSigningKey } from "@project-ingress/forward/internal"
import type { SigningKey } from "@project-ingress/forward"
import { signedValues } from "./signed-values.ts"
import type { Purpose, SignedValues } from "./signed-values.ts"

/** What {@link defineAccess} takes. */
export interface AccessOptions {
  /**
   * What sessions, codes, tokens and links are signed by. The first one signs, and each of them verifies, so that keys can rotate: the
   * router's `signingKey`, or keys of their own. Each purpose has a key that is derived from it.
   */
  readonly keys: readonly [SigningKey, ...SigningKey[]]
  /**
   * The paths that are the platform's on every hostname, and no app's: begins and ends with `/`, without another one. Default `/_/`.
   */
  readonly prefix?: string
  /** What the names of the cookies contain, 1 to 32 letters and digits: `__Host-<this>-session`. Default `ingress`. */
  readonly cookieName?: string
}

/** What the policies that know visitors share, and the control plane with them: made once, given to each. */
export interface Access {
  /** As the option. */
  readonly prefix: string
  /** The names of the cookies. */
  readonly cookies: {
    readonly state: string
    readonly session: string
    /** A session for all hostnames of a project, where their shape allows one. */
    readonly projectSession: string
    readonly link: string
  }
  /** What is behind the prefix in a request's path, without the query: `sign-in`. `undefined` for a path of the app's. */
  readonly ownPath: (path: string) => string | undefined
  /** The signed values of a purpose. */
  readonly signed: (purpose: Purpose) => SignedValues
}

/**
 * What sign-in, tokens and share links have in common. Opens nothing.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid; never shows a key
 *
 * @example
 * const access = defineAccess({ keys: [signingKey] })
 */
export const defineAccess = (options: AccessOptions): Access => {
  checkOptions("defineAccess", options, checks, { required: ["keys"] })
  const { prefix = "/_/", cookieName = "ingress" } = options
  const keys: AccessOptions["keys"] = [...options.keys]
  const made = new Map<Purpose, SignedValues>()
  return {
    prefix,
    cookies: {
      state: `__Host-${cookieName}-state`,
      session: `__Host-${cookieName}-session`,
      // `__Host-` allows no `Domain`. Scripts cannot set this one either, in browsers that know the prefix.
      projectSession: `__Http-${cookieName}-session`,
      link: `__Host-${cookieName}-link`,
    },
    ownPath: (path) => (path.startsWith(prefix) ? /^[^?#]*/.exec(path)![0].slice(prefix.length) : undefined),
    signed: (purpose) => {
      let values = made.get(purpose)
      if (values === undefined) {
        values = signedValues(keys, purpose)
        made.set(purpose, values)
      }
      return values
    },
  }
}

const areKeys = (value: unknown): string | undefined => {
  const keys: readonly unknown[] = Array.isArray(value) ? value : []
  return keys.length > 0 && keys.every((key) => validateSigningKey(key) === undefined)
    ? undefined
    : "an array of one or more signing keys"
}

const checks = {
  keys: areKeys,
  prefix: (value: unknown) =>
    typeof value === "string" &&
    /^\/[^/]+\/$/.test(value) &&
    isToken(value.slice(1, -1)) &&
    !/^\/\.{1,2}\/$/.test(value)
      ? undefined
      : "a path of one segment that begins and ends with /",
  cookieName: (value: unknown) =>
    accept.string(value) ?? (/^[A-Za-z\d]{1,32}$/.test(value as string) ? undefined : "1 to 32 letters and digits"),
}
