/** A record and a route in one call, with a real DNS server, the real controller, its files, and a real Caddy. */
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect } from "node:tls"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { defineGrammar } from "@project-ingress/hostname"
import { createIngresses } from "@project-ingress/ingress"
import type { Ingresses } from "@project-ingress/ingress"
import { caddyFront } from "@project-ingress/ingress/caddy/front"
import { zoneFile } from "@project-ingress/ingress/dns/zone-file"
import { createExpose, recordsHandler } from "@project-ingress/ingress/expose"
import { fileStorage } from "@project-ingress/ingress/storage/file"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { freePort } from "../../../../test/free-port.ts"
import { get, startApp } from "../caddy/apps.ts"
import type { App } from "../caddy/apps.ts"
import { caddyBinary, NO_CADDY, startCaddy } from "../caddy/real-caddy.ts"
import type { RealCaddy } from "../caddy/real-caddy.ts"
import { dnsServers, isInstalled, startDnsServer } from "../dns/dns-server.ts"
import { origin, testZone } from "../dns/zones.ts"

const knot = dnsServers.find(({ program }) => program === "knotd")!
const lacking =
  caddyBinary === undefined
    ? `: ${NO_CADDY}`
    : !isInstalled(knot)
      ? ": no knotd is installed"
      : process.platform === "linux"
        ? ""
        : ": only Linux has all of 127.0.0.0/8"

/** Where the proxy is. */
const address = "127.0.0.1"
const token = "operator-0123456789"
const llm = `llm.${origin}`

