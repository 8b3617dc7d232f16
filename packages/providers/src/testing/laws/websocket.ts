import { tunnelProtocols } from "@project-ingress/forward/internal"
import { isProviderError } from "../../contract/errors.ts"
import { equal, eventually, failure, inTime, ok, tagged } from "../assert.ts"
import { requestTo } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"
import type { FetcherOptions } from "../../transport/machine-fetcher.ts"

const handshake = (path: string, protocols?: string): Request =>
  requestTo(path, { headers: protocols === undefined ? {} : { "sec-websocket-protocol": protocols } })

interface Conversation {
  readonly protocol: string
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code: number, reason: string): void
  next(): Promise<string | readonly number[]>
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
}

const converse = async (
  context: LawContext,
  path: string,
  protocols?: string,
  options: FetcherOptions = {},
): Promise<Conversation> => {
  const socket = await context.fetcher(options).connect(handshake(path, protocols))
  const arrived: (string | readonly number[])[] = []
  let wake: (() => void) | undefined
  socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    arrived.push(typeof data === "string" ? data : [...new Uint8Array(data as ArrayBuffer)])
    wake?.()
  })
  const closed = new Promise<{ readonly code: number; readonly reason: string }>((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }))
  })
  return {
    protocol: socket.protocol,
    send: (data) => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    next: async () => {
      if (arrived.length === 0) await inTime(new Promise<void>((resolve) => (wake = resolve)), "a message")
      return arrived.shift()!
    },
    closed,
  }
}
/** What a 101 response holds on Workers. */
type WorkerSocket = WebSocket & { accept(): void }
const ended = (conversation: Conversation) => inTime(conversation.closed, "the end of the socket")

/** WebSockets, on platforms that support them. */
export const webSocket = {
  "websocket.text": law("a text message comes back from the app", ["webSocket"], async (context) => {
    const conversation = await converse(context, "/ws")
    conversation.send("h\u00e9llo \u{1f600}")
    equal(await conversation.next(), "h\u00e9llo \u{1f600}", "the text")
    conversation.close(1000, "")
    await ended(conversation)
  }),

  "websocket.binary": law("a binary message comes back from the app", ["webSocket"], async (context) => {
    const conversation = await converse(context, "/ws")
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    conversation.send(bytes)
    equal(await conversation.next(), [...bytes], "the bytes")
    conversation.close(1000, "")
    await ended(conversation)
  }),

  "websocket.order": law(
    "a hundred messages, one of them of 128 KiB, come back in order",
    ["webSocket"],
    async (context) => {
      const conversation = await converse(context, "/ws")
      const texts = Array.from({ length: 100 }, (_, i) => (i === 50 ? "x".repeat(131_072) : `message ${i}`))
      for (const text of texts) conversation.send(text)
      for (const text of texts) ok((await conversation.next()) === text, `${text.slice(0, 20)} came back in its turn`)
      conversation.close(1000, "")
      await ended(conversation)
    },
  ),

  "websocket.close-app": law("a close by the app arrives with its code and reason", ["webSocket"], async (context) => {
    const conversation = await converse(context, "/ws")
    conversation.send("close, please")
    equal(await ended(conversation), { code: 4001, reason: "as asked" }, "the close")
  }),

  "websocket.close-client": law(
    "a close by the client arrives at the app with its code",
    ["webSocket"],
    async (context) => {
      const id = context.uniqueName()
      const conversation = await converse(context, `/ws?${id}`)
      conversation.close(4002, "done")
      await ended(conversation)
      await eventually(async () => {
        const seen = (await (await context.request(`/seen/${id}`)).json()) as { readonly closeCode: number }
        return seen.closeCode === 4002
      }, "the code did not arrive at the app")
    },
  ),

  "websocket.protocol": law("the app selects the subprotocol", ["webSocket"], async (context) => {
    const conversation = await converse(context, "/ws", "chat.v2, chat.v1")
    equal(conversation.protocol, "chat.v2", "the protocol")
    conversation.close(1000, "")
    await ended(conversation)
  }),

  "websocket.refused": law(
    "a handshake that the app refuses is HandshakeRefused with its status",
    ["webSocket"],
    async (context) => {
      const error = await failure(context.fetcher().connect(handshake("/ws/refused")), "a refused handshake")
      tagged(error, "HandshakeRefused")
      equal((error as { readonly status?: unknown }).status, 403, "the status")
    },
  ),

  "websocket.tunnel": law(
    "a tunnel of TCP to the app's port carries bytes both ways, and one side's end before the other's",
    ["webSocket", "signingKey"],
    async (context) => {
      const conversation = await converse(context, "/", tunnelProtocols.tcp, { protocol: "tcp" })
      equal(conversation.protocol, tunnelProtocols.tcp, "the protocol")
      const request = "GET /bytes/200000 HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
      // Cut anywhere: what a tunnel carries has no messages.
      for (const part of [request.slice(0, 7), request.slice(7)]) conversation.send(new TextEncoder().encode(part))
      conversation.send("end")
      let size = 0
      let text = ""
      for (let next = await conversation.next(); next !== "end"; next = await conversation.next()) {
        ok(typeof next !== "string", "a text that is not the end")
        size += next.length
        if (text.length < 500) text += String.fromCharCode(...next.slice(0, 500))
      }
      ok(text.startsWith("HTTP/1.1 200 "), `the app responds to bytes, and not with ${text.slice(0, 40)}`)
      equal(size, text.indexOf("\r\n\r\n") + 4 + 200_000, "the number of bytes")
      equal((await ended(conversation)).code, 1000, "the close code")
    },
  ),

  "websocket.passes": law(
    "a client's handshake passes through the fetcher on Workers, and is refused where a Response cannot hold a socket",
    ["webSocket"],
    async (context) => {
      const response = context.request("/ws", { headers: { upgrade: "websocket" } })
      if (!("WebSocketPair" in globalThis)) return tagged(await failure(response, "a handshake"), "ProviderUnavailable")
      const { status, webSocket } = (await response) as Response & { readonly webSocket?: WorkerSocket | null }
      equal(status, 101, "the status")
      ok(webSocket, "the response has a socket")
      const message = new Promise((resolve) => webSocket.addEventListener("message", ({ data }) => resolve(data)))
      webSocket.accept()
      webSocket.send("hello")
      equal(await inTime(message, "a message"), "hello", "the text")
      webSocket.close(1000, "")
    },
  ),

  "websocket.unreachable": law(
    "a handshake with an unreachable machine is a ProviderError",
    ["webSocket"],
    async (context) => {
      const provider = {
        ...context.provider,
        resolve: async () => ({ origin: "http://127.0.0.1:1", epoch: "0", ttlMs: 0 }),
      }
      const error = await failure(context.fetcher({ provider, wake: false }).connect(handshake("/ws")), "a handshake")
      ok(isProviderError(error), `${String(error)} is a ProviderError`)
    },
  ),
}
