import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { MachineNotRunning, ProviderAuth, ProviderRateLimited, ProviderUnavailable } from "./errors.ts"
import type { MachineProvider, Verdict } from "./machine-provider.ts"
import { metadataDecoder } from "./metadata.ts"

export interface CloudflareTunnelOptions {
  /**
   * A service token of Cloudflare Access, sent as `CF-Access-Client-Id` and `CF-Access-Client-Secret`. The application's
   * policy must have the action Service Auth, else Access asks for a login. Absent: the hostnames are open to everybody, and
   * only the tickets of the machine's proxy guard it.
   */
  readonly access?: { readonly clientId: string; readonly clientSecret: string }
}

/** Of DNS (RFC 1123 §2.1), in lower case and with a zone above it; never an address. */
const HOSTNAME = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/

/**
 * Machines that run `cloudflared` with the token of a named tunnel: nothing has to reach them but Cloudflare. Runs
 * everywhere. Metadata: `hostname`, the tunnel's public name in lower case. Make the tunnel with {@link createTunnel}.
 *
 * Give these hostnames a cache rule that bypasses the cache. Cloudflare caches by URL and file extension (`/app.js`), and
 * the URL holds neither the port nor the public name: one app's file would be another's answer.
 */
export const cloudflareTunnel = (options: CloudflareTunnelOptions = {}): MachineProvider => {
  const { access } = options
  if (access !== undefined) {
    checkSecret("access.clientId", access.clientId)
    checkSecret("access.clientSecret", access.clientSecret)
  }
  const headers: Readonly<Record<string, string>> =
    access === undefined
      ? {}
      : { "CF-Access-Client-Id": access.clientId, "CF-Access-Client-Secret": access.clientSecret }
  return {
    type: PROVIDER,
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "none",
      ports: "any",
      // https://developers.cloudflare.com/fundamentals/reference/http-headers/ and github.com/cloudflare/cloudflared/issues/1426:
      // the edge appends its own client, who is the router. Not `accept-encoding`, which it overwrites: it recodes the answer
      // for what it was asked, and must be asked for that.
      eatenHeaders: ["x-forwarded-for", "x-forwarded-proto"],
    },
    async resolve(machine) {
      const { hostname } = decode(machine)
      return { origin: `https://${hostname}`, headers, epoch: hostname, cacheForMs: 60_000 }
    },
    classify({ status, header, body = "" }, machine): Verdict {
      const where = { provider: machine.type, machine: machine.externalId }
      // To a login, or a refusal. The token is an option, so that there is no newer one to fetch.
      if ((status >= 300 && status < 400) || status === 401 || status === 403) return new ProviderAuth(where)
      if (status === 429) return rateLimited(where, header("retry-after") ?? null)
      // Error 1033, in whichever form the page has: no `cloudflared` is connected. Other errors have this status too.
      if (status === 530 && /\b1033\b/.test(body)) return new MachineNotRunning({ ...where, state: "not connected" })
      if ((status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "ask-status"
      return new ProviderUnavailable({ ...where, reason: `HTTP ${status} without the stamp of the machine's proxy` })
    },
  }
}

const PROVIDER = "cloudflare-tunnel"

const decode = metadataDecoder(Schema.Struct({ hostname: Schema.String.check(Schema.isPattern(HOSTNAME)) }), {
  hostname: "a lower-case hostname",
})

export interface TunnelApiOptions {
  /** An API token with Cloudflare Tunnel: Edit on the account and DNS: Edit on the zone. Goes to the API alone. */
  readonly apiToken: string
  readonly accountId: string
  /** The zone that the hostnames are in. */
  readonly zoneId: string
  /** Asks the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Default `https://api.cloudflare.com/client/v4`. With `http:` the token travels in the clear. */
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
  if (!/^https?:\/\/[^/\\?#@\s]+$/i.test(service)) {
    throw new TypeError("service must be http:// or https:// with a host and perhaps a port, and nothing else")
  }
  const api = makeApi(options, name)
  const tunnels = `/accounts/${options.accountId}/cfd_tunnel`

  // https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/get-started/create-remote-tunnel-api
  const made = await api.ask("POST", tunnels, { name, config_src: "cloudflare" }, signal)
  // https://github.com/cloudflare/cloudflared/blob/master/cfapi/tunnel.go
  if (made.status === 409) throw new TunnelConflict({ field: "name", value: name })
  const { id } = api.read(made, Made)
  try {
    const token = api.read(await api.ask("GET", `${tunnels}/${id}/token`, undefined, signal), Schema.NonEmptyString)
    // The last rule must be one without a hostname.
    const config = { ingress: [{ hostname, service }, { service: "http_status:404" }] }
    api.read(await api.ask("PUT", `${tunnels}/${id}/configurations`, { config }, signal), Schema.Unknown)
    const record = { type: "CNAME", proxied: true, name: hostname, content: targetOf(id) }
    const named = await api.ask("POST", `/zones/${options.zoneId}/dns_records`, record, signal)
    if (named.codes.some((code) => DNS_TAKEN.has(code))) {
      throw new TunnelConflict({ field: "hostname", value: hostname })
    }
    api.read(named, Schema.Unknown)
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
  const api = makeApi(options, id)
  const records = `/zones/${options.zoneId}/dns_records`
  const listed = await api.ask("GET", `${records}?type=CNAME&name.exact=${hostname}`, undefined, signal)
  for (const record of api.read(listed, Records)) {
    // A filter that the API did not know would bring the whole zone.
    if (record.name !== hostname || record.content !== targetOf(id)) continue
    const removed = await api.ask("DELETE", `${records}/${record.id}`, undefined, signal)
    if (removed.status !== 404) api.read(removed, Schema.Unknown)
  }
  // `cascade` takes the connections along: a tunnel in use is not removed without it.
  const removed = await api.ask(
    "DELETE",
    `/accounts/${options.accountId}/cfd_tunnel/${id}?cascade=true`,
    undefined,
    signal,
  )
  if (removed.status !== 404) api.read(removed, Schema.Unknown)
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
  result: Schema.optionalKey(Schema.Unknown),
})
const decodeEnvelope = Schema.decodeUnknownOption(Schema.fromJsonString(Envelope))

interface ApiAnswer {
  readonly status: number
  readonly retryAfter: string | null
  /** The numbers of its errors. Their texts are not used: they may repeat what was sent. */
  readonly codes: readonly number[]
  /** Absent unless it succeeded. */
  readonly result?: unknown
}

interface Api {
  readonly ask: (method: string, path: string, body: unknown, signal: AbortSignal) => Promise<ApiAnswer>
  /** The result of an answer; throws what the answer says else. */
  readonly read: <A>(answer: ApiAnswer, schema: Schema.ConstraintDecoder<A>) => A
}

const makeApi = (options: TunnelApiOptions, subject: string): Api => {
  const { apiToken, accountId, zoneId, apiBase = "https://api.cloudflare.com/client/v4" } = options
  const send = options.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  checkSecret("apiToken", apiToken)
  for (const [field, id] of Object.entries({ accountId, zoneId })) {
    if (!/^[0-9a-zA-Z]{1,64}$/.test(id)) throw new TypeError(`${field} must be letters and digits`)
  }
  if (!/^https?:\/\/[^/\\?#@\s]+(?:\/[A-Za-z0-9._~-]+)*\/?$/i.test(apiBase) || !URL.canParse(apiBase)) {
    throw new TypeError("apiBase must be http:// or https:// with a host and perhaps a path, and nothing else")
  }
  const base = apiBase.replace(/\/$/, "")
  const where = { provider: PROVIDER, machine: subject }

  return {
    async ask(method, path, body, signal) {
      try {
        const answer = await send(base + path, {
          method,
          headers: {
            accept: "application/json",
            authorization: `Bearer ${apiToken}`,
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          // A redirect would take the token along.
          redirect: "manual",
          signal,
        })
        const envelope = Option.getOrUndefined(decodeEnvelope(await answer.text()))
        const codes = (envelope?.errors ?? []).flatMap(({ code }) => (code === undefined ? [] : [code]))
        const head = { status: answer.status, retryAfter: answer.headers.get("retry-after"), codes }
        return answer.ok && envelope?.success === true ? { ...head, result: envelope.result } : head
      } catch (cause) {
        if (signal.aborted) throw signal.reason
        // Without the cause: a `fetch` that is not the runtime's may have put the request, and so the token, into it.
        throw new ProviderUnavailable({ ...where, reason: codeOf(cause) ?? "the API cannot be reached" })
      }
    },
    read(answer, schema) {
      const { status, codes } = answer
      if (status === 401 || status === 403) throw new ProviderAuth(where)
      if (status === 429) throw rateLimited(where, answer.retryAfter)
      if (!("result" in answer)) {
        const said = codes.length === 0 ? "" : ` (${codes.join(", ")})`
        throw new ProviderUnavailable({ ...where, reason: `HTTP ${status}${said}` })
      }
      const found = Schema.decodeUnknownOption(schema)(answer.result)
      if (Option.isSome(found)) return found.value
      throw new ProviderUnavailable({ ...where, reason: "an answer that is not understood" })
    },
  }
}

const checkHostname = (hostname: string): void => {
  if (!HOSTNAME.test(hostname)) throw new TypeError("hostname must be a lower-case hostname")
}

// The value is never repeated.
const checkSecret = (field: string, value: string): void => {
  if (!/^[\x21-\x7e]+$/.test(value)) throw new TypeError(`${field} must be visible ASCII without spaces`)
}

// In seconds: https://developers.cloudflare.com/fundamentals/api/reference/limits
const rateLimited = (
  where: { readonly provider: string; readonly machine: string },
  retryAfter: string | null,
): ProviderRateLimited =>
  new ProviderRateLimited({
    ...where,
    ...(retryAfter !== null && /^\d{1,9}$/.test(retryAfter) ? { retryAfterMs: Number(retryAfter) * 1_000 } : {}),
  })

/** The `code` of an error or of what caused it, when it is a word: `ECONNREFUSED`. */
const codeOf = (error: unknown): string | undefined => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { code, cause } = at as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{1,40}$/.test(code)) return code
    at = cause
  }
  return undefined
}
