import type { Raw } from "../engine/harness.ts"
import { listenApp } from "../engine/harness.ts"

/** Frames of HTTP/2 as they are on the wire, for an app that does what no library does. */
export const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export const DATA = 0
export const HEADERS = 1
export const RST_STREAM = 3
export const SETTINGS = 4
export const PING = 6
export const GOAWAY = 7
export const END_STREAM = 1
export const ACK = 1
export const END_HEADERS = 4

const uint32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4))
  return bytes
}

export const resetStream = (stream: number, code: number): Buffer => frame(RST_STREAM, 0, stream, uint32(code))
export const goaway = (lastStream: number, code: number): Buffer => frame(GOAWAY, 0, 0, uint32(lastStream, code))

/** A string or a number of HPACK (RFC 7541 §5), never compressed. */
const text = (value: string): Buffer =>
  Buffer.concat([prefixed(Buffer.byteLength(value, "latin1")), Buffer.from(value, "latin1")])
const prefixed = (size: number): Buffer => {
  if (size < 127) return Buffer.from([size])
  const bytes = [127]
  let left = size - 127
  for (; left >= 128; left >>= 7) bytes.push((left & 127) | 128)
  return Buffer.from([...bytes, left])
}

/** Fields as literals that are not indexed (RFC 7541 §6.2.2). */
export const block = (...fields: string[]): Buffer =>
  Buffer.concat(fields.map((each, i) => (i % 2 === 0 ? Buffer.concat([Buffer.from([0]), text(each)]) : text(each))))

/** An app that sends its SETTINGS and tells of each request's stream. `connections` counts. */
export const framesApp = async (
  onRequest: (raw: Raw, stream: number, nth: number) => void,
  settings = Buffer.alloc(0),
) => {
  const seen = { connections: 0, requests: 0, resets: [] as number[] }
  const app = await listenApp((raw) => {
    seen.connections++
    raw.socket.write(frame(SETTINGS, 0, 0, settings))
    let bytes = Buffer.alloc(0)
    let isBegun = false
    raw.socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (!isBegun) {
        if (bytes.length < 24) return
        isBegun = true
        bytes = bytes.subarray(24)
      }
      while (bytes.length >= 9) {
        const size = bytes.readUIntBE(0, 3)
        if (bytes.length < 9 + size) return
        const [type, flags, stream] = [bytes[3]!, bytes[4]!, bytes.readUInt32BE(5)]
        const payload = bytes.subarray(9, 9 + size)
        bytes = bytes.subarray(9 + size)
        if (type === SETTINGS && (flags & ACK) === 0) raw.socket.write(frame(SETTINGS, ACK, 0))
        else if (type === PING && (flags & ACK) === 0) raw.socket.write(frame(PING, ACK, 0, payload))
        else if (type === RST_STREAM) seen.resets.push(payload.readUInt32BE(0))
        else if (type === HEADERS) onRequest(raw, stream, seen.requests++)
      }
    })
  })
  return { ...app, seen }
}
