import { firstOf, ipv6Groups, isFirst, isInOneOf, parseIpAddress } from "./ip-address.ts"
import type { IpRange } from "./ip-address.ts"
import { remembered } from "./remembered.ts"
import { notPublic } from "./special-addresses.ts"

/**
 * Which addresses may be connected to when a stored record or a visitor has a say in where a request goes. `{}` allows the
 * public internet and nothing else.
 */
export interface AddressRule {
  /**
   * Ranges that may be connected to beside global unicast addresses: `10.0.0.0/8`, `fd00::/8`. Everything that is not
   * global unicast is refused without: private, loopback, link-local and multicast addresses, carrier-grade NAT, unique
   * local ones, `0.0.0.0/8`, NAT64, 6to4, documentation and reserved ranges. An IPv4-mapped IPv6 address
   * (`::ffff:10.0.0.1`) is allowed by a range that holds its IPv4 address.
   */
  readonly allowCidrs?: readonly string[]
  /**
   * When given, the only names that may be connected to: `app.example.com`, or `*.example.com` for the names below it. Their
   * addresses are checked none the less. Where a runtime resolves names by itself and shows no address (Workers, and `fetch`
   * of Bun and Deno), a name is refused unless it is listed here.
   */
  readonly allowHosts?: readonly string[]
}

/**
 * A check of IP addresses by a rule. It gives `undefined` for an address that may be connected to and otherwise the reason,
 * for logs: `10.0.0.1 is not a public address (private)`. Text that is no IP address, is written ambiguously (`010.0.0.1`) or has a zone
 * (`fe80::1%eth0`) is refused.
 *
 * `own` gives this host's own addresses, which are refused unless `allowCidrs` holds them: the services of a host that are
 * not meant for visitors listen on its public address, too.
 *
 * @throws {TypeError} for a range or a name of the rule that is invalid
 */
export const addressChecker = (
  rule: AddressRule,
  own: () => readonly string[] = () => [],
): ((ip: string) => string | undefined) => {
  const allowed = (rule.allowCidrs ?? []).map((cidr) => parseCidr("allowCidrs", cidr))
  return (ip) => {
    const address = parseIpAddress(ip)
    if (address === undefined) return `${shown(ip)} is not an IP address in its usual form`
    if (isInOneOf(allowed, address)) return undefined
    const { text, mapped } = address
    const range = mapped ? "IPv4-mapped" : notPublic(address)
    if (range !== undefined) return `${mapped ? "::ffff:" : ""}${text} is not a public address (${range})`
    return own().some((each) => parseIpAddress(each)?.text === text) ? `${text} is an address of this host` : undefined
  }
}

/**
 * A check of hosts as they stand in a URL or a connection's options, for where names cannot be resolved and checked: an IP
 * address, also in brackets, is checked like `addressChecker` does, and a name must be in `allowHosts`. Gives the reason of
 * a refusal or `undefined`.
 *
 * @throws {TypeError} for a range or a name of the rule that is invalid
 */
export const hostChecker = (rule: AddressRule): ((host: string) => string | undefined) => {
  const check = addressChecker(rule)
  const listed = nameMatcher(rule.allowHosts ?? [])
  return (host) => {
    const literal = literalOf(host)
    if (literal !== undefined) return check(literal)
    return listed(host) ? undefined : `${shown(host)} is not in allowHosts`
  }
}

/**
 * The IP address that a host is, without brackets; `undefined` for a name. Whatever a URL parser or a resolver would read as
 * an address is one: `0x7f.1`, `2130706433` (WHATWG URL, "ends in a number").
 */
export const literalOf = (host: string): string | undefined => {
  if (host.startsWith("[") && host.endsWith("]")) return host.slice(1, -1)
  if (host.includes(":")) return host
  const last = withoutDot(host).split(".").at(-1)!
  return /^(?:\d+|0x[\da-f]*)$/i.test(last) ? withoutDot(host) : undefined
}

