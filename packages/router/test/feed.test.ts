import { defineGrammar } from "@project-ingress/hostname"
import { describe, expect, it } from "vitest"
import { memoryRegistry } from "../src/stores/memory.ts"
import type { FeedPage } from "../src/stores/memory.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const machine = { id: "mach_1", type: "fake", externalId: "x", metadata: {} }

const changesIn = (page: FeedPage) => {
  if (page.status === "gap") throw new Error("gap")
  return page
}
const all = async <A>(items: AsyncIterable<A>): Promise<readonly A[]> => {
  const found: A[] = []
  for await (const item of items) found.push(item)
  return found
}
const setup = (keptChanges = 10_000) => {
  const registry = memoryRegistry({ grammar, keptChanges, resolveTxt: async () => proofs })
  const proofs: string[] = []
  const keysSince = async (cursor: string) =>
    changesIn(await registry.changes(cursor)).changes.map(({ key, record }) => `${key} ${record?.kind ?? "miss"}`)
  return { registry, proofs, keysSince }
}

describe("the feed", () => {
  it("begins with everything there is", async () => {
    const { registry } = setup()
    await registry.putMachine(machine)
    await registry.create({ name: "a", machine: "mach_1" })
    await registry.create({ name: "b" })
    const { routes, cursor } = await registry.snapshot()
    const read = await all(routes)
    expect(read.map(([key, { kind }]) => [key, kind])).toEqual([
      ["m:mach_1", "machine"],
      ["p:a", "machine"],
      ["p:b", "detached"],
    ])
    expect(changesIn(await registry.changes(cursor))).toEqual({ status: "changes", changes: [], cursor, more: false })
  })

  it("names each key that a create, a rename, a verified domain or a removal changes: negative entries are dropped by it", async () => {
    const { registry, proofs, keysSince } = setup()
    let { cursor } = await registry.snapshot()
    const next = async () => {
      const keys = await keysSince(cursor)
      cursor = changesIn(await registry.changes(cursor)).cursor
      return keys
    }
    await registry.create({ name: "old" })
    expect(await next()).toEqual(["p:old detached"])
    await registry.rename("old", "new")
    expect(await next()).toEqual(["p:old redirect", "p:new detached"])
    proofs.push((await registry.addDomain("new", "example.com")).proof.value)
    expect(await next()).toEqual([])
    await registry.verifyDomain("new", "example.com")
    expect(await next()).toEqual(["d:example.com detached"])
    await registry.putMachine(machine)
    await registry.attach("new", "mach_1")
    expect(await next()).toEqual([
      "m:mach_1 machine",
      "m:mach_1 machine",
      "p:new machine",
      "p:old redirect",
      "d:example.com machine",
    ])
    await registry.removeDomain("new", "example.com")
    expect(await next()).toEqual(["d:example.com miss"])
    await registry.remove("new")
    expect(await next()).toEqual(["p:new removed", "p:old removed", "m:mach_1 machine"])
    await registry.removeMachine("mach_1")
    expect(await next()).toEqual(["m:mach_1 miss"])
  })

  it("says nothing where nothing changes for a visitor", async () => {
    const { registry, keysSince } = setup()
    await registry.create({ name: "a", visibility: "private" })
    const { cursor } = await registry.snapshot()
    await registry.configure("a", { visibility: "private" })
    await expect(registry.configure("a", { port: 0 })).rejects.toMatchObject({ _tag: "InvalidInput" })
    expect(await keysSince(cursor)).toEqual([])
  })

  it("is read in pages, in order", async () => {
    const { registry } = setup()
    let { cursor } = await registry.snapshot()
    for (let at = 0; at < 5; at++) await registry.create({ name: `p-${at}` })
    const versions: number[] = []
    const sizes: number[] = []
    for (let more = true; more;) {
      const page = changesIn(await registry.changes(cursor, { limit: 2 }))
      versions.push(...page.changes.map(({ version }) => version))
      sizes.push(page.changes.length)
      ;({ cursor, more } = page)
    }
    expect(sizes).toEqual([2, 2, 1])
    expect(versions).toEqual(versions.toSorted((a, b) => a - b))
    await expect(registry.changes(cursor, { limit: 0 })).rejects.toThrow(
      "limit must be an integer from 1 to 10000, got 0",
    )
  })

  it("says that there is a gap when it does not remember as far, or never did", async () => {
    const { registry } = setup(3)
    const { cursor } = await registry.snapshot()
    for (let at = 0; at < 6; at++) await registry.create({ name: `p-${at}` })
    expect(await registry.changes(cursor)).toEqual({ status: "gap" })
    const fresh = await registry.snapshot()
    await registry.create({ name: "last" })
    expect(changesIn(await registry.changes(fresh.cursor)).changes.map(({ key }) => key)).toEqual(["p:last"])
    const other = await setup().registry.snapshot()
    for (const wrong of [
      other.cursor,
      "",
      "x",
      `${fresh.cursor}0`,
      fresh.cursor.replace(/:.*/, ":"),
      fresh.cursor.replace(/:.*/, ":-1"),
    ]) {
      expect(await registry.changes(wrong)).toEqual({ status: "gap" })
    }
  })

  it("gives a snapshot that later changes leave alone", async () => {
    const { registry } = setup()
    await registry.create({ name: "a" })
    const { routes } = await registry.snapshot()
    await registry.create({ name: "b" })
    expect((await all(routes)).map(([key]) => key)).toEqual(["p:a"])
  })
})
