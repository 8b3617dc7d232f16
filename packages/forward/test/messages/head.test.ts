import { describe, expect, it } from "vitest"
import type { RequestMessageHead } from "../../src/sockets.ts"
import { eventually, listen, respondingApp, asSent } from "../engine/harness.ts"
import { Recorder, request } from "./recorder.ts"

const twice = ["Host", "b"]

/** Each would be another text than it says, or is refused of a client of HTTP/1.1 as well. */
const refused: readonly [string, Partial<RequestMessageHead>, number?][] = [
  ["a line end in a value", { headers: ["X-A", "1\r\nX-B: 2"] }],
  ["a bare LF in a value", { headers: ["X-A", "1\n2"] }],
  ["NUL in a value", { headers: ["X-A", "1\0"] }],
  ["a character that is no byte", { headers: ["X-A", "\u010a"] }],
  ["an empty name", { headers: ["", "1"] }],
  ["a pseudo-header as a field", { headers: [":path", "/b"] }],
  ["a colon in a name", { headers: ["X:A", "1"] }],
  ["a space in a name", { headers: ["X A", "1"] }],
  ["a line end in a name", { headers: ["X-A: 1\r\nX-B", "2"] }],
  ["a line end in the target", { target: "/ HTTP/1.1\r\nX-A: 1\r\n\r\n" }],
  ["a space in the target", { target: "/a b" }],
  ["no target", { target: "" }],
  ["a fragment", { target: "/#a" }],
  ["a space in the method", { method: "GET /b" }],
  ["a line end in the authority", { authority: "a\r\nX-A: 1" }],
  ["no authority", { authority: undefined }],
  ["an empty authority", { authority: "" }],
  ["userinfo in the authority", { authority: "b@a" }],
  ["a Host that differs from the authority", { headers: twice }],
  ["two of Host", { authority: undefined, headers: [...twice, ...twice] }],
  ["Content-Length without a body", { headers: ["Content-Length", "5"] }],
  ["two of Content-Length", { ended: false, headers: ["Content-Length", "1", "Content-Length", "1"] }],
  ["an invalid Content-Length", { ended: false, headers: ["Content-Length", "+1"] }],
  ["both framings", { ended: false, headers: ["Content-Length", "1", "Transfer-Encoding", "chunked"] }],
  ["a disguised coding", { ended: false, headers: ["Transfer-Encoding", "chunked, chunked"] }],
  ["an unknown coding", { ended: false, headers: ["Transfer-Encoding", "gzip"] }, 501],
  ["CONNECT", { method: "CONNECT" }, 405],
  ["an unknown method", { method: "BREW" }, 501],
  ["a target that is too long", { target: "/" + "a".repeat(40_000) }, 414],
  ["a head that is too large", { headers: ["X-A", "a".repeat(70_000)] }, 431],
  ["too many fields", { headers: Array.from({ length: 4_000 }, () => "a") }, 431],
]

describe("a head that another parser has read", () => {
  it.each(refused)("is refused with %s", async (_, more, status = 400) => {
    const app = await respondingApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = await Recorder.send(front.engine, request(more)).over()
    expect(sent.response?.status).toBe(status)
    expect(app.connections).toHaveLength(0)
    expect(front.events).toMatchObject([{ type: "error" }])
    await eventually(() => front.engine.connections() === 0)
  })

  it("may have a Host that is the authority, and fields of its connection that end here", async () => {
    const app = await respondingApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const headers = ["Host", "A", "Connection", "keep-alive", "Transfer-Encoding", "chunked"]
    const sent = Recorder.send(front.engine, request({ method: "POST", ended: false, headers }))
    sent.message.complete()
    expect((await sent.over()).text).toBe("ok")
  })

  it("may be of HTTP/1.0, whose response ends with its stream", async () => {
    const app = await respondingApp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = await Recorder.send(front.engine, request({ authority: undefined, version: 10 })).over()
    expect(sent).toMatchObject({ state: "ended", text: "ok" })
  })
})
