import {
  checkHost,
  failureText,
  headDeadline,
  refusePin,
  requestUrl,
  SendFailure,
  toHeaders,
} from "./outgoing-request.ts"
import type { OutgoingRequest } from "./outgoing-request.ts"

/** One WebSocket handshake as it leaves. Its fields may be those of a request that asks for one. */
export type Handshake = Omit<OutgoingRequest, "method" | "body" | "upgrade">

/** What came back from a handshake. */
export interface HandshakeResponse {
  /** 101 when it was taken. */
  readonly status: number
  /** Absent where the runtime shows the status alone: Bun and Deno. */
  readonly headers: Headers | undefined
  /** The open socket, after a 101. What arrives is held back until `accept` gave it away. */
  readonly socket: WebSocket | undefined
  /**
   * Gives the open socket. Its first event comes after the current turn of the event loop, so that listeners attached in this
   * turn miss nothing.
   */
  readonly accept: () => WebSocket
  /** The response itself, with a refusal's body, where the runtime shows it: Workers. */
  readonly response?: Response
}

/** Fields that `new WebSocket` writes by itself; it takes the protocols apart. */
const OWN = ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"]

/** What the standard constructor takes, beside the URL. */
export const socketOptions = (
  handshake: Handshake,
): { readonly url: string; readonly headers: Headers; readonly protocols: string[] } => {
  const headers = toHeaders(handshake.headers)
  const protocols = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim())
  // Bun alone sends a caller's Host: on a platform that routes by it, that reaches somebody else's machine.
  for (const name of [...OWN, "sec-websocket-protocol", "host", "content-length"]) headers.delete(name)
  try {
    const url = requestUrl(handshake.origin, handshake.target).replace(/^http/, "ws")
    return { url, headers, protocols: protocols.filter((name) => name !== "") }
  } catch (cause) {
    throw new SendFailure("other", "no", cause)
  }
}

/** Says what a socket that did not open failed of: a refusal with its status, or no response at all. */
export type Explain = (event: Event) => HandshakeResponse | SendFailure

/** A refusal of which only the status is known. */
export const refusal = (status: number, headers: Headers | undefined): HandshakeResponse => ({
  status,
  headers,
  socket: undefined,
  accept: notOpen,
})

export const notOpen = (): never => {
  throw new TypeError("the handshake was refused: there is no socket")
}

/** Waits until a socket is open, with its events held back, or tells why it is not. */
export const opened = (
  make: () => WebSocket,
  handshake: Handshake,
  headersOf: () => Headers | undefined,
  explain: Explain,
): Promise<HandshakeResponse> =>
  new Promise((resolve, reject) => {
    handshake.signal?.throwIfAborted()
    const socket = make()
    // One kind of binary message everywhere: their defaults are Blob, Buffer and ArrayBuffer.
    socket.binaryType = "arraybuffer"
    const deadline = headDeadline({ ...handshake, method: "GET", body: null })
    const end = (): void => {
      deadline.settled()
      deadline.signal?.removeEventListener("abort", stop)
      socket.removeEventListener("open", open)
      socket.removeEventListener("error", fail)
      socket.removeEventListener("close", fail)
    }
    const stop = (): void => {
      end()
      socket.addEventListener("error", () => {})
      socket.close()
      reject(deadline.passed() ? new SendFailure("timeout", "maybe") : (handshake.signal?.reason as Error))
    }
    const open = (): void => {
      end()
      const release = hold(socket)
      resolve({
        status: 101,
        headers: headersOf(),
        socket,
        accept: () => {
          setTimeout(release, 0)
          return socket
        },
      })
    }
    const fail = (event: Event): void => {
      end()
      const found = explain(event)
      if (found instanceof SendFailure) reject(found)
      else resolve(found)
    }
    deadline.signal?.addEventListener("abort", stop, { once: true })
    socket.addEventListener("open", open)
    socket.addEventListener("error", fail)
    socket.addEventListener("close", fail)
  })

/**
 * Opens a socket by a constructor that takes header fields, which no standard knows: Bun's and Deno's. Both report a refusal as
 * an error whose text names the status; `translate` is for every other error.
 */
export const openedWithHeaders = async (
  handshake: Handshake,
  translate: (cause: unknown) => SendFailure,
): Promise<HandshakeResponse> => {
  if (handshake.fetch !== undefined) throw new SendFailure("unsupported", "no")
  const { url, headers, protocols } = socketOptions(handshake)
  checkHost(handshake)
  refusePin(handshake)
  const options = { headers: Object.fromEntries(headers), protocols } as unknown as string[]
  return opened(
    () => new WebSocket(url, options),
    handshake,
    () => undefined,
    (event) => {
      const cause = (event as ErrorEvent).error as unknown
      const status = /status code: (\d{3})/.exec(failureText(cause))?.[1]
      return status === undefined ? translate(cause) : refusal(Number(status), undefined)
    },
  )
}

/** Keeps a socket's events from everybody until they are released, in order. */
const hold = (socket: WebSocket): (() => void) => {
  const held: Event[] = []
  const keep = (event: Event): void => {
    event.stopImmediatePropagation()
    held.push(event)
  }
  const kinds = ["message", "error", "close"]
  for (const kind of kinds) socket.addEventListener(kind, keep)
  return () => {
    for (const kind of kinds) socket.removeEventListener(kind, keep)
    for (const event of held) socket.dispatchEvent(again(event))
  }
}

// An event that was dispatched cannot be dispatched again on every runtime.
const again = (event: Event): Event => {
  if (event.type === "message") return new MessageEvent("message", { data: (event as MessageEvent).data as unknown })
  if (event.type !== "close") return new Event(event.type)
  const { code, reason, wasClean } = event as CloseEvent
  // Its own class: Node 22 has no global one.
  return new (event.constructor as typeof CloseEvent)("close", { code, reason, wasClean })
}
