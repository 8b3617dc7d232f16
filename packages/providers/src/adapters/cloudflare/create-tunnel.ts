import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { acceptSignal } from "../../adapter-kit/option-checks.ts"
import type { ProviderAuth, ProviderRateLimited, ProviderUnavailable } from "../../contract/errors.ts"
import { AN_ORIGIN, isOrigin } from "../../contract/origin.ts"
import { checkTunnelApiOptions, tunnelApi } from "./tunnel-api.ts"
import type { TunnelApi, TunnelApiOptions } from "./tunnel-api.ts"
import { findTunnel, UUID } from "./list-tunnels.ts"
import { TunnelConflict, TunnelLeftBehind } from "./tunnel-errors.ts"
import { TUNNEL_HOSTNAME } from "./tunnel-hostname.ts"

/** The tunnel that {@link createTunnel} makes. */
export interface TunnelRequest {
  /** The tunnel's name: unique in the account, 1 to 100 characters without control characters, and not a UUID. */
  readonly name: string
  /** Its public hostname: lower case, in the zone. More than one label below it needs an advanced certificate. */
  readonly hostname: string
  /** What `cloudflared` connects to inside the machine. Default `http://localhost:8080`, the machine proxy. */
  readonly service?: string
  /**
   * True: a tunnel of that name, and a record that leads to it, are used as they are, so that a call whose outcome was lost can be made
   * again. Default false: they are a `TunnelConflict`.
   */
  readonly adopt?: boolean
  /** Ends the requests to the API. What was made before is removed all the same. */
  readonly signal?: AbortSignal
}

/** A tunnel that was made. */
export interface Tunnel {
  /** A UUID. */
  readonly id: string
  /** For the machine: `cloudflared tunnel run --token <token>`. Whoever has it can act as the machine. */
  readonly token: string
}

/** What {@link createTunnel} and {@link deleteTunnel} reject with, apart from the signal's reason. */
export type TunnelError = TunnelConflict | TunnelLeftBehind | ProviderAuth | ProviderRateLimited | ProviderUnavailable

/** How long removing an unfinished tunnel may take, in ms: the caller's signal may have ended by then. */
const CLEANUP_MS = 15_000

/**
 * Makes a named tunnel with one ingress rule and its DNS name, in four requests. When one fails, what was made is removed.
 * Rejects with a `TunnelError`, or with a `TypeError` for unknown, missing or invalid options.
 *
 * Default limits per account: 1 000 tunnels, 1 200 API requests in 5 minutes, 50 service tokens of Access.
 * https://developers.cloudflare.com/cloudflare-one/account-limits
 */
