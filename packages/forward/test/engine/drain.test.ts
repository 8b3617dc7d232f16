import { connect } from "node:net"
import type { AddressInfo } from "node:net"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import * as h from "./harness.ts"

const GRACE_MS = 5_000

/** Time is the test's here, also that of the drain itself. */
beforeEach(
  () =>
    void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] }),
)
afterEach(() => void vi.useRealTimers())

/** Resolves when it is true. `setImmediate` is real. */
const eventually = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
/** A front before an app, and a drain with a grace. */
const begin = async (onConnection?: (raw: h.Raw) => void) => {
  const app = onConnection === undefined ? await h.respondingApp() : await h.listenApp(onConnection)
  const front = await h.listen(() => h.to(app.port))
  let drained = false
  const drain = () => {
    const { engine, server } = front
    const done = engine.drain({ deadlineMs: 2 * GRACE_MS, graceMs: GRACE_MS, listeners: [server] })
    return done.then(() => void (drained = true))
  }
  const ask = async (client: h.Raw) => {
    client.send(h.get())
    return client.until("ok")
  }
  return { ...front, app, drain, ask, drained: () => drained, listening: () => front.server.listening }
}

describe("in its grace an engine that drains", () => {
  it("serves kept and new connections, and ends each with its response", async () => {
    const { connect, ask, drain, engine, listening } = await begin()
    const kept = await connect()
    expect(await ask(kept)).not.toContain("Connection: close")
    expect(engine.draining()).toBe(false)
    void drain()
    expect(engine.draining()).toBe(true)
    h.passes(GRACE_MS - 100)
    for (const client of [kept, await connect()]) {
      expect(await ask(client)).toMatch(/^HTTP\/1\.1 200 .*\r\nConnection: close\r\n/s)
      await client.over()
    }
    expect(listening()).toBe(true)
  })

  it("keeps the connection whose response began before, for one more request", async () => {
    let finish = (): void => {}
    const { connect, drain, ask } = await begin((raw) => {
      void raw.until("\r\n\r\n").then(() => {
        raw.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        finish = () => {
          raw.send("rest")
          void raw.until("\r\n\r\n").then(() => raw.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
        }
      })
    })
    const client = await connect()
    client.send(h.get())
    await client.until("half")
    void drain()
    finish()
    await client.until("rest")
    h.passes(GRACE_MS / 2)
    expect(await ask(client)).toContain("Connection: close")
    await client.over()
  })
})

describe("after its grace an engine that drains", () => {
  it("closes its listeners and idle connections, and is done", async () => {
    const { connect, ask, drain, drained, listening } = await begin()
    const idle = await connect()
    await ask(idle)
    void drain()
    h.passes(GRACE_MS - 1)
    expect([listening(), idle.state]).toEqual([true, "open"])
    h.passes(1)
    await idle.over()
    expect(listening()).toBe(false)
    idle.socket.end()
    await eventually(drained)
  })

  it("gives connections that have just been made a moment for their request", async () => {
    const { connect, ask, drain, listening } = await begin()
    const [asking, silent] = [await connect(), await connect()]
    void drain()
    h.passes(GRACE_MS)
    await eventually(() => !listening())
    expect(await ask(asking)).toContain("Connection: close")
    expect(silent.state).toBe("open")
    h.passes(1_000 + h.SCANS_MS)
    await silent.over()
  })

  it("accepts and serves those who wait in the listener's queue before it closes", async () => {
    const { server, drain, listening } = await begin()
    void drain()
    const { port } = server.address() as AddressInfo
    // Their handshakes are the kernel's: nobody has accepted them by the time that the grace is over.
    const clients = Array.from({ length: 20 }, () => new h.Raw(connect(port, "127.0.0.1")).send(h.get()))
    await new Promise((resolve) => process.nextTick(resolve))
    h.passes(GRACE_MS)
    const responses = await Promise.all(clients.map((client) => client.until("ok")))
    expect(responses.map(h.status)).toEqual(clients.map(() => 200))
    await eventually(() => !listening())
  })

  it("ends what is left at the deadline, counted from the call", async () => {
    const { connect, drain, drained, app } = await begin(() => {})
    const client = await connect()
    client.send(h.get())
    await (await app.connection(0)).until("\r\n\r\n")
    void drain()
    h.passes(GRACE_MS)
    await new Promise((resolve) => setImmediate(resolve))
    h.passes(GRACE_MS - 1)
    await new Promise((resolve) => setImmediate(resolve))
    expect([client.state, drained()]).toEqual(["open", false])
    h.passes(100)
    expect((await client.over()).state).toBe("reset")
    await eventually(drained)
  })
})

describe("an engine without a listener to close", () => {
  it("is done when its last connection is closed, however long its grace", async () => {
    const { connect, ask, engine } = await begin()
    const client = await connect()
    await ask(client)
    let drained = false
    void engine.drain({ deadlineMs: 2 * GRACE_MS, graceMs: GRACE_MS }).then(() => (drained = true))
    await ask(client)
    await client.over()
    expect(drained).toBe(false)
    client.socket.end()
    await eventually(() => drained)
    await engine.drain({ deadlineMs: GRACE_MS, graceMs: GRACE_MS })
  })
})

it.each([
  ["deadlineMs must be a number from 0 up, got undefined", {}],
  ["graceMs must be a number from 0 up, got -1", { deadlineMs: 0, graceMs: -1 }],
  [
    "listeners must be an array in which every element is a server of node:net, got an array",
    { deadlineMs: 0, listeners: [1] },
  ],
  ["grace is not an option (did you mean graceMs?)", { deadlineMs: 0, grace: 1 }],
])("a drain says what is wrong: %s", async (problem, options) => {
  const { engine } = await begin()
  await expect(engine.drain(options as never)).rejects.toThrow(problem)
})
