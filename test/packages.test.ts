import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  attw,
  build,
  install,
  pack,
  packages,
  publint,
  readmeBlocks,
  runBin,
  runBlock,
  runEntries,
  typeCheck,
  writeSources,
} from "../scripts/check-packages.ts"
import { everything, onlyInAll } from "./requirements.ts"

const all = await packages()
const blocks = await readmeBlocks()
const tarballs = new Map<string, string>()
let folder: string
let consumer: string

describe.skipIf(!everything)(`what users install${onlyInAll}`, () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "packages-"))
    consumer = join(folder, "consumer")
    await build()
    for (const each of all) tarballs.set(each.name, await pack(each, folder))
  }, 600_000)
  afterAll(() => rm(folder, { recursive: true }))

  const tarball = (name: string): string => {
    const path = tarballs.get(name)
    if (path === undefined) throw new Error(`${name} was not packed`)
    return path
  }

  describe.each(all)("the tarball of $name", ({ name }) => {
    it("passes publint --strict", async () => {
      await expect(publint(tarball(name))).resolves.toContain("All good")
    })

    it("gives every entry its types", async () => {
      await expect(attw(tarball(name))).resolves.toContain(name)
    })
  })

  describe("the six tarballs in an empty folder", () => {
    beforeAll(async () => {
      await install(tarballs, consumer)
      const entries = all.flatMap((each) => each.entries)
      await writeSources(blocks, entries, consumer)
    }, 600_000)

    it("are six", () => expect(tarballs.size).toBe(6))

    it.each(["nodenext", "bundler"] as const)("type-check the READMEs' code with %s", async (resolution) => {
      await expect(typeCheck(resolution, consumer)).resolves.toBeUndefined()
    })

    it("import, every entry, and the process ends by itself", async () => {
      await expect(runEntries(consumer)).resolves.toBe("")
    })

    it.each(all.flatMap(({ bins }) => bins))("have the command %s, which explains itself", async (bin) => {
      await expect(runBin(bin, consumer)).resolves.toContain(bin)
    })

    it.each(blocks.filter((each) => each.runs))("run the code at $file:$line", async (block) => {
      await expect(runBlock(block, consumer)).resolves.toBeTypeOf("string")
    })
  })
})
