import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { once } from "node:events"
import { describe, expect, it, onTestFinished } from "vitest"
import { createDatagramEngine, dialUdp } from "../../src/sockets.ts"
import type {
  DatagramEngine,
  DatagramEngineOptions,
  DatagramEvent,
  DatagramReplies,
  FlowEvent,
} from "../../src/sockets.ts"

const bind = async (address = "127.0.0.1"): Promise<Socket> => {
  const socket = createSocket("udp4")
  socket.on("error", () => undefined)
  onTestFinished(() => {
    try {
      socket.close()
    } catch {
      // A test closed it.
    }
  })
  socket.bind(0, address)
  await once(socket, "listening")
  return socket
}

const next = async (socket: Socket): Promise<string> => {
  const [bytes] = (await once(socket, "message")) as [Buffer]
  return bytes.toString()
}

/** An app that makes a response of each datagram. */
const startApp = async (respond: (text: string) => string | undefined): Promise<number> => {
  const socket = await bind()
  socket.on("message", (bytes, from) => {
    const text = respond(bytes.toString())
    if (text !== undefined) socket.send(text, from.port, from.address)
  })
  return socket.address().port
}

interface Started {
  readonly engine: DatagramEngine
  readonly port: number
  readonly events: DatagramEvent[]
  readonly ended: () => Promise<FlowEvent>
}

const start = async (app: number, options: Partial<DatagramEngineOptions> = {}): Promise<Started> => {
  const events: DatagramEvent[] = []
  const unseen: FlowEvent[] = []
  const waiting: ((event: FlowEvent) => void)[] = []
  const engine = createDatagramEngine({
    onFlow: async () => {
      const opened = await dialUdp({ pool: "", host: "127.0.0.1", port: app })
      return "tag" in opened ? { refuse: opened.tag } : { relay: opened.open }
    },
    onEvent: (event) => {
      events.push(event)
      if (event.type !== "flow") return
      const first = waiting.shift()
      if (first === undefined) unseen.push(event)
      else first(event)
    },
    ...options,
  })
  const socket = await bind()
  engine.serve(socket, "app.example")
  onTestFinished(() => engine.close())
  const ended = async () => unseen.shift() ?? new Promise<FlowEvent>((resolve) => void waiting.push(resolve))
  return { engine, port: socket.address().port, events, ended }
}

/** What a target of a test has been sent; it says nothing unless a test makes it. */
const targets = () => {
  const made: { readonly sent: string[]; readonly replies: DatagramReplies; closed: boolean }[] = []
  const onFlow = (): {
    relay: (replies: DatagramReplies) => { send: (b: Uint8Array) => boolean; close: () => void }
  } => ({
    relay: (replies) => {
      const one = { sent: [] as string[], replies, closed: false }
      made.push(one)
      return {
        send: (bytes) => {
          one.sent.push(Buffer.from(bytes).toString())
          return true
        },
        close: () => {
          one.closed = true
        },
      }
    },
  })
  return { made, onFlow }
}

describe("a flow", () => {
  it("passes datagrams both ways, those that came before its decision included, each client its own", async () => {
    const { port, engine, ended } = await start(await startApp((text) => `re: ${text}`), {
      limits: { maxAmplification: 10 },
    })
    const [one, two] = [await bind(), await bind()]
    one.send("a", port, "127.0.0.1")
    two.send("b", port, "127.0.0.1")
    expect(await Promise.all([next(one), next(two)])).toEqual(["re: a", "re: b"])
    one.send("c", port, "127.0.0.1")
    expect(await next(one)).toBe("re: c")
    expect(engine.flows()).toBe(2)
    engine.close()
    expect([await ended(), await ended()]).toMatchObject([
      { hostname: "app.example", remoteAddress: "127.0.0.1", datagramsIn: 2, datagramsOut: 2, end: "drained" },
      { datagramsIn: 1, bytesIn: 1, bytesOut: 5 },
    ])
  })

  it("is over when nothing came for a time", async () => {
    const { made, onFlow } = targets()
    const { port, engine, ended } = await start(0, { onFlow, limits: { idleTimeoutMs: 100 } })
    ;(await bind()).send("a", port, "127.0.0.1")
    expect(await ended()).toMatchObject({ end: "idle" })
    expect([engine.flows(), made[0]!.closed]).toEqual([0, true])
  })

  it("that is refused is decided once, and once more after a time", async () => {
    let decided = 0
    const { port, ended } = await start(0, {
      onFlow: () => {
        decided++
        return { refuse: "no", code: "ACCESS_DENIED" }
      },
      limits: { refusedMs: 300 },
    })
    const client = await bind()
    for (const text of ["a", "b", "c"]) client.send(text, port, "127.0.0.1")
    expect(await ended()).toMatchObject({ end: "refused", code: "ACCESS_DENIED", reason: "no", dropped: 3 })
    expect(decided).toBe(1)
    client.send("d", port, "127.0.0.1")
    expect(await ended()).toMatchObject({ end: "refused" })
    expect(decided).toBe(2)
  })

  it("whose decision throws is refused, and no other", async () => {
    const { port, events } = await start(0, {
      onFlow: () => {
        throw new Error("thrown")
      },
      limits: { refusedMs: 50 },
    })
    const client = await bind()
    client.send("a", port, "127.0.0.1")
    while (events.length < 2) await new Promise((resolve) => void setImmediate(resolve))
    expect(events).toMatchObject([
      { type: "error", reason: "thrown" },
      { type: "flow", code: "PROXY_FAILED" },
    ])
  })
})

