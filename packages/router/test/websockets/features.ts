/** What a way in makes of a WebSocket, feature by feature: the cells of the table in docs/mounting.md. */
import { BINARY, CLOSE, open, PING, PONG, TEXT } from "./raw-socket.ts"
import type { RawApp, RawSocket } from "./raw-socket.ts"

/** A way in. */
export interface WayIn {
  readonly port: number
  /** Stops WebSockets, where something can; a way in that does is of no further use. */
  readonly stop?: () => Promise<unknown>
}

export interface Feature {
  readonly title: string
  readonly measure: (way: WayIn, app: RawApp) => Promise<string>
}

const MIB = 1_048_576

interface Pair {
  readonly client: RawSocket
  readonly app: RawSocket
}

const pairOf = async (way: WayIn, app: RawApp, fields: readonly string[] = []): Promise<Pair> => {
  const before = app.sockets.length
  const client = await open({ port: way.port, host: `${app.port}__misha.iterate.app`, fields })
  await client.until(() => app.sockets.length > before, "WebSocket of the app")
  return { client, app: app.sockets.at(-1)! }
}

const field = (head: string, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1]?.trim()

/** Says a message goes through, so that everything before it has. */
const flush = async (from: RawSocket, to: RawSocket): Promise<void> => {
  from.send(TEXT, "flush")
  await to.until(() => to.ended || to.frames.some(({ payload }) => payload.toString() === "flush"), "flush")
}

const messages = ({ frames }: RawSocket) =>
  frames.filter(({ opcode, payload }) => opcode < CLOSE && payload.toString() !== "flush")

const fragments = async (from: RawSocket, to: RawSocket): Promise<string> => {
  from.send(TEXT, "a", false)
  from.send(0, "b", false)
  from.send(0, "c")
  await flush(from, to)
  return messages(to).length === 3 ? "as sent" : `${messages(to).length} frame`
}

/** Whether a message of so many bytes arrives; else how both sides end. */
const large = async (way: WayIn, app: RawApp, bytes: number, from: "client" | "app"): Promise<string | undefined> => {
  const pair = await pairOf(way, app)
  const [source, sink] = from === "client" ? [pair.client, pair.app] : [pair.app, pair.client]
  source.send(BINARY, Buffer.alloc(bytes))
  await sink.until(() => sink.ended || sink.received >= bytes || sink.frames.length > 0, "message")
  const arrived = messages(sink).length > 0
  const end = arrived ? undefined : `client ${await pair.client.closing()}; app ${await pair.app.closing()}`
  pair.client.socket.destroy()
  pair.app.socket.destroy()
  return end
}

const largest = async (way: WayIn, app: RawApp, from: "client" | "app"): Promise<string> => {
  let passed = 0
  for (const size of [16, 17]) {
    const end = await large(way, app, size * MIB, from)
    if (end !== undefined) return `${passed} MiB; beyond: ${end}`
    passed = size
  }
  return `more than ${passed - 1} MiB`
}

/** Sends until nothing more is taken, and says at how many MiB that was; with the end, if one came. */
const flood = async (source: RawSocket, sink: RawSocket): Promise<{ readonly mib: number }> => {
  sink.socket.pause()
  const piece = Buffer.alloc(MIB / 4)
  let sent = 0
  const total = 96 * MIB
  while (sent < total && !source.ended && !source.frames.some(({ opcode }) => opcode === CLOSE)) {
    source.send(BINARY, piece)
    sent += piece.length
    if (source.socket.writableLength === 0) continue
    const drained = new Promise<boolean>((resolve) => {
      source.socket.once("drain", () => resolve(true))
      setTimeout(() => resolve(false), 2_500)
    })
    if (!(await drained)) break
  }
  return { mib: (sent - source.socket.writableLength) / MIB }
}

