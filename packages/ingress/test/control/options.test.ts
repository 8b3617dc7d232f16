import { afterEach, describe, expect, it, vi } from "vitest"
import { createIngresses } from "../../src/control/create-ingresses.ts"
import { document, failure, fakeFront, platform, toA1, toB1 } from "./fakes.ts"

afterEach(() => void vi.restoreAllMocks())

/** Moves the clock of durations on, in ms. */
const later = (ms: number): void => {
  const now = performance.now() + ms
  vi.spyOn(performance, "now").mockImplementation(() => now)
}

describe("createIngresses", () => {
  it.each<[string, object, RegExp]>([
    ["an unknown option", { storge: 1 }, /storge is not an option \(did you mean storage\?\)/],
    ["no storage", { storage: undefined }, /storage must be an IngressStorage/],
    ["a grammar's options", { grammar: { domains: ["a.example"] } }, /grammar must be a grammar/],
    ["an invalid registry", { registry: {} }, /registry must be a RouteRegistry/],
    ["a front without plan", { fronts: [{ name: "x" }] }, /fronts must be/],
    ["a front with the router's name", { fronts: [fakeFront("router")] }, /fronts must be/],
    ["two fronts of one name", { fronts: [fakeFront("a"), fakeFront("a")] }, /different names/],
    ["an invalid reserved name", { reservedHostnames: ["a b"] }, /reservedHostnames must be/],
    ["an invalid domain", { tlsDomains: ["https://a.example"] }, /tlsDomains must be/],
    ["a zone with a wildcard", { internalZone: "*.internal" }, /internalZone must be a domain/],
    ["ports that are none", { publicPorts: { 80: 0 } }, /publicPorts must be/],
    ["too fast a poll", { pollMs: 99 }, /pollMs must be a number from 100/],
    ["no time for a step", { stepTimeoutMs: 0 }, /stepTimeoutMs must be/],
    ["an invalid hook", { authorizeHostname: true }, /authorizeHostname must be a function/],
  ])("refuses %s", async (_, given, message) => {
    const { options } = await platform()
    expect(() => createIngresses({ ...options, ...given })).toThrow(TypeError)
    expect(() => createIngresses({ ...options, ...given })).toThrow(message)
  })

  it("lists by id, in pages, and refuses what is no page", async () => {
    const { ingresses } = await platform()
    for (let at = 0; at < 5; at++) await ingresses.create(document(`n${at}`, `h${at}.example.com`, toA1))
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await ingresses.list({ limit: 2, ...(cursor === undefined ? {} : { cursor }) })
      seen.push(...page.ingresses.map(({ id }) => id))
      cursor = page.next
    } while (cursor !== undefined)
    expect(seen).toHaveLength(5)
    expect(seen).toEqual(seen.toSorted())
    for (const wrong of [{ limit: 0 }, { limit: 1_001 }, { limit: 1.5 }, { cursor: "../x" }]) {
      expect(await failure(ingresses.list(wrong))).toMatchObject({ _tag: "IngressInvalid" })
    }
    await expect(ingresses.list({ ownr: "a" } as never)).rejects.toThrow(/did you mean owner/)
  })

  it("asks whether an owner may use a hostname, and takes nothing but true for yes", async () => {
    const asked: unknown[] = []
    const responses = [false, "yes", {}, true]
    const { ingresses } = await platform({
      authorizeHostname: (request) => {
        asked.push(request)
        return responses.shift() as boolean
      },
    })
    const create = () =>
      ingresses.create(document("x", "{m}.Example.com", { capture: "m", port: 80 }), { owner: "org_a" })
    for (let times = 0; times < 3; times++) {
      expect(await failure(create())).toMatchObject({ _tag: "HostnameNotAllowed", hostname: "{m}.example.com" })
    }
    await create()
    expect(asked[0]).toEqual({ hostname: "{m}.example.com", owner: "org_a" })
  })

  it("gives fronts the addresses of option address, by machine and port, and a project's port", async () => {
    const front = fakeFront("caddy")
    const { ingresses, registry } = await platform({
      fronts: [front],
      address: async ({ machine, port }) => (machine === "mach_a1" ? undefined : `${machine}.${port}.internal`),
    })
    await registry.configure("misha", { port: 5_000 })
    await ingresses.create(document("x", "x.example.com", toA1))
    await ingresses.create(document("y", "y.example.com", { project: "misha" }))
    expect(front.running).toBe("y.example.com: -> mach_a2.5000.internal:5000")
  })

  it("gives fronts the port and the host of an origin that has one", async () => {
    const front = fakeFront("caddy")
    const { ingresses, registry } = await platform({ fronts: [front] })
    const metadata = { origin: "http://[fd00::1]:3000" }
    await registry.putMachine({ id: "mach_v6", type: "upstream", externalId: "", metadata, visibility: "public" })
    await registry.putMachine({ id: "mach_docker", type: "docker", externalId: "", metadata, visibility: "public" })
    await ingresses.create(document("x", "x.example.com", { machine: "mach_v6", port: 80 }))
    await ingresses.create(document("y", "y.example.com", { machine: "mach_docker", port: 80 }))
    expect(front.running).toBe("x.example.com: -> fd00::1:3000")
  })

  it("goes on with the last known address of other ingresses where the store cannot tell", async () => {
    const front = fakeFront("caddy")
    const made = await platform()
    let isDown = false
    const { ingresses } = await platform({
      fronts: [front],
      store: {
        get: (key) => (isDown && key === "m:mach_b1" ? { status: "unknown" } : made.registry.get(key)),
      },
    })
    await ingresses.create(document("x", "x.example.com", { machine: "mach_b1", port: 1 }))
    isDown = true
    later(60_000)
    await ingresses.create(document("y", "y.example.com", toA1))
    expect(front.running).toContain("x.example.com: -> 10.0.1.1:1")
    const error = await failure(ingresses.create(document("z", "z.example.com", { machine: "mach_b1", port: 1 })))
    expect(error).toMatchObject({ _tag: "LookupUnavailable", key: "m:mach_b1" })
  })

  it("looks again where a machine is, also when the clock was set back", async () => {
    const front = fakeFront("caddy")
    let time = 2e12
    const { ingresses, registry } = await platform({ fronts: [front], now: () => time })
    await ingresses.create(document("x", "x.example.com", toA1))
    const { version: _, project: __, ...machine } = await registry.readMachine("mach_a1")
    await registry.putMachine({ ...machine, metadata: { origin: "http://10.0.0.9" } })
    time -= 3_600_000
    later(11_000)
    await ingresses.create(document("y", "y.example.com", toB1))
    expect(front.running).toContain("x.example.com: -> 10.0.0.9:8080")
  })

  it("asks the authority before it says that a machine is missing", async () => {
    const made = await platform()
    const { ingresses } = await platform({
      store: { get: (key, { refresh }) => (refresh === true ? made.registry.get(key) : { status: "miss" }) },
      registry: made.registry,
    })
    await expect(ingresses.create(document("x", "x.example.com", toA1))).resolves.toBeDefined()
  })

  it("reports what cannot be read, once, and the rest counts", async () => {
    const made = await platform()
    const { storage } = made.options
    await made.ingresses.create(document("x", "x.example.com", toA1))
    const unreadable = [{ kind: "ingress" as const, id: "broken", reason: "is no JSON" }]
    const read = async (since: number) => ({ ...(await storage.read(since)), unreadable })
    const next = createIngresses({ ...made.options, storage: { ...storage, read } })
    expect(await next.start()).toEqual({ unreadable })
    await next.reconcile()
    expect(made.events.filter(({ type }) => type === "unreadable")).toEqual([
      { type: "unreadable", document: unreadable[0] },
    ])
    expect((await next.list()).ingresses).toHaveLength(1)
  })

  it("starts although a front fails, and not if the storage does", async () => {
    const front = fakeFront("caddy")
    const made = await platform({ fronts: [front] })
    await made.ingresses.create(document("x", "x.example.com", toA1))
    front.running = "changed by hand"
    front.failing.add("apply")
    await expect(createIngresses(made.options).start()).resolves.toEqual({ unreadable: [] })
    expect(made.events).toContainEqual(expect.objectContaining({ type: "error", during: "reconcile" }))
    expect(front.running).toBe("changed by hand")
    front.failing.clear()
    expect(await made.ingresses.reconcile()).toEqual([{ front: "caddy", diff: expect.any(String) }])
    const storage = { ...made.options.storage, read: () => Promise.reject(new Error("no disk")) }
    await expect(createIngresses({ ...made.options, storage }).start()).rejects.toMatchObject({
      _tag: "StorageUnavailable",
      cause: new Error("no disk"),
    })
  })

  it("takes a storage that went back, and one that always gives all of it", async () => {
    const made = await platform()
    const { storage } = made.options
    await made.ingresses.create(document("x", "x.example.com", toA1))
    const { documents } = await storage.read(0)
    let current = { revision: 7, whole: true, documents, removed: [], unreadable: [] }
    const next = createIngresses({ ...made.options, storage: { ...storage, read: async () => current } })
    await next.reconcile()
    expect((await next.list()).ingresses).toHaveLength(1)
    current = { ...current, revision: 8, documents: [] }
    await next.reconcile()
    expect((await next.list()).ingresses).toHaveLength(0)
    current = { ...current, revision: 3, documents }
    await next.reconcile()
    expect((await next.list()).ingresses).toHaveLength(1)
  })

  it("ends with what was begun, and takes nothing afterwards", async () => {
    const front = fakeFront("caddy")
    let disposed = 0
    front.dispose = () => void (disposed += 1)
    const made = await platform({ fronts: [front] })
    const pending = made.ingresses.create(document("x", "x.example.com", toA1))
    await made.ingresses.dispose()
    await made.ingresses.dispose()
    await expect(pending).resolves.toBeDefined()
    expect(disposed).toBe(1)
    await expect(made.ingresses.create(document("y", "y.example.com", toA1))).rejects.toThrow("disposed")
  })
})
