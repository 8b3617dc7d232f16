import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "vitest"
import type { IncomingRequest } from "../../src/sockets.ts"
import * as h from "./harness.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

describe("an open WebSocket", () => {
  it("keeps nothing of its request in memory, and its event at the end says all of it", async () => {
    const app = await h.listenApp((raw) => void raw.until("\r\n\r\n").then(() => raw.send(h.switching)))
    const kept: WeakRef<object>[] = []
    let over = false
    const front = await h.listen((request: IncomingRequest) => {
      kept.push(new WeakRef(request), new WeakRef(request.head), new WeakRef(request.head.headers))
      void request.over().then(() => (over = true))
      return h.asSent(request, app.port)
    })
    const client = await front.connect()
    client.send(h.handshake())
    await client.until("\r\n\r\n")
    await h.eventually(() => {
      collect()
      return kept.every((reference) => reference.deref() === undefined)
    })
    const raw = await app.connection(0)
    raw.send("hello")
    await client.until("hello")
    expect([over, front.events]).toEqual([false, []])
    client.socket.destroy()
    // It would have half a minute to follow.
    await raw.over()
    raw.socket.end()
    await h.eventually(() => over && front.events.length > 0)
    expect(front.events).toMatchObject([
      {
        type: "request",
        method: "GET",
        status: 101,
        upgrade: true,
        bytesOut: 5,
        complete: true,
        remoteAddress: "127.0.0.1",
      },
    ])
  })
})
