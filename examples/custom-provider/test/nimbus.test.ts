import { expect, it } from "vitest"
import { nimbus } from "../src/nimbus.ts"

const machine = { id: "mach_1", type: "nimbus", externalId: "a/b", metadata: {} }
const resolve = (status: number, body: unknown = {}) => {
  const asked: [string, Headers][] = []
  const provider = nimbus({
    apiKey: "secret",
    fetch: async (url, init) => {
      asked.push([url instanceof Request ? url.url : url.toString(), new Headers(init?.headers)])
      return Response.json(body, { status })
    },
  })
  const { signal } = new AbortController()
  return { asked, endpoint: provider.resolve(machine, { port: 3000, signal }) }
}

it("says where a running machine is, and what its edge wants to see", async () => {
  const { asked, endpoint } = resolve(200, { state: "running", address: "m1.nimbus.example", bootId: "7" })
  expect(await endpoint).toEqual({
    origin: "https://m1.nimbus.example",
    headers: { authorization: "Bearer secret" },
    epoch: "7",
    cacheForMs: 30_000,
  })
  expect(asked[0]![0]).toBe("https://api.nimbus.example/v1/machines/a%2Fb")
  expect(asked[0]![1].get("authorization")).toBe("Bearer secret")
})

it.each([
  [404, {}, "MachineNotFound"],
  [401, {}, "ProviderAuth"],
  [500, {}, "ProviderUnavailable"],
  [200, { state: "booting" }, "MachineStarting"],
  [200, { state: "stopped" }, "MachineNotRunning"],
])("translates %i %j into %s, and tells no secret", async (status, body, tag) => {
  const error: unknown = await resolve(status, body).endpoint.catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ _tag: tag })
  expect(String(error)).not.toContain("secret")
})
