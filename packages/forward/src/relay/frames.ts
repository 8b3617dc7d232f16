/**
 * The frames between a relay's object and a machine that dialled out to it. One binary WebSocket message is one frame: its type
 * (1 byte), the stream's id (4 bytes, big-endian) and a payload. Streams are opened by the relay only, with ascending ids.
 *
 * | type     | payload                                                       | sent by |
 * | -------- | ------------------------------------------------------------- | ------- |
 * | `open`   | `0`: an HTTP/1.1 request; `1` and 16 bytes: a WebSocket to dial | relay   |
 * | `data`   | 1 to 65 536 bytes of the stream                               | both    |
 * | `end`    | nothing: the sender has no more bytes                         | both    |
 * | `reset`  | 1 byte: why; the stream is over in both directions            | both    |
 * | `window` | 4 bytes: how many more bytes of the stream may be sent        | both    |
 * | `drain`  | nothing, id 0: the machine takes no more streams              | machine |
 */
export type Frame =
  | { readonly type: "open"; readonly id: number; readonly socket: Uint8Array | undefined }
  | { readonly type: "data"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: "end"; readonly id: number }
  | { readonly type: "reset"; readonly id: number; readonly reason: ResetReason }
  | { readonly type: "window"; readonly id: number; readonly bytes: number }
  | { readonly type: "drain" }

/** `refused`: the machine looked at nothing of the stream. */
export type ResetReason = "cancelled" | "refused" | "failed"

/** The subprotocol of the WebSocket, which names the version of the frames. */
export const RELAY_PROTOCOL = "project-ingress-relay.1"
/** The field by which a machine asks not to replace another process. */
export const RELAY_STAND_BY = "x-project-ingress-relay-stand-by"
/** The most bytes of a stream in one frame. */
export const MAX_DATA = 65_536
/** The most that one `window` may add. */
export const MAX_WINDOW_STEP = 16_777_216
/** Bytes of the secret that says which WebSocket was dialled for which stream. */
export const SOCKET_TOKEN_BYTES = 16
/** Ids end here; long before, the connection is made again. */
export const MAX_STREAM_ID = 0x7fff_ffff

const HEAD = 5
const OPEN = 1
const DATA = 2
const END = 3
const RESET = 4
const WINDOW = 5
const DRAIN = 6

const reasons: readonly ResetReason[] = ["cancelled", "refused", "failed"]

/** A frame as the message to be sent. */
export const encodeFrame = (frame: Frame): Uint8Array<ArrayBuffer> => {
  switch (frame.type) {
    case "open": {
      const message = framed(OPEN, frame.id, frame.socket === undefined ? 1 : 1 + SOCKET_TOKEN_BYTES)
      if (frame.socket !== undefined) {
        message[HEAD] = 1
        message.set(frame.socket, HEAD + 1)
      }
      return message
    }
    case "data": {
      const message = framed(DATA, frame.id, frame.bytes.length)
      message.set(frame.bytes, HEAD)
      return message
    }
    case "end":
      return framed(END, frame.id, 0)
    case "reset": {
      const message = framed(RESET, frame.id, 1)
      message[HEAD] = reasons.indexOf(frame.reason)
      return message
    }
    case "window": {
      const message = framed(WINDOW, frame.id, 4)
      new DataView(message.buffer).setUint32(HEAD, frame.bytes)
      return message
    }
    default:
      return framed(DRAIN, 0, 0)
  }
}

/** The frame in a message; `undefined` for an invalid message, after which the connection has no meaning any more. */
export const decodeFrame = (message: Uint8Array): Frame | undefined => {
  if (message.length < HEAD) return undefined
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const id = view.getUint32(1)
  const size = message.length - HEAD
  const type = message[0]
  if (type === DRAIN) return id === 0 && size === 0 ? { type: "drain" } : undefined
  if (id === 0 || id > MAX_STREAM_ID) return undefined
  switch (type) {
    case OPEN:
      if (size === 1 && message[HEAD] === 0) return { type: "open", id, socket: undefined }
      if (size !== 1 + SOCKET_TOKEN_BYTES || message[HEAD] !== 1) return undefined
      return { type: "open", id, socket: message.subarray(HEAD + 1) }
    case DATA:
      return size > 0 && size <= MAX_DATA ? { type: "data", id, bytes: message.subarray(HEAD) } : undefined
    case END:
      return size === 0 ? { type: "end", id } : undefined
    case RESET: {
      const reason = size === 1 ? reasons[message[HEAD]!] : undefined
      return reason === undefined ? undefined : { type: "reset", id, reason }
    }
    case WINDOW: {
      const bytes = size === 4 ? view.getUint32(HEAD) : 0
      return bytes > 0 && bytes <= MAX_WINDOW_STEP ? { type: "window", id, bytes } : undefined
    }
    default:
      return undefined
  }
}

const framed = (type: number, id: number, size: number): Uint8Array<ArrayBuffer> => {
  const message = new Uint8Array(HEAD + size)
  message[0] = type
  new DataView(message.buffer).setUint32(1, id)
  return message
}
