import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { inWorkerd } from "../../../test/in-workerd.ts"
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
    expect(await inWorkerd(new URL("./vectors-worker.ts", import.meta.url))).toEqual(allPassed("Cloudflare-Workers"))
  })
})
