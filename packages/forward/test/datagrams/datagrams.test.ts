import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { once } from "node:events"
import { createDatagramEngine, udpChannel } from "@project-ingress/forward/datagrams"
import type { DatagramEngineOptions, DatagramEvent, FlowEvent, OpenChannel } from "@project-ingress/forward/datagrams"
import { afterEach, describe, expect, it } from "vitest"

const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
})

const bound = async (): Promise<{ readonly socket: Socket; readonly port: number }> => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1")
  open.push(socket)
  await once(socket, "listening")
  return { socket, port: socket.address().port }
}

/** An app that answers each datagram with `answers` copies of it. */
const echo = async (answers = 1) => {
  const { socket, port } = await bound()
  const seen: string[] = []
  socket.on("message", (bytes, from) => {
    seen.push(bytes.toString())
    for (let n = 0; n < answers; n++) socket.send(bytes, from.port, from.address)
  })
  return { port, seen, socket }
}

const engineOn = async (options: Partial<DatagramEngineOptions> & Pick<DatagramEngineOptions, "onFlow">) => {
  const events: DatagramEvent[] = []
  const engine = createDatagramEngine({ onEvent: (event) => events.push(event), ...options })
  const { socket, port } = await bound()
  engine.socket(socket)
  const flows = () => events.filter((event): event is FlowEvent => event.type === "flow")
  return { engine, port, events, flows }
}

const client = async (to: number) => {
  const { socket, port } = await bound()
  const heard: string[] = []
  socket.on("message", (bytes) => heard.push(bytes.toString()))
  return { port, heard, send: (text: string) => socket.send(text, to, "127.0.0.1") }
}

const to = (port: number): OpenChannel => udpChannel({ host: "127.0.0.1", port })

describe("datagrams of a flow", () => {
  it("reach the app, and the app's answers reach that client only", async () => {
    const app = await echo()
    const { port, engine } = await engineOn({ onFlow: () => to(app.port) })
    const [anna, ben] = [await client(port), await client(port)]
    anna.send("a1")
    ben.send("b1")
    anna.send("a2")
    await expect.poll(() => anna.heard.toSorted()).toEqual(["a1", "a2"])
    await expect.poll(() => ben.heard).toEqual(["b1"])
    expect(engine.flows()).toBe(2)
  })

  it("keep their boundaries and bytes, an empty one too", async () => {
    const app = await echo()
    const { port } = await engineOn({ onFlow: () => to(app.port) })
    const anna = await client(port)
    const large = "x".repeat(60_000)
    for (const text of ["", "one", large]) anna.send(text)
    await expect.poll(() => anna.heard.toSorted()).toEqual(["", "one", large].toSorted())
  })

  it("are decided about once, and those that come meanwhile wait, as many as may", async () => {
    const app = await echo()
    let decide: (open: OpenChannel) => void = () => undefined
    let asked = 0
    const { port, engine, flows } = await engineOn({
      limits: { maxPending: 2 },
      onFlow: () => {
        asked++
        return new Promise((resolve) => (decide = resolve))
      },
    })
    const anna = await client(port)
    for (const text of ["1", "2", "3"]) anna.send(text)
    await expect.poll(() => asked).toBe(1)
    // The third is dropped before it is decided: wait until the engine has read all of them.
    await engine.drain({ deadlineMs: 100 })
    decide(to(app.port))
    expect(flows()).toMatchObject([{ datagramsIn: 3, dropped: 1, outcome: "stopped" }])
    expect(asked).toBe(1)
  })

  it("are those of a name that is resolved and checked", async () => {
    const app = await echo()
    const allowed = { allowCidrs: ["127.0.0.0/8", "::1/128"] }
    const { port, flows, engine } = await engineOn({
      onFlow: ({ remotePort }) =>
        udpChannel({ host: "localhost", port: app.port, addresses: remotePort === refused.port ? {} : allowed }),
    })
    const anna = await client(port)
    const refused = await client(port)
    anna.send("hello")
    await expect.poll(() => anna.heard).toEqual(["hello"])
    refused.send("hello")
    await expect.poll(() => engine.flows()).toBe(2)
    await expect.poll(() => flows()).toMatchObject([{ remotePort: refused.port, outcome: "failed" }])
    expect(app.seen).toEqual(["hello"])
  })
})

