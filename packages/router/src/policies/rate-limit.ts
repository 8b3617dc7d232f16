import { accept, checkOptions, clientNetwork } from "@project-ingress/forward/internal"
import { projectShare } from "../stores/project-share.ts"
import type { Outcome, Policy, PolicyRequest } from "./policy.ts"
import { RateLimited } from "./rate-limited.ts"

/** What counts requests: Cloudflare's rate limiting binding, which has the limit and the period. */
export interface RateLimiter {
  readonly limit: (options: { readonly key: string }) => Promise<{ readonly success: boolean }>
}

/** What {@link rateLimit} takes. */
export interface RateLimitOptions {
  /** `env.LIMITER` of a Worker. */
  readonly binding: RateLimiter
  /**
   * What has the limit: each client (its address, of IPv6 the `/64`; all unknown ones together), each project (the record's `owner`,
   * else its `externalId`, else the machine attached) or each machine; a project and a machine whatever hostname was asked for.
   */
  readonly key: "client" | "project" | "machine"
  /** Sent as `Retry-After`, in ms: the period of the binding. Default 10 000. */
  readonly retryAfterMs?: number
}

/**
 * Keeps each client, project or machine within a rate: beyond it, 429 `RATE_LIMITED` for that one alone. Clients are counted before
 * the look-up, projects and machines on the resolved record; nothing has been started by then. If the limiter fails, requests
 * pass: it shares a host out and guards nothing.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 *
 * @example
 * createRouter({ …, policies: [rateLimit({ binding: env.CLIENTS, key: "client" }), rateLimit({ binding: env.PROJECTS, key: "project" })] })
 */
export const rateLimit = (options: RateLimitOptions): Policy => {
  checkOptions("rateLimit", options, checks, { required: ["binding", "key"] })
  const { binding, key: of, retryAfterMs = 10_000 } = options

  const within = async (key: string, recheck: PolicyRequest["recheck"]): Promise<Outcome> => {
    if (recheck !== undefined) return undefined
    try {
      const { success } = await binding.limit({ key: `${of} ${key}` })
      if (success) return undefined
    } catch {
      return undefined
    }
    return { deny: new RateLimited({ reason: `${of} ${key} is over its rate`, retryAfterMs }) }
  }
  const name = `rate limit by ${of}`
  if (of === "client")
    return { name, onRequest: ({ clientAddress, recheck }) => within(clientNetwork(clientAddress), recheck) }
  return {
    name,
    onRoute: ({ recheck }, { key, record, machine }) =>
      within(of === "project" ? projectShare(record, key) : (machine?.id ?? key), recheck),
  }
}

const isLimiter = (value: unknown): string | undefined =>
  typeof value === "object" && value !== null && "limit" in value && typeof value.limit === "function"
    ? undefined
    : "a rate limiting binding: an object with limit"

const checks = {
  binding: isLimiter,
  key: accept.oneOf("client", "project", "machine"),
  retryAfterMs: accept.number(),
}
