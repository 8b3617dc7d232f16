import { afterEach, describe, expect, it } from "vitest"
import { createExpose, recordsHandler } from "@project-ingress/ingress/expose"
import { zoneFile } from "@project-ingress/ingress/dns/zone-file"
import { dnsServers, isInstalled, startDnsServer } from "./dns-server.ts"
import { memoryStorage, testIngresses } from "./fakes.ts"
import { origin, testZone } from "./zones.ts"

const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of running.splice(0)) await end()
})

describe.each(dnsServers)("$program", (server) => {
  it("serves what is put, and each change of it, by its serial", async (ctx) => {
    if (!isInstalled(server)) ctx.skip(`no ${server.program} is installed`)
    const zone = await testZone()
    const { pidFile, resolver, serial, stop } = await startDnsServer(server, zone.path)
    running.push(stop, zone.remove)
    expect(await serial()).toBe(2026112907)

    const dns = zoneFile({ path: zone.path, origin, check: server.check, reload: { pidFile } })
    const [llm, wildcard] = [`llm.${origin}`, `*.dev.${origin}`]
    const text = `"quoted"; \\ ${"x".repeat(300)}`
    await dns.put(llm, [
      { name: llm, type: "A", content: "100.64.0.1" },
      { name: llm, type: "TXT", content: text },
    ])
    await dns.put(wildcard, [{ name: wildcard, type: "A", content: "100.64.0.2" }])
    await expect
      .poll(() => resolver.resolve4(`any.dev.${origin}`).catch(String), { interval: 20 })
      .toEqual(["100.64.0.2"])
    await expect(resolver.resolve4(llm, { ttl: true })).resolves.toEqual([{ address: "100.64.0.1", ttl: 60 }])
    expect((await resolver.resolveTxt(llm)).map((strings) => strings.join(""))).toEqual([text])
    await expect(resolver.resolve4(`nas.${origin}`)).resolves.toEqual(["100.64.0.9"])
    const before = await serial()

    await dns.put(llm, [{ name: llm, type: "A", content: "100.64.0.3" }])
    await dns.put(wildcard, [])
    await expect.poll(() => resolver.resolve4(llm).catch(String), { interval: 20 }).toEqual(["100.64.0.3"])
    await expect
      .poll(() => resolver.resolve4(`any.dev.${origin}`).catch((error: { code: string }) => error.code), {
        interval: 20,
      })
      .toBe("ENOTFOUND")
    expect(await serial()).toBeGreaterThan(before!)

    const { storage } = memoryStorage()
    const ingresses = testIngresses(storage, { next: new Map() })
    const address = "100.64.0.1"
    const expose = createExpose({ ingresses, storage, dns, address, domain: origin, allowedTargets: ["100.64.0.0/10"] })
    const handler = recordsHandler({ expose, authenticate: () => ({}) })
    const body = JSON.stringify({ service_name: "api", name: "api", port: 8080 })
    const response = await handler(new Request("http://dns/add-record", { method: "POST", body }))
    expect(response.status).toBe(201)
    await expect.poll(() => resolver.resolve4(`api.${origin}`).catch(String), { interval: 20 }).toEqual([address])
    await expose.start()
    await expect(dns.list()).resolves.toHaveLength(1)
  })
})
