/** Bytes with a length before them, in so many bytes. */
const vector = (lengthBytes: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(body.length, 0, lengthBytes)
  return Buffer.concat([length, body])
}

const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255])

export const extension = (type: number, data: Uint8Array): Buffer => Buffer.concat([uint16(type), vector(2, data)])

/** `server_name` of entries: type and name. */
export const serverNames = (...entries: readonly (readonly [number, string])[]): Buffer =>
  extension(
    0,
    vector(
      2,
      ...entries.map(([type, name]) => Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(name, "latin1"))])),
    ),
  )

export const alpnOf = (...names: readonly string[]): Buffer =>
  extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name, "latin1")))))

export interface HelloParts {
  readonly version?: number
  readonly session?: Uint8Array
  readonly suites?: Uint8Array
  readonly compressions?: Uint8Array
  /** `undefined`: the field is not there. */
  readonly extensions?: readonly Uint8Array[] | undefined
  readonly after?: Uint8Array
}

/** The body of a ClientHello. */
export const helloBody = (parts: HelloParts): Buffer =>
  Buffer.concat([
    uint16(parts.version ?? 0x0303),
    Buffer.alloc(32, 7),
    vector(1, parts.session ?? Buffer.alloc(32)),
    vector(2, parts.suites ?? Buffer.from([0x13, 1, 0x13, 2])),
    vector(1, parts.compressions ?? Buffer.from([0])),
    ...("extensions" in parts && parts.extensions === undefined ? [] : [vector(2, ...(parts.extensions ?? []))]),
    parts.after ?? Buffer.alloc(0),
  ])

export const message = (body: Uint8Array, type = 1): Buffer => Buffer.concat([Buffer.from([type]), vector(3, body)])

export const record = (payload: Uint8Array, type = 22, version = 0x0301): Buffer =>
  Buffer.concat([Buffer.from([type]), uint16(version), vector(2, payload)])

/** A ClientHello in one record. */
export const hello = (parts: HelloParts): Buffer => record(message(helloBody(parts)))

/** One for a name. */
export const helloFor = (name: string, ...more: readonly Uint8Array[]): Buffer =>
  hello({ extensions: [serverNames([0, name]), ...more] })
