import { claim } from "../../claim.ts"
import { all, changesIn, grammar, testMachine } from "../law-context.ts"
import { law } from "../law.ts"
import { memoryRegistry } from "../../../stores/memory-registry.ts"

/** The feed. */
export const changes = {
  "feed.everything": law("the feed begins with everything there is", async ({ feed }) => {
    const { registry } = await feed()
    await registry.putMachine(testMachine("mach_1"))
    await registry.create({ name: "a", machine: "mach_1" })
    await registry.create({ name: "b" })
    const { routes, cursor } = await registry.snapshot()
    const read = await all(routes)
    claim(read.map(([key, { kind }]) => [key, kind])).toEqual([
      ["m:mach_1", "machine"],
      ["p:a", "machine"],
      ["p:b", "detached"],
    ])
    claim(changesIn(await registry.changes(cursor))).toEqual({
      status: "changes",
      changes: [],
      cursor,
      more: false,
    })
  }),
  "feed.keys": law(
    "the feed names each key that a create, a rename, a verified domain or a removal changes: negative entries are dropped by it",
    async ({ feed }) => {
      const { registry, proofs, keysSince } = await feed()
      let { cursor } = await registry.snapshot()
      const next = async () => {
        const keys = await keysSince(cursor)
        cursor = changesIn(await registry.changes(cursor)).cursor
        return keys
      }
      await registry.create({ name: "old" })
      claim(await next()).toEqual(["p:old detached"])
      await registry.rename("old", "new")
      claim(await next()).toEqual(["p:old redirect", "p:new detached"])
      proofs.push((await registry.addDomain("new", "example.com")).proof.value)
      claim(await next()).toEqual([])
      await registry.verifyDomain("new", "example.com")
      claim(await next()).toEqual(["d:example.com detached"])
      await registry.putMachine(testMachine("mach_1"))
      await registry.attach("new", "mach_1")
      claim(await next()).toEqual([
        "m:mach_1 machine",
        "m:mach_1 machine",
        "p:new machine",
        "p:old redirect",
        "d:example.com machine",
      ])
      await registry.removeDomain("new", "example.com")
      claim(await next()).toEqual(["d:example.com miss"])
      await registry.remove("new")
      claim(await next()).toEqual(["p:new removed", "p:old removed", "m:mach_1 machine"])
      await registry.removeMachine("mach_1")
      claim(await next()).toEqual(["m:mach_1 miss"])
    },
  ),
  "feed.silent": law("the feed says nothing where nothing changes for a visitor", async ({ feed }) => {
    const { registry, keysSince } = await feed()
    await registry.create({ name: "a", visibility: "private" })
    const { cursor } = await registry.snapshot()
    await registry.configure("a", { visibility: "private" })
    await claim(registry.configure("a", { port: 0 })).rejects.toMatchObject({ _tag: "InvalidInput" })
    claim(await keysSince(cursor)).toEqual([])
  }),
  "feed.pages": law("the feed is read in pages, in order", async ({ feed }) => {
    const { registry } = await feed()
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
    claim(sizes).toEqual([2, 2, 1])
    claim(versions).toEqual(versions.toSorted((a, b) => a - b))
    await claim(registry.changes(cursor, { limit: 0 })).rejects.toThrow(
      "limit must be an integer from 1 to 10000, got 0",
    )
  }),
  "feed.gap": law(
    "the feed says that there is a gap when it does not remember as far, or never did",
    async ({ feed }) => {
      const { registry } = await feed({ keptChanges: 3 })
      const { cursor } = await registry.snapshot()
      for (let at = 0; at < 6; at++) await registry.create({ name: `p-${at}` })
      claim(await registry.changes(cursor)).toEqual({ status: "gap" })
      const fresh = await registry.snapshot()
      await registry.create({ name: "last" })
      claim(changesIn(await registry.changes(fresh.cursor)).changes.map(({ key }) => key)).toEqual(["p:last"])
      const other = await memoryRegistry({ grammar }).snapshot()
      for (const wrong of [
        other.cursor,
        "",
        "x",
        `${fresh.cursor}0`,
        fresh.cursor.replace(/:.*/, ":"),
        fresh.cursor.replace(/:.*/, ":-1"),
      ]) {
        claim(await registry.changes(wrong)).toEqual({ status: "gap" })
      }
    },
  ),
  "feed.between": law("the feed loses nothing between a snapshot and its cursor", async ({ feed }) => {
    const { registry } = await feed()
    await registry.create({ name: "a" })
    const { routes, cursor } = await registry.snapshot()
    await registry.create({ name: "b" })
    const read = (await all(routes)).map(([key]) => key)
    const later = changesIn(await registry.changes(cursor)).changes.map(({ key }) => key)
    claim(read).toContain("p:a")
    claim([...new Set([...read, ...later])].toSorted()).toEqual(["p:a", "p:b"])
  }),
  "feed.woken": law("a reader that waits is given a change of another process when it is made", async ({ feed }) => {
    const { registry, open } = await feed()
    const { cursor } = await registry.snapshot()
    const reader = await open()
    const reading = reader.changes(cursor, { waitMs: 60_000 })
    await registry.create({ name: "misha" })
    claim(changesIn(await reading).changes.map(({ key }) => key)).toEqual(["p:misha"])
    // Already listening: the second time nothing is to be set up.
    const again = reader.changes(changesIn(await reading).cursor, { waitMs: 60_000 })
    await registry.revoke("misha")
    claim(changesIn(await again).changes.map(({ key }) => key)).toEqual(["p:misha"])
    await reader.dispose?.()
  }),
  "feed.timed-out": law("a reader that waits is given nothing when its time is over", async ({ feed }) => {
    const { registry } = await feed()
    const { cursor } = await registry.snapshot()
    claim(await registry.changes(cursor, { waitMs: 1 })).toEqual({
      status: "changes",
      changes: [],
      cursor,
      more: false,
    })
    await registry.dispose?.()
  }),
  "feed.aborted": law("a reader that waits ends with its signal", async ({ feed }) => {
    const { registry } = await feed()
    const { cursor } = await registry.snapshot()
    const controller = new AbortController()
    const reading = registry.changes(cursor, { waitMs: 60_000, signal: controller.signal })
    controller.abort(new Error("enough"))
    await claim(reading).rejects.toThrow("enough")
    await claim(registry.changes(cursor, { waitMs: 60_001 })).rejects.toThrow(
      "changes: waitMs must be an integer from 0 to 60000, got 60001",
    )
    await registry.dispose?.()
  }),
}
