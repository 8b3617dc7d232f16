/**
 * Records in the zone file of CoreDNS, Knot, NSD or BIND. For Node.
 *
 * @module
 */
export { zoneFile } from "./dns/zone-file/zone-file.ts"
export type { ZoneChecker, ZoneFileOptions } from "./dns/zone-file/zone-file.ts"
