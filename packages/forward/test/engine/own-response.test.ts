import { describe, expect, it } from "vitest"
import { errorResponse, forwardErrors, defaultHeaderNames as names } from "../../src/forward.ts"
import type { GeneratedResponse, ResponseHop } from "../../src/forward.ts"
import { validGeneratedResponse } from "../../src/internal.ts"
import type { Decision } from "../../src/sockets.ts"
import * as h from "./harness.ts"

const stream = (text: string) => new Response(text).body!
const locked = () => {
  const body = stream("read by somebody")
  body.getReader()
  return body
}

const invalid: [what: string, response: unknown, problem: string][] = [
  ["nothing", undefined, "it must be an object, got undefined"],
  ["a status that ends nothing", { status: 100, headers: [] }, "status must be an integer from 200 to 599, got 100"],
  ["a handshake", { status: 101, headers: [] }, "status must be an integer from 200 to 599, got 101"],
  ["a status above all", { status: 600, headers: [] }, "status must be an integer from 200 to 599, got 600"],
  ["half a status", { status: 200.5, headers: [] }, "status must be an integer from 200 to 599, got 200.5"],
  ["a text for a status", { status: "200", headers: [] }, "status must be an integer from 200 to 599, got a string"],
  ["no headers", { status: 200 }, "headers must be a flat array of names and values"],
  ["headers as an object", { status: 200, headers: { a: "b" } }, "headers must be a flat array of names and values"],
  ["headers in pairs", { status: 200, headers: [["a", "b"], []] }, "a header name is not a token"],
  ["a name without a value", { status: 200, headers: ["X-A"] }, "headers must have a value for each name"],
  ["a name that is no token", { status: 200, headers: ["X A", "1"] }, "a header name is not a token"],
  ["a line end in a value", { status: 200, headers: ["X-A", "1\r\nX-B: 2"] }, "header X-A has an invalid value"],
  ["a value above one byte", { status: 200, headers: ["X-A", "\u010d\u010a"] }, "header X-A has an invalid value"],
  ["a value that is no text", { status: 200, headers: ["X-A", undefined] }, "header X-A has an invalid value"],
  [
    "framing of its own",
    { status: 200, headers: ["Transfer-Encoding", "chunked"] },
    "header Transfer-Encoding belongs",
  ],
  ["a connection of its own", { status: 200, headers: ["connection", "close"] }, "header connection belongs"],
  ["an upgrade of its own", { status: 426, headers: ["Connection", "Upgrade, close"] }, "header Connection belongs"],
  ["an invalid length", { status: 200, headers: ["Content-Length", "-1"] }, "Content-Length must be a number"],
  [
    "two lengths",
    { status: 200, headers: ["Content-Length", "1", "content-length", "2"], body: stream("ab") },
    "there must be one Content-Length at most",
  ],
  [
    "a body that is no bytes",
    { status: 200, headers: [], body: { a: 1 } },
    "body must be a string, a Uint8Array, null",
  ],
  ["a body that somebody reads", { status: 200, headers: [], body: locked() }, "body must be a string, a Uint8Array"],
  ["a body with 204", { status: 204, headers: [], body: "a" }, "there must be no body with status 204"],
  ["a body with 304", { status: 304, headers: [], body: stream("a") }, "there must be no body with status 304"],
  ["a code that is no text", { status: 200, headers: [], code: 1 }, "code must be a string, got 1"],
]

describe("a generated response", () => {
  it.each<[string, GeneratedResponse]>([
    ["without a body", { status: 204, headers: [] }],
    ["with an empty one where there is none", { status: 304, headers: ["Content-Length", "5"], body: "" }],
    ["with text", { status: 599, headers: ["X-A", "\u00e4\t~"], body: "a", code: "A" }],
    ["with bytes", { status: 200, headers: [], body: new Uint8Array(1) }],
    ["with a stream and its length", { status: 200, headers: ["Content-Length", "1"], body: stream("a") }],
    ["that asks for an upgrade", { status: 426, headers: ["Connection", "Upgrade", "Upgrade", "websocket"] }],
    ["for a failure", errorResponse(forwardErrors.Overloaded, { headerNames: names, pseudonym: "p", format: "page" })],
  ])("%s is valid", (_what, response) => expect(validGeneratedResponse(response)).toBeUndefined())

  it.each(invalid)("with %s is not", (_what, response, problem) => {
    expect(validGeneratedResponse(response)).toContain(problem)
  })
})

