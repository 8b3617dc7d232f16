import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { Resolver } from "node:dns/promises"
import { once } from "node:events"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { createExpose, recordsHandler } from "@project-ingress/ingress/expose"
import { zoneFile } from "@project-ingress/ingress/dns/zone-file"
import type { ZoneChecker } from "@project-ingress/ingress/dns/zone-file"
import { freePort } from "../../../../test/free-port.ts"
import { testIngresses, memoryStorage } from "./fakes.ts"
import { origin, programPath, testZone } from "./zones.ts"

interface Server {
  readonly program: string
  readonly check: ZoneChecker
  readonly config: (of: { port: number; folder: string; zone: string; pidFile: string }) => string
  readonly args: (config: string) => readonly string[]
}

const servers: readonly Server[] = [
  {
    program: "knotd",
    check: "kzonecheck",
    args: (config) => ["-c", config],
    config: ({ port, folder, zone, pidFile }) => `
server:
    listen: 127.0.0.1@${port}
    rundir: ${folder}
    pidfile: ${pidFile}
database:
    storage: ${folder}
zone:
  - domain: ${origin}
    file: ${zone}
    zonefile-sync: -1
    journal-content: none
`,
  },
  {
    program: "nsd",
    check: "nsd-checkzone",
    args: (config) => ["-d", "-c", config],
    config: ({ port, folder, zone, pidFile }) => `
server:
    ip-address: 127.0.0.1@${port}
    username: ""
    database: ""
    pidfile: ${pidFile}
    zonesdir: ${folder}
    xfrdir: ${folder}
    xfrdfile: ${folder}/xfrd.state
    zonelistfile: ${folder}/zone.list
remote-control:
    control-enable: no
zone:
    name: ${origin}
    zonefile: ${zone}
`,
  },
]

const running: { readonly process: ChildProcess; readonly remove: () => Promise<void> }[] = []
afterEach(async () => {
  for (const { process, remove } of running.splice(0)) {
    const ended = process.exitCode === null && process.signalCode === null ? once(process, "exit") : undefined
    // Not SIGKILL: nsd ends the processes that it has started.
    process.kill("SIGTERM")
    await ended
    await remove()
  }
})

describe.each(servers)("$program", ({ program, check, config, args }) => {
  it("serves what is put, and each change of it, by its serial", async (ctx) => {
    const path = programPath(program)
    if (path === undefined || programPath(check) === undefined) ctx.skip(`no ${program} is installed`)
    const zone = await testZone()
    const folder = join(dirname(zone.path), "server")
    await mkdir(folder)
    const port = await freePort()
    const pidFile = join(folder, "pid")
    const configured = join(folder, "config")
    await writeFile(configured, config({ port, folder, zone: zone.path, pidFile }))
    const process = spawn(path!, args(configured), { stdio: "ignore" })
    running.push({ process, remove: zone.remove })

    const resolver = new Resolver({ timeout: 1_000, tries: 1 })
    resolver.setServers([`127.0.0.1:${port}`])
    const serial = async () => (await resolver.resolveSoa(origin).catch(() => undefined))?.serial
    await expect.poll(serial, { interval: 20 }).toBe(2026112907)

    const dns = zoneFile({ path: zone.path, origin, check, reload: { pidFile } })
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
