/** `hopLimit`: circles through proxies of others. */
import { afterAll, describe, expect, it } from "vitest"
import { hopLimit } from "../../src/policies.ts"
import { startRawHost } from "./raw-host.ts"
import { toMachine, visits } from "./visit.ts"

const via = async (value: string, max = 2) => {
  const { visit, resolved } = visits([hopLimit({ max })], { "p:misha": toMachine() })
  const { status, code } = await visit("https://misha.iterate.app/", { headers: { via: value } })
  expect(resolved()).toBe(status === 200 ? 1 : 0)
  return code ?? status
}

describe("a request", () => {
  it.each([
    ["1.1 a", 200],
    ["1.1 a, 1.1 b", 200],
    ["1.1 a (x, y, z), 2 b (1, 2)", 200],
    [", 1.1 a,, 1.1 b ,", 200],
    ["1.1 a, 1.1 b, 1.1 c", "TOO_MANY_HOPS"],
    ["1.1 a,1.1 a,1.1 a", "TOO_MANY_HOPS"],
    ["1.1 ingress-router, 1.1 ingress-machine-proxy, 1.1 ingress-router", "TOO_MANY_HOPS"],
    // What is no list of proxies counts as it stands.
    ["(((, a, b, c", "TOO_MANY_HOPS"],
  ])("that came by %j: %s", async (value, expected) => {
    expect(await via(value)).toBe(expected)
  })

  it("that came by none goes on even where none is allowed", async () => {
    const { visit } = visits([hopLimit({ max: 0 })])
    expect((await visit("https://misha.iterate.app/")).status).toBe(200)
    expect(await via("1.1 a", 0)).toBe("TOO_MANY_HOPS")
  })
})

describe("on sockets", async () => {
  const host = await startRawHost([hopLimit({ max: 2 })], {})
  afterAll(() => host.close())

  it("lines are one list", async () => {
    const get = ["GET / HTTP/1.1", "Host: misha.iterate.app"]
    expect(await host.send(...get, "Via: 1.1 a", "via: 1.1 b", "VIA: 1.1 c")).toBe("508 TOO_MANY_HOPS")
    expect(await host.send(...get, "Via: 1.1 a", "via: 1.1 b")).toBe("200")
  })
})

it("checks its options", () => {
  // @ts-expect-error no limit
  expect(() => hopLimit({})).toThrow("hopLimit: max must be an integer from 0 up")
})
