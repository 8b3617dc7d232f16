import { describe, expect, it } from "vitest"
import { asSent, eventually, listenApp, respondingApp, switching, to } from "../engine/harness.ts"
import { listenHttp2, send } from "./harness.ts"

describe("a request by HTTP/2", () => {
  it("reaches the app as HTTP/1.1, and its response the client", async () => {
    const app = await listenApp((raw) => {
      raw.socket.on("data", () => {
        if (raw.text.includes("\r\n\r\n"))
          raw.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: 1\r\nETag: 2\r\n\r\nok",
          )
      })
    })
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const seen = await send(front.connect(), { ":path": "/a?b", cookie: ["a=1", "b=2"], "x-a": "\xe9" })
    expect(seen).toMatchObject({ status: 200, text: "ok", code: 0, trailers: undefined })
    expect(seen.headers).toMatchObject({ "set-cookie": ["a=1", "b=2"], etag: "1", "content-length": "2" })
    const { text } = await app.connection(0)
    expect(text).toMatch(/^GET \/a\?b HTTP\/1\.1\r\nHost: localhost\r\n/)
    expect(text).toContain("cookie: a=1; b=2\r\n")
    expect(text).toContain("x-a: \xe9\r\n")
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([
      { type: "request", target: "/a?b", host: "localhost", status: 200, bytesIn: 0, bytesOut: 2, complete: true },
    ])
  })

  it("has a body of a length or none, and trailers, both ways", async () => {
    const response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n"
    const app = await listenApp((raw) => {
      raw.socket.on("data", () => {
        if (raw.text.includes("X-Sum: 1\r\n\r\n") || raw.text.includes("x-sum: 1\r\n\r\n")) raw.send(response)
      })
    })
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const headers = { ":method": "POST", te: "trailers" }
    const seen = await send(front.connect(), headers, "hello", { "x-sum": "1" })
    expect(seen).toMatchObject({ status: 200, text: "ok", trailers: { "grpc-status": "0" }, code: 0 })
    expect((await app.connection(0)).text).toContain("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([{ bytesIn: 5, bytesOut: 2 }])
  })

  it("gets a head alone as one frame that ends the stream", async () => {
    const app = await respondingApp("HTTP/1.1 204 No Content\r\n\r\n")
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const session = front.connect()
    expect(await send(session)).toMatchObject({ status: 204, text: "", code: 0 })
    expect(await send(session, { ":method": "HEAD" })).toMatchObject({ status: 204, code: 0 })
  })

  it("gets interim responses", async () => {
    const app = await respondingApp(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const seen = await send(front.connect())
    expect(seen.interims).toMatchObject([{ ":status": 103, link: "</a>" }])
    expect(seen.status).toBe(200)
  })
})
