/** What gRPC gets through, and what it is told where it does not. */
import { Metadata, status } from "@grpc/grpc-js"
import { readFileSync } from "node:fs"
import { createServer as createHttp2 } from "node:http2"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { MachineProvider } from "@project-ingress/providers"
import { cloudflareContainer } from "@project-ingress/providers/cloudflare-container"
import { cloudflareSandbox } from "@project-ingress/providers/cloudflare-sandbox"
import { cloudflareTunnel } from "@project-ingress/providers/cloudflare-tunnel"
import { daytona } from "@project-ingress/providers/daytona"
import { docker } from "@project-ingress/providers/docker"
import { e2b } from "@project-ingress/providers/e2b"
import { fly } from "@project-ingress/providers/fly"
import { local } from "@project-ingress/providers/local"
import { relay } from "@project-ingress/providers/relay"
import { sprites } from "@project-ingress/providers/sprites"
import { upstream } from "@project-ingress/providers/upstream"
import { url } from "@project-ingress/providers/url"
import { vercelSandbox } from "@project-ingress/providers/vercel-sandbox"
import { afterEach, describe, expect, it } from "vitest"
import { raw } from "../../../machine-proxy/test/harness.ts"
import { startChain } from "./chain.ts"
import { call, service, startService } from "./service.ts"

const bytes = (message: Buffer): Buffer => message
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})
const started = async (...options: Parameters<typeof startChain>) => {
  const chain = await startChain(...options)
  closing.push(chain.close)
  const client = chain.client()
  closing.push(() => client.close())
  return { ...chain, grpc: client }
}
const app = async () => {
  const running = await startService()
  closing.push(running.close)
  return running
}

describe("a provider whose platform is not known to carry what gRPC needs", () => {
  const without = (carries: MachineProvider["capabilities"]["carries"]): MachineProvider => {
    const { carries: _, ...capabilities } = local().capabilities
    const resolve = (): never => {
      throw new Error("asked")
    }
    return { ...local(), capabilities: { ...capabilities, ...(carries && { carries }) }, resolve }
  }

  it.each<[MachineProvider["capabilities"]["carries"], string]>([
    [{ trailers: false, duplex: true }, 'The provider "local" is not known to carry trailers, which'],
    [{ trailers: true, duplex: false }, "both directions at once, which"],
    [undefined, "trailers and both directions at once, which"],
  ])("is not asked: the call is UNIMPLEMENTED, and says what to do: %j", async (carries, sentence) => {
    const { grpc } = await started({ 50051: { protocol: "h2c" } }, { provider: without(carries) })
    const { code, details } = await call(grpc, service.unary, "x")
    expect([code, details]).toEqual([status.UNIMPLEMENTED, expect.stringContaining(sentence)])
    expect(details).toMatch(/^PROTOCOL_NOT_CARRIED: [^]*Look at the page of this code/)
  })

  it("carries everything else that is HTTP to the same port", async () => {
    const server = createHttp2((_, response) => response.end("plain"))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    closing.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const provider = {
      ...without(undefined),
      resolve: (...args: Parameters<MachineProvider["resolve"]>) => local().resolve(...args),
    }
    const chain = await started({ [port]: { protocol: "h2c" } }, { provider })
    const { status: code, body } = await raw(chain.port, ["GET / HTTP/1.1", "Host: misha.iterate.app"])
    expect([code, body]).toEqual([200, expect.stringContaining("plain")])
  })

  it("is what each adapter says it is, and docs/grpc.md repeats", () => {
    const none = { getByName: () => ({}) } as never
    const providers = {
      local: local(),
      docker: docker(),
      url: url(),
      upstream: upstream(),
      fly: fly({ token: "t" }),
      sprites: sprites({ token: "t" }),
      daytona: daytona({ apiKey: "k" }),
      e2b: e2b({ apiKey: "e2b_0123456789abcdef" }),
      vercelSandbox: vercelSandbox({ token: "vcp_0123456789abcdef", teamId: "team_1", projectId: "prj_1" }),
      cloudflareTunnel: cloudflareTunnel(),
      cloudflareContainer: cloudflareContainer(none),
      cloudflareSandbox: cloudflareSandbox(none),
      relay: relay(none),
    }
    const said = (carried: boolean | undefined) => (carried === true ? "yes" : "no")
    const declared = Object.entries(providers).map(([name, { capabilities }]) => [
      name,
      said(capabilities.carries?.trailers),
      said(capabilities.carries?.duplex),
    ])
    const page = readFileSync(new URL("../../../../docs/grpc.md", import.meta.url), "utf8")
    const table = /<!-- carries:[^]*<!-- \/carries -->/.exec(page)![0]
    const rows = [...table.matchAll(/^\| `(\w+)` +\| (\w+) +\| (\w+) +\|/gm)].map(([, ...cells]) => cells)
    expect(declared).toEqual(rows)
  })
})

