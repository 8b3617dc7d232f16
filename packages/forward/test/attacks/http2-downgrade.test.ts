/** A request of HTTP/2 that is to become two of HTTP/1.1: by lengths, codings, line ends, in whatever place. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { requestReader } from "../../src/http1.ts"
import { defaultLimits } from "../../src/sockets.ts"
import { asSent, listenApp } from "../engine/harness.ts"
import { listenHttp2 } from "../http2/harness.ts"
import * as raw from "../http2/raw-client.ts"

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
const pieces = [
  "",
  "0",
  "1",
  "5",
  "chunked",
  "chunked, chunked",
  "\r\n",
  "\n",
  "\r",
  "\0",
  " ",
  "\t",
  ":",
  "x",
  "localhost",
  "/",
]
const requests = ["", " HTTP/1.1\r\nHost: localhost\r\n\r\n", "x\r\n\r\n", "0\r\n\r\n"].map(
  (before) => before + smuggled,
)
const evil = fc.constantFrom(...pieces, ...requests)
const text = fc.array(evil, { maxLength: 3 }).map((parts) => parts.join(""))
const name = fc.oneof(
  fc.constantFrom(
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "host",
    "expect",
    "te",
    "x-a",
    "cookie",
  ),
  text,
)
const field = fc.tuple(name, text)
const pseudo = (of: string, usual: string) =>
  fc
    .oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: text })
    .map((value) => [of, value] as const)

describe("a request by HTTP/2", () => {
  it("is one request to the app or none, whatever is in it", async () => {
    const app = await listenApp((each) => {
      const reader = requestReader(defaultLimits)
      each.socket.on("data", (bytes: Buffer) => {
        reader.push(bytes)
        for (let event = reader.read(); event !== undefined; event = reader.read()) {
          if (event.type === "refusal") seen.push(`refused: ${event.reason}`)
          if (event.type === "head") seen.push(event.target)
          if (event.type === "end" || (event.type === "head" && event.framing === 0))
            each.send("HTTP/1.1 204 No Content\r\n\r\n")
        }
      })
    })
    const seen: string[] = []
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    let client = (await front.raw()).start()
    let stream = -1
    await fc.assert(
      fc.asyncProperty(
        pseudo(":method", "POST"),
        pseudo(":path", "/wanted"),
        pseudo(":authority", "localhost"),
        fc.array(field, { maxLength: 3 }),
        text,
        field,
        async (method, path, authority, fields, body, trailer) => {
          if (client.closed) {
            client = (await front.raw()).start()
            stream = -1
          }
          stream += 2
          seen.length = 0
          const head = raw.block([method, [":scheme", "https"], path, authority, ...fields])
          const at = stream
          client
            .send(raw.HEADERS, raw.END_HEADERS, at, head)
            .send(raw.DATA, 0, at, Buffer.from(body, "latin1"))
            .send(raw.HEADERS, raw.END_HEADERS | raw.END_STREAM, at, raw.block([trailer]))
          await client.when(
            ({ closed, frames }) =>
              closed ||
              frames.some(
                (each) => each.stream === at && (each.type === raw.RST_STREAM || (each.flags & raw.END_STREAM) > 0),
              ),
          )
          expect(seen.length).toBeLessThan(2)
          expect(seen.filter((target) => target.startsWith("refused") || target === "/smuggled")).toEqual([])
        },
      ),
      { numRuns: 100 },
    )
    expect(app.connections.length).toBeGreaterThan(0)
  })
})
