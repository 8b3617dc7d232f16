/** A machine is in use while one of its responses is open, and not a moment longer. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { defaultHeaderNames } from "@project-ingress/forward"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date", "performance"], now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const headers = { [defaultHeaderNames.stamp]: "1", "set-cookie": "a=1", "x-app": "1" }

/** A machine whose responses have the body that is given. */
const scene = (body: () => BodyInit | null, watched = true) => {
  let reports = 0
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve: async () => ({
      origin: "http://10.0.0.1:8080",
      epoch: "1",
      ttlMs: 60_000,
      fetch: async () => new Response(body(), { status: 201, statusText: "Made", headers }),
    }),
    ...(watched ? { keepAlive: async () => void reports++ } : {}),
  }
  const send = machineFetcher(provider, machine)
  return { reports: () => reports, send: (init?: RequestInit) => send(new Request("http://app.example/", init)) }
}

/** A body of one piece that stays open, and what becomes of it. */
const openBody = () => {
  const seen = { pulls: 0, canceled: undefined as unknown }
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const body = new ReadableStream<Uint8Array>(
    {
      start: (made) => {
        controller = made
      },
      pull: (made) => {
        if (seen.pulls++ === 0) made.enqueue(new TextEncoder().encode("one"))
      },
      cancel: (reason) => {
        seen.canceled = reason
      },
    },
    { highWaterMark: 0 },
  )
  return { body, seen, end: () => controller.close(), fail: () => controller.error(new Error("mine")) }
}

/** Whether the machine still counts as in use. */
const inUse = async ({ reports }: ReturnType<typeof scene>): Promise<boolean> => {
  const before = reports()
  await vi.advanceTimersByTimeAsync(2 * 45_500)
  return reports() > before
}

describe("a machine of a provider with keepAlive", () => {
  it("is in use until the body of its response has ended, of which nothing is read ahead", async () => {
    const { body, seen, end } = openBody()
    const app = scene(() => body)
    const response = await app.send()
    expect([response.status, response.statusText, response.headers.get("x-app")]).toEqual([201, "Made", "1"])
    expect(app.reports()).toBe(1)
    expect(await inUse(app)).toBe(true)
    expect(seen.pulls).toBe(0)
    const reader = response.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("one")
    expect(seen.pulls).toBe(1)
    expect(await inUse(app)).toBe(true)
    end()
    expect((await reader.read()).done).toBe(true)
    expect(await inUse(app)).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("is in use no longer when the body is cancelled", async () => {
    const { body, seen } = openBody()
    const app = scene(() => body)
    const response = await app.send()
    await response.body!.cancel("enough")
    expect(seen.canceled).toBe("enough")
    expect(await inUse(app)).toBe(false)
  })

  it("is in use no longer when the body breaks off", async () => {
    const { body, fail } = openBody()
    const app = scene(() => body)
    const text = (await app.send()).text()
    fail()
    await expect(text).rejects.toThrow("mine")
    expect(await inUse(app)).toBe(false)
  })

  it("is in use no longer when the request is given up", async () => {
    const leaving = new AbortController()
    const app = scene(() => openBody().body)
    const response = await app.send({ signal: leaving.signal })
    expect(await inUse(app)).toBe(true)
    leaving.abort()
    expect(await inUse(app)).toBe(false)
    expect(response.body).not.toBeNull()
  })

  it("is in use no longer when nobody holds the response any more", async () => {
    const app = scene(() => openBody().body)
    await app.send()
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    for (;;) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (vi.getTimerCount() === 0) break
    }
    expect(await inUse(app)).toBe(false)
  })

  it("is in use for a moment when the response has no body", async () => {
    const app = scene(() => null)
    expect((await app.send()).body).toBeNull()
    expect(app.reports()).toBe(1)
    expect(await inUse(app)).toBe(false)
  })
})

it("a provider without keepAlive costs a body nothing: it is the very stream", async () => {
  const { body } = openBody()
  const response = await scene(() => body, false).send()
  expect(response.body).toBe(body)
  expect(vi.getTimerCount()).toBe(0)
})
