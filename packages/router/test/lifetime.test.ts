/** What goes on beside requests: the watch of a host, word that a machine is in use, and what a Worker is asked to wait for. */
import { get } from "node:http"
import { MachineNotRunning } from "@project-ingress/providers"
import type { MachineProvider } from "@project-ingress/providers"
import { local } from "@project-ingress/providers/local"
import { afterEach, describe, expect, it, vi } from "vitest"
import { WebSocket } from "ws"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, hostnames, keys, machine, setup, stamped } from "./fakes.ts"
import { startMachine } from "./machine.ts"

afterEach(() => {
  vi.useRealTimers()
})

const routes = memoryStore({ "p:misha": { machine: machine("mach_1") } })

describe("a host on sockets", () => {
  it("follows what providers tell from its first connection on until it is closed", async () => {
    const signals: AbortSignal[] = []
    const watched: MachineProvider = fake({
      async *watch({ signal }) {
        signals.push(signal)
        yield { externalId: "ext-mach_1", state: "running" }
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
      },
    })
    const host = serveNode(
      createRouter({
        grammar: hostnames,
        store: routes,
        providers: [watched],
        signingKey: keys.signing,
        unprovenMachines: true,
      }),
    )
    expect(signals).toHaveLength(0)
    const listening = await host.listen({ hostname: "127.0.0.1" })
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    await listening.close({ deadlineMs: 0 })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  it("says that a machine is in use as long as a WebSocket is open, and no longer", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date", "performance"] })
    const calls: string[] = []
    const places = local()
    const provider: MachineProvider = {
      ...places,
      keepAlive: async ({ id }) => void calls.push(id),
    }
    const inside = await startMachine()
    const router = createRouter({
      grammar: hostnames,
      store: memoryStore({
        "p:misha": { machine: { id: "mach_1", type: "local", externalId: "m", metadata: { port: inside.port } } },
      }),
      providers: [provider],
      signingKey: keys.signing,
      unprovenMachines: true,
    })
    const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
    const socket = new WebSocket(`ws://127.0.0.1:${listening.port}/ws`, { headers: { host: "misha.iterate.app" } })
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
    expect(calls).toEqual(["mach_1"])
    vi.advanceTimersByTime(45_500 * 3)
    expect(calls).toHaveLength(4)
    socket.close()
    await new Promise((resolve) => socket.once("close", resolve))
    // The engine's own wheel is a timer as well: what counts is that nobody is notified any more.
    await listening.close({ deadlineMs: 0 })
    vi.advanceTimersByTime(1_000_000)
    expect(calls).toHaveLength(4)
    await inside.close()
  })
})

it("a host on sockets knows the end of an answer from a machine without an address, too", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date", "performance"] })
  const calls: string[] = []
  const provider = fake({
    keepAlive: async ({ id }) => void calls.push(id),
    endpoint: { origin: "http://machine.invalid", fetch: async () => stamped("done") },
  })
  const router = createRouter({
    grammar: hostnames,
    store: routes,
    providers: [provider],
    signingKey: keys.signing,
    unprovenMachines: true,
  })
  const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
  const before = vi.getTimerCount()
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => {
      const options = { host: "127.0.0.1", port: listening.port, headers: { host: "misha.iterate.app" } }
      get(options, (response) => response.resume().once("end", resolve))
    })
  }
  // One is the engine's own wheel.
  await expect.poll(() => vi.getTimerCount() - before).toBeLessThan(2)
  expect(calls).toEqual(["mach_1"])
  await listening.close({ deadlineMs: 0 })
})

describe("the fetch door", () => {
  it("hands what goes on after an answer to the context's waitUntil", async () => {
    let tell = (): void => {}
    const { router } = setup({ providers: [fake({ keepAlive: () => new Promise((resolve) => (tell = resolve)) })] })
    const kept: Promise<unknown>[] = []
    const context = {
      waitUntil(this: unknown, work: Promise<unknown>) {
        // As workerd does: `Illegal invocation` without its object.
        expect(this).toBe(context)
        kept.push(work)
      },
    }
    const answer = await router.fetch(new Request("https://misha.iterate.app/"), context)
    expect([answer?.status, kept.length]).toEqual([200, 1])
    tell()
    await kept[0]
  })

  it("reports a machine as in use for as long as its response is read", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date", "performance"] })
    const calls: string[] = []
    const pipe = new TransformStream<Uint8Array, Uint8Array>()
    const { router } = setup({
      providers: [fake({ keepAlive: async ({ id }) => void calls.push(id) })],
      answer: () => stamped(pipe.readable),
    })
    const response = await router.fetch(new Request("https://misha.iterate.app/"))
    vi.advanceTimersByTime(45_500 * 3)
    expect(calls).toHaveLength(4)
    const app = pipe.writable.getWriter()
    void app.write(new TextEncoder().encode("done"))
    void app.close()
    expect(await response?.text()).toBe("done")
    vi.advanceTimersByTime(1_000_000)
    expect(calls).toHaveLength(4)
  })

  it("has a machine started for the next request, though this one cannot wait", async () => {
    const started = vi.fn<NonNullable<MachineProvider["start"]>>(async () => {})
    const sleeping = fake({
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      status: async () => ({ state: "stopped" }),
      start: started,
    })
    const { router } = setup({ providers: [sleeping], answer: () => new Response("bad gateway", { status: 502 }) })
    const kept: Promise<unknown>[] = []
    const request = new Request("https://misha.iterate.app/", { method: "POST", body: "once" })
    const answer = await router.fetch(request, { waitUntil: (work) => void kept.push(work) })
    expect([answer?.status, started.mock.calls.length, kept.length]).toEqual([503, 1, 1])
  })

  it("shows an adapter the beginning of the platform's own answer", async () => {
    const bodies: (string | undefined)[] = []
    const provider = fake({
      classify: ({ body }, { type, externalId }) => {
        bodies.push(body)
        return new MachineNotRunning({ provider: type, machine: externalId, state: "asleep" })
      },
    })
    const { router } = setup({ providers: [provider], answer: () => new Response("zzz", { status: 400 }) })
    const answer = await router.fetch(new Request("https://misha.iterate.app/"))
    expect([answer?.status, bodies]).toEqual([503, ["zzz"]])
  })
})
