import { describe, expect, it } from "vitest"
import { MachineNotRunning } from "../src/contract/errors.ts"
import type { Endpoint, MachineProvider } from "../src/contract/machine-provider.ts"
import { providerSuite } from "../src/testing.ts"
import type { LawName } from "../src/testing.ts"
import { acme, acmeFixture, TOKEN } from "./conformance-vendor.ts"
import { everything, onlyInAll } from "../../../test/requirements.ts"

/** A runner: keeps the tests, and runs those that are asked for. */
const prove = async (make: typeof acme, names?: readonly LawName[]) => {
  const tests = new Map<string, () => Promise<void>>()
  const fixture = await acmeFixture(make)
  try {
    const { tried, skipped } = await providerSuite(
      (name, run) => tests.set(name.split(":")[0]!, run),
      () => fixture,
    )
    const broken: string[] = []
    for (const name of names ?? tried) {
      await tests.get(name)!().catch((error: unknown) => broken.push(`${name}: ${String(error)}`))
    }
    return { tried, skipped, broken }
  } finally {
    await fixture.close()
  }
}

type Made = Parameters<typeof acme>[0]
const mutant =
  (change: (right: MachineProvider, made: Made) => Partial<MachineProvider>): typeof acme =>
  (made) => {
    const right = acme(made)
    return { ...right, ...change(right, made) }
  }
const behindOldEdge = mutant((right) => ({
  resolve: async (...args) => {
    const endpoint = await right.resolve(...args)
    return { ...endpoint, headers: { ...endpoint.headers, "x-acme-edge": "old" } }
  },
}))
const unheard = new AbortController().signal

