import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { describe, expect, it } from "vitest"
import { count, vectors } from "./vectors-check.ts"

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const binary = (name: string) => path(`../../../node_modules/.bin/${name}`)
const main = path("./vectors-print.ts")
const run = async (command: string, ...args: string[]): Promise<unknown> =>
  JSON.parse((await promisify(execFile)(binary(command), args)).stdout)

const allPassed = (runtime: string) => ({
  runtime: expect.stringContaining(runtime),
  vectors: count(vectors),
  failures: [],
})

// To start another runtime takes long on a busy machine.
describe("every vector holds", { timeout: 120_000 }, () => {
  it("on Bun", async () => {
    expect(await run("bun", "run", main)).toEqual(allPassed("Bun"))
  })

  it("on Deno", async () => {
    expect(await run("deno", "run", "--no-config", "--no-lock", main)).toEqual(allPassed("Deno"))
  })

  it("in workerd", async () => {
    const bundle = await build({
      entryPoints: [path("./vectors-worker.ts")],
      bundle: true,
      format: "esm",
      write: false,
    })
    const script = bundle.outputFiles[0]?.text ?? ""
    const options = { modules: true, script, compatibilityDate: "2026-11-01", cf: false } as const
    const workerd = new Miniflare(convertV4MiniflareOptions(options))
    try {
      const response = await workerd.dispatchFetch("http://worker/")
      expect(await response.json()).toEqual(allPassed("Cloudflare-Workers"))
    } finally {
      await workerd.dispose()
    }
  })
})
