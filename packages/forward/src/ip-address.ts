/** An IP address as its bytes, and as the one text that stands for them. */
export interface IpAddress {
  /** 4 or 16. */
  readonly bytes: readonly number[]
  /** IPv4 as four decimal numbers, IPv6 as of RFC 5952. */
  readonly text: string
  /** True for an IPv4 address that was written within IPv6, as a socket on `::` shows an IPv4 peer (RFC 4291 §2.5.5.2). */
  readonly mapped: boolean
}

/** The addresses that share their first `bits` bits with one. */
export interface IpRange {
  readonly network: IpAddress
  readonly bits: number
}

/**
 * Reads an address in any notation that all readers read alike: IPv4 also in hexadecimal, as one number and short (`0x7f.1`);
 * IPv6 also with an IPv4 address at its end. `undefined` for any other text, so for a zone, which means something on one host only,
 * and for what is octal to some resolvers and decimal to others (`010.0.0.1`).
 *
 * The notations are those of the platform's own URL parser (WHATWG URL), by which `fetch` reads them, too.
 */
export const parseIpAddress = (text: string): IpAddress | undefined => {
  // Who sent a request may have written it, and the patterns below take time that grows with the square of a length.
  if (text.length > MAX_LENGTH || OCTAL.test(text)) return undefined
  if (IPV4.test(text)) {
    const host = hostOf(text)
    return host === undefined ? undefined : ipv4(host.split(".").map(Number), false)
  }
  const host = IPV6.test(text) ? hostOf(`[${text}]`) : undefined
  if (host === undefined) return undefined
  const written = host.slice(1, -1)
  const bytes = ipv6Groups(written).flatMap((group) => {
    const number = Number.parseInt(group, 16)
    return [number >> 8, number & 0xff]
  })
  return isMapped(bytes) ? ipv4(bytes.slice(12), true) : { bytes, text: written, mapped: false }
}

/** The eight groups of an IPv6 address as of RFC 5952, without its `::`. */
export const ipv6Groups = (text: string): string[] => {
  const [left = "", right] = text.split("::")
  const groups = left === "" ? [] : left.split(":")
  if (right === undefined) return groups
  const after = right === "" ? [] : right.split(":")
  return [...groups, ...Array.from({ length: 8 - groups.length - after.length }, () => "0"), ...after]
}

/** Whether an address is in one of some ranges. One of IPv4 is in none of IPv6. */
export const isInOneOf = (ranges: readonly IpRange[], { bytes }: IpAddress): boolean =>
  ranges.some(
    ({ network, bits }) =>
      bytes.length === network.bytes.length &&
      network.bytes.every((byte, at) => ((byte ^ bytes[at]!) & maskOf(bits, at)) === 0),
  )

/** Whether the address is the first of its range: has no bit set beyond the range's own. */
export const isFirst = ({ network, bits }: IpRange): boolean =>
  network.bytes.every((byte, at) => (byte & ~maskOf(bits, at)) === 0)

/** The first address of a range, as text. */
export const firstOf = ({ network, bits }: IpRange): string => {
  const bytes = network.bytes.map((byte, at) => byte & maskOf(bits, at))
  if (bytes.length === 4) return bytes.join(".")
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")
  return parseIpAddress(hex.replaceAll(/(.{4})(?=.)/g, "$1:"))!.text
}

/** Which bits of the byte at a place belong to a range. */
const maskOf = (bits: number, at: number): number => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * at))) & 0xff

const ipv4 = (bytes: readonly number[], mapped: boolean): IpAddress => ({ bytes, text: bytes.join("."), mapped })

const isMapped = (bytes: readonly number[]): boolean =>
  bytes.every((byte, at) => at >= 12 || byte === (at < 10 ? 0 : 0xff))

/** No notation of an address is longer: eight groups of four digits and an IPv4 address in decimal have 45 characters. */
const MAX_LENGTH = 64

/** A number of IPv4 with a leading zero. A group of IPv6 may have one. */
const OCTAL = /^0\d+$|(?:^|[.:])0\d+\.|\.0\d/
const IPV4 = /^(?:0x[\da-f]+|\d+)(?:\.(?:0x[\da-f]+|\d+)){0,3}$/i
const IPV6 = /^[\da-f:]*:[\da-f:]*(?:\.\d+){0,3}$/i

const hostOf = (written: string): string | undefined => {
  try {
    return new URL(`http://${written}`).hostname
  } catch {
    return undefined
  }
}
