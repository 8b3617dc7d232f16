import { spawn } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { packRoutes } from "../../src/stores/packed.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"

const command = join(import.meta.dirname, "../../src/routes-command.ts")

const run = async (...args: string[]): Promise<{ code: number | null; out: string; err: string }> => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", "--no-warnings", command, ...args])
  let out = ""
  let err = ""
  child.stdout.on("data", (data: Buffer) => (out += data.toString()))
  child.stderr.on("data", (data: Buffer) => (err += data.toString()))
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  return { code, out, err }
}

const removed = (version: number, owner: string): RouteRecord => ({ kind: "removed", version, epoch: 0, owner })

describe("project-ingress-routes", () => {
  let folder: string
  let before: string
  let after: string
  let broken: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "packed-"))
    const write = async (name: string, routes: (readonly [RouteKey, RouteRecord])[]): Promise<string> => {
      const file = join(folder, name)
      await writeFile(file, await packRoutes(routes, { builtAt: 0, cursor: "17" }))
      return file
    }
    before = await write("before", [
      ["p:same", removed(1, "org_1")],
      ["p:moved", removed(1, "org_1")],
      ["p:gone", removed(3, "org_1")],
      ["m:wrong", { ...removed(1, "org_1"), kind: "of-next-year" } as never],
    ])
    after = await write("after", [
      ["p:same", removed(1, "org_1")],
      ["p:moved", removed(2, "org_2")],
      ["d:www.example.com", removed(5, "org_1")],
      ["m:wrong", { ...removed(1, "org_1"), kind: "of-next-year" } as never],
    ])
    broken = join(folder, "broken")
    await writeFile(broken, "no image".repeat(20))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it("inspects an image, and names the records that no router can use", async () => {
    const { code, out } = await run("inspect", before)
    expect(code).toBe(0)
    expect(out).toContain("built      1970-01-01T00:00:00.000Z\ncursor     17\n")
    expect(out).toMatch(/^routes {5}4, \d+ bytes, [\d.]+ each$/m)
    expect(out).toMatch(/^invalid {4}1\n {2}m:wrong: kind must be machine/m)
    const summary = JSON.parse((await run("inspect", before, "--json")).out) as object
    expect(summary).toMatchObject({ routes: 4, cursor: "17", keys: { projects: 3, machines: 1 }, invalid: 1 })
  })

  it("shows the records of single keys; exit code 1 when one is absent", async () => {
    const found = await run("inspect", before, "p:gone")
    expect(found).toMatchObject({ code: 0 })
    expect(found.out).toContain('p:gone  {"kind":"removed","version":3')
    expect(await run("inspect", before, "p:gone", "p:nobody", "--json")).toMatchObject({ code: 1 })
  })

  it("prints what differs between two images; exit code 1 when anything does", async () => {
    const { code, out } = await run("diff", before, after)
    expect(code).toBe(1)
    expect(out.trim().split("\n").toSorted()).toEqual([
      "+ d:www.example.com  removed, version 5",
      "- p:gone  removed, version 3",
      "1 added, 1 removed, 1 changed, 2 the same",
      "~ p:moved  version 1 → 2: owner",
    ])
    const lines = (await run("diff", before, after, "--json")).out.trim().split("\n")
    expect(lines.map((line) => (JSON.parse(line) as { change: string }).change).toSorted()).toEqual([
      "added",
      "changed",
      "removed",
    ])
    expect(await run("diff", before, before)).toMatchObject({
      code: 0,
      out: "0 added, 0 removed, 0 changed, 4 the same\n",
    })
  })

  it("ends with 2, and names what is wrong, for what is no image, no file or no command", async () => {
    expect(await run("inspect", broken)).toMatchObject({ code: 2, err: expect.stringContaining("magic must be") })
    expect(await run("inspect", join(folder, "nowhere"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("ENOENT"),
    })
    expect(await run("inspct", before)).toMatchObject({ code: 2, err: expect.stringContaining("see --help") })
    expect(await run("diff", before)).toMatchObject({ code: 2 })
    expect(await run("diff", before, after, "--jsn")).toMatchObject({ code: 2, err: expect.stringContaining("--jsn") })
    expect(await run()).toMatchObject({ code: 2 })
  })

  it("explains itself", async () => {
    const { code, out } = await run("--help")
    expect(code).toBe(0)
    expect(out).toContain("project-ingress-routes inspect <file>")
    expect((await run("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
