/**
 * Ingresses as configuration of Caddy: JSON and a Caddyfile.
 *
 * @module
 */
export type { CaddyConfig } from "./caddy-json.ts"
export type { AcmeIssuer, CaddyCertificates, CaddyOptions } from "./caddy-options.ts"
export { exportCaddy, exportCaddyfile } from "./export-caddy.ts"
