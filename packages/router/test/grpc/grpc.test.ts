/** A real client and a real server of gRPC, with a router and a machine proxy between them. */
import { Metadata, status } from "@grpc/grpc-js"
import type { Client } from "@grpc/grpc-js"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startChain } from "./chain.ts"
import { call, service, startService } from "./service.ts"

const bytes = (message: Buffer): Buffer => message
const { OK, CANCELLED, DEADLINE_EXCEEDED, NOT_FOUND, UNAVAILABLE, UNIMPLEMENTED } = status

let app: Awaited<ReturnType<typeof startService>>
let chain: Awaited<ReturnType<typeof startChain>>
let client: Client

beforeAll(async () => {
  app = await startService()
  chain = await startChain({ [app.port]: { protocol: "h2c" } })
  client = chain.client()
})
afterAll(async () => {
  client.close()
  app.close()
  await chain.close()
})

const until = async (isTrue: () => boolean) => {
  await expect.poll(isTrue, { timeout: 20_000, interval: 10 }).toBe(true)
}

describe("a call of gRPC", () => {
  it("with one request and one response", async () => {
    expect(await call(client, service.unary, "hello")).toMatchObject({ code: OK, message: "hello" })
  })

  it("with many requests", async () => {
    const response = await new Promise<Buffer | undefined>((resolve, reject) => {
      const sent = client.makeClientStreamRequest(service.collect.path, bytes, bytes, new Metadata(), (error, value) =>
        error === null ? resolve(value) : reject(error),
      )
      for (const piece of ["a", "b", "c"]) sent.write(Buffer.from(piece))
      sent.end()
    })
    expect(String(response)).toBe("abc")
  })

  it("with many responses", async () => {
    const received: string[] = []
    const sent = client.makeServerStreamRequest(service.count.path, bytes, bytes, Buffer.from("50"))
    for await (const piece of sent) received.push(String(piece))
    expect(received).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
  })

  it("in both directions at once: each side waits for the other's last word", async () => {
    const sent = client.makeBidiStreamRequest(service.chat.path, bytes, bytes)
    const replies = sent[Symbol.asyncIterator]()
    for (const word of ["one", "two", "three"]) {
      sent.write(Buffer.from(word))
      expect(String((await replies.next()).value)).toBe(`you said ${word}`)
    }
    sent.end()
    expect((await replies.next()).done).toBe(true)
  })

  it("has its metadata, in both directions, before and after the message", async () => {
    const metadata = new Metadata()
    metadata.set("x-token", "abc")
    metadata.set("x-data-bin", Buffer.from([0, 1, 254]))
    const { code, message, initial, trailing } = await call(client, service.metadata, "", metadata)
    expect(code).toBe(OK)
    expect(JSON.parse(message!)).toMatchObject({ "x-token": "abc", "x-iterate-proxy-public-origin": expect.anything() })
    expect(initial?.get("x-initial")).toEqual(["first"])
    expect(trailing.get("x-trailing-bin")).toEqual([Buffer.from([0, 255, 7])])
  })

  it("fails with the app's status, message and details, which come without any message", async () => {
    const { code, details, trailing, initial } = await call(client, service.fail, "x")
    expect([code, details]).toEqual([NOT_FOUND, "kein Schlüssel: 100 %"])
    expect(trailing.get("grpc-status-details-bin")).toEqual([Buffer.from([8, 5, 18, 3, 110, 111, 33])])
    expect(trailing.get("reason")).toEqual(["because"])
    // Of a head and nothing else ("Trailers-Only") a client makes no initial metadata.
    expect(initial?.get("reason") ?? []).toEqual([])
  })

  it("has its deadline, which the app is told", async () => {
    const { code } = await call(client, service.never, "", new Metadata(), { deadline: Date.now() + 1_000 })
    expect(code).toBe(DEADLINE_EXCEEDED)
    // The app's clock starts when it hears of it.
    expect(app.seen.deadlines.map((at) => Math.abs(at - Date.now()) < 10_000)).toEqual([true])
    await until(() => app.seen.cancelled.includes("never"))
  })

  it("is cancelled at the app when the client cancels", async () => {
    const sent = client.makeBidiStreamRequest(service.chat.path, bytes, bytes)
    const code = new Promise((resolve) => sent.on("error", (error: { readonly code?: number }) => resolve(error.code)))
    await new Promise<void>((resolve) => {
      sent.on("data", () => resolve())
      sent.write(Buffer.from("hello"))
    })
    sent.cancel()
    expect(await code).toBe(CANCELLED)
    await until(() => app.seen.cancelled.includes("chat"))
  })

  it("carries messages of 4 MiB", async () => {
    const message = "x".repeat(4 << 20)
    const response = await call(client, service.unary, message)
    expect(response.code).toBe(OK)
    expect(response.message === message).toBe(true)
  })

  it("is one of a hundred on one connection", async () => {
    const calls = Array.from({ length: 100 }, (_, i) => call(client, service.unary, `call ${i}`))
    expect((await Promise.all(calls)).map(({ message }) => message)).toEqual(calls.map((_, i) => `call ${i}`))
  })
})

describe("a failure of ours, for a client of gRPC", () => {
  it("is a status of gRPC with the code and the sentence", async () => {
    const unknown = chain.client("nobody.iterate.app")
    const missing = await call(unknown, service.unary, "x")
    unknown.close()
    expect(missing.code).toBe(UNIMPLEMENTED)
    expect(missing.details).toMatch(/^ROUTE_NOT_FOUND: /)
    expect(missing.trailing.get("x-iterate-proxy-error")).toEqual(["ROUTE_NOT_FOUND"])
  })

  it("of the machine's proxy as well: a closed port, and one that is not allowed", async () => {
    const closed = await startService()
    closed.close()
    const other = await startChain({ [closed.port]: { protocol: "h2c" }, 22: { protocol: "h2c" } })
    const codes = []
    for (const host of [`${closed.port}__misha.iterate.app`, "22__misha.iterate.app"]) {
      const asking = other.client(host)
      const { code, details } = await call(asking, service.unary, "x")
      codes.push([code, details.split(":")[0]])
      asking.close()
    }
    expect(codes).toEqual([
      [UNAVAILABLE, "PORT_CLOSED"],
      [status.PERMISSION_DENIED, "PORT_FORBIDDEN"],
    ])
    await other.close()
  })
})
