import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createRouter } from "../../src/router.ts"
import { serveBun } from "../../src/hosts/bun.ts"
import type { BunServer, BunWebSocket } from "../../src/hosts/bun.ts"
import { serveDeno } from "../../src/hosts/deno.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { startMachine } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { RawApp } from "./raw-socket.ts"
import { optionsFor } from "./router.ts"

let proxy: RunningHost
let app: RawApp
beforeAll(async () => {
  proxy = await startMachine()
  app = await new RawApp().listen()
})
afterAll(async () => {
  app.close()
  await proxy.close()
})

const router = () => createRouter(optionsFor({ machine, port: proxy.port, signingKey: signing }))

/** As much of Bun's server as a handshake needs; `refuses`: as Bun does when the client has left. */
const fakeServer = (refuses = false) => {
  const upgraded: { readonly data: unknown; readonly headers: Headers }[] = []
  const server: BunServer = {
    port: 80,
    requestIP: () => ({ address: "192.0.2.1" }),
    upgrade: (_, options: never) => {
      if (!refuses) upgraded.push(options)
      return !refuses
    },
  }
  return { server, upgraded }
}

const handshake = (host = `${app.port}__misha.iterate.app`) =>
  new Request(`http://${host}/`, {
    headers: {
      host,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    },
  })

/** A WebSocket of Bun's whose client reads as far as `takes` says. */
const fakeSocket = (data: unknown, takes: () => number) => {
  const calls: string[] = []
  const call = (name: string) => (): number => {
    calls.push(name)
    return takes()
  }
  const socket: BunWebSocket = {
    data,
    sendText: call("send"),
    sendBinary: call("send"),
    ping: call("ping"),
    close: (code) => void calls.push(`close ${code}`),
    terminate: () => void calls.push("terminate"),
  }
  return { socket: socket as never, calls }
}

describe.each([
  ["serveBun", serveBun],
  ["serveDeno", serveDeno],
])("%s", (name, serve: (router: never, options: never) => unknown) => {
  it.each([
    [{ fallbak: () => undefined }, "fallback"],
    [{ maxMessageBytes: 10 }, "maxMessageBytes"],
    [{ bounds: { client: { webSocket: 1 } } }, "webSockets"],
    [{ limits: { maxConnection: 1 } }, "maxConnections"],
  ])("refuses %j at once", (options, said) => {
    expect(() => serve(router() as never, options as never)).toThrow(new RegExp(`.*${said}`))
    expect(name).toBeDefined()
  })
})

describe("a handshake under Bun.serve", () => {
  it("is refused for a client that has as many WebSockets as it may", async () => {
    const host = serveBun(router(), { bounds: { client: { webSockets: 1 } } })
    const { server, upgraded } = fakeServer()
    expect(await host.fetch(handshake(), server)).toBeUndefined()
    expect((await host.fetch(handshake(), server))?.status).toBe(429)
    // Nobody's Host is worth a connection, and plain requests are not counted.
    expect((await host.fetch(handshake("example.com"), server))?.status).toBe(429)
    expect(upgraded).toHaveLength(1)
    await host.close({ deadlineMs: 0 })
    expect((await host.fetch(handshake(), server))?.status).toBe(503)
  })

  it("is refused when the host has as many as it may", async () => {
    const host = serveBun(router(), { limits: { maxConnections: 1 } })
    const { server } = fakeServer()
    expect(await host.fetch(handshake(), server)).toBeUndefined()
    expect((await host.fetch(handshake(), server))?.status).toBe(503)
    await host.close({ deadlineMs: 0 })
  })

  it("whose client left meanwhile ends the machine's WebSocket", async () => {
    const host = serveBun(router())
    const before = app.sockets.length
    expect((await host.fetch(handshake(), fakeServer(true).server))?.status).toBe(400)
    expect(await app.sockets[before]!.closing()).toBe("no code")
    await host.close({ deadlineMs: 0 })
  })
})

describe("a WebSocket under Bun.serve", () => {
  const opened = async (takes: () => number) => {
    const host = serveBun(router())
    const { server, upgraded } = fakeServer()
    const before = app.sockets.length
    await host.fetch(handshake(), server)
    const fake = fakeSocket(upgraded[0]!.data, takes)
    void host.websocket.open(fake.socket)
    return { host, ...fake, machine: app.sockets[before]! }
  }

  it("sends nothing more to a client that is full, until it has drained", async () => {
    let room = -1
    const { host, socket, calls, machine: side } = await opened(() => room)
    for (let i = 0; i < 5; i++) side.send(1, "x")
    await expect.poll(() => calls).toEqual(["send"])
    room = 1
    void host.websocket.drain(socket)
    await expect.poll(() => calls).toEqual(["send", "send", "send", "send", "send"])
    await host.close({ deadlineMs: 0 })
  })

  it("ends when Bun has dropped a message: one that is missing is worse than none", async () => {
    const { host, calls, machine: side } = await opened(() => 0)
    side.send(1, "x")
    await expect.poll(() => calls).toEqual(["send", "terminate"])
    await host.close({ deadlineMs: 0 })
  })

  it("passes a client at most 16 pings that it has not responded to, and responds to the others", async () => {
    const { host, socket, calls, machine: side } = await opened(() => 1)
    for (let i = 0; i < 40; i++) side.send(9, `${i}`)
    await side.until(() => side.frames.length === 24, "pongs")
    expect(calls.filter((each) => each === "ping")).toHaveLength(16)
    void host.websocket.pong(socket, Buffer.from("0") as never)
    await side.until(() => side.frames.length === 25, "pong")
    await host.close({ deadlineMs: 0 })
  })
})