describe.skipIf(lacking !== "")(`POST /add-record, then DNS and a request${lacking}`, () => {
  const ends: (() => unknown)[] = []
  let [http, https] = [0, 0]
  let [a, b]: App[] = []
  let caddy: RealCaddy
  let dns: Awaited<ReturnType<typeof startDnsServer>>
  let ingresses: Ingresses
  let handler: (request: Request) => Promise<Response>
  /** The next write of the zone fails, as where a disk is full. */
  let isZoneBroken = false

  beforeAll(async () => {
    ;[http, https] = await Promise.all([freePort(), freePort()])
    a = await startApp("a", "127.0.0.2")
    b = await startApp("b", "127.0.0.3")
    ends.push(() => Promise.all([a!.close(), b!.close()]))
    caddy = await startCaddy()
    ends.push(() => caddy.stop())
    const zone = await testZone()
    dns = await startDnsServer(knot, zone.path)
    ends.push(
      () => dns.stop(),
      () => zone.remove(),
    )
    const folder = await mkdtemp(join(tmpdir(), "expose-"))
    const storage = fileStorage(folder)
    const front = caddyFront({
      admin: caddy.admin,
      export: {
        listenAddress: address,
        publicPorts: { [http]: 80, [https]: 443 },
        certificates: { issuer: "internal" },
      },
    })
    const grammar = defineGrammar({ domains: ["iterate.app"] })
    ingresses = createIngresses({ storage, grammar, store: memoryStore(), fronts: [front] })
    await ingresses.start()
    const real = zoneFile({ path: zone.path, origin, check: "kzonecheck", reload: { pidFile: dns.pidFile } })
    const expose = createExpose({
      ingresses,
      storage,
      dns: {
        ...real,
        put: (name, records) => {
          if (isZoneBroken && records.length > 0) return Promise.reject(new Error("disk full"))
          return real.put(name, records)
        },
      },
      address,
      domain: origin,
      allowedTargets: ["127.0.0.0/8"],
      certificates: [`*.covered.${origin}`],
    })
    await expose.start()
    handler = recordsHandler({ expose, authenticate: token })
    ends.push(
      () => ingresses.dispose(),
      () => rm(folder, { recursive: true }),
    )
  })
  afterAll(async () => {
    for (const end of ends) await end()
  })
  beforeEach(() => {
    isZoneBroken = false
  })

  const call = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}` }
    const request = new Request(`http://dns.${origin}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const response = await handler(request)
    const text = await response.text()
    return { status: response.status, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text }
  }
  const resolved = (hostname: string) =>
    dns.resolver.resolve4(hostname).catch((error: { readonly code: string }) => error.code)
  /** As a browser does it: the name, then a request to where it leads. */
  const visit = async (hostname: string) => {
    const addresses = await resolved(hostname)
    if (typeof addresses === "string") return addresses
    const { status, seen } = await get(http, hostname, "/", { host: addresses[0]! })
    return seen?.app ?? status
  }
  const six = () => ({
    service_name: "llm-service",
    name: llm,
    ip: address,
    port: a!.port,
    forward_to_ip: "127.0.0.2",
    proxy_enabled: true,
  })
  const three = (app: App, device: string) => ({
    service_name: "llm-service",
    name: "llm",
    port: app.port,
    target_device: device,
  })
  const known = async () => (await ingresses.list()).ingresses.map(({ name }) => name)

  it("the brief's curl with six fields: the name leads to the proxy, which leads to the target", async () => {
    expect((await call("POST", "/add-record", six())).status).toBe(201)
    // 2-29: the proxy has the rule when the response is there. The server of the zone was sent its signal.
    expect((await get(http, llm)).seen?.app).toBe("a")
    await expect.poll(() => resolved(llm), { interval: 20 }).toEqual([address])
    expect(await visit(llm)).toBe("a")
  })

  it("2-18: another target of the same name takes its place, by three fields (2-01, 2-03)", async () => {
    const said = await call("POST", "/add-record", three(b!, "127.0.0.3"))
    expect([said.status, said.body.proxy_rule.target_ip, said.body.ip]).toEqual([201, "127.0.0.3", address])
    expect(await visit(llm)).toBe("b")
    expect((await call("GET", "/list-records")).body).toHaveLength(1)
  })

  it("2-02: without a port the name leads to the device itself, and the proxy has no rule", async () => {
    const body = { service_name: "nas", name: "disk", target_device: "127.0.0.2" }
    const said = await call("POST", "/add-record", body)
    expect([said.status, "proxy_rule" in said.body]).toEqual([201, false])
    await expect.poll(() => resolved(`disk.${origin}`), { interval: 20 }).toEqual(["127.0.0.2"])
    expect((await get(http, `disk.${origin}`)).status).toBe(404)
  })

  it("where DNS fails, neither is there", async () => {
    const before = await known()
    isZoneBroken = true
    const said = await call("POST", "/add-record", { ...three(a!, "127.0.0.2"), name: "half" })
    expect(said).toEqual({ status: 502, body: { error: "failed to add DNS record" } })
    expect((await get(http, `half.${origin}`)).status).toBe(404)
    expect([await known(), await resolved(`half.${origin}`)]).toEqual([before, "ENOTFOUND"])
  })

  it("where the proxy fails, neither is there, and what was there goes on", async () => {
    const before = await known()
    const serial = await dns.serial()
    const config = await caddy.config()
    // Somebody else's configuration is not overwritten.
    const { admin } = config as { admin: object }
    const server = { listen: [`${address}:${http}`], routes: [{ handle: [] }] }
    await caddy.load({ admin, apps: { http: { servers: { mine: server } } } })
    const said = await call("POST", "/add-record", { ...three(a!, "127.0.0.2"), name: "half" })
    expect(said).toEqual({ status: 502, body: { error: "failed to add proxy rule" } })
    expect([await known(), await resolved(`half.${origin}`), await dns.serial()]).toEqual([before, "ENOTFOUND", serial])
    await caddy.load(config)
    expect(await visit(llm)).toBe("b")
  })

  it("a name that a certificate covers is served by it, and orders none", async () => {
    const match = { hostname: `*.covered.${origin}` }
    await ingresses.create({ name: "wildcard", rules: [{ match, target: { url: a!.url }, tls: true }] })
    const hostname = `one.covered.${origin}`
    const said = await call("POST", "/add-record", {
      ...six(),
      name: hostname,
      port: b!.port,
      forward_to_ip: "127.0.0.3",
    })
    expect(said.status).toBe(201)
    const names = async () => {
      const socket = connect({ host: address, port: https, servername: hostname, rejectUnauthorized: false })
      await once(socket, "secureConnect")
      const { subjectaltname } = socket.getPeerCertificate()
      socket.destroy()
      return subjectaltname
    }
    await expect.poll(() => names().catch(String), { interval: 50 }).toBe(`DNS:*.covered.${origin}`)
    expect((await get(https, hostname, "/", { tls: true })).seen?.app).toBe("b")
    expect((await get(http, hostname)).status).toBe(301)
    const { apps } = (await caddy.config()) as { readonly apps: { readonly tls: { readonly certificates: object } } }
    expect(apps.tls.certificates).toEqual({ automate: [`*.covered.${origin}`] })
  })

  it("a removed name resolves no more, and the proxy has no rule", async () => {
    expect((await call("DELETE", "/remove-record", { service_name: "llm-service", name: "llm" })).status).toBe(200)
    expect((await get(http, llm)).status).toBe(404)
    await expect.poll(() => resolved(llm), { interval: 20 }).toBe("ENOTFOUND")
  })
})
