import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { acceptApiBase, acceptSecret } from "../../adapter-kit/option-checks.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorResponse } from "../../adapter-kit/vendor-api.ts"
import { MachineRecordInvalid, ProviderRateLimited, machineRef } from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"

/** How `sprites` authenticates and reaches the Sprites API, and what it opens private URLs with. */
export interface SpritesOptions {
  /** A token of the organization, as the account's page or `SpritesClient.createToken` gives it. Is sent to the API only. */
  readonly token: string
  /**
   * A token that Fly's edge accepts at the URLs of private Sprites (`auth: "sprite"`), such as `token` again. It opens every
   * Sprite of the organization, and that the edge keeps it from the code in a Sprite is seen and not documented. Default: none,
   * and a private Sprite is `ProviderUnavailable`.
   */
  readonly urlToken?: string
  /** Sends requests to the Sprites API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** The Sprites API with its version. Default `https://api.sprites.dev/v1`. Without TLS on loopback and `*.internal` only. */
  readonly apiBase?: string
}

/** What is read of a Sprite. */
const Sprite = Schema.Struct({
  id: Schema.String,
  status: Schema.String,
  url: Schema.String,
  url_settings: Schema.Struct({ auth: Schema.String }),
})

/** A client of the Sprites API. */
export interface SpritesApi {
  /** Rejects with what an error response means. Reading a Sprite does not wake it. */
  sprite(machine: Machine, signal: AbortSignal): Promise<typeof Sprite.Type>
}

/** Throws a `TypeError` for invalid options of `sprites`. */
export const spritesApi = (options: SpritesOptions): SpritesApi => {
  checkOptions(
    "sprites",
    options,
    { token: acceptSecret, urlToken: acceptSecret, fetch: accept.function, apiBase: acceptApiBase() },
    { required: ["token"] },
  )
  const { token, urlToken, fetch, apiBase = "https://api.sprites.dev/v1" } = options
  const api = vendorApi({
    apiBase,
    fetch,
    secrets: { token, urlToken: urlToken === undefined ? [] : [urlToken] },
    headers: { authorization: `Bearer ${token}` },
    causeOf: ({ status, json }) => `Fly responded with ${status}: ${errorTextOf(json)}`,
  })
  return {
    async sprite(machine, signal) {
      const response = await api.request(machine, { path: `/sprites/${nameOf(machine)}`, signal })
      if (!response.ok) throw failureOf(response)
      return response.decode(Sprite)
    },
  }
}

const failureOf = (response: VendorResponse): ProviderError => {
  const failure = response.failure()
  if (failure._tag !== "ProviderRateLimited") return failure
  // Fly's own client prefers this field to `Retry-After`.
  const { retry_after_seconds: seconds } = fieldsOf(response.json)
  const retryAfterMs = typeof seconds === "number" && seconds > 0 ? seconds * 1_000 : failure.retryAfterMs
  return new ProviderRateLimited({ ...response.where, retryAfterMs })
}

/** `error` is a sentence, or a code beside a sentence in `message`. */
const errorTextOf = (json: unknown): string => {
  const { error, message } = fieldsOf(json)
  return [error, message].filter((part) => typeof part === "string").join(": ")
}

const fieldsOf = (
  json: unknown,
): { readonly error?: unknown; readonly message?: unknown; readonly retry_after_seconds?: unknown } =>
  typeof json === "object" && json !== null ? json : {}

// The check keeps a name from changing the path. With its organization's, a name is one label of a hostname.
const nameOf = ({ type, externalId }: Machine): string => {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(externalId)) return externalId
  throw new MachineRecordInvalid({
    ...machineRef({ type, externalId }),
    field: "externalId",
    accepted: "a Sprite's name",
  })
}
