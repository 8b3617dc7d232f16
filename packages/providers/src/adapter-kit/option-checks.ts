import { accept } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { isSecret } from "../contract/fields.ts"
import { readApiBase } from "./api-base.ts"

/** A TCP port. */
export const acceptPort: OptionCheck = accept.integer(1, 65_535)

/** A key or a token that is one part of one field's value. */
export const acceptSecret: OptionCheck = (value) => (isSecret(value) ? undefined : "visible ASCII without spaces")

/** Where a vendor's API is; `http:` to any host only with `insecure`. */
export const acceptApiBase =
  ({ insecure = false }: { readonly insecure?: boolean } = {}): OptionCheck =>
  (value) =>
    readApiBase(value, insecure) === undefined
      ? `https:// with a host and perhaps a path, and nothing else (${
          insecure ? "http:// too" : "http:// only on loopback and *.internal"
        })`
      : undefined

/** By its members, not its class: an AbortSignal of another realm is one too. */
export const acceptSignal: OptionCheck = (value) => {
  const { aborted, addEventListener } = (value ?? {}) as { readonly [name: string]: unknown }
  return typeof aborted === "boolean" && typeof addEventListener === "function" ? undefined : "an AbortSignal"
}
