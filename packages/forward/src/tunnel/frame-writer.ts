/** What kind of frame (RFC 6455 §5.2). */
export const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** Gives the masking key of a frame, 4 bytes that nobody can foresee; `undefined` for a server's frames, which have none. */
export type MaskingKey = () => Uint8Array | undefined

/** The masking keys of a client: random, so that no payload can choose the bytes on the wire (RFC 6455 §10.3). */
export const randomKeys = (): MaskingKey => {
  const pool = new Uint8Array(4 * 256)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      crypto.getRandomValues(pool)
      at = 0
    }
    at += 4
    return pool.subarray(at - 4, at)
  }
}

export const noKeys: MaskingKey = () => undefined

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

/** The payload of a close frame with a status and no reason (RFC 6455 §5.5.1). */
export const closePayload = (code: number): Uint8Array => Uint8Array.of(code >> 8, code & 0xff)
