import { accept, checkOptions } from "@project-ingress/forward/internal"
import { signInWords } from "./sign-in-words.ts"

/** Whether a value is what `defineGrammar` returns, and not its options. The grammar of another copy of the package counts. */
export const isGrammar = (value: unknown): string | undefined => {
  const { lookup } = (value ?? {}) as { readonly lookup?: { readonly domains?: unknown } }
  return Array.isArray(lookup?.domains) ? undefined : "what defineGrammar returns"
}

export const isWords = accept.oneOf(...Object.keys(signInWords))

/** Checks the first argument of what shares an {@link Access}. Throws a `TypeError`. */
export const checkAccess = (owner: string, access: unknown): void => {
  const { signed, ownPath } = (access ?? {}) as Readonly<Record<string, unknown>>
  const check = () =>
    typeof signed === "function" && typeof ownPath === "function" ? undefined : "what defineAccess returns"
  checkOptions(owner, { access }, { access: check }, { required: ["access"] })
}
