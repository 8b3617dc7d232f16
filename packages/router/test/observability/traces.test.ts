import { describe, expect, it } from "vitest"
import { observe, otlp } from "../../src/observability.ts"
import { startCollector } from "./collector.ts"
import type { ExportedSpan } from "./collector.ts"
import { startTracedChain } from "./traced-chain.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"
const traceparent = `00-${traceId}-${spanId}-01`
const tracestate = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"

/** Router and machine proxy that both export to one collector. */
const tracedBoth = async (tracing?: NonNullable<Parameters<typeof observe>[0]>["tracing"]) => {
  const collector = await startCollector()
  const observed = observe({ ...(tracing && { tracing }), export: otlp({ url: collector.url, signals: ["traces"] }) })
  const chain = await startTracedChain({
    observed,
    machineCollector: collector.url,
    tracing: { trustTraceContext: true },
  })
  /** Ends both, so that all is exported, and gives the spans. */
  const spans = async (): Promise<ExportedSpan[]> => {
    await chain[Symbol.asyncDispose]()
    await observed.close()
    const all = collector.spans()
    await collector[Symbol.asyncDispose]()
    return all
  }
  return { collector, observed, chain, spans }
}

const named = (spans: readonly ExportedSpan[], name: string): ExportedSpan => {
  const found = spans.filter((span) => span.name === name)
  expect(found, name).toHaveLength(1)
  return found[0]!
}

describe("a trace through router and machine proxy", () => {
  it("is one, and each span's parent is the one before it", async () => {
    const { chain, spans } = await tracedBoth()
    const { status, received } = await chain.get({ traceparent, tracestate })
    expect(status).toBe(200)
    const all = await spans()
    const router = named(all, "ingress.router")
    const attempt = named(all, "ingress.router.attempt")
    const machine = named(all, "ingress.machine_proxy")
    expect(all).toHaveLength(3)
    expect(all.map((span) => span.traceId)).toEqual([traceId, traceId, traceId])
    expect(router.parentSpanId).toBe(spanId)
    expect(attempt.parentSpanId).toBe(router.spanId)
    expect(machine.parentSpanId).toBe(attempt.spanId)
    expect(received["traceparent"]).toBe(`00-${traceId}-${machine.spanId}-01`)
    expect(received["tracestate"]).toBe(tracestate)
    expect(router.attributes).toMatchObject({ "http.response.status_code": 200, "ingress.machine": "mach_1" })
    expect(router.events.map(({ name }) => name)).toContain("ingress.lookup")
    expect(BigInt(machine.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(router.startTimeUnixNano))
  })

  it("begins at the router if the visitor has none", async () => {
    const { chain, spans } = await tracedBoth()
    await chain.get()
    const all = await spans()
    expect(named(all, "ingress.router").parentSpanId).toBeUndefined()
    expect(new Set(all.map((span) => span.traceId)).size).toBe(1)
    expect(all).toHaveLength(3)
  })

  it("has a span that failed for a failure of a proxy, and for an app's own 500", async () => {
    const { chain, spans } = await tracedBoth()
    await chain.get({ "x-path": "/fails" })
    await chain.get({}, "1__misha.iterate.app")
    await chain.get({}, "other.iterate.app")
    const all = await spans()
    const routers = all.filter(({ name }) => name === "ingress.router")
    expect(routers.map(({ status }) => status.code)).toEqual([2, 2, 1])
    expect(routers.map(({ attributes }) => attributes["ingress.code"])).toEqual([
      undefined,
      "PORT_CLOSED",
      "ROUTE_NOT_FOUND",
    ])
    const machines = all.filter(({ name }) => name === "ingress.machine_proxy")
    expect(machines.map(({ attributes }) => attributes["error.type"])).toEqual([undefined, "PortClosed"])
    // A stack would show where this package is.
    expect(JSON.stringify(all)).not.toContain("/packages/")
  })

  it("shows no path, no field and no address of the visitor", async () => {
    const { chain, spans } = await tracedBoth()
    await chain.get({ "x-path": "/s3cr3t?token=s3cr3t", cookie: "a=s3cr3t", authorization: "Bearer s3cr3t" })
    const all = await spans()
    expect(all).toHaveLength(3)
    expect(JSON.stringify(all)).not.toContain("s3cr3t")
    expect(JSON.stringify(all)).not.toContain("127.0.0.1")
  })
})

describe("a stranger's trace context", () => {
  it("does not decide what is recorded, but is told the app with the router's own flag", async () => {
    const { chain, spans } = await tracedBoth({ sampleRatio: 0 })
    const { received } = await chain.get({ traceparent, tracestate })
    expect(received["traceparent"]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
    expect(received["traceparent"]).not.toContain(spanId)
    expect(received["tracestate"]).toBe(tracestate)
    expect(await spans()).toEqual([])
  })

  it("decides where it is trusted", async () => {
    const { chain, spans } = await tracedBoth({ sampleRatio: 0, trustTraceContext: true })
    await chain.get({ traceparent })
    await chain.get({ traceparent: traceparent.replace(/01$/, "00") })
    await chain.get()
    const all = await spans()
    expect(all.filter(({ name }) => name === "ingress.router")).toHaveLength(1)
    expect(all).toHaveLength(3)
  })

  it("that is malformed begins a trace of its own, and takes tracestate with it", async () => {
    const { chain, spans } = await tracedBoth()
    const { received } = await chain.get({ traceparent: `00-${traceId}-${spanId}-01-extra`, tracestate })
    expect(received["traceparent"]).not.toContain(traceId)
    expect(received).not.toHaveProperty("tracestate")
    expect(named(await spans(), "ingress.router").traceId).not.toBe(traceId)
  })

  it("cannot be made to vanish by Connection", async () => {
    const { chain, spans } = await tracedBoth()
    const { received } = await chain.get({ traceparent, connection: "traceparent, close" })
    expect(received["traceparent"]).toContain(traceId)
    expect(await spans()).toHaveLength(3)
  })

  it("is recorded so often in a second and no more", async () => {
    const { chain, spans } = await tracedBoth({ maxTracesPerSecond: 1 })
    const before = performance.now()
    for (let i = 0; i < 20; i++) await chain.get({ traceparent })
    const seconds = Math.ceil((performance.now() - before) / 1_000)
    const recorded = (await spans()).filter(({ name }) => name === "ingress.router").length
    expect(recorded).toBeGreaterThan(0)
    expect(recorded).toBeLessThanOrEqual(seconds + 1)
  })
})

describe("without tracing", () => {
  it.each([
    ["as it came", { traceparent, tracestate, baggage: "userId=alice" }],
    ["malformed as it is", { traceparent: "00-x", tracestate: "a=1,,=" }],
  ])("the trace context reaches the app %s", async (_, headers) => {
    await using chain = await startTracedChain({ observed: observe() })
    const { received } = await chain.get(headers)
    expect(received).toMatchObject(headers)
  })

  it("and without one none is made", async () => {
    await using chain = await startTracedChain()
    const { received } = await chain.get()
    expect(received).not.toHaveProperty("traceparent")
  })
})
