/**
 * DNS providers: where the record of an exposed name is kept.
 *
 * @module
 */
export { cloudflareDns } from "./cloudflare.ts"
export type { CloudflareDnsOptions } from "./cloudflare.ts"
export type * from "./dns-provider.ts"
export * from "./errors.ts"
