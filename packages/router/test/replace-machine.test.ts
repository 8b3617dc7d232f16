/** Blue-green: real machine proxies, a router on real sockets, and a registry that every request asks. */
import { Agent, get } from "node:http"
import { machineKey } from "@project-ingress/forward"
import { local } from "@project-ingress/providers/local"
import { startMachine } from "@project-ingress/providers/testing"
import type { ProcessMachine } from "@project-ingress/providers/testing"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { everything } from "../../../test/requirements.ts"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import { MachineNotReady, replaceMachine } from "../src/replace-machine.ts"
import type { ReplacementOptions, ReplacementProgress } from "../src/replace-machine.ts"
import { memoryRegistry } from "../src/stores/memory.ts"
import type { MemoryRegistry } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"

const ids = ["mach_1", "mach_2"] as const
let machines: readonly ProcessMachine[]
const machineOf = (id: string) => machines.find((each) => each.id === id)!

const start = async (id: string, loopback: string, appPort = 0) => {
  const key = await machineKey(keys.signing, id)
  const serve = (machine: { readonly machine: string; readonly loopback: string }) =>
    createMachineProxy({ ...machine, keys: [key] }).connection
  return startMachine({ id, serve, loopback, appPort })
}
beforeAll(async () => {
  const first = await start("mach_1", "127.0.0.1")
  // One port for both apps, as in machines of their own.
  machines = [first, await start("mach_2", "127.0.0.2", first.appPort)]
})
afterAll(() => Promise.all(machines.map((each) => each.close())))

let registry: MemoryRegistry
const steps: ReplacementProgress[] = []
const providers = [local()]

/** Registers a machine where its proxy listens now. */
const put = async (id: string, port = machineOf(id).port, epoch = machineOf(id).bootId) =>
  registry.putMachine({ id, type: "local", externalId: id, metadata: { port, epoch } })

beforeEach(async () => {
  steps.length = 0
  registry = memoryRegistry({ grammar: hostnames })
  for (const id of ids) await put(id)
  await registry.create({ name: "misha", machine: "mach_1", visibility: "public" })
})
const replace = (machine: string, options: Partial<ReplacementOptions> = {}) =>
  replaceMachine(registry, {
    project: "misha",
    machine,
    providers,
    signingKey: keys.signing,
    port: machineOf("mach_2").appPort,
    path: "/who",
    intervalMs: 1,
    drain: 0,
    onProgress: (progress) => void steps.push(progress),
    ...options,
  })
const attached = async () => (await registry.read("misha")).machine

/** Everything that a promise rejects with. */
const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "did not fail",
    (cause: unknown) => cause,
  )

/** The failure of a replacement whose deadline is over, with time for one probe at least, however slow it is here. */
const notReady = async (machine: string, options: Partial<ReplacementOptions> = {}): Promise<MachineNotReady> => {
  for (let deadlineMs = 100; ; deadlineMs *= 4) {
    const error = await failureOf(replace(machine, { ...options, deadlineMs }))
    if (!(error instanceof MachineNotReady) || error.last !== undefined) return error as MachineNotReady
  }
}