describe.skipIf(!everything)(`the kit${onlyInAll}`, () => {
  it("tries every law on a vendor that has everything, and finds the correct adapter correct", async () => {
    const { tried, skipped, broken } = await prove(acme)
    expect(broken).toEqual([])
    expect(skipped).toEqual({})
    expect(tried.length).toBeGreaterThanOrEqual(55)
  }, 60_000)

  const mutants: readonly (readonly [LawName, string, typeof acme])[] = [
    [
      "abort.resolve",
      "ignores the signal",
      mutant((right) => ({ resolve: (machine, { port }) => right.resolve(machine, { port, signal: unheard }) })),
    ],
    [
      "abort.status",
      "ignores the signal of status",
      mutant((right) => ({ status: (machine) => right.status!(machine, { signal: unheard }) })),
    ],
    [
      "carries.declared",
      "says less than both",
      mutant((right) => ({ capabilities: { ...right.capabilities, carries: { trailers: true } as never } })),
    ],
    ["carries.trailers", "says that trailers pass, behind an edge that drops them", behindOldEdge],
    [
      "carries.duplex",
      "says that both sides may speak at once, behind an edge that takes in requests first",
      behindOldEdge,
    ],
    [
      "identity.ports",
      "has an address per port and says it has one for all",
      mutant((right) => ({
        resolve: async (machine, options) => ({
          ...(await right.resolve(machine, options)),
          origin: `http://127.0.0.1:${options.port}`,
        }),
      })),
    ],
    [
      "secrets.refused",
      "repeats its token when it is rejected",
      mutant((right, { token }) => ({
        resolve: (...args) =>
          right.resolve(...args).catch(() => {
            throw new Error(`401 for ${token}`)
          }),
      })),
    ],
    [
      "secrets.failing",
      "repeats its token in the cause of a failure",
      mutant((right) => ({
        resolve: (machine, options) =>
          right.resolve(machine, options).catch((error: unknown) => {
            throw Object.assign(new Error("failed", { cause: { request: { token: TOKEN } } }), { error })
          }),
      })),
    ],
    [
      "secrets.endpoint",
      "has its token in the epoch",
      mutant((right) => ({
        resolve: async (...args) => ({ ...(await right.resolve(...args)), epoch: `boot-${TOKEN}` }),
      })),
    ],
    [
      "secrets.provider",
      "keeps its token in a property",
      mutant((right, { token }) => ({ capabilities: Object.assign({ token }, right.capabilities) })),
    ],
    [
      "secrets.console",
      "logs its headers",
      mutant((right) => ({
        resolve: async (...args) => {
          const endpoint = await right.resolve(...args)
          console.debug(endpoint)
          return endpoint
        },
      })),
    ],
    [
      "secrets.classify",
      "repeats the platform's response",
      mutant((right) => ({
        classify: ({ body }, { type, externalId }) =>
          new MachineNotRunning({ provider: type, machine: externalId, state: body ?? right.type }),
      })),
    ],
    [
      "identity.epoch-changes",
      "never changes its epoch",
      mutant((right) => ({ resolve: async (...args) => ({ ...(await right.resolve(...args)), epoch: "1" }) })),
    ],
    [
      "identity.epoch-stays",
      "has a new epoch each time",
      mutant((right) => {
        let n = 0
        return { resolve: async (...args) => ({ ...(await right.resolve(...args)), epoch: String(n++) }) }
      }),
    ],
    [
      "identity.reaches",
      "gives another machine's origin",
      mutant((right) => ({
        resolve: (machine, options) => right.resolve({ ...machine, externalId: "mach_b" }, options),
      })),
    ],
    [
      "identity.origin",
      "puts its token into the origin",
      mutant((right) => {
        // The first request of the suite is responded to.
        let n = 0
        return {
          resolve: async (...args) => {
            const endpoint = await right.resolve(...args)
            return n++ === 0 ? endpoint : { ...endpoint, origin: endpoint.origin.replace("//", `//token:${TOKEN}@`) }
          },
        }
      }),
    ],
    [
      "identity.swap",
      "remembers an address forever",
      mutant((right) => {
        const known = new Map<string, ReturnType<MachineProvider["resolve"]>>()
        return {
          resolve: (machine, options) => {
            const found = known.get(machine.externalId) ?? right.resolve(machine, options)
            known.set(machine.externalId, found)
            return found
          },
        }
      }),
    ],
    [
      "identity.missing",
      "throws untyped errors",
      mutant((right) => ({
        resolve: (...args) =>
          right.resolve(...args).catch(() => {
            throw new Error("not found")
          }),
      })),
    ],
    [
      "identity.record-untouched",
      "writes into the record",
      mutant((right) => ({
        resolve: (machine, options) => {
          Object.assign(machine.metadata, { seen: true })
          return right.resolve(machine, options)
        },
      })),
    ],
    [
      "http.intercepted-headers",
      "does not name the headers that its edge intercepts",
      mutant((right) => ({
        capabilities: { ...right.capabilities, interceptedHeaders: [] },
        resolve: async (...args) => {
          const endpoint = await right.resolve(...args)
          return { ...endpoint, headers: { ...endpoint.headers, authorization: "Bearer edge" } }
        },
      })),
    ],
    [
      "classify.total",
      "throws on an unknown body",
      mutant((right) => ({
        classify: (answer, machine) => {
          if (answer.body !== undefined) JSON.parse(answer.body)
          return right.classify!(answer, machine)
        },
      })),
    ],
    [
      "classify.pure",
      "counts while it classifies",
      mutant((right) => {
        let n = 0
        return { classify: (answer, machine) => (n++ % 2 === 0 ? "check-status" : right.classify!(answer, machine)) }
      }),
    ],
    [
      "wake.running",
      "restarts a running machine",
      mutant((right) => {
        let n = 0
        return {
          start: async () => void n++,
          resolve: async (...args) => ({ ...(await right.resolve(...args)), epoch: String(n) }),
        }
      }),
    ],
    [
      "wake.endpoint",
      "gives an endpoint where nothing listens",
      mutant((right) => ({
        start: async (machine, options) => {
          await right.start!(machine, options)
          return { origin: "http://127.0.0.1:1", epoch: "0", ttlMs: 0 }
        },
      })),
    ],
    ["states.stopped", "always reports running", mutant(() => ({ status: async () => ({ state: "running" }) }))],
    ["wake.declared", "declares start and has none", mutant(() => ({ start: undefined as never }))],
    ["wake.watch-ends", "watches forever", mutant(() => ({ watch: () => forever() }))],
    [
      "platform.rotate",
      "never renews the first credentials",
      mutant((right) => {
        let first: Endpoint["headers"]
        return {
          resolve: async (...args) => {
            const endpoint = await right.resolve(...args)
            return { ...endpoint, headers: (first ??= endpoint.headers!) }
          },
        }
      }),
    ],
    [
      "platform.rate-limit",
      "drops the time to wait",
      mutant((right) => ({
        resolve: (...args) =>
          right.resolve(...args).catch((error: unknown) => {
            throw Object.assign(error as Error, { retryAfterMs: undefined })
          }),
      })),
    ],
  ]

  it.concurrent.each(mutants)("finds by %s an adapter that %s", { timeout: 120_000 }, async (law, _, make) => {
    const names = law === "secrets.console" ? (["identity.reaches", law] as const) : [law]
    const { broken } = await prove(make, names)
    expect(broken.map((each) => each.split(":")[0])).toEqual([law])
  })
})