export const createTunnel = async (options: TunnelApiOptions, request: TunnelRequest): Promise<Tunnel> => {
  checkTunnelApiOptions("createTunnel", options)
  checkOptions(
    "createTunnel",
    request,
    {
      name: acceptName,
      hostname: acceptHostname,
      service: acceptService,
      adopt: accept.boolean,
      signal: acceptSignal,
    },
    { required: ["name", "hostname"], at: "request" },
  )
  const { name, hostname, service = "http://localhost:8080", adopt = false } = request
  const { signal = new AbortController().signal } = request
  const api = tunnelApi(options, name, signal)
  const tunnels = `/accounts/${options.accountId}/cfd_tunnel` as const

  // https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/get-started/create-remote-tunnel-api
  const made = await api("POST", tunnels, { name, config_src: "cloudflare" })
  // https://github.com/cloudflare/cloudflared/blob/master/cfapi/tunnel.go
  const existing = made.status === 409 && adopt ? await findTunnel(options, name, signal) : undefined
  if (made.status === 409 && existing === undefined) throw new TunnelConflict({ field: "name", value: name })
  const { id } = existing ?? made.result(Made)
  try {
    const token = (await api("GET", `${tunnels}/${id}/token`)).result(Schema.NonEmptyString)
    // The last rule must be one without a hostname.
    const config = { ingress: [{ hostname, service }, { service: "http_status:404" }] }
    const configured = await api("PUT", `${tunnels}/${id}/configurations`, { config })
    configured.check()
    // A `ttl` of 1 is "automatic", the only one that a proxied record has.
    const record = { type: "CNAME", proxied: true, ttl: 1, name: hostname, content: targetOf(id) }
    const named = await api("POST", `/zones/${options.zoneId}/dns_records`, record)
    const isTaken = named.codes.some((code) => DNS_TAKEN.has(code))
    if (isTaken && !(adopt && (await recordsOf(options, api, { id, hostname })).length > 0)) {
      throw new TunnelConflict({ field: "hostname", value: hostname })
    }
    if (!isTaken) named.check()
    return { id, token }
  } catch (cause) {
    // What was there before this call is not removed by it.
    if (existing !== undefined) throw cause
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
 * What does not exist any more is no failure. Rejects with a `TunnelError`, or with a `TypeError` for invalid options.
 */
export const deleteTunnel = async (
  options: TunnelApiOptions,
  tunnel: { readonly id: string; readonly hostname: string; readonly signal?: AbortSignal },
): Promise<void> => {
  checkTunnelApiOptions("deleteTunnel", options)
  // A `TunnelLeftBehind` is accepted too, so only what is used of it is checked.
  const { id, hostname, signal } = tunnel ?? {}
  checkOptions(
    "deleteTunnel",
    { id, hostname, signal },
    { id: acceptUuid, hostname: acceptHostname, signal: acceptSignal },
    { required: ["id", "hostname"], at: "tunnel" },
  )
  await remove(options, tunnel, signal ?? new AbortController().signal)
}

const remove = async (
  options: TunnelApiOptions,
  { id, hostname }: { readonly id: string; readonly hostname: string },
  signal: AbortSignal,
): Promise<void> => {
  const api = tunnelApi(options, id, signal)
  for (const record of await recordsOf(options, api, { id, hostname })) {
    const unnamed = await api("DELETE", `/zones/${options.zoneId}/dns_records/${record.id}`)
    if (unnamed.status !== 404) unnamed.check()
  }
  // `cascade` removes its connections too: a tunnel that is in use is not removed without it.
  const removed = await api("DELETE", `/accounts/${options.accountId}/cfd_tunnel/${id}?cascade=true`)
  if (removed.status !== 404) removed.check()
}

/** The records of a hostname that lead to a tunnel. */
const recordsOf = async (
  { zoneId }: TunnelApiOptions,
  api: TunnelApi,
  { id, hostname }: { readonly id: string; readonly hostname: string },
): Promise<typeof Records.Type> => {
  const listed = await api("GET", `/zones/${zoneId}/dns_records?type=CNAME&name.exact=${hostname}`)
  // If the API ignored the filter, it would list the whole zone.
  return listed.result(Records).filter(({ name, content }) => name === hostname && content === targetOf(id))
}

const acceptName: OptionCheck = (value) =>
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  typeof value === "string" && /^[^\u0000-\u001f\u007f]{1,100}$/.test(value) && !UUID.test(value)
    ? undefined
    : // `cloudflared` takes a UUID for an id, and finds no tunnel.
      "1 to 100 characters without control characters, and not a UUID"
const acceptHostname: OptionCheck = (value) =>
  typeof value === "string" && TUNNEL_HOSTNAME.test(value) ? undefined : "a lower-case hostname"
const acceptService: OptionCheck = (value) => (isOrigin(value) ? undefined : AN_ORIGIN)
const acceptUuid: OptionCheck = (value) =>
  typeof value === "string" && UUID.test(value) ? undefined : "a tunnel's UUID"

const Made = Schema.Struct({ id: Schema.String.check(Schema.isPattern(UUID)) })
const Records = Schema.Array(
  Schema.Struct({
    id: Schema.String.check(Schema.isPattern(/^[0-9a-zA-Z-]{1,64}$/)),
    name: Schema.String,
    content: Schema.optionalKey(Schema.String),
  }),
)

const targetOf = (id: string): string => `${id}.cfargotunnel.com`

// "A CNAME record with that host already exists" and the like, with status 400
// (github.com/favonia/cloudflare-ddns/issues/990, github.com/jeessy2/ddns-go/issues/1378, github.com/aaPanel/aaPanel/issues/112).
const DNS_TAKEN: ReadonlySet<number> = new Set([81_053, 81_054, 81_057, 81_058])
