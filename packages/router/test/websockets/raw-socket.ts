/** WebSockets frame by frame, so that a test sees what passes and sends what no library would. */
import { createHash } from "node:crypto"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"

export interface Frame {
  readonly fin: boolean
  readonly rsv: number
  readonly opcode: number
  readonly length: number
  /** Empty for a large one. */
  readonly payload: Buffer
}

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

/** One side of a WebSocket, after its handshake. It answers nothing by itself. */
export class RawSocket {
  readonly socket: Socket
  readonly head: string
  readonly frames: Frame[] = []
  /** Bytes of payloads so far. */
  received = 0
  ended = false
  readonly #masks: boolean
  #pieces: Buffer[] = []
  #size = 0
  /** Nothing is put together before there is so much of it. */
  #needed = 2
  #watchers = new Set<() => void>()

  constructor(socket: Socket, head: string, early: Buffer, masks: boolean) {
    this.socket = socket
    this.head = head
    this.#masks = masks
    socket.on("data", (bytes: Buffer) => this.#read(bytes))
    for (const event of ["end", "close", "error"])
      socket.on(event, () => {
        this.ended = true
        this.#wake()
      })
    this.#read(early)
  }

  send(opcode: number, payload: string | Uint8Array = "", fin = true): boolean {
    return this.socket.write(frameOf(opcode, Buffer.from(payload as string), fin, this.#masks))
  }

  /** Resolves once it is so. */
  async until(holds: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 20_000
    while (!holds()) {
      const left = deadline - Date.now()
      if (left < 0) throw new Error(`no ${what}; ${this.frames.length} frames, ended: ${this.ended}`)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          this.#watchers.delete(done)
          resolve()
        }
        const timer = setTimeout(done, Math.min(left, 100))
        this.#watchers.add(done)
      })
    }
  }

  /** The first frame of that kind. */
  async frame(opcode: number): Promise<Frame> {
    await this.until(() => this.frames.some((each) => each.opcode === opcode), `frame ${opcode}`)
    return this.frames.find((each) => each.opcode === opcode)!
  }

  /** How it ended: the close frame's code and reason, or that there was none. */
  async closing(): Promise<string> {
    await this.until(() => this.ended || this.frames.some((each) => each.opcode === CLOSE), "end")
    const frame = this.frames.find((each) => each.opcode === CLOSE)
    if (frame === undefined) return "no close frame"
    const { payload } = frame
    if (payload.length < 2) return "no code"
    const reason = payload.subarray(2).toString()
    return `${payload.readUInt16BE(0)}${reason === "" ? "" : ` "${reason}"`}`
  }

  #read(bytes: Buffer): void {
    this.#pieces.push(bytes)
    this.#size += bytes.length
    while (this.#size >= this.#needed && this.#readFrame()) continue
    this.#wake()
  }

  #readFrame(): boolean {
    const buffer = Buffer.concat(this.#pieces)
    this.#pieces = [buffer]
    const short = buffer.length < 2 ? 0 : buffer[1]! & 0x7f
    const extended = short === 127 ? 8 : short === 126 ? 2 : 0
    const masked = buffer.length >= 2 && buffer[1]! >= 128
    const start = 2 + extended + (masked ? 4 : 0)
    this.#needed = start
    if (buffer.length < start) return false
    const length = extended === 8 ? Number(buffer.readBigUInt64BE(2)) : extended === 2 ? buffer.readUInt16BE(2) : short
    this.#needed = start + length
    if (buffer.length < start + length) return false
    // Of a large one only the length is of interest.
    const payload = Buffer.from(buffer.subarray(start, length < 65_536 ? start + length : start))
    if (masked) for (let i = 0; i < payload.length; i++) payload[i]! ^= buffer[start - 4 + (i & 3)]!
    this.received += length
    this.frames.push({ fin: buffer[0]! >= 128, rsv: (buffer[0]! >> 4) & 7, opcode: buffer[0]! & 15, length, payload })
    this.#pieces = [buffer.subarray(start + length)]
    this.#size = buffer.length - start - length
    this.#needed = 2
    return true
  }