describe("a fixture whose machine does not respond", () => {
  const cause = /PortClosed: acme machine mach_a/
  const nowhere = mutant((right) => ({
    resolve: async (...args) => ({ ...(await right.resolve(...args)), origin: "http://127.0.0.1:1" }),
    status: undefined as never,
    start: undefined as never,
  }))
  const untyped = mutant((_, { token }) => ({ resolve: () => Promise.reject(new Error(`boom with ${token}`)) }))
  const notRun = "not run: the fixture's machine gave no response to a first request"

  it("is reported once, and every other law as not run", { timeout: 60_000 }, async () => {
    const { tried, broken } = await prove(nowhere)
    expect(broken.length).toBe(tried.length)
    expect(broken[0]).toMatch(/^identity\.reaches: /)
    expect(broken[0]).not.toContain(notRun)
    expect(broken[0]).toMatch(cause)
    expect(broken.slice(1).filter((each) => !each.includes(notRun))).toEqual([])
  })

  it("is reported with what the adapter threw, and no secret", { timeout: 60_000 }, async () => {
    const { broken } = await prove(untyped, ["identity.reaches"])
    expect(broken.join()).toMatch(/no other law is run: ProviderUnavailable: .*, because of Error: boom with …$/)
  })

  it("is reported by the first law that a filter leaves", { timeout: 60_000 }, async () => {
    const { broken } = await prove(nowhere, ["http.gzip", "http.head"])
    expect(broken[0]).toMatch(cause)
    expect(broken[1]).toContain(notRun)
  })

  it("skips the other laws in a runner whose tests can", { timeout: 60_000 }, async () => {
    const fixture = await acmeFixture(nowhere)
    const tests: ((context: { skip(reason: string): void }) => Promise<void>)[] = []
    await providerSuite(
      (_, run) => tests.push(run),
      () => fixture,
    )
    const reasons: string[] = []
    const context = { skip: (reason: string) => void reasons.push(reason) }
    const failed: unknown[] = []
    for (const test of tests) await test(context).catch((error: unknown) => failed.push(error))
    await fixture.close()
    expect(failed.map(String)).toEqual([expect.stringMatching(cause)])
    expect(reasons.length).toBe(tests.length - 1)
    const lacking = new Set(["the provider has no status", "the provider has no start"])
    expect(reasons.filter((reason) => !lacking.has(reason) && !reason.startsWith(notRun))).toEqual([])
  })

  it("does not stop the laws where a caller skips the one that reports it", async () => {
    const fixture = await acmeFixture(nowhere)
    const tests = new Map<string, () => Promise<void>>()
    await providerSuite(
      (name, run) => tests.set(name.split(":")[0]!, run),
      () => fixture,
      { skip: { "identity.reaches": "no machine yet" } },
    )
    await expect(tests.get("identity.capabilities")!()).resolves.toBeUndefined()
    await fixture.close()
  })
})

const forever = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) })

describe("a declared deviation", () => {
  const setup = () => ({ provider: acme({ token: TOKEN, ask: noOne, watch: forever }), machine })
  const machine = { id: "mach_a", type: "acme", externalId: "mach_a", metadata: {} }
  const noOne = () => Promise.reject(new Error("unused"))

  it("needs a law and a reason", async () => {
    const suite = (skip: object) => providerSuite(() => {}, setup, { skip })
    await expect(suite({ "no.such": "reason" })).rejects.toThrow(`there is no law "no.such"`)
    await expect(suite({ "http.gzip": " " })).rejects.toThrow("http.gzip needs a reason")
  })

  it("is named with its reason, with a runner that can skip and with one that cannot", async () => {
    const skip = { "http.gzip": "the edge decodes bodies" }
    const names: string[] = []
    const leftOut: string[] = []
    const can = Object.assign((name: string) => names.push(name), { skip: (name: string) => leftOut.push(name) })
    await providerSuite(can, setup, { skip })
    expect(leftOut).toContain("http.gzip: a compressed body comes back compressed (skipped: the edge decodes bodies)")
    expect(leftOut.join()).toContain("(skipped: the fixture has no other)")
    names.length = 0
    await providerSuite((name: string) => names.push(name), setup, { skip })
    expect(names).toContain("http.gzip: a compressed body comes back compressed (skipped: the edge decodes bodies)")
  })
})
