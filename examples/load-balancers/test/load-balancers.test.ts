/**
 * Who asks, behind real load balancers that end TLS or pass it through: client → balancer → router → machine proxy with tickets
 * → an Express app with sessions in `secure` cookies. The configurations are those of this folder.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:https"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer as createTlsServer } from "node:tls"
import { fileURLToPath } from "node:url"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import type { FallbackClient, NodeOptions } from "@project-ingress/router/node"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { generate } from "selfsigned"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { WebSocket } from "ws"
import { missing, startBalancer } from "./balancers.ts"
import type { Balancer } from "./balancers.ts"

/** The client's own address, so that it is not the balancer's. */
const CLIENT = "127.0.0.7"
/** The balancer's. */
const trustedProxies = ["127.0.0.1/32"]

const nginx: Balancer = {
  command: "nginx",
  file: "nginx.conf",
  listens: ["listen 443 ssl", "listen 127.0.0.1:{port} ssl"],
  more: [
    [
      "http {\n",
      `http {\n${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path {folder}/${name};\n`).join("")}access_log off;\n`,
    ],
  ],
  args: (file, folder) => ["-c", file, "-p", folder, "-e", "stderr", "-g", `daemon off; pid ${file}.pid;`],
}
const haproxy: Balancer = {
  command: "haproxy",
  file: "haproxy.cfg",
  listens: ["bind :443", "bind 127.0.0.1:{port}"],
  args: (file) => ["-db", "-f", file],
}
const haproxyTcp: Balancer = { ...haproxy, file: "haproxy-tcp.cfg" }
const caddy: Balancer = {
  command: "caddy",
  file: "Caddyfile",
  listens: [
    "*.iterate.app, www.example.com",
    "{\nadmin off\nauto_https disable_redirects\n}\nhttps://*.iterate.app:{port}, https://www.example.com:{port}",
  ],
  args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
}

const setups: readonly {
  readonly name: string
  readonly balancer: Balancer
  readonly options: NodeOptions
  /** True if the router speaks TLS itself. */
  readonly tls?: boolean
}[] = [
  { name: "nginx", balancer: nginx, options: { trustedProxies } },
  { name: "HAProxy", balancer: haproxy, options: { trustedProxies } },
  { name: "Caddy", balancer: caddy, options: { trustedProxies } },
  {
    name: "HAProxy with send-proxy-v2, TLS passed through",
    balancer: haproxyTcp,
    options: { trustedProxies, proxyProtocol: true },
    tls: true,
  },
  {
    name: "HAProxy with send-proxy, TLS passed through",
    balancer: { ...haproxyTcp, more: [["send-proxy-v2", "send-proxy"]] },
    options: { trustedProxies, proxyProtocol: true },
    tls: true,
  },
  {
    name: "HAProxy with send-proxy-v2-ssl",
    balancer: {
      ...haproxy,
      more: [["server router 127.0.0.1:8787", "server router 127.0.0.1:8787 send-proxy-v2-ssl"]],
    },
    options: { trustedProxies, proxyProtocol: true },
  },
]

const folder = mkdtempSync(join(tmpdir(), "load-balancers-"))
const closing: (() => unknown)[] = []
const { signing } = await generateTicketKeys("test")
let certificate: { readonly private: string; readonly cert: string }
let express: ChildProcess
let appPort: number
let machinePort: number
let noAddress: string | undefined

const listen = async (server: Server, address = "127.0.0.1"): Promise<number> => {
  server.listen(0, address)
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  const names = ["*.iterate.app", "www.example.com"]
  certificate = await generate([{ name: "commonName", value: names[0]! }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "subjectAltName", altNames: names.map((value) => ({ type: 2 as const, value })) }],
  })
  writeFileSync(join(folder, "ingress.crt"), certificate.cert)
  writeFileSync(join(folder, "ingress.key"), certificate.private)
  writeFileSync(join(folder, "ingress.pem"), `${certificate.cert}\n${certificate.private}\n`)

  express = spawn(process.execPath, [fileURLToPath(new URL("../app/server.js", import.meta.url))], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PORT: "0" },
  })
  const [line] = (await once(express.stdout!, "data")) as [Buffer]
  appPort = Number(line.toString())
  const proxy = createMachineProxy({ machine: "mach_1", keys: [await machineKey(signing, "mach_1")] })
  const machine = createServer({ noDelay: true }, proxy.connection)
  machinePort = await listen(machine)
  const probe = createServer()
  // macOS has 127.0.0.1 only.
  noAddress = await listen(probe, CLIENT).then(
    () => undefined,
    (error: Error) => `${CLIENT} cannot be used on this computer: ${error.message}`,
  )
  probe.close()
  closing.push(() => machine.close())
})
afterAll(() => {
  express.kill()
  for (const close of closing) close()
  rmSync(folder, { recursive: true, force: true })
})

const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

/** A balancer in front of a router of its own, and what its visitors see. */
const start = async (ctx: TestContext, { balancer, options, tls = false }: Omit<(typeof setups)[number], "name">) => {
  const lacking = missing(balancer.command) ?? noAddress
  if (lacking !== undefined) ctx.skip(lacking)
  const foreign: { readonly request: Request; readonly client: FallbackClient }[] = []
  const errors: unknown[] = []
  const router = createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": {
        machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machinePort } },
        port: appPort,
        forwardedProto: true,
      },
    }),
    providers: [local()],
    signingKey: signing,
  })
  const host = serveNode(router, {
    fallback: (request, client) => {
      foreign.push({ request, client })
      return new Response("own")
    },
    onEvent: (event) => event.type === "error" && errors.push(event),
    ...options,
  })
  const server = tls ? { tls: createTlsServer({ cert: certificate.cert, key: certificate.private }) } : {}
  const listening = await host.listen({ hostname: "127.0.0.1", ...server })
  ending.push(() => listening.close({ deadlineMs: 0 }))
  const { port, stop } = await startBalancer(balancer, listening.port, folder)
  ending.push(stop)
  const origin = `misha.iterate.app:${port}`

  const ask = async (path: string, { host = origin, method = "GET", headers = {} }: Asked = {}) => {
    const to = { host: "127.0.0.1", port, path, localAddress: CLIENT, agent: false }
    const tls = { servername: host.replace(/:.*/, ""), ca: certificate.cert }
    const asked = request({ ...to, ...tls, method, headers: { host, ...headers } })
    asked.end()
    const [response] = (await once(asked, "response")) as [IncomingMessage]
    let body = ""
    for await (const chunk of response) body += String(chunk)
    return { status: response.statusCode, headers: response.headers, body }
  }
  const socket = (): WebSocket => {
    const tls = { servername: "misha.iterate.app", ca: certificate.cert }
    const to = { headers: { host: origin }, localAddress: CLIENT, ...tls }
    return new WebSocket(`wss://127.0.0.1:${port}/`, to)
  }
  return { ask, socket, foreign, errors, origin, port }
}

