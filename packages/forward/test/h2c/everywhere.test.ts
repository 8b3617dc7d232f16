/** What holds of apps that speak HTTP/2 on every runtime, Deno too. */
import { expect, it } from "vitest"
import { asSent, listen } from "../engine/harness.ts"
import { block, END_HEADERS, END_STREAM, frame, framesApp, HEADERS } from "./frames-app.ts"

it("a request to an app of HTTP/2 is carried, or refused on Deno, where an app's frames could end the process", async () => {
  let streams = 0
  const app = await framesApp((raw, stream) => {
    streams++
    raw.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, block(":status", "200")))
  })
  const origin = { pool: "app", host: "loopback", port: app.port, protocol: "h2c" } as const
  const client = await (await listen((request) => ({ ...asSent(request, app.port), origin }))).connect()
  client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
  const head = await client.until("\r\n\r\n")
  const isDeno = "Deno" in globalThis
  expect(head).toMatch(isDeno ? /^HTTP\/1\.1 502 [^]*UPSTREAM_FAILED/ : /^HTTP\/1\.1 200 /)
  expect(streams).toBe(isDeno ? 0 : 1)
})
