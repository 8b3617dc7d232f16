/** Apps that speak TLS on their port of the machine, and apps at an address of their own. */
import { createServer as createHttps } from "node:https"
import { request } from "node:http"
import type { IncomingMessage, RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { upstream } from "@project-ingress/providers/upstream"
import { afterEach, describe, expect, it } from "vitest"
import type { PortSettings } from "../src/stores/record.ts"
import { identity, startChain } from "./grpc/chain.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const startApp = async (listener: RequestListener, host = "127.0.0.1") => {
  const names: unknown[] = []
  const server = createHttps(identity, listener)
  server.on("secureConnection", (socket) => names.push(socket.servername))
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, names }
}

const ask = async (port: number, host: string, headers: Record<string, string> = {}) => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path: "/a", headers: { host, ...headers }, agent: false }, resolve)
    sent.on("error", reject)
    sent.end()
  })
  let text = ""
  for await (const piece of response) text += String(piece)
  return { status: response.statusCode, headers: response.headers, text }
}

const echo: RequestListener = (req, res) => {
  res.setHeader("location", `https://${req.headers.host}/next`)
  res.end(JSON.stringify(req.headers))
}

const chainTo = async (port: number, settings: PortSettings) => {
  const chain = await startChain({ [port]: settings })
  closing.push(chain.close)
  return chain
}

describe("an app that speaks TLS", () => {
  it("with a certificate of its own making is reached if it need not be verified, and named localhost", async () => {
    const app = await startApp(echo)
    const { port } = await chainTo(app.port, { protocol: "https", tls: { verify: false } })
    const { status, text } = await ask(port, "misha.iterate.app")
    expect(status).toBe(200)
    expect(JSON.parse(text)).toMatchObject({ host: `localhost:${app.port}` })
    expect(app.names).toEqual(["localhost"])
  })

  it("is asked for another name", async () => {
    const app = await startApp(echo)
    const tls = { verify: false, serverName: "app.internal" }
    const { port } = await chainTo(app.port, { protocol: "https", tls })
    expect((await ask(port, "misha.iterate.app")).status).toBe(200)
    expect(app.names).toEqual(["app.internal"])
  })

  it.each<[string, PortSettings]>([
    ["by default", { protocol: "https" }],
    ["where the settings say so", { protocol: "https", tls: { verify: true } }],
    ["with a name", { protocol: "https", tls: { verify: true, serverName: "localhost" } }],
  ])("is verified %s, and sent nothing", async (_, settings) => {
    let requests = 0
    const app = await startApp(() => requests++)
    const { port } = await chainTo(app.port, settings)
    const { status, headers } = await ask(port, "misha.iterate.app")
    expect([status, headers["x-iterate-proxy-error"], requests]).toEqual([502, "UPSTREAM_UNTRUSTED", 0])
  })

  it("has the origin https://localhost:<port>, to and fro", async () => {
    const app = await startApp(echo)
    const { port } = await chainTo(app.port, { protocol: "https", tls: { verify: false } })
    const { headers, text } = await ask(port, "misha.iterate.app", { origin: "http://misha.iterate.app" })
    expect(JSON.parse(text)).toMatchObject({ origin: `https://localhost:${app.port}` })
    expect(headers.location).toBe("http://misha.iterate.app/next")
  })

  it("is a 502 where it does not speak it after all, and is one that says so", async () => {
    const { createServer } = await import("node:http")
    const plain = createServer(echo).listen(0, "127.0.0.1")
    await new Promise((resolve) => plain.once("listening", resolve))
    closing.push(() => plain.close())
    const app = plain.address() as AddressInfo
    const { port } = await chainTo(app.port, { protocol: "https", tls: { verify: false } })
    const { status, headers } = await ask(port, "misha.iterate.app")
    expect([status, headers["proxy-status"]]).toEqual([502, expect.stringContaining("http_protocol_error")])
  })

  it("is not chosen by a client: the field by which the router says it is dropped", async () => {
    const app = await startApp(echo)
    const { port } = await chainTo(app.port, { protocol: "https" })
    const { status } = await ask(port, "misha.iterate.app", { "x-iterate-proxy-protocol": "https;verify=?0" })
    expect(status).toBe(502)
  })
})

describe("an app at an address of its own", () => {
  const direct = async (origin: string, appPort: number, settings: PortSettings) => {
    const chain = await startChain(
      { [appPort]: settings },
      { provider: upstream({ allowCidrs: ["127.0.0.0/8"] }), metadata: { origin } },
    )
    closing.push(chain.close)
    return chain
  }

  it("is verified as its settings say", async () => {
    const app = await startApp(echo)
    const origin = `https://127.0.0.1:${app.port}`
    const verified = await direct(origin, app.port, { protocol: "https" })
    expect((await ask(verified.port, "misha.iterate.app")).status).toBe(502)
    const tls = { verify: false, serverName: "app.internal" }
    const trusted = await direct(origin, app.port, { protocol: "https", tls })
    expect((await ask(trusted.port, "misha.iterate.app")).status).toBe(200)
    expect(app.names.at(-1)).toBe("app.internal")
  })

  it("is a 501 that names the contradiction if its origin is of http", async () => {
    const { port } = await direct("http://127.0.0.1:9", 9, { protocol: "https" })
    const { status, text, headers } = await ask(port, "misha.iterate.app", { accept: "application/json" })
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([501, "PROTOCOL_NOT_CARRIED"])
    expect(text).toContain("write https there")
  })

  it("is a 501 by Fetch, which cannot leave a certificate unverified", async () => {
    const tls = { verify: false }
    const { router } = await direct("https://127.0.0.1:9", 9, { protocol: "https", tls })
    const response = await router.fetch(new Request("http://misha.iterate.app/"))
    expect(response?.headers.get("x-iterate-proxy-error")).toBe("PROTOCOL_NOT_CARRIED")
  })
})