describe("a machine is replaced", () => {
  it("once the new one has responded as expected, as often as wanted, through its proxy", async () => {
    const result = await replace("mach_2", { successes: 3 })
    expect(result).toMatchObject({ project: { name: "misha", machine: "mach_2" }, previous: "mach_1" })
    expect(await attached()).toBe("mach_2")
    const probes = steps.filter(({ step }) => step === "probing")
    expect(probes.map(({ inARow, last }) => [inARow, last?.status])).toEqual([
      [1, 200],
      [2, 200],
      [3, 200],
    ])
    expect(steps.map(({ step }) => step)).toContain("switched")
  })

  it("not at all where the project has it already", async () => {
    expect(await replace("mach_1")).toEqual({ project: await registry.read("misha") })
    expect(steps).toEqual([])
  })

  it("at once where there was none before", async () => {
    await registry.detach("misha")
    expect(await replace("mach_2", { drain: () => Promise.reject(new Error("not to be drained")) })).toMatchObject({
      project: { machine: "mach_2" },
    })
  })

  it("when a function of the caller's finds the response good", async () => {
    let calls = 0
    const expectation = async (response: Response) => {
      calls += 1
      if (calls === 1) throw new Error("of the caller's own")
      return calls > 3 && (await response.text()) === "mach_2"
    }
    await replace("mach_2", { expect: expectation, successes: 1 })
    expect(steps[0]).toMatchObject({ inARow: 0, last: { ready: false, status: 200, error: "Error" } })
    expect(calls).toBe(4)
  })

  it("and handed back only when nothing needs the old one any more", async () => {
    const drained = Promise.withResolvers<void>()
    const called = Promise.withResolvers<unknown>()
    const replacing = replace("mach_2", {
      drain: (switched) => {
        called.resolve(switched)
        return drained.promise
      },
    })
    const { id } = await registry.read("misha")
    expect(await called.promise).toEqual({ project: id, machine: "mach_2", previous: "mach_1" })
    expect(await attached()).toBe("mach_2")
    expect(await Promise.race([replacing, Promise.resolve("waits")])).toBe("waits")
    drained.resolve()
    expect(await replacing).toMatchObject({ previous: "mach_1" })
  })

  it("whatever a progress callback throws", async () => {
    const onProgress = () => {
      throw new Error("the log is full")
    }
    expect(await replace("mach_2", { onProgress })).toMatchObject({ previous: "mach_1" })
  })
})

describe("the old machine is kept", () => {
  it("when nothing listens where the new one should be", async () => {
    await machineOf("mach_2").stop()
    const error = await notReady("mach_2")
    await machineOf("mach_2").start()
    expect(error).toMatchObject({ _tag: "MachineNotReady", machine: "mach_2", state: "kept", last: { ready: false } })
    expect(error.last?.error).toMatch(/^Machine|^Provider|^PortClosed/)
    expect(await attached()).toBe("mach_1")
  })

  it("when its app responds with 500, and the status is reported", async () => {
    const error = await notReady("mach_2", { path: "/status/500" })
    expect(error).toMatchObject({ _tag: "MachineNotReady", state: "kept", last: { ready: false, status: 500 } })
    expect(`${error}`).toContain("status 500")
    expect(await attached()).toBe("mach_1")
  })

  it("when no port of the new one is open, though its proxy responds", async () => {
    const error = await notReady("mach_2", { port: 1, expect: () => true })
    expect(error).toMatchObject({ state: "kept", last: { ready: false, status: 502, error: "PORT_CLOSED" } })
    expect(`${error}`).toContain("PORT_CLOSED")
    expect(await attached()).toBe("mach_1")
  })

  it("when another machine responds in its place", async () => {
    await put("mach_2", machineOf("mach_1").port, "moved")
    const error = await notReady("mach_2", { port: machineOf("mach_1").appPort })
    expect(error).toMatchObject({ state: "kept", last: { ready: false } })
    expect(await attached()).toBe("mach_1")
  })

  it("when it never responds", async () => {
    const error = await notReady("mach_2", { path: "/hang/1", probeTimeoutMs: 20 })
    expect(error).toMatchObject({ state: "kept", last: { ready: false } })
    expect(await attached()).toBe("mach_1")
  })

  it("when somebody else changes the project meanwhile", async () => {
    let isFirst = true
    const expectation = async () => {
      if (isFirst) await registry.configure("misha", { port: 8080 })
      isFirst = false
      return true
    }
    expect(await failureOf(replace("mach_2", { expect: expectation }))).toMatchObject({ _tag: "VersionConflict" })
    expect(await attached()).toBe("mach_1")
    const { version } = await registry.read("misha")
    expect(await failureOf(replace("mach_2", { ifVersion: version - 1 }))).toMatchObject({ _tag: "VersionConflict" })
    await replace("mach_2", { ifVersion: version })
  })

  it("when the new one is not registered, or no provider runs it", async () => {
    expect(await failureOf(replace("mach_3"))).toMatchObject({ _tag: "NotFound", reference: "mach_3" })
    await registry.putMachine({ id: "mach_3", type: "fly", externalId: "x", metadata: {} })
    expect(await failureOf(replace("mach_3"))).toMatchObject({
      _tag: "MachineRecordInvalid",
      field: "type",
      message: expect.stringContaining("one of local"),
    })
    expect(await attached()).toBe("mach_1")
  })

  it("when the new one serves another project, or is another owner's", async () => {
    await registry.create({ name: "other", machine: "mach_2" })
    expect(await failureOf(replace("mach_2"))).toMatchObject({ _tag: "MachineTaken" })
    await registry.transfer("other", "org_2")
    await registry.detach("other")
    expect(await failureOf(replace("mach_2"))).toMatchObject({ _tag: "OwnerMismatch" })
    expect(await attached()).toBe("mach_1")
  })
})

