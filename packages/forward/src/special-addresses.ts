import { isInOneOf, parseIpAddress } from "./ip-address.ts"
import type { IpAddress, IpRange } from "./ip-address.ts"

/** What kind of address it is, when it is not a global unicast one: `private`, `loopback`. `undefined` for a public address. */
export const notPublic = (address: IpAddress): string | undefined => {
  for (const [kind, ranges] of specialRanges()) if (isInOneOf(ranges, address)) return kind
  // Only 2000::/3 is assigned as global unicast (RFC 4291 §2.4, IANA's registry).
  return address.bytes.length === 4 || address.bytes[0]! >> 5 === 1 ? undefined : "reserved"
}

/** By IANA's registries of special-purpose addresses, IPv4 and IPv6; what lies outside of 2000::/3 is here only to be named. */
const special: Readonly<Record<string, string>> = {
  private: "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
  loopback: "127.0.0.0/8 ::1/128",
  "link-local": "169.254.0.0/16 fe80::/10",
  "carrier-grade NAT": "100.64.0.0/10",
  "unique local": "fc00::/7",
  multicast: "224.0.0.0/4 ff00::/8",
  broadcast: "255.255.255.255/32",
  unspecified: "0.0.0.0/8 ::/128",
  NAT64: "64:ff9b::/96 64:ff9b:1::/48",
  "IPv4-translated": "::ffff:0:0:0/96",
  "6to4": "2002::/16",
  Teredo: "2001::/32",
  // The one address outside of the reserved ranges by which a cloud (Azure) serves credentials to its machines.
  "cloud metadata": "168.63.129.16/32",
  // Documentation, benchmarks, AS112, AMT, 6to4 relays, ORCHID and what is not assigned.
  reserved:
    "192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24 198.18.0.0/15 " +
    "198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 2001::/23 2001:db8::/32 2620:4f:8000::/48 3fff::/20",
}

let read: readonly (readonly [kind: string, ranges: readonly IpRange[]])[] | undefined

const specialRanges = () =>
  (read ??= Object.entries(special).map(([kind, ranges]) => [kind, ranges.split(" ").map(rangeOf)] as const))

const rangeOf = (cidr: string): IpRange => {
  const [network = "", bits] = cidr.split("/")
  return { network: parseIpAddress(network)!, bits: Number(bits) }
}
