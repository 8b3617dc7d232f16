import { isProviderError } from "../../contract/errors.ts"
import { equal, eventually, failure, ok, tagged, within } from "../assert.ts"
import { law, requestOf } from "../world.ts"
import type { World } from "../world.ts"

const handshake = (path: string, protocols?: string): Request =>
  requestOf(path, { headers: protocols === undefined ? {} : { "sec-websocket-protocol": protocols } })

interface Conversation {
  readonly protocol: string
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code: number, reason: string): void
  next(): Promise<string | readonly number[]>
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
}

const converse = async (world: World, path: string, protocols?: string): Promise<Conversation> => {
  const socket = await world.fetcher().connect(handshake(path, protocols))
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
      if (arrived.length === 0) await within(5_000, new Promise<void>((resolve) => (wake = resolve)), "a message")
      return arrived.shift()!
    },
    closed,
  }
}
/** On Workers, what a 101 brings. */
type WorkerSocket = WebSocket & { accept(): void }
const ended = (conversation: Conversation) => within(5_000, conversation.closed, "the end of the socket")

/** Conversations; for platforms that carry them. */
export const webSocket = {
  "websocket.text": law("a text goes there and comes back", ["webSocket"], async (world) => {
    const conversation = await converse(world, "/ws")
    conversation.send("h\u00e9llo \u{1f600}")
    equal(await conversation.next(), "h\u00e9llo \u{1f600}", "the text")
    conversation.close(1000, "")
    await ended(conversation)
  }),

  "websocket.binary": law("octets go there and come back", ["webSocket"], async (world) => {
    const conversation = await converse(world, "/ws")
    const octets = Uint8Array.from({ length: 256 }, (_, i) => i)
    conversation.send(octets)
    equal(await conversation.next(), [...octets], "the octets")
    conversation.close(1000, "")
    await ended(conversation)
  }),

  "websocket.order": law(
    "a hundred messages, one of them of 128 KiB, come back in order",
    ["webSocket"],
    async (world) => {
      const conversation = await converse(world, "/ws")
      const texts = Array.from({ length: 100 }, (_, i) => (i === 50 ? "x".repeat(131_072) : `message ${i}`))
      for (const text of texts) conversation.send(text)
      for (const text of texts) ok((await conversation.next()) === text, `${text.slice(0, 20)} came back in its turn`)
      conversation.close(1000, "")
      await ended(conversation)
    },
  ),

  "websocket.close-app": law("the app's close arrives with its code and reason", ["webSocket"], async (world) => {
    const conversation = await converse(world, "/ws")
    conversation.send("close, please")
    equal(await ended(conversation), { code: 4001, reason: "as asked" }, "the close")
  }),

  "websocket.close-client": law("the client's close arrives at the app with its code", ["webSocket"], async (world) => {
    const id = world.unique()
    const conversation = await converse(world, `/ws?${id}`)
    conversation.close(4002, "done")
    await ended(conversation)
    await eventually(async () => {
      const seen = (await (await world.ask(`/seen/${id}`)).json()) as { readonly closeCode: number }
      return seen.closeCode === 4002
    }, "the app was not told the code")
  }),

  "websocket.protocol": law("the app chooses the protocol", ["webSocket"], async (world) => {
    const conversation = await converse(world, "/ws", "chat.v2, chat.v1")
    equal(conversation.protocol, "chat.v2", "the protocol")
    conversation.close(1000, "")
    await ended(conversation)
  }),

  "websocket.refused": law(
    "a handshake that the app refuses is HandshakeRefused with its status",
    ["webSocket"],
    async (world) => {
      const error = await failure(world.fetcher().connect(handshake("/ws/refused")), "a refused handshake")
      tagged(error, "HandshakeRefused")
      equal((error as { readonly status?: unknown }).status, 403, "the status")
    },
  ),

  "websocket.passes": law(
    "a client's handshake passes through the fetcher on Workers, and is refused where no answer can carry a socket",
    ["webSocket"],
    async (world) => {
      const asked = world.ask("/ws", { headers: { upgrade: "websocket" } })
      if (!("WebSocketPair" in globalThis)) return tagged(await failure(asked, "a handshake"), "ProviderUnavailable")
      const { status, webSocket } = (await asked) as Response & { readonly webSocket?: WorkerSocket | null }
      equal(status, 101, "the status")
      ok(webSocket, "the answer has a socket")
      const heard = new Promise((resolve) => webSocket.addEventListener("message", ({ data }) => resolve(data)))
      webSocket.accept()
      webSocket.send("hello")
      equal(await within(5_000, heard, "a message"), "hello", "the text")
      webSocket.close(1000, "")
    },
  ),

  "websocket.unreachable": law("a handshake that nobody takes is a typed failure", ["webSocket"], async (world) => {
    const provider = {
      ...world.provider,
      resolve: async () => ({ origin: "http://127.0.0.1:1", epoch: "0", ttlMs: 0 }),
    }
    const error = await failure(world.fetcher({ provider, wake: false }).connect(handshake("/ws")), "a handshake")
    ok(isProviderError(error), `${String(error)} is a ProviderError`)
  }),
}