const stalled = async (source: RawSocket, sink: RawSocket): Promise<string> => {
  const { mib } = await flood(source, sink)
  const isClosed = () => source.ended || source.frames.some(({ opcode }) => opcode === CLOSE)
  // All may be sent before the close frame of a busy runtime is back.
  const waitMs = mib >= 90 ? 5_000 : 0
  for (let waited = 0; !isClosed() && waited < waitMs; waited += 50)
    await new Promise((resolve) => setTimeout(resolve, 50))
  const closed = isClosed()
  // Deno resets the connection when what was sent is still on its way, so that a close frame may be lost.
  if (closed) return "the sender is closed"
  if (mib >= 90) return "held in memory without bound"
  const sent = source.socket.bytesWritten
  sink.socket.resume()
  await sink.until(() => sink.ended || sink.received >= Math.floor(sent / (MIB / 4)) * (MIB / 4) - MIB, "rest")
  return sink.ended ? "the rest is lost" : "the sender has to wait"
}

export const features: readonly Feature[] = [
  {
    title: "the subprotocol that the app chooses",
    measure: async (way, app) => {
      app.respond = () => ["Sec-WebSocket-Protocol: b"]
      const { client } = await pairOf(way, app, ["Sec-WebSocket-Protocol: a,b"])
      return field(client.head, "sec-websocket-protocol") === "b" ? "passes" : "is lost"
    },
  },
  {
    title: "`Set-Cookie` lines of the 101",
    measure: async (way, app) => {
      app.respond = () => ["Set-Cookie: a=1", "Set-Cookie: b=2"]
      const { client } = await pairOf(way, app)
      return /^set-cookie: a=1$/im.test(client.head) && /^set-cookie: b=2$/im.test(client.head) ? "pass" : "are lost"
    },
  },
  {
    title: "permessage-deflate between client and app",
    measure: async (way, app) => {
      app.respond = (head) =>
        /^sec-websocket-extensions: permessage-deflate/im.test(head)
          ? ["Sec-WebSocket-Extensions: permessage-deflate"]
          : []
      const { client, app: socket } = await pairOf(way, app, ["Sec-WebSocket-Extensions: permessage-deflate"])
      const answered = field(client.head, "sec-websocket-extensions")
      if (field(socket.head, "sec-websocket-extensions") === undefined)
        return answered === undefined ? "is not used" : "ends here"
      return answered === undefined ? "is lost" : "passes"
    },
  },
  {
    title: "text and binary messages",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      client.send(TEXT, "gr\u00fc\u00df")
      client.send(BINARY, Buffer.of(0, 255))
      await flush(client, socket)
      socket.send(TEXT, "gr\u00fc\u00df")
      socket.send(BINARY, Buffer.of(0, 255))
      await flush(socket, client)
      const shown = (of: RawSocket) => messages(of).map(({ opcode, payload }) => [opcode, payload.toString("hex")])
      const expected = JSON.stringify([
        [TEXT, "6772c3bcc39f"],
        [BINARY, "00ff"],
      ])
      return [client, socket].every((of) => JSON.stringify(shown(of)) === expected) ? "pass" : "are changed"
    },
  },
  {
    title: "a message in three frames, from the client",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      return fragments(client, socket)
    },
  },
  {
    title: "a message in three frames, from the app",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      return fragments(socket, client)
    },
  },
  {
    title: "a ping of the client",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      client.send(PING, "hey")
      await flush(client, socket)
      if (socket.frames.some(({ opcode }) => opcode === PING)) return "reaches the app"
      const { payload } = await client.frame(PONG)
      return payload.toString() === "hey" ? "is responded to here" : "gets a wrong pong"
    },
  },
  {
    title: "a ping of the app",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      socket.send(PING, "hey")
      await flush(socket, client)
      if (!client.frames.some(({ opcode }) => opcode === PING)) {
        const { payload } = await socket.frame(PONG)
        return payload.toString() === "hey" ? "is responded to here" : "gets a wrong pong"
      }
      client.send(PONG, "hey")
      const { payload } = await socket.frame(PONG)
      return payload.toString() === "hey" ? "reaches the client, and its pong the app" : "gets a wrong pong"
    },
  },
  ...(["1000", '3001 "bye"', '1001 "later"', '1011 "oops"', "no code"] as const).map((code): Feature => ({
    title: `a close frame of the client: ${code.replaceAll('"', "`")}`,
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      client.send(CLOSE, payloadOf(code))
      const found = await socket.closing()
      return found === code ? "passes" : found.replaceAll('"', "`")
    },
  })),
  ...(["1000", '4001 "bye"', '1001 "later"', '1012 "restart"', "no code"] as const).map((code): Feature => ({
    title: `a close frame of the app: ${code.replaceAll('"', "`")}`,
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      socket.send(CLOSE, payloadOf(code))
      const found = await client.closing()
      return found === code ? "passes" : found.replaceAll('"', "`")
    },
  })),
  ...(["client", "app"] as const).map((from): Feature => ({
    title: `an invalid close code (999) of the ${from}`,
    measure: async (way, app) => {
      const pair = await pairOf(way, app)
      const [source, sink] = from === "client" ? [pair.client, pair.app] : [pair.app, pair.client]
      source.send(CLOSE, Buffer.of(3, 0xe7))
      const found = await sink.closing()
      return found === "999" ? "passes" : `the other side: ${found.replaceAll('"', "`")}`
    },
  })),
  {
    title: "text of the app that is not UTF-8",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      socket.send(TEXT, Buffer.of(0xff))
      await client.until(() => client.ended || client.frames.length > 0, "end")
      if (messages(client).length > 0) return messages(client)[0]!.payload[0] === 0xff ? "passes" : "is changed"
      return `closed: client ${await client.closing()}; app ${await socket.closing()}`.replaceAll('"', "`")
    },
  },
  {
    title: "the app's connection is lost",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      socket.socket.resetAndDestroy()
      return `client: ${await client.closing()}`.replaceAll('"', "`")
    },
  },
  {
    title: "the client's connection is lost",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      client.socket.resetAndDestroy()
      return `app: ${await socket.closing()}`.replaceAll('"', "`")
    },
  },
  {
    title: "half-close: a FIN of the client, then a message of the app",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      client.socket.end()
      await socket.until(() => socket.ended || socket.frames.length > 0, "end").catch(() => undefined)
      socket.send(TEXT, "late")
      await client.until(() => client.ended || client.frames.length > 0, "end")
      return messages(client).length > 0 ? "arrives" : "the WebSocket is over"
    },
  },
  {
    title: "the largest message of the client",
    measure: (way, app) => largest(way, app, "client").then((found) => found.replaceAll('"', "`")),
  },
  {
    title: "the largest message of the app",
    measure: (way, app) => largest(way, app, "app").then((found) => found.replaceAll('"', "`")),
  },
  {
    title: "a client that reads nothing",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      return (await stalled(socket, client)).replaceAll('"', "`")
    },
  },
  {
    title: "an app that reads nothing",
    measure: async (way, app) => {
      const { client, app: socket } = await pairOf(way, app)
      return (await stalled(client, socket)).replaceAll('"', "`")
    },
  },
  {
    title: "the host stops",
    measure: async (way, app) => {
      if (way.stop === undefined) return "nobody stops it"
      const { client, app: socket } = await pairOf(way, app)
      void way.stop()
      return `client: ${await client.closing()}; app: ${await socket.closing()}`.replaceAll('"', "`")
    },
  },
]

const payloadOf = (code: string): Buffer => {
  const [, number, reason = ""] = /^(\d+)(?: "(.*)")?$/.exec(code) ?? []
  if (number === undefined) return Buffer.alloc(0)
  return Buffer.concat([Buffer.of(Number(number) >> 8, Number(number) & 255), Buffer.from(reason)])
}
