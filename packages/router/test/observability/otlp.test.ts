import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { afterEach, describe, expect, it } from "vitest"
import { layer, observe, Observer, otlp, otlpLayer } from "../../src/observability.ts"
import { setup } from "../fakes.ts"
import { startCollector } from "./collector.ts"
import type { Collector } from "./collector.ts"

const registry = Context.get(Context.empty(), Metric.MetricRegistry)
afterEach(() => registry.clear())
const ask = (router: ReturnType<typeof setup>["router"]) => router.fetch(new Request("http://misha.iterate.app/"))

describe("an export", () => {
  it("has all three signals, with the service's name and the key of the collector", async () => {
    await using collector = await startCollector()
    const observed = observe({
      log: { write: false },
      export: otlp({
        url: `${collector.url}/`,
        headers: { "x-api-key": "k" },
        serviceName: "edge-eu",
        attributes: { region: "eu" },
      }),
    })
    const { router } = setup({ onEvent: observed.onEvent, instrument: observed.instrument })
    await ask(router)
    await observed.flush()
    await observed.close()
    expect(
      collector
        .spans()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["ingress.router", "ingress.router.attempt"])
    expect(collector.metricNames()).toContain("ingress_router_requests_total")
    expect(collector.logBodies()).toMatchObject([{ severity: "Info", body: "request" }])
    for (const { headers, body } of collector.requests) {
      expect(headers["x-api-key"]).toBe("k")
      for (const text of ["edge-eu", "service.instance.id", '"region"']) expect(body).toContain(text)
    }
  })

  it("has only the signals that are asked for", async () => {
    await using collector = await startCollector()
    const observed = observe({ export: otlp({ url: collector.url, signals: ["metrics"] }) })
    const { router, sent } = setup({ onEvent: observed.onEvent, instrument: observed.instrument })
    await ask(router)
    await observed.close()
    expect([...new Set(collector.requests.map(({ path }) => path))]).toEqual(["/v1/metrics"])
    // No traces, no trace context.
    expect(sent[0]!.headers).not.toContain("traceparent")
  })

  it.each([
    ["refuses", 500],
    ["redirects", 302],
  ] as const)("that a collector %s fails no request, and its key goes nowhere else", async (_, status) => {
    await using collector: Collector = await startCollector(() => status)
    const observed = observe({ export: otlp({ url: collector.url, signals: ["traces"] }) })
    const { router } = setup({ onEvent: observed.onEvent, instrument: observed.instrument })
    expect((await ask(router))?.status).toBe(200)
    await observed.flush()
    expect((await ask(router))?.status).toBe(200)
    await observed.close()
    expect(collector.requests.length).toBeGreaterThan(0)
    for (const { path } of collector.requests) expect(path).toBe("/v1/traces")
  })

  it("to nobody does not keep flush or close", async () => {
    const observed = observe({ export: otlp({ url: "http://127.0.0.1:1" }) })
    const { router } = setup({ onEvent: observed.onEvent, instrument: observed.instrument })
    expect((await ask(router))?.status).toBe(200)
    await observed.flush()
    await observed.close()
  })

  it("to a collector that accepts and never responds does not keep flush or close", async () => {
    const server = createServer((socket) => socket.on("error", () => undefined).resume())
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const observed = observe({ export: otlp({ url: `http://127.0.0.1:${port}`, signals: ["traces"] }) })
    const { router } = setup({ onEvent: observed.onEvent, instrument: observed.instrument })
    expect((await ask(router))?.status).toBe(200)
    await observed.flush()
    expect((await ask(router))?.status).toBe(200)
    await observed.close()
    server.close()
  })

  it("is refused with a sentence that shows no secret if its options are wrong", () => {
    expect(() => otlp({} as never)).toThrow("otlp: url must be an http or https URL")
    for (const url of ["ftp://x", "http://user:s3cr3t@x", "http://x/?key=s3cr3t", "x"]) {
      expect(() => otlp({ url })).toThrow(
        /^otlp: url must be an http or https URL without user, query and fragment, got a string$/,
      )
    }
    expect(() => otlp({ url: "http://x", headers: { key: 1 } as never })).toThrow(
      "otlp: headers.key must be a string, got 1",
    )
    expect(() => otlp({ url: "http://x", signals: ["spans" as never] })).toThrow(/^otlp: signals must be/)
    expect(() => otlp({ url: "http://x", intervalMs: 1 })).toThrow(/^otlp: intervalMs must be/)
    expect(() => otlpLayer({ url: "x" })).toThrow(/^otlpLayer: url/)
  })
})

describe("the layer with a tracer", () => {
  it("makes spans of that tracer, and of none without one", async () => {
    await using collector = await startCollector()
    const program = (observer: Layer.Layer<Observer>) =>
      Effect.runPromise(
        Effect.scoped(
          Effect.flatMap(Layer.build(observer), (context) =>
            Effect.promise(async () => {
              const { onEvent, instrument } = Context.get(context, Observer)
              const { router, sent } = setup({ onEvent, instrument })
              await ask(router)
              return sent[0]!.headers.includes("traceparent")
            }),
          ),
        ),
      )
    expect(await program(layer())).toBe(false)
    expect(await program(Layer.provide(layer(), otlpLayer({ url: collector.url, signals: ["traces"] })))).toBe(true)
    expect(collector.spans()).toHaveLength(2)
  })
})
