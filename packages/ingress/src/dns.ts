/**
 * DNS providers: where the record of an exposed name is kept.
 *
 * @module
 */
export { cloudflareDns } from "./dns/cloudflare.ts"
export type { CloudflareDnsOptions } from "./dns/cloudflare.ts"
export type * from "./dns/dns-provider.ts"
export * from "./dns/errors.ts"
