import * as Schema from "effect/Schema"
import { checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { acceptSignal } from "../../adapter-kit/option-checks.ts"
import { checkTunnelApiOptions, tunnelApi } from "./tunnel-api.ts"
import type { TunnelApiOptions } from "./tunnel-api.ts"
import { TunnelConflict } from "./tunnel-errors.ts"
import { TUNNEL_HOSTNAME } from "./tunnel-hostname.ts"

/** What {@link protectTunnels} protects. */
export interface ProtectionRequest {
  /**
   * The hostnames of tunnels: one of them, or all below a domain as `*.machines.example.com`. One wildcard is enough for every tunnel; an
   * account has at most 500 applications and 50 service tokens.
   */
  readonly hostname: string
  readonly signal?: AbortSignal
}

/** A service token: what `cloudflareTunnel` and `viaTunnel` take as `access`. The secret is shown once and never again. */
export interface ServiceToken {
  readonly clientId: string
  readonly clientSecret: string
}

/**
 * Puts Cloudflare Access in front of tunnels: makes a service token, an application for the hostname, and its only policy, which admits
 * that token and nobody else (Service Auth). Without the token the edge then refuses every request before a machine gets it. What
 * an application has before its policy is made is nobody. The API token needs Access: Apps and Policies: Edit and Access: Service
 * Tokens: Edit beside what `createTunnel` needs. Rejects with a `TunnelConflict` if there is an application for the hostname, with a
 * `ProviderError`, or with a `TypeError` for unknown, missing or invalid options.
 */
export const protectTunnels = async (options: TunnelApiOptions, request: ProtectionRequest): Promise<ServiceToken> => {
  checkTunnelApiOptions("protectTunnels", options)
  checkOptions(
    "protectTunnels",
    request,
    { hostname: acceptProtected, signal: acceptSignal },
    { required: ["hostname"], at: "request" },
  )
  const { hostname, signal = new AbortController().signal } = request
  const api = tunnelApi(options, hostname, signal)
  const access = `/accounts/${options.accountId}/access` as const
  const name = `tunnels of ${hostname}`

  const existing = await api("GET", `${access}/apps?domain=${encodeURIComponent(hostname)}`)
  if (existing.result(Applications).some(({ domain }) => domain === hostname)) {
    throw new TunnelConflict({ field: "hostname", value: hostname })
  }
  // https://developers.cloudflare.com/api/resources/zero_trust/subresources/access
  const token = (await api("POST", `${access}/service_tokens`, { name })).result(Token)
  const application = { name, type: "self_hosted", domain: hostname, app_launcher_visible: false }
  const made = (await api("POST", `${access}/apps`, application)).result(Application)
  const include = [{ service_token: { token_id: token.id } }]
  const policy = { name, decision: "non_identity", precedence: 1, include }
  const admitted = await api("POST", `${access}/apps/${made.id}/policies`, policy)
  admitted.check()
  return { clientId: token.client_id, clientSecret: token.client_secret }
}

const acceptProtected: OptionCheck = (value) =>
  typeof value === "string" && TUNNEL_HOSTNAME.test(value.replace(/^\*\./, ""))
    ? undefined
    : "a lower-case hostname, or *. and one"

const ID = Schema.String.check(Schema.isPattern(/^[0-9a-f-]{16,64}$/i))
const Applications = Schema.Array(Schema.Struct({ domain: Schema.optionalKey(Schema.String) }))
const Application = Schema.Struct({ id: ID })
const Token = Schema.Struct({ id: ID, client_id: Schema.NonEmptyString, client_secret: Schema.NonEmptyString })