describe("while requests arrive", () => {
  const REQUESTS = everything ? 10_000 : 1_000

  it(`none of ${REQUESTS} fails while a project goes to and fro, and each old machine is stopped`, async () => {
    const port = machineOf("mach_1").appPort
    const router = createRouter({ grammar: hostnames, store: registry, providers, signingKey: keys.signing })
    const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
    const agent = new Agent({ keepAlive: true, maxSockets: 20 })
    const outcomes = new Map<string, number>()
    const running = new Set<Promise<void>>()
    const send = () =>
      new Promise<void>((resolve) => {
        const done = (outcome: string) => {
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
          resolve()
        }
        const options = { agent, port: listening.port, host: "127.0.0.1", path: "/who" }
        get({ ...options, headers: { host: `${port}__misha.iterate.app` } }, (response) => {
          let body = ""
          response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
          response.on("end", () => done(`${response.statusCode} ${body.slice(0, 100)}`))
        }).on("error", (cause) => done(`${cause}`))
      })
    let sent = 0
    let switches = 0
    const more = () => sent < REQUESTS || switches < 4
    const client = async () => {
      while (more()) {
        sent += 1
        const one = send()
        running.add(one)
        await one
        running.delete(one)
      }
    }
    const clients = Promise.all(Array.from({ length: 16 }, client))
    // Every request that may have been sent to the old machine is over: what was sent since goes to the new one.
    const drain = () => Promise.all(running)
    let kept = 0
    try {
      for (let at = 0; more(); at++) {
        const wanted = ids[(at + 1) % 2]!
        const options = { port, drain }
        // A dead target first, and one that responds with an error: both change nothing.
        const dead = machineOf(wanted)
        await dead.stop()
        await put(wanted, dead.port, `${dead.bootId}-stopped`)
        kept += await failureOf(replace(wanted, { ...options, deadlineMs: 30 })).then((cause) => Number(isKept(cause)))
        await dead.start()
        await put(wanted)
        const failing = { ...options, path: "/status/500", deadlineMs: 30 }
        kept += await failureOf(replace(wanted, failing)).then((cause) => Number(isKept(cause)))
        const { previous } = await replace(wanted, options)
        await machineOf(previous!).stop()
        switches += 1
      }
      await clients
    } finally {
      agent.destroy()
      await listening.close({ deadlineMs: 0 })
      for (const each of machines) await each.start()
    }
    const counted = [...outcomes.values()].reduce((sum, count) => sum + count, 0)
    expect([...outcomes.keys()].toSorted()).toEqual(["200 mach_1", "200 mach_2"])
    expect(counted).toBe(sent)
    expect(counted).toBeGreaterThanOrEqual(REQUESTS)
    expect(kept).toBe(2 * switches)
  }, 600_000)
})

