import { describe, expect, it } from "vitest"
import { observe } from "../../src/observability.ts"
import type { LogOptions, ObservedEvent } from "../../src/observability.ts"
import { startTracedChain } from "./traced-chain.ts"

const logged = (log: Omit<LogOptions, "write">, ...events: ObservedEvent[]): Record<string, unknown>[] => {
  const lines: string[] = []
  const observed = observe({ log: { ...log, write: (line) => lines.push(line) } })
  for (const event of events) observed.onEvent(event)
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

const request = {
  type: "request",
  requestId: "r-1",
  method: "GET",
  host: "misha.iterate.app",
  clientAddress: "192.0.2.7",
  status: 200,
  durationMs: 3.1049,
  machine: "mach_1",
  trace: [{ step: "lookup", outcome: "hit", key: "p:misha" }],
} as const
const bound = { type: "bound_reached", of: "requests", limit: 5, count: 1 } as const

describe("a line of the log", () => {
  it("is an event's texts and numbers, with time and level", () => {
    expect(logged({}, request)).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        level: "info",
        message: "request",
        requestId: "r-1",
        method: "GET",
        host: "misha.iterate.app",
        status: 200,
        durationMs: 3.1,
        machine: "mach_1",
      },
    ])
  })

  it("has the client's address only if nobody asks for less, wherever an event has it", () => {
    const address = "192.0.2.7"
    const events: ObservedEvent[] = [
      request,
      { ...bound, bound: "client", key: address },
      { type: "client_bounds", active: false, reason: `most requests come from ${address}` },
    ]
    expect(JSON.stringify(logged({}, ...events))).not.toContain(address)
    expect(JSON.stringify(logged({ redact: [] }, ...events)).split(address)).toHaveLength(4)
  })

  it("leaves out what it is told to", () => {
    const redact = ["clientAddress", "host", "machine", "owner", "reason"] as const
    const text = JSON.stringify(
      logged(
        { redact },
        { ...request, error: "PortClosed", reason: "port 3 of mach_1 is closed" },
        { ...bound, bound: "project", key: "owner org_1" },
        { ...bound, bound: "machine", key: "mach_1" },
        { type: "cookie_isolated", outcome: "refused", key: "p:misha", host: "misha.x", cookie: "c", reason: "misha" },
      ),
    )
    for (const secret of ["192.0.2.7", "misha", "mach_1", "org_1"]) expect(text, secret).not.toContain(secret)
    expect(text).toContain("PortClosed")
  })

  it("has a level by what it means, and is there from the level asked for", () => {
    const events: ObservedEvent[] = [
      request,
      { ...request, status: 404, error: "RouteNotFound" },
      { ...request, status: 502, error: "PortClosed" },
      { ...request, status: 500, error: "ProxyFailed" },
      { type: "store", state: "failing", reason: "ECONNREFUSED" },
      { type: "store", state: "recovered" },
      { type: "route_source", layer: "kv", state: "stale" },
      { type: "wake", provider: "fly", machine: "m", outcome: "ready", durationMs: 900 },
    ]
    const levels = (log: LogOptions) => logged(log, ...events).map(({ level }) => level)
    expect(levels({ level: "debug" })).toEqual(["info", "info", "warn", "error", "error", "info", "warn", "info"])
    expect(levels({ level: "warn" })).toEqual(["warn", "error", "error", "warn"])
    expect(levels({ level: "error" })).toEqual(["error", "error"])
  })

  it("is one line, whatever a client sends", () => {
    const [line] = logged({}, { ...request, host: 'a\n{"level":"error"}\u001b[2J\u2028' })
    expect(line).toMatchObject({ level: "info" })
  })

  it("has no path and no query of a host's requests", async () => {
    const lines: string[] = []
    const observed = observe({ log: { level: "debug", write: (line) => lines.push(line) } })
    await using chain = await startTracedChain({ observed })
    await chain.get({ "x-path": "/s3cr3t?token=s3cr3t", cookie: "a=s3cr3t" })
    await expect.poll(() => lines.length).toBe(2)
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level).toSorted()).toEqual(["debug", "info"])
    expect(lines.join("")).not.toContain("s3cr3t")
  })
})
