// One way from HTTP/2 to an app of HTTP/1.1, in a process of its own: `node peer.ts ours|bare <port of the app>` says its port.
import { readFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { createSecureServer } from "node:http2"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { defaultHeaderNames, requestHeaders } from "../../packages/forward/src/forward.ts"
import { createEngine } from "../../packages/forward/src/sockets.ts"

const [which, to] = [process.argv[2], Number(process.argv[3])]
const fixture = (name: string) =>
  readFileSync(new URL(`../../packages/forward/test/fixtures/localhost.${name}`, import.meta.url))
const identity = { cert: fixture("crt"), key: fixture("key"), ALPNProtocols: ["h2", "http/1.1"] }

/** The engine, with the header rules that a router has. */
const ours = (): Server => {
  const engine = createEngine({
    onRequest: ({ head }) => ({
      origin: { pool: "app", host: "127.0.0.1", port: to },
      headers: requestHeaders(head.headers, {
        headerNames: defaultHeaderNames,
        host: "localhost",
        pseudonym: "bench",
        trusted: false,
        upgrade: head.upgrade,
        add: [],
      }),
      response: { headerNames: defaultHeaderNames, stamped: false, add: [] },
    }),
    failure: () => ({ status: 502, headers: [] }),
    limits: { maxStreamResets: 100_000 },
  })
  return createServer(engine.secureConnection(createTlsServer(identity)))
}

/** What one writes with node:http2 and node:http: pipes both ways, and no rules but those that Node insists on. */
const bare = (): Server => {
  const agent = new Agent({ keepAlive: true })
  const server = createSecureServer(identity)
  server.on("stream", (stream, headers) => {
    const { ":method": method, ":path": path, ":authority": _a, ":scheme": _s, ...fields } = headers
    const upstream = request({
      agent,
      port: to,
      host: "127.0.0.1",
      method,
      path,
      headers: { ...fields, host: "localhost" },
    })
    upstream.on("response", (response) => {
      const { connection: _c, "keep-alive": _k, "transfer-encoding": _t, ...kept } = response.headers
      stream.respond({ ":status": response.statusCode, ...kept })
      response.pipe(stream)
    })
    upstream.on("error", () => stream.close(2))
    stream.on("error", () => upstream.destroy())
    stream.pipe(upstream)
  })
  return server
}

const server = which === "ours" ? ours() : bare()
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port))
