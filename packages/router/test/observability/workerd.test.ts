import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"
import { startCollector } from "./collector.ts"

describe("in a Worker", () => {
  it("metrics are text, and spans, metrics and logs are exported after the response, by each request", async () => {
    await using collector = await startCollector()
    const script = await bundleWorker(new URL("observed-worker.ts", import.meta.url))
    const options = {
      modules: true,
      script,
      compatibilityDate: "2026-11-01",
      cf: false,
      bindings: { COLLECTOR: collector.url },
    } as const
    const workerd = new Miniflare(convertV4MiniflareOptions(options))
    try {
      for (const n of [1, 2, 3]) {
        const response = await workerd.dispatchFetch("http://worker/", {
          headers: { traceparent: `00-${"a".repeat(31)}${n}-${"b".repeat(16)}-01` },
        })
        expect(response.status).toBe(404)
        await response.text()
        await expect.poll(() => collector.spans().map(({ traceId }) => traceId.at(-1))).toContain(String(n))
      }
      expect(collector.spans()).toHaveLength(3)
      expect(collector.spans()[0]).toMatchObject({ name: "ingress.router", parentSpanId: "b".repeat(16) })
      await expect.poll(() => collector.metricNames()).toContain("ingress_router_requests_total")
      await expect.poll(() => collector.logBodies()).toMatchObject([{ body: "request" }, {}, {}])
      const text = await (await workerd.dispatchFetch("http://worker/metrics")).text()
      expect(text).toContain('ingress_router_requests_total{status="4xx",outcome="ROUTE_NOT_FOUND"} 3')
    } finally {
      await workerd.dispose()
    }
  })
})

describe("a Worker that does not observe", () => {
  it("has no byte of it", async () => {
    const script = (code: string) => bundleWorker({ contents: code, resolveDir: import.meta.dirname, loader: "ts" })
    const name = "ingress_router_requests_total"
    expect(await script(`export { observe } from "@project-ingress/router/observability"`)).toContain(name)
    const router = await script(
      `export * from "@project-ingress/router"; export * from "@project-ingress/router/policies"`,
    )
    expect(router).not.toContain(name)
    expect(router).not.toContain("traceparent")
  })

  it("has nothing of OTLP if it only counts", async () => {
    const script = await bundleWorker(
      {
        contents: `export { observe } from "@project-ingress/router/observability"`,
        resolveDir: import.meta.dirname,
        loader: "ts",
      },
      { minify: true },
    )
    expect(script).not.toContain("/v1/traces")
  })
})
