import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { startMachine } from "./machine.ts"
import type { TestMachine } from "./machine.ts"
import { callControlPlane, textOf, visit } from "./visitor.ts"
import { API_TOKEN, startWorker } from "./workerd.ts"
import type { RunningWorker, WorkerSetup } from "./workerd.ts"

let machine: TestMachine
let worker: RunningWorker

/** An isolate that knows nothing yet. Every route is too old at once, unless `setup` says otherwise. */
const start = async (setup: Partial<WorkerSetup> = {}): Promise<void> => {
  const entry = fileURLToPath(new URL("faulty-worker.ts", import.meta.url))
  worker = await startWorker({ signing: machine.signing, domain: "iterate.app", entry, ...setup })
}
const attach = (slug: string): Promise<void> => {
  const { port } = machine
  return worker.attach(`p:${slug}`, { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port } } })
}
const layers = ["d1", "kv", "cache"] as const
/** Those that are named fail from now on, and no others. Gives those that were written to. */
const fail = async (...names: readonly (typeof layers)[number][]): Promise<readonly string[]> => {
  const response = await visit(worker.url, `/?${names.join("&")}`, { host: "faults.test", method: "POST" })
  return JSON.parse(await textOf(response)) as string[]
}
const visited = async (host: string): Promise<unknown> => {
  const response = await visit(worker.url, "/", { host, headers: { accept: "application/json" } })
  const text = await textOf(response)
  return response.statusCode === 200 ? text : [response.statusCode, (JSON.parse(text) as { error: string }).error]
}
const patient = { timeout: 20_000 }

beforeAll(async () => {
  machine = await startMachine((_, response) => response.end("the app"))
})
afterAll(() => machine.close())
afterEach(() => worker.dispose())

describe("what was visited", () => {
  beforeEach(async () => {
    await start()
    await attach("misha")
  })

  it.each([[["d1"]], [["kv"]], [["cache"]], [["d1", "kv"]], [["d1", "cache"]], [layers]] as const)(
    "goes on while %j are down, every port of it, and so does the OS's own host",
    async (names) => {
      expect(await visited("misha.iterate.app")).toBe("the app")
      await fail(...names)
      for (let times = 0; times < 3; times++) expect(await visited("misha.iterate.app")).toBe("the app")
      expect(await visited("4096__misha.iterate.app")).toBe("the app")
      expect(await visited("iterate.app")).toBe("the OS itself: /")
    },
  )

  it("is served while a flood of unknown names gets its 404s", async () => {
    const flood = Promise.all(Array.from({ length: 40 }, (_, at) => visited(`nobody-${at}.iterate.app`)))
    const known = await Promise.all(Array.from({ length: 20 }, () => visited("misha.iterate.app")))
    expect(new Set(known)).toEqual(new Set(["the app"]))
    for (const result of await flood) expect(result).toEqual([404, "ROUTE_NOT_FOUND"])
  })
})

describe("what nobody has visited", () => {
  beforeEach(async () => {
    await start()
    await attach("misha")
  })

  it.each([[["d1"]], [layers]] as const)(
    "is unknown and never missing while %j are down, and is there once they are back",
    async (names) => {
      await fail(...names)
      expect(await visited("misha.iterate.app")).toEqual([503, "ROUTE_UNKNOWN"])
      expect(await visited("nobody.iterate.app")).toEqual([503, "ROUTE_UNKNOWN"])
      await fail()
      await expect.poll(() => visited("misha.iterate.app"), patient).toBe("the app")
      await expect.poll(() => visited("nobody.iterate.app"), patient).toEqual([404, "ROUTE_NOT_FOUND"])
    },
  )

  it.each([[["kv"]], [["cache"]], [["kv", "cache"]]] as const)("is served while %j are down", async (names) => {
    await fail(...names)
    expect(await visited("misha.iterate.app")).toBe("the app")
    expect(await visited("nobody.iterate.app")).toEqual([404, "ROUTE_NOT_FOUND"])
  })
})

describe("an isolate that starts while D1 is down", () => {
  it.each([
    ["the cache of its place", ["d1", "kv"]],
    ["KV", ["d1", "cache"]],
  ] as const)("serves from %s what another one was asked for", async (_, names) => {
    const state = await mkdtemp(join(tmpdir(), "os-worker-"))
    onTestFinished(() => rm(state, { recursive: true, force: true }))
    await start({ state })
    await attach("misha")
    expect(await visited("misha.iterate.app")).toBe("the app")
    await expect.poll(() => fail(), patient).toEqual(expect.arrayContaining(["kv", "cache"]))
    await worker.dispose()

    await start({ state })
    await fail(...names)
    expect(await visited("misha.iterate.app")).toBe("the app")
    expect(await visited("nobody.iterate.app")).toEqual([503, "ROUTE_UNKNOWN"])
  })
})

describe("the control plane", () => {
  const ask = (operation: `${string} /api/${string}`, body?: object) =>
    callControlPlane(worker.url, operation, { token: API_TOKEN, ...(body === undefined ? {} : { body }) })

  it("says that the registry does not answer while D1 is down, and changes nothing", async () => {
    await start()
    await fail("d1")
    expect(await ask("POST /api/projects", { name: "new" })).toMatchObject([503, { error: "REGISTRY_UNAVAILABLE" }])
    await fail()
    expect((await ask("GET /api/projects/new"))[0]).toBe(404)
  })

  it("attaches and detaches at once in its own isolate, with KV and the cache down as well", async () => {
    await start({ routeMaxAgeMs: 30_000 })
    await ask("PUT /api/machines/mach_1", { type: "local", externalId: "dev", metadata: { port: machine.port } })
    expect(await visited("misha.iterate.app")).toEqual([404, "ROUTE_NOT_FOUND"])
    await ask("POST /api/projects", { name: "misha", ports: { 3000: { visibility: "public" } } })
    for (const names of [[], ["kv", "cache"]] as const) {
      await fail(...names)
      await ask("POST /api/projects/misha/attach", { machine: "mach_1" })
      expect(await visited("misha.iterate.app")).toBe("the app")
      await ask("POST /api/projects/misha/detach")
      expect(await visited("misha.iterate.app")).toEqual([503, "MACHINE_DETACHED"])
    }
  })

  it("is heeded by other isolates once what they know is too old", async () => {
    await start({ routeMaxAgeMs: 500 })
    await attach("misha")
    expect(await visited("misha.iterate.app")).toBe("the app")
    // Below the registry of this isolate: as another one's control plane writes.
    await worker.detach("p:misha")
    await expect.poll(() => visited("misha.iterate.app"), patient).toEqual([404, "ROUTE_NOT_FOUND"])
    await attach("misha")
    await expect.poll(() => visited("misha.iterate.app"), patient).toBe("the app")
  })
})
