/** Opcodes (RFC 6455 §11.8). From `CLOSE` on they are of control frames. */
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

/** A whole frame of a client, which is masked by bytes that nobody can foresee (RFC 6455 §5.3, §10.3). */
export const clientFrame = (opcode: number, payload: Uint8Array): Uint8Array => {
  const { length } = payload
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const start = 6 + extended
  const frame = new Uint8Array(start + length)
  frame[0] = 0x80 | opcode
  frame[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127)
  if (extended === 2) new DataView(frame.buffer).setUint16(2, length)
  if (extended === 8) new DataView(frame.buffer).setBigUint64(2, BigInt(length))
  const mask = crypto.getRandomValues(frame.subarray(2 + extended, start))
  for (let i = 0; i < length; i++) frame[start + i] = payload[i]! ^ mask[i & 3]!
  return frame
}

/** The payload of a close frame; `undefined`: one without a code. The reason is cut to what a control frame holds (RFC 6455 §5.5). */
export const closePayload = (code: number | undefined, reason: string): Uint8Array => {
  if (code === undefined) return new Uint8Array(0)
  const payload = new Uint8Array(125)
  payload[0] = code >> 8
  payload[1] = code & 0xff
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2))
  return payload.subarray(0, 2 + written)
}
