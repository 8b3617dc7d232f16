import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { FeedPage } from "../../src/stores/memory.ts"
import { engines } from "./engines.ts"
import type { Engine } from "./engines.ts"

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
for (const { name, missing, notifies, start } of engines)
  describe.skipIf(missing !== "")(`in ${name}${missing}`, () => {
    let engine: Engine
    beforeAll(async () => void (engine = await start()))
    afterAll(() => engine?.close())

    const setup = async ({ keptChanges = 10_000, pollMs = 60_000 } = {}) => {
      await engine.empty()
      const proofs: string[] = []
      const open = () => engine.open({ grammar, keptChanges, pollMs, resolveTxt: async () => proofs })
      const registry = open()
      const keysSince = async (cursor: string) =>
        changesIn(await registry.changes(cursor)).changes.map(({ key, record }) => `${key} ${record?.kind ?? "miss"}`)
      return { registry, open, proofs, keysSince }
    }

    describe("the feed", () => {
      it("begins with everything there is", async () => {
        const { registry } = await setup()
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
        expect(changesIn(await registry.changes(cursor))).toEqual({
          status: "changes",
          changes: [],
          cursor,
          more: false,
        })
      })

      it("names each key that a create, a rename, a verified domain or a removal changes: negative entries are dropped by it", async () => {
        const { registry, proofs, keysSince } = await setup()
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
        const { registry, keysSince } = await setup()
        await registry.create({ name: "a", visibility: "private" })
        const { cursor } = await registry.snapshot()
        await registry.configure("a", { visibility: "private" })
        await expect(registry.configure("a", { port: 0 })).rejects.toMatchObject({ _tag: "InvalidInput" })
        expect(await keysSince(cursor)).toEqual([])
      })

      it("is read in pages, in order", async () => {
        const { registry } = await setup()
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
        const { registry } = await setup({ keptChanges: 3 })
        const { cursor } = await registry.snapshot()
        for (let at = 0; at < 6; at++) await registry.create({ name: `p-${at}` })
        expect(await registry.changes(cursor)).toEqual({ status: "gap" })
        const fresh = await registry.snapshot()
        await registry.create({ name: "last" })
        expect(changesIn(await registry.changes(fresh.cursor)).changes.map(({ key }) => key)).toEqual(["p:last"])
        const other = await memoryRegistry({ grammar }).snapshot()
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

      it("loses nothing between a snapshot and its cursor", async () => {
        const { registry } = await setup()
        await registry.create({ name: "a" })
        const { routes, cursor } = await registry.snapshot()
        await registry.create({ name: "b" })
        const read = (await all(routes)).map(([key]) => key)
        const later = changesIn(await registry.changes(cursor)).changes.map(({ key }) => key)
        expect(read).toContain("p:a")
        expect([...new Set([...read, ...later])].toSorted()).toEqual(["p:a", "p:b"])
      })
    })

    describe("a reader that waits", () => {
      /** Without a notification, looking often is all there is. */
      const pollMs = notifies ? 60_000 : 20

      it("is given a change of another process when it is made", async () => {
        const { registry, open } = await setup({ pollMs })
        const { cursor } = await registry.snapshot()
        const reader = open()
        const reading = reader.changes(cursor, { waitMs: 60_000 })
        await registry.create({ name: "misha" })
        expect(changesIn(await reading).changes.map(({ key }) => key)).toEqual(["p:misha"])
        // Already listening: the second time nothing is to be set up.
        const again = reader.changes(changesIn(await reading).cursor, { waitMs: 60_000 })
        await registry.revoke("misha")
        expect(changesIn(await again).changes.map(({ key }) => key)).toEqual(["p:misha"])
        await reader.dispose?.()
      })

      it("is given nothing when its time is over", async () => {
        const { registry } = await setup({ pollMs })
        const { cursor } = await registry.snapshot()
        expect(await registry.changes(cursor, { waitMs: 1 })).toEqual({
          status: "changes",
          changes: [],
          cursor,
          more: false,
        })
        await registry.dispose?.()
      })

      it("ends with its signal", async () => {
        const { registry } = await setup({ pollMs })
        const { cursor } = await registry.snapshot()
        const controller = new AbortController()
        const reading = registry.changes(cursor, { waitMs: 60_000, signal: controller.signal })
        controller.abort(new Error("enough"))
        await expect(reading).rejects.toThrow("enough")
        await expect(registry.changes(cursor, { waitMs: 60_001 })).rejects.toThrow(
          "changes: waitMs must be an integer from 0 to 60000, got 60001",
        )
        await registry.dispose?.()
      })
    })
  })
