import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { acceptApiBase, acceptSecret } from "../../adapter-kit/option-checks.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorRequest, VendorResponse } from "../../adapter-kit/vendor-api.ts"
import { ProviderUnavailable } from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import { CLOUDFLARE_TUNNEL } from "./tunnel-hostname.ts"

/** How `createTunnel` and `deleteTunnel` authenticate and reach Cloudflare's API. */
export interface TunnelApiOptions {
  /** An API token with Cloudflare Tunnel: Edit on the account and DNS: Edit on the zone. Is sent to the API only. */
  readonly apiToken: string
  /** The account that the tunnels belong to. */
  readonly accountId: string
  /** The zone that the hostnames are in. */
  readonly zoneId: string
  /** Sends requests to the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Default `https://api.cloudflare.com/client/v4`. `http:` only on loopback and `*.internal`. */
  readonly apiBase?: string
}

/** A response of Cloudflare's API. */
export interface TunnelApiResponse {
  readonly status: number
  /** The numbers of its errors. Their texts are not used: they may repeat what was sent. */
  readonly codes: readonly number[]
  /** Throws what an error response means; returns for a success. */
  readonly check: () => void
  /** The result of a success, decoded; throws as `check` does. */
  readonly result: <A>(schema: Schema.ConstraintDecoder<A>) => A
}

/** Sends one request. Rejects with a `ProviderError`, or with the signal's reason. */
export type TunnelApi = (method: string, path: VendorRequest["path"], body?: unknown) => Promise<TunnelApiResponse>

/** Throws a `TypeError` for invalid options. `owner` is the function that takes them. */
export const checkTunnelApiOptions = (owner: string, options: TunnelApiOptions): void =>
  checkOptions(
    owner,
    options,
    {
      apiToken: acceptSecret,
      accountId: acceptId,
      zoneId: acceptId,
      fetch: accept.function,
      apiBase: acceptApiBase(),
    },
    { required: ["apiToken", "accountId", "zoneId"] },
  )

// They are parts of paths.
const acceptId: OptionCheck = (value) =>
  typeof value === "string" && /^[0-9a-zA-Z]{1,64}$/.test(value) ? undefined : "letters and digits"

/** A client of Cloudflare's API, for checked options; `subject` is what its errors name as the machine. */
export const tunnelApi = (options: TunnelApiOptions, subject: string, signal: AbortSignal): TunnelApi => {
  const { apiToken, fetch, apiBase = "https://api.cloudflare.com/client/v4" } = options
  const headers = { authorization: `Bearer ${apiToken}` }
  const api = vendorApi({ apiBase, secrets: { apiToken }, headers, fetch })
  return async (method, path, body) => {
    const response = await api.request({ type: CLOUDFLARE_TUNNEL, externalId: subject }, { method, path, body, signal })
    const envelope = Option.getOrUndefined(decodeEnvelope(response.json))
    const codes = (envelope?.errors ?? []).flatMap(({ code }) => (code === undefined ? [] : [code]))
    const check = (): void => {
      if (!response.ok || envelope?.success !== true) throw failureOf(response, codes)
    }
    return {
      status: response.status,
      codes,
      check,
      result: (schema) => {
        check()
        return response.decode(Schema.Struct({ result: schema })).result
      },
    }
  }
}

const decodeEnvelope = Schema.decodeUnknownOption(
  Schema.Struct({
    success: Schema.Boolean,
    errors: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Struct({ code: Schema.optionalKey(Schema.Number) })))),
  }),
)

const failureOf = (response: VendorResponse, codes: readonly number[]): ProviderError => {
  const { status, where } = response
  if (status === 401 || status === 403 || status === 429) return response.failure()
  // A 404 or a 409 is about a tunnel or a record, never a machine's state.
  const listed = codes.length === 0 ? "" : ` (${codes.join(", ")})`
  return new ProviderUnavailable({ ...where, reason: `HTTP ${status}${listed}` })
}
