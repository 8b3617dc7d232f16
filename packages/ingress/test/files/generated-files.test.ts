import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { planFiles } from "../../src/files/generated-files.ts"

let folder: string
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "files-"))))
afterEach(() => rm(folder, { recursive: true }))

const read = (path: string): Promise<string> => readFile(join(folder, path), "utf8")
const apply = async (...files: Parameters<typeof planFiles>[1]) => {
  const plan = await planFiles(folder, files)
  await plan.apply()
  return plan
}

describe("a folder of generated files", () => {
  it("is written, and a second time nothing is", async () => {
    const first = await apply({ path: "a.yml", text: "a\n" }, { path: "dynamic/b.yml", text: "b\n", mode: 0o600 })
    expect(first.written).toEqual(["a.yml", "dynamic/b.yml"])
    expect((await stat(join(folder, "dynamic/b.yml"))).mode & 0o777).toBe(0o600)
    const before = await stat(join(folder, "a.yml"))
    const second = await apply({ path: "a.yml", text: "a\n" }, { path: "dynamic/b.yml", text: "b\n", mode: 0o600 })
    expect(second).toMatchObject({ diff: "", written: [], removed: [] })
    expect((await stat(join(folder, "a.yml"))).ino).toBe(before.ino)
  })

  it("loses what is generated no more, and keeps what nobody generated", async () => {
    await apply({ path: "a.yml", text: "a\n" }, { path: "b.yml", text: "b\n" })
    await writeFile(join(folder, "own.yml"), "mine\n")
    const plan = await apply({ path: "b.yml", text: "b\n" })
    expect(plan.removed).toEqual(["a.yml"])
    expect((await readdir(folder)).toSorted()).toEqual([".project-ingress.json", "b.yml", "own.yml"])
  })

  it("is not written over a change by hand, nor over a file that was not generated", async () => {
    await apply({ path: "a.yml", text: "a\n" })
    await writeFile(join(folder, "a.yml"), "edited\n")
    await expect(planFiles(folder, [{ path: "a.yml", text: "new\n" }])).rejects.toMatchObject({
      _tag: "HandEdited",
      path: "a.yml",
    })
    await expect(planFiles(folder, [])).rejects.toMatchObject({ _tag: "HandEdited" })
    await writeFile(join(folder, "own.yml"), "mine\n")
    await expect(planFiles(folder, [{ path: "own.yml", text: "x\n" }])).rejects.toMatchObject({ path: "own.yml" })
    await (await planFiles(folder, [{ path: "a.yml", text: "new\n" }], { overwrite: true })).apply()
    expect(await read("a.yml")).toBe("new\n")
  })

  it("is restored whole by a roll-back", async () => {
    await apply({ path: "a.yml", text: "a\n" }, { path: "b.yml", text: "b\n" })
    const manifest = await read(".project-ingress.json")
    const plan = await apply({ path: "a.yml", text: "a2\n" }, { path: "c.yml", text: "c\n" })
    await plan.rollBack()
    expect([await read("a.yml"), await read("b.yml"), await read(".project-ingress.json")]).toEqual([
      "a\n",
      "b\n",
      manifest,
    ])
    expect(await readdir(folder)).not.toContain("c.yml")
  })

  it("goes on after a process that was killed while it wrote", async () => {
    await apply({ path: "a.yml", text: "a\n" }, { path: "b.yml", text: "b\n" })
    const files = [
      { path: "a.yml", text: "a2\n" },
      { path: "b.yml", text: "b2\n" },
    ] as const
    // The second file cannot be replaced: what was written until then stays, as if the process had ended there.
    await rm(join(folder, "b.yml"))
    const plan = await planFiles(folder, [files[0], { path: "b.yml/x.yml", text: "x\n" }])
    await writeFile(join(folder, "b.yml"), "b\n")
    await expect(plan.apply()).rejects.toThrow(/ENOTDIR|EEXIST/)
    expect(await read("a.yml")).toBe("a2\n")
    const next = await planFiles(folder, [
      { path: "a.yml", text: "a3\n" },
      { path: "b.yml", text: "b2\n" },
    ])
    await next.apply()
    expect(await read("a.yml")).toBe("a3\n")
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([])
  })

  it("shows what changes, without secrets", async () => {
    await apply({ path: "a.yml", text: "key: hunter2hunter2\nx: 1\n" })
    const { diff } = await planFiles(folder, [{ path: "a.yml", text: "key: hunter2hunter2\nx: 2\n" }], {
      secrets: ["hunter2hunter2"],
    })
    expect(diff).toContain("-x: 1\n+x: 2\n")
    expect(diff).toContain("key: [secret]")
  })

  it.each(["../a", "/a", "a/../b", "a/./b", "a//b", "", "..", "a\0b", ".project-ingress.json", "a\\b"])(
    "refuses the path %j",
    async (path) => {
      await expect(planFiles(folder, [{ path, text: "" }])).rejects.toThrow(TypeError)
    },
  )

  it("refuses a manifest that names a path outside", async () => {
    await apply({ path: "a.yml", text: "a\n" })
    await writeFile(join(folder, ".project-ingress.json"), JSON.stringify({ files: { "../x": ["0"] } }))
    await expect(planFiles(folder, [{ path: "a.yml", text: "a\n" }])).rejects.toThrow("must be relative")
  })

  it("restores permissions that somebody took", async () => {
    await apply({ path: "a.yml", text: "a\n", mode: 0o600 })
    await chmod(join(folder, "a.yml"), 0o644)
    await apply({ path: "a.yml", text: "a\n", mode: 0o600 })
    expect((await stat(join(folder, "a.yml"))).mode & 0o777).toBe(0o600)
  })
})
