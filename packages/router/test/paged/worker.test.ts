import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

describe("in workerd", () => {
  for (const kind of ["kv", "r2"]) {
    it(`a Worker routes by pages that another one has published to ${kind}`, async () => {
      const worker = new Miniflare(
        convertV4MiniflareOptions({
          modules: true,
          script: await bundleWorker(new URL("worker.ts", import.meta.url)),
          compatibilityDate: "2026-11-01",
          d1Databases: ["DB"],
          kvNamespaces: ["KV"],
          r2Buckets: ["R2"],
        }),
      )
      try {
        const visit = async (name: string, path = "/") => {
          const response = await worker.dispatchFetch(`http://${name}.iterate.app${path}`, {
            redirect: "manual",
            headers: { "x-storage": kind },
          })
          const code = response.headers.get("location") ?? response.headers.get("x-iterate-proxy-error")
          return [response.status, code ?? (await response.text())]
        }
        // Before anything is published nobody knows: no route is said to be missing.
        expect(await visit("misha")).toEqual([503, "ROUTE_UNKNOWN"])
        await visit("control", "/create")
        expect(await visit("control", "/publish")).toEqual([
          200,
          JSON.stringify({ round: "all", written: 2, more: false }),
        ])
        expect(await visit("misha")).toEqual([503, "MACHINE_DETACHED"])
        expect(await visit("nobody")).toEqual([404, "ROUTE_NOT_FOUND"])
        await visit("control", "/redirect")
        expect(await visit("control", "/publish")).toEqual([
          200,
          JSON.stringify({ round: "changes", written: 1, more: false }),
        ])
        expect(await visit("misha")).toEqual([302, "https://example.com/moved"])
        // Many at once, of which one loads for all.
        const many = await Promise.all(Array.from({ length: 50 }, async (_, at) => visit(`nobody${at % 10}`)))
        expect(new Set(many.map(([status]) => status))).toEqual(new Set([404]))
      } finally {
        await worker.dispose()
      }
    })
  }
})
