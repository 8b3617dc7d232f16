/** A frame as a test writes it: anything may be wrong with it. */
export interface TestFrame {
  readonly first: number
  readonly payload?: Uint8Array | string
  /** Default: masked. */
  readonly masked?: boolean
  /** The bytes of the length, the first one without the mask bit; default: the shortest ones. */
  readonly length?: readonly number[]
}

const KEY = [0x37, 0xfa, 0x21, 0x3d]

export const bytesOf = ({ first, payload = "", masked = true, length }: TestFrame): Buffer => {
  const bytes = Buffer.from(payload)
  const size = length ?? shortest(bytes.length)
  const body = masked ? bytes.map((byte, at) => byte ^ KEY[at & 3]!) : bytes
  return Buffer.concat([
    Buffer.from([first, size[0]! | (masked ? 0x80 : 0), ...size.slice(1), ...(masked ? KEY : [])]),
    body,
  ])
}

const shortest = (length: number): number[] => {
  if (length < 126) return [length]
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(length))
  return length < 65_536 ? [126, ...bytes.subarray(6)] : [127, ...bytes]
}
