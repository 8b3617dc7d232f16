/** What is wrong in one route, in one store or in a clock costs that route, whatever keeps the routes. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import type { RouterEvent, RouteStore } from "../../src/router.ts"
import { setup } from "../fakes.ts"
import { storeKinds } from "./every-store.ts"
import type { StoreKind, Written } from "./every-store.ts"

const base = { version: 1, epoch: 1 }
const machine = { id: "mach_1", type: "fake", externalId: "ext-mach_1", metadata: {} }
const good: Written = { key: "p:good", record: { kind: "machine", machine, ...base } }
const long = "a".repeat(60_000)

interface BadRecord {
  readonly what: string
  readonly record: unknown
  /** Where it is not JSON. */
  readonly text?: string
}
const records: readonly BadRecord[] = [
  { what: "is null", record: null },
  { what: "is a number", record: 7 },
  { what: "is a list", record: [] },
  { what: "is empty", record: {} },
  { what: "is of a kind of later versions", record: { kind: "tunnel", tunnel: "t1", ...base } },
  { what: "has a number for a machine", record: { kind: "machine", machine: 7, ...base } },
  { what: "has a text for its version", record: { kind: "detached", version: "1", epoch: 1 } },
  { what: "is written by half", record: { kind: "machine", version: 1 }, text: `{"kind":"machine","mach` },
  {
    what: "has a machine of 60 000 characters",
    record: { kind: "machine", machine: { ...machine, id: long }, ...base },
  },
  {
    what: "has 60 000 unknown fields",
    record: Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`f${n}`, n])),
  },
]

const visit = (store: RouteStore) => {
  const events: RouterEvent[] = []
  const { router } = setup({ store, onEvent: (event) => events.push(event) })
  const ask = async (name: string) => (await router.fetch(new Request(`http://${name}.iterate.app/`)))?.status
  return { ask, events }
}

describe.each(storeKinds)("$name", ({ name, missing = "", start }) => {
  describe.skipIf(missing !== "")(`serves every route but the bad one${missing}`, () => {
    let kind: StoreKind
    const stores: RouteStore[] = []
    const fill = async (...routes: readonly Written[]) => {
      const store = await kind.fill(routes)
      stores.push(store)
      return store
    }
    beforeAll(async () => {
      kind = await start()
    }, 60_000)
    afterEach(async () => {
      vi.useRealTimers()
      for (const store of stores.splice(0)) await store.dispose?.()
    })
    afterAll(() => kind?.close?.())

    it.each(records)("whose record $what", async ({ record, text }) => {
      const bad: Written = { key: "p:bad", record, ...(text === undefined ? {} : { text }) }
      const { ask, events } = visit(await fill(bad, good))
      const status = await ask("bad")
      expect(await ask("good")).toBe(200)
      const reasons = events.flatMap((event) => (event.type === "request" ? [event.reason] : []))
      // Never a 404, which would say that there is no such route.
      const said = [status, reasons[0]]
      const invalid = [500, expect.stringMatching(/^the record of p:bad is invalid: [a-z.]+ must be /)]
      const unknown = [503, "the route store cannot tell where p:bad leads"]
      // What has no version is nobody's to compare; and a cache is passed over for an authority, which is down here.
      const mayBeUnknown = !("epoch" in Object(record)) || name.includes("cache")
      expect(mayBeUnknown ? [invalid, unknown] : [invalid]).toContainEqual(said)
    })

    it("whose name has 60 000 characters", async () => {
      const { ask } = visit(await fill({ key: `p:${long}`, record: good.record }, good))
      expect(await ask("good")).toBe(200)
      expect(await ask(long)).toBe(400)
    })

    it.each([
      ["forward", 86_400_000],
      ["back", -86_400_000],
    ])("also after a wall clock that is set a day %s, and right again", async (_, ms) => {
      const store = await fill(good)
      const { signal } = new AbortController()
      const found = async () => [
        (await store.get("p:good", { signal })).status,
        (await store.get("p:none", { signal })).status,
      ]
      const before = await found()
      vi.useFakeTimers({ toFake: ["Date"] })
      vi.setSystemTime(Date.now() + ms)
      const [known, none] = await found()
      expect(known).toBe("hit")
      // A store that is filled elsewhere cannot know how old what it has is: then nobody knows, and it is no hit.
      expect(["miss", "unknown"]).toContain(none)
      vi.setSystemTime(Date.now() - ms)
      expect(await found()).toEqual(before)
    })
  })
})
