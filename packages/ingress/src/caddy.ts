/**
 * Ingresses as configuration of Caddy: JSON and a Caddyfile.
 *
 * @module
 */
export type { CaddyConfig } from "./caddy/caddy-json.ts"
export type { AcmeIssuer, CaddyCertificates, CaddyOptions } from "./caddy/caddy-options.ts"
export { exportCaddy, exportCaddyfile } from "./caddy/export-caddy.ts"
