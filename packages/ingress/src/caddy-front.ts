/**
 * A running Caddy, driven by its admin API. For Node.
 *
 * @module
 */
export { caddyFront } from "./caddy/front/caddy-front.ts"
export type { CaddyFrontOptions } from "./caddy/front/caddy-front.ts"
