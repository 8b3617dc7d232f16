/**
 * A DNS server that knows the addresses of machines, for fronts that resolve a name at the time of the request. For Node.
 *
 * @module
 */
export { serveInternalDns } from "./dns/responder/internal-dns.ts"
export type { InternalDns, InternalDnsOptions, ResolveMachine } from "./dns/responder/internal-dns.ts"
