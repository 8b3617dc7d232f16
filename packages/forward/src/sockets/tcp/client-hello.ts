import type { ClientHello, HelloRefusal } from "../contract/client-hello.ts"
import { ReadBuffer } from "../../http1/read-buffer.ts"
import { readHelloBody } from "./hello-body.ts"
import type { TlsAlert } from "./tls-alert.ts"

/** Bytes of a ClientHello with its record headers: the largest that TLS libraries accept, too. Those of browsers have some 2 000. */
export const MAX_HELLO_BYTES = 16_384

const HANDSHAKE = 22
const CLIENT_HELLO = 1
/** Of a record: type, version, length (RFC 8446 §5.1). Of a handshake message: type, length (§4). */
const RECORD_HEADER = 5
const MESSAGE_HEADER = 4
const MAX_RECORD = 16_384

/**
 * Reads a ClientHello from the beginning of a connection, whatever pieces and records it comes in: the same bytes give the same result.
 * Each byte is looked at once and what trickles in costs linear time. What is ambiguous is refused, because whoever terminates TLS
 * behind us might read it otherwise; what is unknown (GREASE, RFC 8701) is skipped.
 */
export class ClientHelloReader {
  readonly #buffer = new ReadBuffer()
  readonly #maxBytes: number
  /** Where the next record begins. */
  #at = 0
  /** The parts of the message that have come: from, to. */
  readonly #parts: number[] = []
  #gathered = 0

  /** `maxBytes`: of the hello with its record headers. */
  constructor(maxBytes: number = MAX_HELLO_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** Everything that has come, which may be more than the hello: early data follows it (RFC 8446 §4.2.10). */
  get bytes(): Buffer {
    return this.#buffer.bytes
  }

  /** `undefined` if more is needed. Not to be called after a result. */
  push(chunk: Uint8Array): ClientHello | HelloRefusal | undefined {
    this.#buffer.push(chunk)
    for (;;) {
      const refused = this.#readRecord()
      if (refused === "more") return undefined
      if (refused !== undefined) return refused
      const message = this.#message()
      if (message !== undefined) return message
    }
  }

  /** Takes one record, if it is there and may be one of a ClientHello. */
  #readRecord(): HelloRefusal | "more" | undefined {
    const { bytes } = this.#buffer
    const at = this.#at
    const size = bytes.length - at
    if (size === 0) return "more"
    const type = bytes[at]!
    if (type !== HANDSHAKE) {
      if (at > 0) return refusal("unexpected_message", "a record of another type is within the ClientHello")
      // Its length has the highest bit set, and its message type follows (RFC 6101 §E).
      if (type < 0x80) return refusal(undefined, "the connection does not begin with TLS")
      if (size < 3) return "more"
      if (bytes[2] !== CLIENT_HELLO) return refusal(undefined, "the connection does not begin with TLS")
      return refusal("protocol_version", "the ClientHello is one of SSL 2.0 (RFC 8446 §D.5)")
    }
    if (size < 2) return "more"
    // The minor version is one that nobody looks at (RFC 8446 §5.1).
    if (bytes[at + 1] !== 3) return refusal("protocol_version", "the record has an unknown version")
    if (size < RECORD_HEADER) return "more"
    const length = bytes.readUInt16BE(at + 3)
    if (length > MAX_RECORD) return refusal("record_overflow", "a record is longer than 16 384 bytes")
    // RFC 8446 §5.1: no fragment of a handshake message is empty.
    if (length === 0) return refusal("decode_error", "a record of the ClientHello is empty")
    const end = at + RECORD_HEADER + length
    if (end > this.#maxBytes) return refusal("illegal_parameter", "the ClientHello is too large")
    if (bytes.length < end) return "more"
    this.#parts.push(at + RECORD_HEADER, end)
    this.#gathered += length
    this.#at = end
    return undefined
  }

  /** The message, if all of it has come. */
  #message(): ClientHello | HelloRefusal | undefined {
    if (this.#gathered < MESSAGE_HEADER) {
      return this.#byte(0) === CLIENT_HELLO ? undefined : notHello
    }
    if (this.#byte(0) !== CLIENT_HELLO) return notHello
    const length = this.#byte(1) * 65_536 + this.#byte(2) * 256 + this.#byte(3)
    const end = MESSAGE_HEADER + length
    if (end > this.#maxBytes) return refusal("illegal_parameter", "the ClientHello is too large")
    if (this.#gathered < end) return undefined
    // RFC 8446 §5.1: it ends with its record, because keys may change behind it.
    if (this.#gathered > end) return refusal("unexpected_message", "the ClientHello does not end with its record")
    return readHelloBody(this.#payload().subarray(MESSAGE_HEADER))
  }

  /** A byte of the message's first four, which may be in as many records. */
  #byte(index: number): number {
    let skip = index
    for (let i = 0; i < this.#parts.length; i += 2) {
      const size = this.#parts[i + 1]! - this.#parts[i]!
      if (skip < size) return this.#buffer.bytes[this.#parts[i]! + skip]!
      skip -= size
    }
    return 0
  }

  #payload(): Buffer {
    const { bytes } = this.#buffer
    const parts = this.#parts
    if (parts.length === 2) return bytes.subarray(parts[0], parts[1])
    const pieces: Buffer[] = []
    for (let i = 0; i < parts.length; i += 2) pieces.push(bytes.subarray(parts[i], parts[i + 1]))
    return Buffer.concat(pieces)
  }
}

/** Reads a ClientHello from bytes that begin a connection; `undefined` if more are needed. */
export const readClientHello = (bytes: Uint8Array): ClientHello | HelloRefusal | undefined =>
  new ClientHelloReader().push(bytes)

/** A refusal, as opposed to a ClientHello. */
export const isHelloRefusal = (result: ClientHello | HelloRefusal): result is HelloRefusal => "reason" in result

const refusal = (alert: TlsAlert | undefined, reason: string): HelloRefusal => ({ alert, reason })

const notHello = refusal("unexpected_message", "the first handshake message is no ClientHello")
