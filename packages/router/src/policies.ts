/** Policies for `createRouter`, each usable alone. */
export { rateLimit } from "./policies/rate-limit.ts"
export type { RateLimiter, RateLimitOptions } from "./policies/rate-limit.ts"
export { RateLimited } from "./policies/rate-limited.ts"
