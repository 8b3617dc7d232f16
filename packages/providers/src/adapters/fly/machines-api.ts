import { accept, checkOptions } from "@project-ingress/forward/internal"
import { acceptApiBase } from "../../adapter-kit/option-checks.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorApi } from "../../adapter-kit/vendor-api.ts"
import { addressOptionChecks } from "../../contract/address-options.ts"
import type { AddressOptions } from "../../contract/address-options.ts"
import { isSecret } from "../../contract/fields.ts"
import { errorMessage } from "./error-message.ts"

/** How `fly` authenticates and reaches the Machines API, and which hosts the `domain` of a record may name. */
export interface FlyOptions extends AddressOptions {
  /**
   * As `fly tokens create` prints it, or with the scheme of a header: `FlyV1 fm2_…`, `Bearer …`. A deploy token of the app
   * has enough rights; a read-only token can do everything but `start`.
   */
  readonly token: string
  /** Sends requests to the Machines API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * The Machines API with its version. Default `https://api.machines.dev/v1`; inside Fly `http://_api.internal:4280/v1`.
   * Without TLS only on names that end with `.internal` and on loopback, because the token is sent there.
   */
  readonly apiBase?: string
}

/** A client of Fly's Machines API. Throws a `TypeError` for invalid options of `fly`. */
export const flyApi = (options: FlyOptions): VendorApi => {
  checkOptions(
    "fly",
    options,
    {
      token: (value) =>
        typeof value === "string" && tokensOf(value).every(isSecret)
          ? undefined
          : "a Fly token, which is visible ASCII without spaces",
      fetch: accept.function,
      apiBase: acceptApiBase(),
      ...addressOptionChecks,
    },
    { required: ["token"] },
  )
  const { token, fetch, apiBase = "https://api.machines.dev/v1" } = options
  const tokens = tokensOf(token)
  return vendorApi({
    apiBase,
    fetch,
    secrets: { token: tokens },
    headers: { authorization: authorizationOf(tokens) },
    causeOf: (response) => {
      const id = response.headers.get("fly-request-id")
      const request = id === null ? "" : ` (fly-request-id ${id})`
      return `Fly responded with ${response.status}${request}: ${errorMessage(response)}`
    },
  })
}

/** One text may hold several tokens, separated by commas. A scheme that was copied along is removed. */
const tokensOf = (token: string): readonly string[] =>
  token
    .trim()
    .replace(/^(?:(?:bearer|flyv1)(?:\s+|$))+/i, "")
    .split(",")
    .map((part) => part.trim())

// As Fly's own client decides it: macaroons have a scheme of their own, and where there are any, no other token is sent.
const authorizationOf = (tokens: readonly string[]): string => {
  const macaroons = tokens.filter((token) => /^fm(?:1r|1a|2)_/.test(token))
  return macaroons.length === 0 ? `Bearer ${tokens.join(",")}` : `FlyV1 ${macaroons.join(",")}`
}
