import { accept, checkOptions, clientNetwork } from "@project-ingress/forward/internal"
import { projectShare } from "../stores/project-share.ts"
import type { Outcome, Policy } from "./policy.ts"
import { RateLimited } from "./rate-limited.ts"
import { makeTokenBuckets } from "./token-buckets.ts"

/** What counts requests: Cloudflare's rate limiting binding, which has the limit and the period. */
export interface RateLimiter {
  readonly limit: (options: { readonly key: string }) => Promise<{ readonly success: boolean }>
}

/** What has a limit of {@link rateLimit}. */
export interface RateLimitKey {
  /**
   * What has the limit: each client (its address, of IPv6 the `/64`; all unknown ones together), each project (the record's `owner`,
   * else its `externalId`, else the machine attached) or each machine; a project and a machine whatever hostname was asked for.
   */
  readonly key: "client" | "project" | "machine"
}

/** What {@link rateLimit} takes: a rate of this process, or Cloudflare's binding. */
export type RateLimitOptions = RateLimitKey & (ProcessRate | BindingRate)

/** A token bucket in this process: each process, and each isolate of a Worker, counts for itself. */
export interface ProcessRate {
  /** How many requests may come at once, an integer from 1 up. */
  readonly burst: number
  /** How many may come in the long run, each second, from 0.001 up. */
  readonly perSecond: number
  readonly binding?: never
  readonly retryAfterMs?: never
}

/** Cloudflare's own counting, shared by the isolates of a location. */
export interface BindingRate {
  /** `env.LIMITER` of a Worker. */
  readonly binding: RateLimiter
  /** Sent as `Retry-After`, in ms: the period of the binding. Default 10 000. */
  readonly retryAfterMs?: number
  readonly burst?: never
  readonly perSecond?: never
}

/**
 * Keeps each client, project or machine within a rate: beyond it, 429 `RATE_LIMITED` for that one alone. Clients are counted before
 * the look-up, projects and machines on the resolved record; nothing has been started by then. If a binding fails, requests
 * pass: it shares a host out and guards nothing. At most 20 000 are counted in a process, divided among projects, machines or networks.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 *
 * @example
 * createRouter({ …, policies: [rateLimit({ key: "client", burst: 100, perSecond: 20 }), rateLimit({ key: "project", binding: env.PROJECTS })] })
 */
export const rateLimit = (options: RateLimitOptions): Policy => {
  const required = options && "binding" in options ? ["binding", "key"] : ["key", "burst", "perSecond"]
  const isBinding = required[0] === "binding"
  checkOptions("rateLimit", options, isBinding ? bindingChecks : processChecks, { required })
  const { key: of } = options
  const take = options.binding === undefined ? ofProcess(options) : ofBinding(options)

  const name = `rate limit by ${of}`
  if (of === "client") {
    return {
      name,
      onRequest: ({ clientAddress, recheck }) => {
        if (recheck !== undefined) return undefined
        const network = clientNetwork(clientAddress)
        // A customer has a /48 of IPv6 and more; with as many /64s as it likes it takes none from others.
        return take(network, network.includes(":") ? network.split(":").slice(0, 3).join(":") : network)
      },
    }
  }
  return {
    name,
    onRoute: ({ recheck }, { key, record, machine }) => {
      if (recheck !== undefined) return undefined
      const share = projectShare(record, key)
      return of === "project" ? take(share, share) : take(machine?.id ?? key, share)
    },
  }
}

type Take = (key: string, share: string) => Outcome | Promise<Outcome>

const ofProcess = ({ key: of, burst, perSecond }: RateLimitKey & ProcessRate): Take => {
  const buckets = makeTokenBuckets(burst, perSecond)
  return (key, share) => {
    const waitMs = buckets.take({ key, share })
    return waitMs === 0 ? undefined : limited(of, key, waitMs)
  }
}

const ofBinding =
  ({ key: of, binding, retryAfterMs = 10_000 }: RateLimitKey & BindingRate): Take =>
  async (key) => {
    try {
      const { success } = await binding.limit({ key: `${of} ${key}` })
      if (success) return undefined
    } catch {
      return undefined
    }
    return limited(of, key, retryAfterMs)
  }

const limited = (of: RateLimitKey["key"], key: string, retryAfterMs: number): Outcome => ({
  deny: new RateLimited({ reason: `${of} ${key} is over its rate`, retryAfterMs }),
})

const isLimiter = (value: unknown): string | undefined =>
  typeof value === "object" && value !== null && "limit" in value && typeof value.limit === "function"
    ? undefined
    : "a rate limiting binding: an object with limit"

const key = accept.oneOf("client", "project", "machine")
const bindingChecks = { binding: isLimiter, key, retryAfterMs: accept.number() }
const processChecks = {
  key,
  burst: accept.integer(1),
  perSecond: accept.number(0.001),
}