const isKept = (cause: unknown): boolean =>
  (cause as { readonly _tag?: string; readonly state?: string }).state === "kept"

describe("a new machine that fails while the old one is drained", () => {
  const forever = (_: unknown, signal: AbortSignal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))

  it("is rolled back", async () => {
    let isDown = false
    const error = await failureOf(
      replace("mach_2", {
        expect: () => !isDown,
        drain: (switched, signal) => {
          isDown = true
          return forever(switched, signal)
        },
      }),
    )
    expect(error).toMatchObject({ _tag: "MachineNotReady", state: "rolled-back", last: { ready: false, status: 200 } })
    expect(await attached()).toBe("mach_1")
    expect(steps.filter(({ step }) => step === "draining").map(({ inARow }) => inARow)).toEqual([1, 2, 3])
    expect(steps.at(-1)?.step).toBe("rolled-back")
  })

  it("stays if the project was changed meanwhile, and that is said", async () => {
    let isDown = false
    const drain = async (switched: unknown, signal: AbortSignal) => {
      await registry.configure("misha", { port: 8080 })
      isDown = true
      return forever(switched, signal)
    }
    expect(await failureOf(replace("mach_2", { expect: () => !isDown, drain }))).toMatchObject({
      state: "not-rolled-back",
      cause: { _tag: "VersionConflict" },
    })
    expect(await attached()).toBe("mach_2")
  })

  it("stays if that is wanted", async () => {
    let probes = 0
    const drained = Promise.withResolvers<void>()
    const replacing = replace("mach_2", {
      rollBackAfter: false,
      expect: () => ++probes <= 2,
      drain: () => drained.promise,
    })
    drained.resolve()
    expect(await replacing).toMatchObject({ previous: "mach_1" })
    expect(probes).toBe(2)
  })
})

describe("a replacement that is aborted", () => {
  it.each<[string, string, (abort: () => void) => Partial<ReplacementOptions>]>([
    ["before it begins", "mach_1", (abort) => (abort(), {})],
    ["in a probe", "mach_1", (abort) => ({ expect: () => (abort(), true) })],
    ["after a probe", "mach_1", (abort) => ({ successes: 2, onProgress: ({ attempts }) => attempts === 1 && abort() })],
    ["after the last probe", "mach_1", (abort) => ({ onProgress: ({ inARow }) => inARow === 2 && abort() })],
    ["while a probe hangs", "mach_1", (abort) => ({ path: "/hang/2", expect: () => (setTimeout(abort), true) })],
    ["at the switch", "mach_2", (abort) => ({ onProgress: ({ step }) => step === "switched" && abort() })],
    ["while it drains", "mach_2", (abort) => ({ drain: () => (abort(), new Promise(() => {})) })],
  ])("%s leaves %s", async (_, machine, options) => {
    const controller = new AbortController()
    const abort = () => controller.abort(new Error("enough"))
    const given = options(abort)
    if (given.path === "/hang/2") setTimeout(abort, 20)
    expect(await failureOf(replace("mach_2", { ...given, signal: controller.signal }))).toMatchObject({
      message: "enough",
    })
    expect(await attached()).toBe(machine)
  })
})

it.each<[object, string]>([
  [{ path: "who" }, "path must be a path that begins with /"],
  [{ expect: [] }, "expect must be statuses from 200 to 599, or a function"],
  [{ drain: -1 }, "drain must be a number from 0 to 2147483647, or a function"],
  [{ rollBackAfter: true }, "rollBackAfter must be an integer from 1 up, or false"],
  [{ drainMs: 5 }, "drainMs"],
  [{ signingKey: Promise.resolve() }, "signingKey must be a key and no promise"],
])("refuses %j", async (wrong, message) => {
  await expect(replace("mach_2", wrong as never)).rejects.toThrow(message)
})
