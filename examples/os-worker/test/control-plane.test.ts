import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bears } from "../src/bearer.ts"
import { startMachine } from "./machine.ts"
import type { TestMachine } from "./machine.ts"
import { callControlPlane, textOf, visit } from "./visitor.ts"
import { API_TOKEN, startWorker } from "./workerd.ts"
import type { RunningWorker } from "./workerd.ts"

let machine: TestMachine
let worker: RunningWorker

beforeAll(async () => {
  machine = await startMachine((_, response) => response.end("the app"))
  worker = await startWorker({ signing: machine.signing, domain: "iterate.app", routeMaxAgeMs: 30_000 })
  await put("mach_1")
})
afterAll(async () => {
  await worker.dispose()
  await machine.close()
})

const call = (operation: `${string} /api/${string}`, body?: object) =>
  callControlPlane(worker.url, operation, { token: API_TOKEN, ...(body === undefined ? {} : { body }) })
const put = (id: string) =>
  call(`PUT /api/machines/${id}`, { type: "local", externalId: id, metadata: { port: machine.port } })
const visited = async (host: string) => {
  const response = await visit(worker.url, "/", { host, headers: { accept: "application/json" } })
  const text = await textOf(response)
  return response.statusCode === 200 ? text : [response.statusCode, (JSON.parse(text) as { error: string }).error]
}

describe("the control plane", () => {
  it("attaches a machine to a project and detaches it", async () => {
    expect(
      await call("POST /api/projects", { name: "misha", ports: { 3000: { visibility: "public" } } }),
    ).toMatchObject([200, { name: "misha" }])
    expect(await visited("misha.iterate.app")).toEqual([503, "MACHINE_DETACHED"])
    expect(await call("POST /api/projects/misha/attach", { machine: "mach_1" })).toMatchObject([
      200,
      { machine: "mach_1" },
    ])
    expect(await visited("misha.iterate.app")).toBe("the app")
    expect(await call("GET /api/projects/misha")).toMatchObject([200, { name: "misha", machine: "mach_1" }])
    expect(await call("POST /api/projects/misha/detach")).toMatchObject([200, { name: "misha" }])
    expect(await visited("misha.iterate.app")).toEqual([503, "MACHINE_DETACHED"])
    expect(await call("DELETE /api/projects/misha")).toEqual([204, undefined])
    expect(await visited("misha.iterate.app")).toEqual([410, "ROUTE_REMOVED"])
  })

  // 0-108
  it.each([
    ["no token", undefined],
    ["another token", `${API_TOKEN}x`],
    ["the beginning of the token", API_TOKEN.slice(0, -1)],
    ["an empty token", ""],
  ])("refuses %s by 401, whatever is asked for", async (_, token) => {
    for (const operation of ["POST /api/projects", "GET /api/nothing"] as const) {
      const [status, body] = await callControlPlane(worker.url, operation, {
        ...(token === undefined ? {} : { token }),
        body: { name: "x" },
      })
      expect([status, body]).toMatchObject([401, { error: "UNAUTHORIZED" }])
    }
    expect((await call("GET /api/projects/x"))[0]).toBe(404)
  })

  it("is on the platform's own host and on no other", async () => {
    for (const host of ["example.com", "iterate.app.example.com"]) {
      const asked = { token: API_TOKEN, host, body: { name: "elsewhere" } }
      expect(await callControlPlane(worker.url, "POST /api/projects", asked)).toEqual([
        200,
        "the OS itself: /api/projects",
      ])
    }
    const asked = { token: API_TOKEN, host: "misha.iterate.app" }
    expect((await callControlPlane(worker.url, "POST /api/projects", asked))[0]).not.toBe(200)
    expect((await call("GET /api/projects/elsewhere"))[0]).toBe(404)
  })

  it("answers a mistake by what it was", async () => {
    await call("POST /api/projects", { name: "taken" })
    expect(await call("POST /api/projects", { name: "taken" })).toMatchObject([409, { error: "CONFLICT" }])
    expect(await call("POST /api/projects", { name: "no name" })).toMatchObject([400, { error: "BAD_REQUEST" }])
    expect(await call("POST /api/projects")).toMatchObject([400, { error: "BAD_REQUEST" }])
    expect(await call("POST /api/projects/taken/attach", {})).toMatchObject([400, { error: "BAD_REQUEST" }])
    expect(await call("POST /api/projects/taken/attach", { machine: "mach_9" })).toMatchObject([
      404,
      { error: "NOT_FOUND" },
    ])
    expect(await call("GET /api/projects/%E0")).toMatchObject([400, { error: "BAD_REQUEST" }])
    expect(await call("POST /api/projects/taken/explode")).toMatchObject([404, { error: "NOT_FOUND" }])
  })
})

it("is closed to everybody where no token is configured", async () => {
  const asked = (authorization: string) => new Request("https://iterate.app/", { headers: { authorization } })
  for (const token of [undefined, ""]) {
    for (const borne of ["Bearer ", "Bearer undefined", "Bearer x"])
      expect(await bears(asked(borne), token)).toBe(false)
  }
  expect(await bears(asked("bearer x"), "x")).toBe(true)
  expect(await bears(asked("Basic x"), "x")).toBe(false)
})
