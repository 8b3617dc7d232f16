import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

it("a Worker routes by KV, once its schedule has published there what is in D1", async () => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(new URL("worker.ts", import.meta.url)),
      compatibilityDate: "2026-11-01",
      d1Databases: ["DATABASE"],
      kvNamespaces: ["ROUTES"],
    }),
  )
  try {
    const visit = async (name: string, path = "/") => {
      const response = await worker.dispatchFetch(`http://${name}.iterate.app${path}`, { redirect: "manual" })
      await response.text()
      return [response.status, response.headers.get("location") ?? response.headers.get("x-iterate-proxy-error")]
    }
    const publish = async (): Promise<unknown> => {
      // miniflare's types need those of Workers, which nobody here has.
      const fetcher = (await worker.getWorker()) as unknown as { readonly scheduled: () => Promise<unknown> }
      return fetcher.scheduled()
    }
    expect(await visit("control", "/control-plane")).toEqual([200, null])
    expect(await visit("anna")).toEqual([503, "ROUTE_UNKNOWN"])
    expect(await publish()).toMatchObject({ outcome: "ok" })
    expect(await visit("anna")).toEqual([302, "https://example.com/moved"])
    expect(await visit("nobody")).toEqual([404, "ROUTE_NOT_FOUND"])
  } finally {
    await worker.dispose()
  }
})
