import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ProviderUnavailable } from "../../contract/errors.ts"
import type { ProviderAuth, ProviderError, ProviderRateLimited } from "../../contract/errors.ts"
import { AN_ORIGIN, isOrigin } from "../../contract/origin.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorResponse, VendorRequest } from "../../adapter-kit/vendor-api.ts"

export const CLOUDFLARE_TUNNEL = "cloudflare-tunnel"

/** Of DNS (RFC 1123 §2.1), in lower case and with a zone above it; never an address. */
export const TUNNEL_HOSTNAME = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/

export interface TunnelApiOptions {
  /** An API token with Cloudflare Tunnel: Edit on the account and DNS: Edit on the zone. Goes to the API alone. */
  readonly apiToken: string
  readonly accountId: string
  /** The zone that the hostnames are in. */
  readonly zoneId: string
  /** Asks the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Default `https://api.cloudflare.com/client/v4`. `http:` only on loopback and `*.internal`. */
  readonly apiBase?: string
}

export interface TunnelRequest {
  /** Of the tunnel: unique in the account, 1 to 100 characters without control characters. */
  readonly name: string
  /** Lower case, in the zone. More than one label below it needs an advanced certificate. */
  readonly hostname: string
  /** What `cloudflared` connects to, beside it in the machine. `http://localhost:8080`, the machine's proxy. */
  readonly service?: string
  readonly signal?: AbortSignal
}

export interface Tunnel {
  readonly id: string
  /** For the machine: `cloudflared tunnel run --token <token>`. Whoever has it can be the machine. */
  readonly token: string
}

/** Something of that name is there already, and was left alone. */
export class TunnelConflict extends Error {
  readonly _tag = "TunnelConflict"
  /** `name`: a tunnel of the account; `hostname`: a DNS record of the zone. */
  readonly field: "name" | "hostname"
  constructor(conflict: { readonly field: "name" | "hostname"; readonly value: string }) {
    super(`the ${conflict.field} ${conflict.value} is taken`)
    this.field = conflict.field
  }
  override get name(): string {
    return this._tag
  }
}

/** A tunnel was made, a later step failed, and so did its removal: {@link deleteTunnel} it. `cause` is the first failure. */
export class TunnelLeftBehind extends Error {
  readonly _tag = "TunnelLeftBehind"
  readonly id: string
  readonly hostname: string
  constructor(left: { readonly id: string; readonly hostname: string; readonly cause: unknown }) {
    super(`tunnel ${left.id} for ${left.hostname} was made in part and could not be removed`, { cause: left.cause })
    this.id = left.id
    this.hostname = left.hostname
  }
  override get name(): string {
    return this._tag
  }
}

/** What both functions reject with, beside the signal's reason. */
export type TunnelError = TunnelConflict | TunnelLeftBehind | ProviderAuth | ProviderRateLimited | ProviderUnavailable

/** How long the removal of a half-made tunnel may take, in ms: the caller's signal may have ended by then. */
const CLEANUP_MS = 15_000

/**
 * Makes a named tunnel with one ingress rule and its DNS name, in five calls; when one fails, what was made is removed.
 * Rejects with a `TunnelError`; throws a `TypeError` for a name, a hostname or a service that is none.
 *
 * Limits by default, per account: 1 000 tunnels, 1 200 API requests in 5 minutes, 50 service tokens of Access.
 * https://developers.cloudflare.com/cloudflare-one/account-limits
 */
export const createTunnel = async (options: TunnelApiOptions, request: TunnelRequest): Promise<Tunnel> => {
  const { name, hostname, service = "http://localhost:8080", signal = new AbortController().signal } = request
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  if (!/^[^\u0000-\u001f\u007f]{1,100}$/.test(name)) {
    throw new TypeError("name must be 1 to 100 characters without control characters")
  }
  checkHostname(hostname)
  if (!isOrigin(service)) throw new TypeError(`service must be ${AN_ORIGIN}`)
  const ask = cloudflareApi(options, name, signal)
  const tunnels = `/accounts/${options.accountId}/cfd_tunnel` as const

  // https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/get-started/create-remote-tunnel-api
  const made = await ask("POST", tunnels, { name, config_src: "cloudflare" })
  // https://github.com/cloudflare/cloudflared/blob/master/cfapi/tunnel.go
  if (made.status === 409) throw new TunnelConflict({ field: "name", value: name })
  const { id } = made.result(Made)
  try {
    const token = (await ask("GET", `${tunnels}/${id}/token`)).result(Schema.NonEmptyString)
    // The last rule must be one without a hostname.
    const config = { ingress: [{ hostname, service }, { service: "http_status:404" }] }
    const configured = await ask("PUT", `${tunnels}/${id}/configurations`, { config })
    configured.check()
    const record = { type: "CNAME", proxied: true, name: hostname, content: targetOf(id) }
    const named = await ask("POST", `/zones/${options.zoneId}/dns_records`, record)
    if (named.codes.some((code) => DNS_TAKEN.has(code))) {
      throw new TunnelConflict({ field: "hostname", value: hostname })
    }
    named.check()
    return { id, token }
  } catch (cause) {
    try {
      await remove(options, { id, hostname }, AbortSignal.timeout(CLEANUP_MS))
    } catch {
      throw new TunnelLeftBehind({ id, hostname, cause })
    }
    throw cause
  }
}