  #wake(): void {
    const watchers = this.#watchers
    this.#watchers = new Set()
    for (const watcher of watchers) watcher()
  }
}

/** Masked by zeros, which changes nothing: the tests' bytes are theirs. */
export const frameOf = (opcode: number, payload: Buffer, fin: boolean, masks: boolean): Buffer => {
  const { length } = payload
  const header = Buffer.alloc(14)
  header[0] = (fin ? 0x80 : 0) | opcode
  let size = 2
  if (length < 126) header[1] = length
  else if (length < 65_536) {
    header[1] = 126
    size = header.writeUInt16BE(length, 2)
  } else {
    header[1] = 127
    size = header.writeBigUInt64BE(BigInt(length), 2)
  }
  if (masks) {
    header[1] |= 0x80
    size += 4
  }
  return Buffer.concat([header.subarray(0, size), payload])
}

/** A handshake's head with `fields` beside what it must have. */
const handshakeText = (path: string, host: string, fields: readonly string[]): string =>
  [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ...fields,
    "",
    "",
  ].join("\r\n")

export interface Opening {
  readonly port: number
  readonly host: string
  readonly path?: string
  readonly fields?: readonly string[]
}

/** Opens a client's connection and sends a handshake, without waiting for the response. */
export const begin = ({ port, host, path = "/", fields = [] }: Opening): Socket => {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
  socket.on("error", () => undefined)
  socket.write(handshakeText(path, host, fields))
  return socket
}

/** The head of the response, and what follows it. */
export const headOf = (socket: Socket): Promise<{ readonly head: string; readonly rest: Buffer }> =>
  new Promise((resolve, reject) => {
    let read = Buffer.alloc(0)
    const onData = (bytes: Buffer): void => {
      read = Buffer.concat([read, bytes])
      const end = read.indexOf("\r\n\r\n")
      if (end < 0) return
      socket.off("data", onData)
      resolve({ head: read.toString("latin1", 0, end), rest: read.subarray(end + 4) })
    }
    socket.on("data", onData)
    socket.once("close", () => reject(new Error(`no response, but ${JSON.stringify(read.toString("latin1"))}`)))
  })

/** A client's WebSocket. Rejects for a refusal. */
export const open = async (opening: Opening): Promise<RawSocket> => {
  const socket = begin(opening)
  const { head, rest } = await headOf(socket)
  if (!head.startsWith("HTTP/1.1 101")) throw new Error(head)
  return new RawSocket(socket, head, rest, true)
}

/** An app whose WebSockets a test has in its hands. */
export class RawApp {
  port = 0
  readonly sockets: RawSocket[] = []
  /** Connections that sent a handshake. */
  readonly connections: Socket[] = []
  /** Fields of its next 101; `undefined`: a refusal; `never`: no response. */
  respond: (head: string) => readonly string[] | undefined | "never" = () => []
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    void headOf(socket).then(
      ({ head, rest }) => {
        this.connections.push(socket)
        const fields = this.respond(head)
        if (fields === "never") return
        if (fields === undefined) {
          socket.end("HTTP/1.1 403 No\r\nX-App: 1\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnot here")
          return
        }
        const key = /sec-websocket-key: (.*)/i.exec(head)?.[1] ?? ""
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
        const lines = [
          "HTTP/1.1 101 Switching Protocols",
          "Connection: Upgrade",
          "Upgrade: websocket",
          ...(fields.some((field) => field.startsWith("Sec-WebSocket-Accept:"))
            ? []
            : [`Sec-WebSocket-Accept: ${accept}`]),
          ...fields,
          "",
          "",
        ]
        socket.write(lines.join("\r\n"))
        this.sockets.push(new RawSocket(socket, head, rest, false))
      },
      () => undefined,
    )
  })

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
    this.port = (this.#server.address() as AddressInfo).port
    return this
  }

  close(): void {
    for (const socket of this.connections) socket.destroy()
    this.#server.close()
  }
}