describe("instead of an invalid response the client gets the one for ProxyFailed", () => {
  const cases = invalid.slice(1)

  it.each(cases)("for %s", async (_what, response, problem) => {
    const front = await h.listen(() => response as Decision)
    const client = await front.connect()
    client.send(h.get())
    expect(await client.until("PROXY_FAILED")).toMatch(/^HTTP\/1\.1 500 /)
    expect(front.events).toMatchObject([
      { type: "error", tag: "ProxyFailed", cause: { message: expect.stringContaining(problem) } },
      { type: "request", status: 500, code: "PROXY_FAILED", complete: true },
    ])
    // Nothing was reset: the connection goes on.
    client.send(h.get())
    await client.until("PROXY_FAILED")
  })

  it("whose own failure is reported, and who ends in a bare 500, when the host makes none", async () => {
    const throws = (): GeneratedResponse => {
      throw new Error("mine")
    }
    for (const failure of [() => ({ status: 0, headers: [] }), throws]) {
      const front = await h.listen(() => ({ status: 99, headers: [] }), { failure })
      const client = await front.connect()
      client.send(h.get())
      expect(await client.until("\r\n\r\n")).toMatch(
        /^HTTP\/1\.1 500 Internal Server Error\r\n[^]*Content-Length: 0\r\n/,
      )
      const errors = front.events.filter(({ type }) => type === "error")
      expect(errors.length).toBeGreaterThanOrEqual(2)
      expect(front.events.at(-1)).toMatchObject({ type: "request", status: 500, code: "PROXY_FAILED" })
    }
  })

  it("when the host's response for another failure is invalid or throws", async () => {
    const row = { headerNames: names, pseudonym: "test" }
    for (const broken of [() => ({ status: 1, headers: [] }), () => expect.unreachable()]) {
      const front = await h.listen(() => h.to(1), {
        failure: (tag) => (tag === "PortClosed" ? broken() : errorResponse(forwardErrors[tag], row)),
      })
      const client = await front.connect()
      client.send(h.get())
      expect(await client.until("PROXY_FAILED")).toMatch(/^HTTP\/1\.1 500 /)
    }
  })

  it("and a stream that came with it is cancelled", async () => {
    let canceled = false
    const body = new ReadableStream<Uint8Array>({ cancel: () => void (canceled = true) })
    const front = await h.listen(() => ({ status: 200, headers: ["X-A"], body }))
    const client = await front.connect()
    client.send(h.get())
    await client.until("PROXY_FAILED")
    await h.eventually(() => canceled)
    expect(front.events.at(-1)).toMatchObject({ type: "request", status: 500, complete: true })
  })
})

describe("an edit that throws for the 101 of a WebSocket", () => {
  const hop: ResponseHop = {
    headerNames: names,
    stamped: false,
    add: [],
    edit: () => {
      throw new Error("mine")
    },
  }

  it.each(["decides at once", "sends first"])("ends the app's connection, which frees its place: %s", async (how) => {
    const apps = await h.listenApp()
    const front = await h.listen(
      async (request): Promise<Decision> => {
        const directive = { ...h.asSent(request, apps.port), ...(request.head.upgrade ? { response: hop } : {}) }
        if (how === "decides at once") return directive
        await request.send(directive)
        return "relay"
      },
      { limits: { maxConnectionsPerPool: 1 } },
    )
    const client = await front.connect()
    client.send(h.handshake())
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    app.send(h.switching)
    expect(await client.until("PROXY_FAILED")).toMatch(/^HTTP\/1\.1 500 /)
    expect((await app.over()).state).not.toBe("open")
    const next = await front.connect()
    next.send(h.get())
    const second = await apps.connection(1)
    await second.until("\r\n\r\n")
    second.send("HTTP/1.1 204 N\r\n\r\n")
    expect(h.status(await next.until("\r\n\r\n"))).toBe(204)
  })
})
