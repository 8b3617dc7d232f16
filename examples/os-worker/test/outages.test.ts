import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startMachine } from "./machine.ts"
import type { TestMachine } from "./machine.ts"
import { callControlPlane, textOf, visit } from "./visitor.ts"
import { API_TOKEN, startWorker } from "./workerd.ts"
import type { RunningWorker } from "./workerd.ts"

let machine: TestMachine
let worker: RunningWorker

beforeAll(async () => {
  machine = await startMachine((_, response) => response.end("the app"))
  const entry = fileURLToPath(new URL("faulty-worker.ts", import.meta.url))
  worker = await startWorker({ signing: machine.signing, domain: "iterate.app", entry })
  const metadata = { port: machine.port }
  await worker.attach("p:misha", { machine: { id: "mach_1", type: "local", externalId: "dev", metadata } })
})
afterAll(async () => {
  await worker.dispose()
  await machine.close()
})

const d1 = async (state: "down" | "up"): Promise<void> => {
  await textOf(await visit(worker.url, `/?${state}`, { host: "faults.test", method: "POST" }))
}
const visited = async (host: string): Promise<unknown> => {
  const response = await visit(worker.url, "/", { host, headers: { accept: "application/json" } })
  const text = await textOf(response)
  return response.statusCode === 200 ? text : [response.statusCode, (JSON.parse(text) as { error: string }).error]
}

describe("while D1 is down", () => {
  it("a project is unknown and never missing, the OS's own host goes on, and all is there once D1 is back", async () => {
    expect(await visited("misha.iterate.app")).toBe("the app")
    await d1("down")
    expect(await visited("misha.iterate.app")).toEqual([503, "ROUTE_UNKNOWN"])
    expect(await visited("iterate.app")).toBe("the OS itself: /")
    await d1("up")
    expect(await visited("misha.iterate.app")).toBe("the app")
  })

  it("the control plane says that the registry does not answer, and changes nothing", async () => {
    await d1("down")
    const asked = { token: API_TOKEN, body: { name: "new" } }
    expect(await callControlPlane(worker.url, "POST /api/projects", asked)).toMatchObject([
      503,
      { error: "REGISTRY_UNAVAILABLE" },
    ])
    await d1("up")
    expect((await callControlPlane(worker.url, "GET /api/projects/new", { token: API_TOKEN }))[0]).toBe(404)
  })
})

it("a flood of unknown names is 404, and known names are served meanwhile", async () => {
  const flood = Promise.all(Array.from({ length: 40 }, (_, at) => visited(`nobody-${at}.iterate.app`)))
  const known = await Promise.all(Array.from({ length: 20 }, () => visited("misha.iterate.app")))
  expect(new Set(known)).toEqual(new Set(["the app"]))
  for (const result of await flood) expect(result).toEqual([404, "ROUTE_NOT_FOUND"])
})