/** Whether a name is one of a list's, or below one of its wildcards. Throws a `TypeError` for an invalid entry. */
export const nameMatcher = (allowHosts: readonly string[]): ((name: string) => boolean) => {
  const exact = new Set<string>()
  const suffixes: string[] = []
  for (const entry of allowHosts) {
    if (typeof entry !== "string" || !NAME.test(entry) || literalOf(entry) !== undefined) {
      throw new TypeError(`allowHosts: ${shown(entry)} is not a hostname, nor "*." and a hostname`)
    }
    const lower = entry.toLowerCase()
    if (lower.startsWith("*.")) suffixes.push(lower.slice(1))
    else exact.add(lower)
  }
  return (name) => {
    const lower = withoutDot(name).toLowerCase()
    return exact.has(lower) || suffixes.some((suffix) => lower.length > suffix.length && lower.endsWith(suffix))
  }
}

/** The error of a connection that a rule does not allow, with the code `ADDRESS_NOT_ALLOWED`. */
export const addressNotAllowed = (reason: string): Error =>
  Object.assign(new Error(reason), { code: "ADDRESS_NOT_ALLOWED" })

/**
 * A check whether an IP address is in one of some ranges. An IPv4-mapped IPv6 address is in those of its IPv4 address; text
 * that is no IP address is in none. `option` names the list in errors.
 *
 * @throws {TypeError} for a range that is invalid, or that holds every address: who accepts all has nothing to check
 */
export const cidrMatcher = (option: string, cidrs: readonly string[]): ((ip: string) => boolean) => {
  const ranges = cidrs.map((cidr) => {
    const range = parseCidr(option, cidr)
    if (range.bits === 0) throw new TypeError(`${option}: ${shown(cidr)} holds every address`)
    return range
  })
  return remembered((ip) => {
    const address = parseIpAddress(ip)
    return address !== undefined && isInOneOf(ranges, address)
  })
}

/**
 * Whom a client is counted as, by its address in the notation of `canonicalAddress`: an IPv4 address itself, of an IPv6 address its
 * `/64`, in which one customer may choose among 2^64 addresses. All that are unknown are one.
 */
export const clientNetwork = (address: string | undefined): string => {
  if (address === undefined) return "unknown"
  if (!address.includes(":")) return address
  return ipv6Network(address)
}

const ipv6Network = /* @__PURE__ */ remembered((address) => `${ipv6Groups(address).slice(0, 4).join(":")}::/64`)

/**
 * An IP address in one notation, so that equal addresses are equal texts: IPv6 as of RFC 5952, IPv4 as four decimal numbers, also
 * where it was written as `::ffff:192.0.2.1`. `undefined` for any other text, so for a zone, a port, and what two readers could
 * read differently (`010.0.0.1`, `127.1`).
 */
export const canonicalAddress = (text: string): string | undefined => {
  if (FOUR_PARTS.test(text)) return text
  return text.includes(":") ? parseIpAddress(text)?.text : undefined
}

const FOUR_PARTS = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/

const NAME = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i

const parseCidr = (option: string, cidr: unknown): IpRange => {
  if (typeof cidr === "string") {
    const [text, bits, ...rest] = cidr.split("/")
    const network = parseIpAddress(text!)
    const most = network?.bytes.length === 4 ? 32 : 128
    if (network !== undefined && rest.length === 0 && /^\d{1,3}$/.test(bits ?? "") && Number(bits) <= most) {
      if (!network.mapped) {
        const range = { network, bits: Number(bits) }
        if (isFirst(range)) return range
        // One address, or the whole range? Whoever wrote it knows, and only one of the two is safe.
        throw new TypeError(
          `${option}: ${shown(cidr)} has bits set beyond /${bits}: the range is ${firstOf(range)}/${bits}, the address ${network.text}/${most}`,
        )
      }
    }
  }
  throw new TypeError(`${option}: ${shown(cidr)} is not a range such as 10.0.0.0/8, 192.0.2.1/32 or fd00::/8`)
}

const withoutDot = (host: string): string => (host.endsWith(".") ? host.slice(0, -1) : host)

/** Not all of what a peer or a record holds belongs in a log line. */
const shown = (value: unknown): string => JSON.stringify(String(value).slice(0, 64))
