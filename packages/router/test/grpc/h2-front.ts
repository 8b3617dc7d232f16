/** A front that speaks HTTP/2 to clients and HTTP/1.1 to a router, as a load balancer may: for tests only. */
import { constants, createServer } from "node:http2"
import { request } from "node:http"
import type { AddressInfo } from "node:net"

const pairs = (raw: readonly string[]): Record<string, string> => {
  const fields: Record<string, string> = {}
  for (let i = 0; i < raw.length; i += 2) {
    const lower = raw[i]!.toLowerCase()
    if (!ofConnection.has(lower)) fields[lower] = raw[i + 1]!
  }
  return fields
}
const ofConnection = new Set(["connection", "keep-alive", "transfer-encoding", "te", "trailer"])

export const startH2Front = async (to: number) => {
  const server = createServer({ settings: { maxConcurrentStreams: 1_000 } })
  server.on("stream", (stream, headers) => {
    const { ":method": method, ":path": path, ":authority": host, ...fields } = headers
    delete fields[":scheme"]
    const sent = request({
      port: to,
      host: "127.0.0.1",
      agent: false,
      method: method!,
      path: path!,
      headers: { ...fields, host, te: "trailers", connection: "TE", "transfer-encoding": "chunked" },
    })
    const failed = () => {
      if (!stream.destroyed) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    }
    sent.flushHeaders()
    sent.on("error", failed)
    sent.on("response", (response) => {
      const head = { ":status": response.statusCode!, ...pairs(response.rawHeaders) }
      const isWhole = response.headers["content-length"] === "0"
      if (stream.destroyed) return
      stream.respond(head, { endStream: isWhole, waitForTrailers: !isWhole })
      if (isWhole) {
        response.resume()
        return
      }
      stream.on("wantTrailers", () => stream.sendTrailers(pairs(response.rawTrailers)))
      response.on("aborted", failed)
      response.pipe(stream)
    })
    stream.on("error", () => undefined)
    stream.on("close", () => sent.destroy())
    stream.pipe(sent)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
