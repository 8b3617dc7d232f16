import { literalOf } from "../../address.ts"
import type { ClientHello, HelloRefusal } from "../contract/client-hello.ts"
import type { TlsAlert } from "./tls-alert.ts"

const SERVER_NAME = 0
const ALPN = 16
const HOST_NAME = 0
/** Of a name in all, and of a label (RFC 1035 §2.3.4). */
const MAX_NAME = 253
const LABELS = /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?(?:\.[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?)*$/

/** Reads the body of a ClientHello (RFC 8446 §4.1.2; the same in TLS 1.0 to 1.2, where extensions may be absent). */
export const readHelloBody = (body: Buffer): ClientHello | HelloRefusal => {
  const fields = new Fields(body)
  const version = fields.bytes(2)
  fields.bytes(32)
  const session = fields.vector(1)
  const suites = fields.vector(2)
  const compressions = fields.vector(1)
  if (version === undefined || session === undefined || suites === undefined || compressions === undefined) return cut
  if (version[0] !== 3) return refusal("protocol_version", "the ClientHello has an unknown version")
  if (session.length > 32) return decodeError("its session id is longer than 32 bytes")
  if (suites.length === 0 || suites.length % 2 === 1) return decodeError("its list of cipher suites has a bad length")
  if (compressions.length === 0) return decodeError("its list of compression methods is empty")
  if (fields.isEmpty) return { serverName: undefined, alpn: [] }
  const extensions = fields.vector(2)
  if (extensions === undefined || !fields.isEmpty) return cut
  return readExtensions(new Fields(extensions))
}

const readExtensions = (fields: Fields): ClientHello | HelloRefusal => {
  const seen = new Set<number>()
  let serverName: string | undefined
  let alpn: readonly string[] = []
  while (!fields.isEmpty) {
    const type = fields.bytes(2)?.readUInt16BE()
    const data = fields.vector(2)
    if (type === undefined || data === undefined) return cut
    // RFC 8446 §4.2: no two of one type, else two readers could take different ones.
    if (seen.has(type)) return refusal("illegal_parameter", "the ClientHello has an extension twice")
    seen.add(type)
    if (type === SERVER_NAME) {
      const name = readServerName(new Fields(data))
      if (typeof name !== "string") return name
      serverName = name
    } else if (type === ALPN) {
      const protocols = readProtocols(new Fields(data))
      if (!isList(protocols)) return protocols
      alpn = protocols
    }
  }
  return { serverName, alpn }
}

const isList = (value: readonly string[] | HelloRefusal): value is readonly string[] => Array.isArray(value)

/** `ServerNameList` (RFC 6066 §3): at most one `host_name`; no other type of name was ever defined, and libraries refuse one. */
const readServerName = (fields: Fields): string | HelloRefusal => {
  const names = fields.vector(2)
  if (names === undefined || !fields.isEmpty) return decodeError("its server_name has a bad length")
  const list = new Fields(names)
  let found: Buffer | undefined
  do {
    const type = list.bytes(1)?.[0]
    const name = list.vector(2)
    if (type === undefined || name === undefined) return decodeError("its server_name has a bad length")
    if (type !== HOST_NAME) return decodeError("its server_name has a name of an unknown type")
    if (found !== undefined) return refusal("illegal_parameter", "the ClientHello has two names in server_name")
    found = name
  } while (!list.isEmpty)
  if (found.length === 0) return decodeError("its server_name is empty")
  const name = found.toString("latin1").toLowerCase()
  // RFC 6066 §3: ASCII, without a trailing dot, and no IP address. Two readers could make different names of anything else.
  const isName = name.length <= MAX_NAME && LABELS.test(name) && literalOf(name) === undefined
  return isName ? name : refusal("illegal_parameter", "the server_name of the ClientHello is no hostname")
}

/** `ProtocolNameList` (RFC 7301 §3.1): one or more, none of them empty. */
const readProtocols = (fields: Fields): readonly string[] | HelloRefusal => {
  const names = fields.vector(2)
  if (names === undefined || names.length === 0 || !fields.isEmpty)
    return decodeError("its list of ALPN has a bad length")
  const list = new Fields(names)
  const protocols: string[] = []
  while (!list.isEmpty) {
    const name = list.vector(1)
    if (name === undefined || name.length === 0) return decodeError("its list of ALPN has a bad length")
    protocols.push(name.toString("latin1"))
  }
  return protocols
}

/** Fields one after another. After one that is cut short there are no more. */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length
  }

  bytes(count: number): Buffer | undefined {
    const end = this.#at + count
    if (end > this.#bytes.length) return undefined
    const found = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return found
  }

  /** A vector whose length stands before it, in so many bytes (RFC 8446 §3.4). */
  vector(lengthBytes: 1 | 2): Buffer | undefined {
    const length = this.bytes(lengthBytes)
    return length === undefined ? undefined : this.bytes(length.readUIntBE(0, lengthBytes))
  }
}

const refusal = (alert: TlsAlert, reason: string): HelloRefusal => ({ alert, reason })

/** RFC 8446 §6: what cannot be read by the syntax, as a length beyond its message. */
const decodeError = (reason: string): HelloRefusal => refusal("decode_error", `the ClientHello is malformed: ${reason}`)

const cut = decodeError("a field exceeds it, or something follows its extensions")
