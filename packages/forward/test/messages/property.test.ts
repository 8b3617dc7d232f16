import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createEngine } from "../../src/sockets.ts"
import { requestReader } from "../../src/http1.ts"
import { defaultLimits } from "../../src/sockets.ts"
import type { EngineOptions } from "../../src/sockets.ts"
import { listenApp, asSent, listen } from "../engine/harness.ts"
import { Recorder, request } from "./recorder.ts"

const name = fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/)
/** Any byte that a value may have, and none at its ends that a parser takes off. */
const value = fc
  .array(fc.constantFrom(...'\t !"(),/:;<=>?@[]{}aZ09~\x80\xa0\xff'.split("")), { maxLength: 20 })
  .map((characters) => characters.join("").replace(/^[\t ]+|[\t ]+$/g, ""))
const fields = fc.array(fc.tuple(name, value), { maxLength: 6 }).map((pairs) => pairs.flat())
const body = fc.array(fc.uint8Array({ maxLength: 9_000 }), { maxLength: 6 })
const target = fc.stringMatching(/^\/[!-"$-~]{0,30}$/)

const bytesOf = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString("latin1")

describe("what goes in comes out", () => {
  it("of requests, in whatever pieces", async () => {
    const app = await listenApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    let n = 0
    await fc.assert(
      fc.asyncProperty(target, fields, body, fields, fc.boolean(), async (path, headers, pieces, trailers, sized) => {
        const bytes = bytesOf(pieces)
        const framing = sized ? ["Content-Length", String(bytes.length)] : []
        const head = request({ method: "POST", target: path, headers: [...headers, ...framing], ended: false })
        const sent = Recorder.send(front.engine, head)
        const raw = await Promise.all([app.connection(n++), sendAll(sent, pieces, trailers)]).then(([raw]) => raw)
        const reader = requestReader({ ...defaultLimits, maxRequestHead: 100_000 })
        const seen = { head: undefined as unknown, body: "", trailers: [] as readonly string[], done: false }
        await raw.when(({ text }) => {
          reader.push(Buffer.from(text, "latin1"))
          raw.text = ""
          for (let event = reader.read(); event !== undefined; event = reader.read()) {
            if (event.type === "refusal") throw new Error(event.reason)
            if (event.type === "head") seen.head = [event.target, event.headers.slice(2, 2 + headers.length)]
            else if (event.type === "body") seen.body += Buffer.from(event.bytes).toString("latin1")
            else seen.trailers = event.trailers
            seen.done = event.type === "end" || (event.type === "head" && event.framing === 0)
          }
          return seen.done
        })
        expect(seen).toEqual({ head: [path, headers], body: bytes, trailers: sized ? [] : trailers, done: true })
        sent.message.abort()
      }),
      { numRuns: 60 },
    )
  })

  it("of responses, in whatever pieces", async () => {
    let response: ReturnType<EngineOptions["failure"]>
    const engine = createEngine({ onRequest: () => response, failure: () => ({ status: 500, headers: [] }) })
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 200, max: 599 }).filter((status) => ![204, 205, 304].includes(status)),
        fields,
        body,
        fc.boolean(),
        async (status, headers, pieces, whole) => {
          const bytes = bytesOf(pieces)
          response = { status, headers, body: whole ? Buffer.from(bytes, "latin1") : streamOf(pieces) }
          const sent = await Recorder.send(engine, request()).over()
          expect(sent.response?.status).toBe(status)
          expect(sent.response?.headers.slice(0, headers.length)).toEqual(headers)
          expect(sent).toMatchObject({ state: "ended", text: bytes })
        },
      ),
      { numRuns: 100 },
    )
  })
})

const sendAll = async (sent: Recorder, pieces: readonly Uint8Array[], trailers: readonly string[]): Promise<void> => {
  for (const piece of pieces) {
    const before = sent.wantedCount
    if (!sent.message.receive(piece)) await sent.when(({ wantedCount }) => wantedCount > before)
  }
  sent.message.complete(trailers)
}

const streamOf = (pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      for (const piece of pieces) if (piece.length > 0) controller.enqueue(piece)
      controller.close()
    },
  })
