import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

it("a Worker routes by what its control plane has written to D1", async () => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(new URL("worker.ts", import.meta.url)),
      compatibilityDate: "2026-11-01",
      d1Databases: ["ROUTES"],
    }),
  )
  try {
    const visit = async (name: string, path = "/") => {
      const response = await worker.dispatchFetch(`http://${name}.iterate.app${path}`, { redirect: "manual" })
      const code = response.headers.get("location") ?? response.headers.get("x-iterate-proxy-error")
      return [response.status, code, await response.text()]
    }
    // Before the tables are there, nobody knows: no route is said to be missing.
    expect((await visit("misha")).slice(0, 2)).toEqual([503, "ROUTE_UNKNOWN"])
    expect(await visit("control", "/control-plane")).toEqual([200, null, '"NameTaken"'])
    expect((await visit("misha")).slice(0, 2)).toEqual([302, "https://example.com/moved"])
    expect((await visit("anna")).slice(0, 2)).toEqual([503, "MACHINE_DETACHED"])
    expect((await visit("nobody")).slice(0, 2)).toEqual([404, "ROUTE_NOT_FOUND"])
  } finally {
    await worker.dispose()
  }
})
