import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

describe("in workerd, a table of D1 that is polled", () => {
  let worker: Miniflare
  beforeAll(async () => {
    worker = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script: await bundleWorker(new URL("polled-worker.ts", import.meta.url)),
        compatibilityDate: "2026-11-01",
        d1Databases: ["ROUTES"],
      }),
    )
  }, 60_000)
  afterAll(() => worker.dispose())

  const visit = async (name: string, path = "/") => {
    const response = await worker.dispatchFetch(`http://${name}.iterate.app${path}`, { redirect: "manual" })
    const location = response.headers.get("location")
    await response.arrayBuffer()
    return location === null ? response.status : location
  }
  const sql = async (text: string) => {
    const response = await worker.dispatchFetch(`http://control.iterate.app/sql?text=${encodeURIComponent(text)}`)
    expect(response.status).toBe(200)
    await response.arrayBuffer()
  }

  it("is read by requests of many contexts, and what changes in it is seen by later ones", async () => {
    // Before the table is there, nobody knows: no route is said to be missing.
    expect(await visit("misha")).toBe(503)
    await sql("create table redirects (name text, target text)")
    await sql("insert into redirects values ('misha', 'https://one.example/x'), ('anna', 'https://anna.example/x')")
    await expect.poll(() => visit("misha"), { timeout: 30_000 }).toBe("https://one.example/x")
    expect(await visit("nobody")).toBe(404)
    await sql("update redirects set target = 'https://two.example/x' where name = 'misha'")
    await expect.poll(() => visit("misha"), { timeout: 30_000 }).toBe("https://two.example/x")
    await sql("delete from redirects where name = 'misha'")
    await expect.poll(() => visit("misha"), { timeout: 30_000 }).toBe(404)
    const many = await Promise.all(Array.from({ length: 200 }, () => visit("anna")))
    expect(new Set(many)).toEqual(new Set(["https://anna.example/x"]))
  })
})