describe("a flow", () => {
  it("ends when it is idle, with one event of what passed", async () => {
    const app = await echo()
    const { port, engine, flows } = await engineOn({ onFlow: () => to(app.port), limits: { idleMs: 200 } })
    const anna = await client(port)
    anna.send("four")
    await expect.poll(() => anna.heard).toEqual(["four"])
    await expect.poll(() => engine.flows()).toBe(0)
    expect(flows()).toMatchObject([
      {
        remoteAddress: "127.0.0.1",
        remotePort: anna.port,
        localPort: port,
        outcome: "idle",
        datagramsIn: 1,
        datagramsOut: 1,
        bytesIn: 4,
        bytesOut: 4,
        dropped: 0,
      },
    ])
  })

  it("that is refused is not decided about again for a while, and hears nothing", async () => {
    let asked = 0
    const { port, engine, flows } = await engineOn({
      onFlow: () => {
        asked++
        return undefined
      },
      limits: { crowdedIdleMs: 300 },
    })
    const anna = await client(port)
    for (let n = 0; n < 50; n++) anna.send("x")
    await expect.poll(() => engine.flows()).toBe(1)
    await expect.poll(() => flows().length).toBe(1)
    expect(asked).toBe(1)
    expect(flows()[0]).toMatchObject({ outcome: "refused", datagramsOut: 0 })
    expect(anna.heard).toEqual([])
  })

  it("whose app is not there fails and is tried again later", async () => {
    const app = await echo()
    app.socket.close()
    open.splice(open.indexOf(app.socket), 1)
    let asked = 0
    const { port, flows } = await engineOn({
      onFlow: () => {
        asked++
        return to(app.port)
      },
    })
    const anna = await client(port)
    anna.send("x")
    await expect.poll(() => flows()).toMatchObject([{ outcome: "failed" }])
    expect(asked).toBe(1)
    anna.send("y")
    await expect.poll(() => asked).toBe(2)
  })

  it("for which the host throws is an error event, and no other flow's", async () => {
    const app = await echo()
    const { port, events } = await engineOn({
      onFlow: ({ remotePort }) => {
        if (remotePort === ben.port) throw new Error("a mistake")
        return to(app.port)
      },
    })
    const [anna, ben] = [await client(port), await client(port)]
    ben.send("b")
    await expect.poll(() => events.find(({ type }) => type === "error")).toMatchObject({ reason: "a mistake" })
    anna.send("a")
    await expect.poll(() => anna.heard).toEqual(["a"])
  })
})

describe("a drain", () => {
  it("takes no new flow, lets the others go on until the deadline, and ends them", async () => {
    const app = await echo()
    const { port, engine, flows } = await engineOn({ onFlow: () => to(app.port) })
    const anna = await client(port)
    anna.send("1")
    await expect.poll(() => anna.heard).toEqual(["1"])
    let drained = false
    const drain = engine.drain({ deadlineMs: 2_000 }).then(() => (drained = true))
    const ben = await client(port)
    ben.send("late")
    anna.send("2")
    await expect.poll(() => anna.heard).toEqual(["1", "2"])
    expect(drained).toBe(false)
    await drain
    expect(flows()).toMatchObject([{ outcome: "stopped", datagramsIn: 2 }])
    expect(app.seen).toEqual(["1", "2"])
    expect(ben.heard).toEqual([])
  })

  it("without flows is done at once", async () => {
    const { engine } = await engineOn({ onFlow: () => undefined })
    await expect(engine.drain({ deadlineMs: 600_000 })).resolves.toBeUndefined()
  })
})

it.each<[string, unknown]>([
  ["onFlow must be a function, got undefined", {}],
  [
    "limits.maxFlow is not an option (did you mean limits.maxFlows?)",
    { onFlow: () => undefined, limits: { maxFlow: 1 } },
  ],
])("an option is refused by name: %s", (message, options) => {
  expect(() => createDatagramEngine(options as DatagramEngineOptions)).toThrow(message)
})