interface Asked {
  readonly method?: string
  readonly host?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
}

const claims = {
  "x-forwarded-for": ["1.1.1.1", "127.0.0.1, 2.2.2.2"],
  "x-forwarded-proto": "http",
  "x-forwarded-host": "evil.test",
  "x-forwarded-port": "1",
  forwarded: "for=3.3.3.3;proto=http;host=evil.test",
  "x-real-ip": "4.4.4.4",
  "x-iterate-user": "root",
}

describe.each(setups)("behind $name", (setup) => {
  it("Express sees https and the client's address", async (ctx) => {
    const { ask, errors } = await start(ctx, setup)
    expect(JSON.parse((await ask("/")).body)).toEqual({ protocol: "https", secure: true, ip: CLIENT, ips: [CLIENT] })
    expect(errors).toEqual([])
  })

  it("and sets its secure session cookie, with which the visitor is known", async (ctx) => {
    const { ask, origin } = await start(ctx, setup)
    const login = await ask("/login", { method: "POST" })
    expect([login.status, login.headers.location]).toEqual([302, `https://${origin}/me`])
    const [cookie] = login.headers["set-cookie"]!
    expect(cookie).toMatch(/^connect\.sid=.*; Secure/)
    expect((await ask("/me", { headers: { cookie: cookie!.replace(/;.*/, "") } })).body).toBe("misha")
    expect((await ask("/me")).body).toBe("nobody")
  })

  it("whatever the client claims", async (ctx) => {
    const { ask } = await start(ctx, setup)
    const { body } = await ask("/", { headers: claims })
    expect(JSON.parse(body)).toEqual({ protocol: "https", secure: true, ip: CLIENT, ips: [CLIENT] })
  })

  it("a WebSocket is the same client's", async (ctx) => {
    const { socket } = await start(ctx, setup)
    const opened = socket()
    const [message] = (await once(opened, "message")) as [Buffer]
    expect(message.toString()).toBe(`https ${CLIENT}`)
    opened.close()
    await once(opened, "close")
  })

  it("the router's own app is told the same", async (ctx) => {
    const { ask, foreign, port } = await start(ctx, setup)
    const host = `www.example.com:${port}`
    await ask("/path?q", { host, headers: claims })
    const { request, client } = foreign[0]!
    expect([request.url, client]).toEqual([
      `https://${host}/path?q`,
      { clientAddress: CLIENT, peerAddress: "127.0.0.1" },
    ])
    expect(Object.fromEntries(request.headers)).toMatchObject({
      host,
      "x-forwarded-for": CLIENT,
      "x-forwarded-proto": "https",
      "x-forwarded-host": host,
      "x-forwarded-port": String(port),
      forwarded: `for=${CLIENT};host="${host}";proto=https`,
    })
    expect(JSON.stringify([...request.headers])).not.toMatch(/1\.1\.1\.1|2\.2\.2\.2|3\.3\.3\.3|4\.4\.4\.4|evil|root/)
  })
})

describe("a router that trusts no proxy", () => {
  it("takes the balancer for the client, and Express sets no secure cookie", async (ctx) => {
    const { ask } = await start(ctx, { balancer: nginx, options: {} })
    expect(JSON.parse((await ask("/")).body)).toMatchObject({ protocol: "http", ip: "127.0.0.1" })
    expect((await ask("/login", { method: "POST" })).headers).not.toHaveProperty("set-cookie")
  })
})

describe("HAProxy's health checks by the PROXY protocol", () => {
  it("find the router healthy, and are no errors", async (ctx) => {
    const more = [["check inter 1s", "check inter 50ms fall 1 rise 1"]] as const
    const { ask, errors } = await start(ctx, {
      balancer: { ...haproxyTcp, more },
      options: { trustedProxies, proxyProtocol: true },
      tls: true,
    })
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect((await ask("/me")).status).toBe(200)
    }
    expect(errors).toEqual([])
  })
})
