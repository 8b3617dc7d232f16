import { describe, expect, it } from "vitest"
import type { Machine } from "../src/contract/machine-provider.ts"
import { edgeHostHeader, providerSuite, throughEdge } from "../src/testing.ts"
import type { Fixture, SuiteReport } from "../src/testing.ts"
import { acme, acmeFixture } from "./conformance-vendor.ts"

/** The suite's laws as functions, and what was registered. */
const registered = async (fixture: Fixture) => {
  const tests = new Map<string, () => Promise<void>>()
  const report: SuiteReport = await providerSuite(
    (title, run) => tests.set(title.split(":")[0]!, run),
    () => fixture,
  )
  return { ...report, check: (law: string) => tests.get(law)!() }
}

/** No request repairs what a law has left. */
const asleep: typeof acme = (made) => {
  const provider = acme(made)
  return { ...provider, capabilities: { ...provider.capabilities, wake: "none" } }
}

describe("a law that fails", () => {
  it("is the reason of the later ones where the machine does not respond since, and is named", async () => {
    const fixture = await acmeFixture(asleep)
    const broken = Object.assign(fixture, { restart: () => Promise.reject(new Error("the console is down")) })
    const { check } = await registered(broken)
    try {
      await expect(check("states.stopped")).rejects.toThrow("the console is down")
      const because = /^not checked, because the machine does not respond since states\.stopped failed: .*the console/
      await expect(check("http.methods")).rejects.toThrow(because)
      await expect(check("identity.type")).rejects.toThrow(because)
      // Nothing of it depends on the machine.
      await check("secrets.console")
    } finally {
      await fixture.close()
    }
  })

  it("does not hinder the later ones where the machine can be restarted", async () => {
    const fixture = await acmeFixture(asleep)
    const { restart } = fixture
    let restarts = 0
    Object.assign(fixture, { restart: () => (restarts++ === 0 ? Promise.reject(new Error("busy")) : restart!()) })
    const { check } = await registered(fixture)
    try {
      await expect(check("states.stopped")).rejects.toThrow("busy")
      await check("http.methods")
      await check("http.query")
      expect(restarts).toBe(2)
    } finally {
      await fixture.close()
    }
  })
})

describe("a platform that can only suspend a machine", () => {
  it("is tested with the laws about starting one", async () => {
    const { stop: _, ...fixture } = await acmeFixture()
    const { check, skipped } = await registered(fixture)
    try {
      expect(Object.entries(skipped)).toEqual([
        ["states.stopped", "the fixture has no stop"],
        ["states.stopped-fails", "the fixture has no stop"],
      ])
      await check("wake.by-request")
      await check("wake.stopped")
    } finally {
      await fixture.close()
    }
  })

  it("and one that can do neither is not, with both as the reason", async () => {
    const { stop: _, suspend: __, ...fixture } = await acmeFixture()
    const { skipped } = await registered(fixture)
    await fixture.close()
    expect(skipped["wake.by-request"]).toBe("the fixture has no stop and no suspend")
  })
})

describe("throughEdge", () => {
  const machine: Machine = { id: "m", type: "acme", externalId: "abc", metadata: {} }
  const options = { port: 3000, signal: new AbortController().signal }
  const endpoint = {
    origin: "https://8080-abc.acme.app",
    headers: { "x-pass": "1" },
    addresses: { allowHosts: ["*.acme.app"] },
    pin: "sha256//AAAA",
    epoch: "1",
    ttlMs: 5,
  }
  const provider = {
    ...acme({ token: "t", ask: () => Promise.reject(new Error()), watch: async function* () {} }),
    resolve: async () => endpoint,
    start: async () => endpoint,
  }

  it("sends to the edge, which is told the host, and leaves the rest", async () => {
    const through = throughEdge(provider, "http://127.0.0.1:9")
    const expected = {
      origin: "http://127.0.0.1:9",
      headers: { "x-pass": "1", [edgeHostHeader]: "8080-abc.acme.app" },
      epoch: "1",
      ttlMs: 5,
    }
    expect(await through.resolve(machine, options)).toEqual(expected)
    expect(await through.start!(machine, options)).toEqual(expected)
    expect(through.capabilities).toBe(provider.capabilities)
  })

  it("adds no start to a provider without one", () => {
    const { start: _, ...without } = provider
    expect(throughEdge(without, "http://127.0.0.1:9")).not.toHaveProperty("start")
  })
})