describe("who sends in the name of others", () => {
  it("has not much sent to them: three times as many bytes, until they answer", async () => {
    const { made, onFlow } = targets()
    const { port } = await start(0, { onFlow })
    const client = await bind()
    const got: number[] = []
    client.on("message", (bytes) => got.push(bytes.length))
    client.send("x".repeat(100), port, "127.0.0.1")
    while (made.length === 0) await new Promise((resolve) => void setImmediate(resolve))
    const { onDatagram } = made[0]!.replies
    for (let i = 0; i < 5; i++) onDatagram(Buffer.alloc(100))
    while (got.length < 3) await new Promise((resolve) => void setImmediate(resolve))
    client.send("answer", port, "127.0.0.1")
    while (made[0]!.sent.length < 2) await new Promise((resolve) => void setImmediate(resolve))
    onDatagram(Buffer.alloc(1_000))
    while (got.length < 4) await new Promise((resolve) => void setImmediate(resolve))
    expect(got).toEqual([100, 100, 100, 1_000])
  })

  it("takes no place of a flow that both sides use", async () => {
    const { made, onFlow } = targets()
    const limits = { maxFlows: 20, maxFlowsPerClient: 1_000 }
    const { port, engine, events } = await start(0, { onFlow, limits })
    const busy = await bind()
    busy.send("first", port, "127.0.0.1")
    while (made.length === 0) await new Promise((resolve) => void setImmediate(resolve))
    made[0]!.replies.onDatagram(Buffer.from("reply"))
    await once(busy, "message")
    busy.send("second", port, "127.0.0.1")
    while (made[0]!.sent.length < 2) await new Promise((resolve) => void setImmediate(resolve))
    const others = await Promise.all(Array.from({ length: 60 }, () => bind("127.0.0.2")))
    for (const socket of others) socket.send("spoofed", port, "127.0.0.1")
    while (made.length < 61) await new Promise((resolve) => void setImmediate(resolve))
    expect(engine.flows()).toBe(20)
    expect(made[0]!.closed).toBe(false)
    expect(events.filter((event) => event.type === "flow" && event.end === "evicted")).toHaveLength(41)
  })

  it("fills one client's part alone", async () => {
    const { made, onFlow } = targets()
    const { port, engine } = await start(0, { onFlow, limits: { maxFlowsPerClient: 5 } })
    const many = await Promise.all(Array.from({ length: 30 }, () => bind("127.0.0.2")))
    for (const socket of many) socket.send("x", port, "127.0.0.1")
    while (made.length < 30) await new Promise((resolve) => void setImmediate(resolve))
    expect(engine.flows()).toBe(5)
    ;(await bind()).send("x", port, "127.0.0.1")
    while (made.length < 31) await new Promise((resolve) => void setImmediate(resolve))
    expect(engine.flows()).toBe(6)
  })

  it("has no more decided at a time than a limit, and no more kept for a decision", async () => {
    const deciding: (() => void)[] = []
    const { made, onFlow } = targets()
    const { port, engine, ended } = await start(0, {
      onFlow: () => new Promise((resolve) => void deciding.push(() => resolve(onFlow()))),
      limits: { maxDeciding: 4, maxWaiting: 3 },
    })
    const clients = await Promise.all(Array.from({ length: 6 }, () => bind()))
    for (const client of clients) {
      for (const text of "abcde") client.send(text, port, "127.0.0.1")
    }
    // Datagrams over loopback come in their order: once this one is there, all are.
    while (engine.flows() < 2) await new Promise((resolve) => void setImmediate(resolve))
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect([engine.flows(), deciding.length]).toEqual([2, 2])
    for (const decide of deciding) decide()
    while (made.length < 2) await new Promise((resolve) => void setImmediate(resolve))
    engine.close()
    expect((await ended()).dropped).toBe(2)
    // Whichever came first.
    expect(made.map(({ sent }) => sent.length)).toEqual([3, 3])
  })

  it("has half of what is decided at a time in a hostname whose machine does not start, and others have the rest", async () => {
    const asked: string[] = []
    const { port, engine } = await start(0, {
      onFlow: ({ hostname }) => {
        asked.push(hostname)
        return new Promise(() => undefined)
      },
      limits: { maxDeciding: 8 },
    })
    const other = await bind()
    engine.serve(other, "other.example")
    const many = await Promise.all(Array.from({ length: 20 }, () => bind()))
    for (const client of many) client.send("x", port, "127.0.0.1")
    while (asked.length < 4) await new Promise((resolve) => void setImmediate(resolve))
    ;(await bind()).send("x", other.address().port, "127.0.0.1")
    while (!asked.includes("other.example")) await new Promise((resolve) => void setImmediate(resolve))
    expect(asked.filter((hostname) => hostname === "app.example")).toHaveLength(4)
  })
})
