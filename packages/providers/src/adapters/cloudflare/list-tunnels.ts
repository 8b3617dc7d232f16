import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { acceptSignal } from "../../adapter-kit/option-checks.ts"
import { checkTunnelApiOptions, tunnelApi } from "./tunnel-api.ts"
import type { TunnelApiOptions } from "./tunnel-api.ts"

/** A tunnel of the account. */
export interface ListedTunnel {
  /** A UUID. */
  readonly id: string
  readonly name: string
  /** When it was made, in ms since 1970. */
  readonly createdAt: number
  /** Whether a `cloudflared` is connected. */
  readonly connected: boolean
}

const PAGE = 100
/** More than an account has: 1 000 tunnels, so that an API that never ends a list is left. */
const MAX_PAGES = 100

/**
 * Lists the tunnels of an account that are not deleted, whose names begin with `prefix`. Rejects with a `ProviderError`, or with a
 * `TypeError` for unknown, missing or invalid options.
 */
export const listTunnels = async (
  options: TunnelApiOptions,
  request: { readonly prefix: string; readonly signal?: AbortSignal },
): Promise<readonly ListedTunnel[]> => {
  checkTunnelApiOptions("listTunnels", options)
  checkOptions(
    "listTunnels",
    request,
    { prefix: accept.string, signal: acceptSignal },
    { required: ["prefix"], at: "request" },
  )
  const { prefix, signal = new AbortController().signal } = request
  const found: ListedTunnel[] = []
  for (let page = 1; page <= MAX_PAGES; page++) {
    const listed = await pageOf(options, `include_prefix=${encodeURIComponent(prefix)}`, page, prefix, signal)
    // If the API ignored the filter, it would list tunnels of others.
    for (const each of listed) if (each.name.startsWith(prefix)) found.push(each)
    if (listed.length < PAGE) break
  }
  return found
}

/** The tunnel of a name, if there is one. */
export const findTunnel = async (
  options: TunnelApiOptions,
  name: string,
  signal: AbortSignal,
): Promise<ListedTunnel | undefined> => {
  const listed = await pageOf(options, `name=${encodeURIComponent(name)}`, 1, name, signal)
  return listed.find((each) => each.name === name)
}

const pageOf = async (
  options: TunnelApiOptions,
  filter: string,
  page: number,
  subject: string,
  signal: AbortSignal,
): Promise<readonly ListedTunnel[]> => {
  const query = `is_deleted=false&per_page=${PAGE}&page=${page}&${filter}` as const
  const listed = await tunnelApi(options, subject, signal)("GET", `/accounts/${options.accountId}/cfd_tunnel?${query}`)
  return listed.result(Tunnels).map(({ id, name, created_at: created, status }) => ({
    id,
    name,
    createdAt: Date.parse(created) || 0,
    connected: status === "healthy" || status === "degraded",
  }))
}

export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const Tunnels = Schema.Array(
  Schema.Struct({
    id: Schema.String.check(Schema.isPattern(UUID)),
    name: Schema.String,
    created_at: Schema.String,
    status: Schema.optionalKey(Schema.String),
  }),
)