it("a router by Fetch carries no trailers: the call is refused as gRPC wants it, and nothing is sent", async () => {
  const { port, seen } = await app()
  const { router } = await started({ [port]: { protocol: "h2c" } })
  const headers = { "content-type": "application/grpc+proto" }
  const response = (await router.fetch(
    new Request("http://misha.iterate.app/test.Echo/Never", { method: "POST", headers, body: "x" }),
  ))!
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "application/grpc",
    "grpc-status": "12",
    "x-iterate-proxy-error": "PROTOCOL_NOT_CARRIED",
  })
  expect([response.status, await response.text(), seen.cancelled]).toEqual([200, "", []])
})

it("an app at an address of its own is spoken to by the router itself", async () => {
  const { port } = await app()
  const { grpc } = await started(
    { [port]: { protocol: "h2c" } },
    { provider: upstream({ allowCidrs: ["127.0.0.0/8"] }), metadata: { origin: `http://127.0.0.1:${port}` } },
  )
  expect(await call(grpc, service.unary, "hello")).toMatchObject({ code: status.OK, message: "hello" })
  expect(await call(grpc, service.fail, "x")).toMatchObject({ code: status.NOT_FOUND })
})

it("a call may be silent for longer than any time-out of requests", async () => {
  const { port } = await app()
  const limits = { bodyIdleTimeoutMs: 150, upstreamIdleTimeoutMs: 150, minBodyRate: 1_000, minBodyRateGraceMs: 50 }
  const { grpc } = await started({ [port]: { protocol: "h2c" } }, { proxy: { limits }, host: { limits } })
  const silence = () => new Promise((resolve) => setTimeout(resolve, 500))
  // Nothing of the response has come, for the app waits for all of the request.
  const collected = new Promise<Buffer | undefined>((resolve, reject) => {
    const sent = grpc.makeClientStreamRequest(service.collect.path, bytes, bytes, new Metadata(), (error, value) =>
      error === null ? resolve(value) : reject(error),
    )
    sent.write(Buffer.from("a"))
    void silence().then(() => sent.end(Buffer.from("b")))
  })
  const sent = grpc.makeBidiStreamRequest(service.chat.path, bytes, bytes)
  const replies = sent[Symbol.asyncIterator]()
  sent.write(Buffer.from("one"))
  expect(String((await replies.next()).value)).toBe("you said one")
  await silence()
  sent.write(Buffer.from("two"))
  expect(String((await replies.next()).value)).toBe("you said two")
  sent.end()
  expect((await replies.next()).done).toBe(true)
  expect(String(await collected)).toBe("ab")
})

it("a stream that the app breaks off fails at the client, and others go on", async () => {
  const server = createHttp2()
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined)
    stream.respond({ ":status": 200, "content-type": "application/grpc" })
    stream.write(Buffer.from([0, 0, 0, 0, 1, 120]), () => {
      if (String(headers[":path"]).endsWith("Never")) stream.close(2)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  const { grpc } = await started({ [(server.address() as AddressInfo).port]: { protocol: "h2c" } })
  const open = grpc.makeServerStreamRequest(service.count.path, bytes, bytes, Buffer.from("1"))
  const replies = open[Symbol.asyncIterator]()
  expect(String((await replies.next()).value)).toBe("x")
  const broken = await call(grpc, service.never, "")
  expect(broken.code).not.toBe(status.OK)
  const ended = replies.next().catch((error: { readonly code?: number }) => error.code)
  open.cancel()
  expect(await ended).toBe(status.CANCELLED)
})

it("gRPC-Web is plain HTTP, whatever the port speaks", async () => {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "application/grpc-web+proto" })
    request.pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  const chain = await started({ [(server.address() as AddressInfo).port]: {} })
  // The last frame, marked by its first byte, has the trailers.
  const message = "\0\0\0\0\x01x\x80\0\0\0\x0egrpc-status:0"
  const { status: code, body } = await raw(
    chain.port,
    [
      "POST /test.Echo/Unary HTTP/1.1",
      "Host: misha.iterate.app",
      "Content-Type: application/grpc-web+proto",
      `Content-Length: ${message.length}`,
    ],
    message,
  )
  expect([code, body.includes(message)]).toEqual([200, true])
})