/**
 * Removes a tunnel, its connections and the DNS record that leads to it; a record of that name which leads elsewhere stays.
 * What is gone already is no failure. Rejects with a `TunnelError`.
 */
export const deleteTunnel = async (
  options: TunnelApiOptions,
  tunnel: { readonly id: string; readonly hostname: string; readonly signal?: AbortSignal },
): Promise<void> => {
  if (!UUID.test(tunnel.id)) throw new TypeError("id must be a tunnel's UUID")
  checkHostname(tunnel.hostname)
  await remove(options, tunnel, tunnel.signal ?? new AbortController().signal)
}

const remove = async (
  options: TunnelApiOptions,
  { id, hostname }: { readonly id: string; readonly hostname: string },
  signal: AbortSignal,
): Promise<void> => {
  const ask = cloudflareApi(options, id, signal)
  const records = `/zones/${options.zoneId}/dns_records` as const
  const listed = await ask("GET", `${records}?type=CNAME&name.exact=${hostname}`)
  for (const record of listed.result(Records)) {
    // A filter that the API did not know would bring the whole zone.
    if (record.name !== hostname || record.content !== targetOf(id)) continue
    const unnamed = await ask("DELETE", `${records}/${record.id}`)
    if (unnamed.status !== 404) unnamed.check()
  }
  // `cascade` takes the connections along: a tunnel in use is not removed without it.
  const removed = await ask("DELETE", `/accounts/${options.accountId}/cfd_tunnel/${id}?cascade=true`)
  if (removed.status !== 404) removed.check()
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const Made = Schema.Struct({ id: Schema.String.check(Schema.isPattern(UUID)) })
const Records = Schema.Array(
  Schema.Struct({
    id: Schema.String.check(Schema.isPattern(/^[0-9a-zA-Z-]{1,64}$/)),
    name: Schema.String,
    content: Schema.optionalKey(Schema.String),
  }),
)

const targetOf = (id: string): string => `${id}.cfargotunnel.com`

// "A CNAME record with that host already exists" and its kin; 400 (github.com/favonia/cloudflare-ddns/issues/990,
// github.com/jeessy2/ddns-go/issues/1378, github.com/aaPanel/aaPanel/issues/112).
const DNS_TAKEN: ReadonlySet<number> = new Set([81_053, 81_054, 81_057, 81_058])

const Envelope = Schema.Struct({
  success: Schema.Boolean,
  errors: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Struct({ code: Schema.optionalKey(Schema.Number) })))),
})
const decodeEnvelope = Schema.decodeUnknownOption(Envelope)

interface CloudflareAnswer {
  readonly status: number
  /** The numbers of its errors. Their texts are not used: they may repeat what was sent. */
  readonly codes: readonly number[]
  /** Throws what it says, unless it succeeded. */
  readonly check: () => void
  /** What it succeeded with; throws as `check`. */
  readonly result: <A>(schema: Schema.ConstraintDecoder<A>) => A
}

/** Asks Cloudflare's API; `subject` is what its failures name. */
const cloudflareApi = (options: TunnelApiOptions, subject: string, signal: AbortSignal) => {
  const { apiToken, accountId, zoneId, fetch, apiBase = "https://api.cloudflare.com/client/v4" } = options
  for (const [field, id] of Object.entries({ accountId, zoneId })) {
    if (!/^[0-9a-zA-Z]{1,64}$/.test(id)) throw new TypeError(`${field} must be letters and digits`)
  }
  const headers = { authorization: `Bearer ${apiToken}` }
  const api = vendorApi({ apiBase, secrets: { apiToken }, headers, fetch })
  return async (method: string, path: VendorRequest["path"], body?: unknown): Promise<CloudflareAnswer> => {
    const answer = await api.request({ type: CLOUDFLARE_TUNNEL, externalId: subject }, { method, path, body, signal })
    const envelope = Option.getOrUndefined(decodeEnvelope(answer.json))
    const codes = (envelope?.errors ?? []).flatMap(({ code }) => (code === undefined ? [] : [code]))
    const check = (): void => {
      if (!answer.ok || envelope?.success !== true) throw failureOf(answer, codes)
    }
    return {
      status: answer.status,
      codes,
      check,
      result: (schema) => {
        check()
        return answer.decode(Schema.Struct({ result: schema })).result
      },
    }
  }
}

const failureOf = (answer: VendorResponse, codes: readonly number[]): ProviderError => {
  const { status, where } = answer
  if (status === 401 || status === 403 || status === 429) return answer.failure()
  // A 404 or a 409 is about a tunnel or a record, and no machine's state.
  const said = codes.length === 0 ? "" : ` (${codes.join(", ")})`
  return new ProviderUnavailable({ ...where, reason: `HTTP ${status}${said}` })
}

const checkHostname = (hostname: string): void => {
  if (!TUNNEL_HOSTNAME.test(hostname)) throw new TypeError("hostname must be a lower-case hostname")
}
