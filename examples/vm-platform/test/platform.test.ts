import { once } from "node:events"
import { readdir, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startMachine } from "../src/machine.ts"
import { startPlatform } from "../src/platform.ts"
import type { Platform } from "../src/platform.ts"
import { anAddress, call, lacking, leading, testOptions, visit } from "./start.ts"

describe.skipIf(lacking !== "")(`the platform${lacking}`, () => {
  const [apiAt, nextAt] = [anAddress(), anAddress()]
  const ends: (() => Promise<unknown>)[] = []
  let options: Awaited<ReturnType<typeof testOptions>>
  let platform: Platform

  const api = (...rest: Parameters<typeof call> extends [number, ...infer Rest] ? Rest : never) =>
    call(options.ports.control, ...rest)
  const atCaddy = (hostname: string) => visit(options.ports.visitors, hostname)
  const atRouter = (hostname: string) => visit(options.ports.control, hostname)
  const both = async (hostname: string) => [await atCaddy(hostname), await atRouter(hostname)]
  const config = async () => (await fetch(`http://127.0.0.1:${options.ports.admin}/config/`)).text()

  beforeAll(async () => {
    for (const [name, host] of Object.entries({ "my-api": apiAt, "my-next": nextAt })) {
      const machine = await startMachine(name, host, 8080)
      ends.push(() => machine.close())
    }
    // A Caddy that Debian has was built without this module.
    const issuer = { email: "ops@example.com", dns: { provider: "cloudflare" as const } }
    const given = await testOptions({ "my-api": apiAt, "my-next": nextAt })
    options = { ...given, certificates: { issuer } }
    platform = await startPlatform(options)
  })
  afterAll(async () => {
    await platform?.close()
    await platform?.caddy.stop()
    for (const end of ends) await end()
    await options.remove()
  })

  it("4-43: the documented JSON, unchanged, leads to a page of the machine, at Caddy and at the router", async () => {
    const created = await api("POST", "/ingresses", leading("api.example.com", "my-api"))
    expect([created.status, created.body.rules[0].target]).toEqual([201, { instance: "my-api", port: 8080 }])
    expect(await both("api.example.com")).toEqual(["my-api", "my-api"])
    const { body } = await api("GET", "/v1/ingresses/my-api-ingress/status")
    const programmed = { type: "Programmed", status: "True" }
    expect(body.parents).toMatchObject([
      { parent: "router", conditions: expect.arrayContaining([expect.objectContaining(programmed)]) },
      { parent: "caddy", conditions: expect.arrayContaining([expect.objectContaining(programmed)]) },
    ])
    expect(await atCaddy("other.example.com")).toBe(
      "404 Not Found: no ingress configured for hostname other.example.com",
    )
  })

  it("4-26: a machine that moves gets the next request within 5 s, without a reload", async () => {
    const captured = leading("{machine}.dev.example.com", "{machine}", "dev")
    expect((await api("POST", "/ingresses", captured)).status).toBe(201)
    const [first, second] = [anAddress(), anAddress()]
    const machines = [await startMachine("at-first", first, 8080), await startMachine("at-second", second, 8080)]
    ends.push(...machines.map((machine) => () => machine.close()))
    platform.putMachine("moving", first)
    expect(await both("moving.dev.example.com")).toEqual(["at-first", "at-first"])
    const before = await config()
    platform.putMachine("moving", second)
    expect(await atRouter("moving.dev.example.com")).toBe("at-second")
    await expect.poll(() => atCaddy("moving.dev.example.com"), { interval: 50, timeout: 6_000 }).toBe("at-second")
    expect(await config()).toBe(before)
  }, 15_000)

  it("a machine that moves is found by a rule that names it, when the platform reconciles", async () => {
    const host = anAddress()
    const machine = await startMachine("my-api-elsewhere", host, 8080)
    platform.putMachine("my-api", host)
    await platform.ingresses.reconcile()
    expect(await both("api.example.com")).toEqual(["my-api-elsewhere", "my-api-elsewhere"])
    platform.putMachine("my-api", apiAt)
    await platform.ingresses.reconcile()
    await machine.close()
  })

  it("a change of the target under load loses nothing but what a reload resets", async () => {
    const seen: string[] = []
    const stopped = new AbortController()
    // What the kernel has queued at Caddy's old listener is reset: docs/caddy.md. A browser tries it again.
    const visitOnce = () =>
      atCaddy("api.example.com").catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ECONNRESET") throw error
        return atCaddy("api.example.com")
      })
    const worker = async (): Promise<void> => {
      while (!stopped.signal.aborted) seen.push(await visitOnce().catch(String))
    }
    const workers = Array.from({ length: 4 }, worker)
    for (const machine of ["my-next", "my-api", "my-next"]) {
      expect((await api("PUT", "/v1/ingresses/my-api-ingress", leading("api.example.com", machine))).status).toBe(200)
      expect(await both("api.example.com")).toEqual([machine, machine])
    }
    stopped.abort()
    await Promise.all(workers)
    expect([...new Set(seen)].toSorted()).toEqual(["my-api", "my-next"])
    await api("PUT", "/ingresses/my-api-ingress", leading("api.example.com", "my-api"))
  })

  it("4-23: a busy port is 409 that names it, and nothing changes", async () => {
    const busy = createServer().listen(0, "127.0.0.1")
    await once(busy, "listening")
    const { port } = busy.address() as AddressInfo
    const before = await config()
    const rules = [{ match: { hostname: "busy.example.com", port }, target: { instance: "my-api", port: 8080 } }]
    const said = await api("POST", "/ingresses", { name: "busy", rules })
    expect([said.status, said.body]).toEqual([409, { code: "port_in_use", message: `caddy: port ${port} is in use` }])
    expect([await config(), (await api("GET", "/ingresses/busy")).status]).toEqual([before, 404])
    busy.close()
  })

  it("a configuration that this Caddy refuses is 400, and nothing changes", async () => {
    const before = await config()
    const rules = [{ match: { hostname: "tls.example.com" }, target: { instance: "my-api", port: 8080 }, tls: true }]
    const said = await api("POST", "/ingresses", { name: "tls", rules })
    expect([said.status, said.body.code]).toEqual([400, "config_validation_failed"])
    expect([await config(), (await api("GET", "/ingresses/tls")).status]).toEqual([before, 404])
    expect(await both("api.example.com")).toEqual(["my-api", "my-api"])
  })

  it("a configuration that somebody else has loaded is not overwritten", async () => {
    const before = await config()
    const load = (body: string) =>
      fetch(`http://127.0.0.1:${options.ports.admin}/load`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      })
    const { admin } = JSON.parse(before)
    const server = { listen: [`127.0.0.1:${options.ports.visitors}`], routes: [{ handle: [] }] }
    expect((await load(JSON.stringify({ admin, apps: { http: { servers: { mine: server } } } }))).status).toBe(200)
    const foreign = await config()
    const said = await api("POST", "/ingresses", leading("new.example.com", "my-api", "new"))
    expect([said.status, said.body.code]).toEqual([400, "config_validation_failed"])
    expect([await config(), (await api("GET", "/ingresses/new")).status]).toEqual([foreign, 404])
    expect((await load(before)).status).toBe(200)
    expect(await atCaddy("api.example.com")).toBe("my-api")
  })

  it("a broken document is refused by the API, and one that somebody has edited so holds up no other", async () => {
    const refused = await api("POST", "/ingresses", { name: "x", rules: [{ match: { hostname: "x.example.com" } }] })
    expect([refused.status, refused.body.code, refused.body.field]).toEqual([400, "bad_request", "rules.0.target"])
    expect((await api("POST", "/ingresses", '{"name":')).status).toBe(400)
    const folder = join(options.folder, "ingresses/ingresses")
    await writeFile(join(folder, "edited.json"), '{"name":')
    await platform.close()
    const unreadable: string[] = []
    platform = await startPlatform({
      ...options,
      onEvent: (event) => event.type === "unreadable" && unreadable.push(event.document.id),
    })
    expect(unreadable).toEqual(["edited"])
    expect(await both("api.example.com")).toEqual(["my-api", "my-api"])
    expect(await readdir(folder)).toContain("edited.json")
  })

  it("a Caddy that was killed is started again with the whole configuration", async () => {
    const before = await config()
    const pid = await platform.caddy.pid()
    process.kill(pid!, "SIGKILL")
    const now = () => both("api.example.com").catch(String)
    await expect.poll(now, { interval: 50, timeout: 10_000 }).toEqual(["my-api", "my-api"])
    expect(await platform.caddy.pid()).not.toBe(pid)
    expect(await config()).toBe(before)
  }, 15_000)

  it("4-37: a Caddy that runs already when the control plane starts is given what is stored", async () => {
    await platform.close()
    const admin = `http://127.0.0.1:${options.ports.admin}`
    expect((await fetch(`${admin}/config/apps`, { method: "DELETE" })).status).toBe(200)
    await expect(atCaddy("api.example.com")).rejects.toThrow("ECONNREFUSED")
    platform = await startPlatform(options)
    expect(await both("api.example.com")).toEqual(["my-api", "my-api"])
  })

  it("a removed ingress is served by neither", async () => {
    expect((await api("DELETE", "/ingresses/my-api-ingress")).status).toBe(204)
    expect(await atCaddy("api.example.com")).toMatch(/^404 /)
    expect(await atRouter("api.example.com")).toMatch(/^404 /)
  })
})
