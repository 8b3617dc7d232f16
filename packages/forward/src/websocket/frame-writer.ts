import { NO_CODE } from "./close-codes.ts"

/** What kind of frame (RFC 6455 §11.8). From `close` on they are control frames. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** Gives the masking key of a frame, 4 bytes that nobody can foresee; `undefined` for a server's frames, which have none. */
export type MaskingKey = () => Uint8Array | undefined

const KEY_BYTES = 4
let pool: Uint8Array = new Uint8Array(0)
let at = 0

/** The masking keys of clients: random, so that no payload can choose the bytes on the wire (RFC 6455 §10.3). */
export const randomKey: MaskingKey = () => {
  if (at === pool.length) {
    // A call for each frame costs more than the frame. Whoever has a key uses it at once, and none is given twice.
    pool = crypto.getRandomValues(new Uint8Array(KEY_BYTES * 256))
    at = 0
  }
  at += KEY_BYTES
  return pool.subarray(at - KEY_BYTES, at)
}

/** The masking keys of servers. */
export const noKey: MaskingKey = () => undefined

/** One complete message in one frame: its header, and its payload when there is no masking key, else both in one piece. */
export const frame = (opcode: number, payload: Uint8Array, key: Uint8Array | undefined): readonly Uint8Array[] => {
  const { length } = payload
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const size = 2 + extended + (key === undefined ? 0 : 4)
  const bytes = new Uint8Array(key === undefined ? size : size + length)
  bytes[0] = 0x80 | opcode
  bytes[1] = (key === undefined ? 0 : 0x80) | (extended === 0 ? length : extended === 2 ? 126 : 127)
  let rest = length
  for (let at = 1 + extended; at >= 2; at--) {
    bytes[at] = rest % 256
    rest = Math.floor(rest / 256)
  }
  if (key === undefined) return length === 0 ? [bytes] : [bytes, payload]
  bytes.set(key, size - 4)
  for (let i = 0; i < length; i++) bytes[size + i] = payload[i]! ^ key[i & 3]!
  return [bytes]
}

/** The payload of a close frame (RFC 6455 §5.5.1). The reason is cut to what a control frame holds. */
export const closePayload = (code: number, reason = ""): Uint8Array => {
  if (code === NO_CODE) return new Uint8Array(0)
  const payload = new Uint8Array(125)
  payload[0] = code >> 8
  payload[1] = code & 0xff
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2))
  return payload.subarray(0, 2 + written)
}
