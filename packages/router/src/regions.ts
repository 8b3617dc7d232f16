/**
 * Several regions: a request for a machine of another region goes to that region's load balancer, signed, and is decided there once
 * more. An entry of its own, so that a router of one region does not carry it.
 */
import { checkedRegions } from "./regions/balancers.ts"
import type { RegionsOptions } from "./regions/balancers.ts"
import { regionHops } from "./regions/region-hops.ts"
import type { Regions } from "./program/region-hops.ts"

export { RegionUnreachable } from "./regions/region-unreachable.ts"
export type { RegionBalancer, RegionsOptions } from "./regions/balancers.ts"
export type { RegionEvent } from "./program/arrived-hop.ts"
export type { Regions } from "./program/region-hops.ts"

/**
 * For the option `regions` of `createRouter`: which region this router is in, and where the others are.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 *
 * @example
 * createRouter({ …, regions: regions({ self: "fra", balancers: { iad: "https://iad.ingress.example.com" } }) })
 */
export const regions = (options: RegionsOptions): Regions => {
  const balancers = checkedRegions(options)
  const { self, keys } = options
  return { self, hops: (setup) => regionHops(self, balancers, keys, setup) }
}
