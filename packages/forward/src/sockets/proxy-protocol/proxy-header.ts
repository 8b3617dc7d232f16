import { canonicalAddress } from "../../address.ts"

/** Who is at the other end of a connection that a balancer passed on, by its PROXY header. */
export interface ProxiedClient {
  /**
   * The client's address. Empty where the balancer cannot say it: a UNIX socket, or `UNKNOWN`. `undefined` for a connection of
   * the balancer's own, as for a health check (`LOCAL`).
   */
  readonly address: string | undefined
  /** True if the client spoke TLS to the balancer, which only version 2 can say (PP2_TYPE_SSL). */
  readonly encrypted: boolean
}

/** A header that is complete. */
export interface ProxyHeader {
  /** Its length in bytes: what follows is the client's. */
  readonly length: number
  readonly client: ProxiedClient
}

/** Version 1, with its CRLF (PROXY protocol §2.1). */
const MAX_TEXT = 107
/** Version 2: 232 bytes of addresses at most, and extensions, which reach some hundred. In all, in bytes; as nginx. */
const MAX_BINARY = 4_096

const TEXT_SIGNATURE = Buffer.from("PROXY ")
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1")
/** Of version 2 before the addresses: signature, version and command, family, length. */
const FIXED = 16

/**
 * Reads a header of the PROXY protocol, version 1 or 2, at the beginning of a connection (haproxy.org, proxy-protocol.txt):
 * `undefined` if more bytes are needed, a text that says why if it is invalid. A connection that begins otherwise is refused by
 * its first byte. The same bytes give the same result however they were split.
 */
export const readProxyHeader = (bytes: Buffer): ProxyHeader | string | undefined => {
  if (beginsLike(bytes, SIGNATURE)) return bytes.length < FIXED ? undefined : readBinary(bytes)
  if (beginsLike(bytes, TEXT_SIGNATURE)) return readText(bytes)
  return "the connection does not begin with a PROXY header: have the balancer send it, or do without proxyProtocol"
}

/** Whether the bytes, as far as they have come, are those of a signature. */
const beginsLike = (bytes: Buffer, signature: Buffer): boolean => {
  const length = Math.min(bytes.length, signature.length)
  return bytes.compare(signature, 0, length, 0, length) === 0
}

/** `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` and CRLF (§2.1). */
const readText = (bytes: Buffer): ProxyHeader | string | undefined => {
  const text = bytes.toString("latin1", 0, MAX_TEXT)
  const end = text.indexOf("\r\n")
  if (end < 0) return text.length < MAX_TEXT ? undefined : "the PROXY header has no end"
  const length = end + 2
  const [, family, source, destination, ...ports] = text.slice(0, end).split(" ")
  // What follows UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return { length, client: unknown }
  const address = canonicalAddress(source ?? "")
  const isFamily = (each: string | undefined) => (each ?? "").includes(":") === (family === "TCP6")
  const valid =
    (family === "TCP4" || family === "TCP6") &&
    address !== undefined &&
    canonicalAddress(destination ?? "") !== undefined &&
    isFamily(source) &&
    isFamily(destination) &&
    ports.length === 2 &&
    ports.every((port) => /^(?:0|[1-9]\d{0,4})$/.test(port) && Number(port) <= 65_535)
  return valid ? { length, client: { address, encrypted: false } } : "the PROXY header is invalid"
}

/** Bytes of the two addresses and ports, by family (§2.2): AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX. */
const ADDRESSES = [0, 12, 36, 216]
const [INET, INET6] = [1, 2]
const STREAM = 1

const readBinary = (bytes: Buffer): ProxyHeader | string | undefined => {
  const version = bytes[12]! >> 4
  const command = bytes[12]! & 15
  const family = bytes[13]! >> 4
  const transport = bytes[13]! & 15
  const length = FIXED + bytes.readUInt16BE(14)
  if (version !== 2 || command > 1) return "the PROXY header has an unknown version or command"
  if (length > MAX_BINARY) return "the PROXY header is too large"
  // LOCAL: the rest is to be skipped, whatever it says.
  const isLocal = command === 0
  const size = ADDRESSES[family]
  if (!isLocal && (size === undefined || transport > 2)) return "the PROXY header has an unknown family"
  if (bytes.length < length) return undefined
  if (isLocal) return { length, client: local }
  const extensions = FIXED + size!
  if (extensions > length) return "the PROXY header is too short for its addresses"
  const encrypted = readExtensions(bytes.subarray(extensions, length))
  if (typeof encrypted === "string") return encrypted
  const known = transport === STREAM && (family === INET || family === INET6)
  const address = known ? addressIn(bytes, family) : ""
  return { length, client: { address, encrypted } }
}

const addressIn = (bytes: Buffer, family: number): string => {
  if (family === INET) return [...bytes.subarray(FIXED, FIXED + 4)].join(".")
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(FIXED + 2 * i).toString(16))
  return canonicalAddress(groups.join(":"))!
}

const SSL = 0x20
/** The bit of PP2_TYPE_SSL's first byte that says that the client spoke TLS (§2.2.6). */
const CLIENT_SSL = 1

/** Walks the extensions (§2.2: type, length, value): whether one says that the client spoke TLS. All others are skipped. */
const readExtensions = (bytes: Buffer): boolean | string => {
  let encrypted = false
  let at = 0
  while (at < bytes.length) {
    const next = at + 3 <= bytes.length ? at + 3 + bytes.readUInt16BE(at + 1) : Infinity
    if (next > bytes.length) return "an extension of the PROXY header exceeds it"
    if (bytes[at] === SSL && next > at + 3) encrypted = (bytes[at + 3]! & CLIENT_SSL) !== 0
    at = next
  }
  return encrypted
}

const local: ProxiedClient = { address: undefined, encrypted: false }
const unknown: ProxiedClient = { address: "", encrypted: false }
