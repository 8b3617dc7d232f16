/** The suite itself: every kind of fault breaks a law. */
import { describe, expect, it } from "vitest"
import { memoryStorage, RevisionConflict } from "../../src/ingress.ts"
import type { NotedStorage } from "../../src/ingress.ts"
import { ingressStorageSuite, storageLaws } from "../../src/testing.ts"
import type { StorageFixture, StorageLawName } from "../../src/testing.ts"

/** A storage in memory; `spoil` breaks it. */
const fixtureOf = (spoil: (sound: NotedStorage) => Partial<NotedStorage> = () => ({})): StorageFixture => {
  let storage: NotedStorage
  return {
    open: () => storage,
    empty: () => {
      const sound = memoryStorage()
      storage = { ...sound, ...spoil(sound) }
    },
  }
}

/** The laws that do not hold. */
const broken = async (fixture: StorageFixture): Promise<readonly string[]> => {
  const tests: [string, () => Promise<void>][] = []
  ingressStorageSuite((name, run) => void tests.push([name, run]), fixture, { lawTimeoutMs: 20_000 })
  const found: string[] = []
  for (const [name, run] of tests) await run().catch(() => found.push(name.split(":")[0]!))
  return found
}

describe("the laws of storages", () => {
  it("hold in memory, each under its name", async () => {
    const tests: string[] = []
    const { tried, skipped } = ingressStorageSuite((name) => void tests.push(name), fixtureOf())
    expect(tests).toEqual(Object.entries(storageLaws).map(([name, claim]) => `${name}: ${claim}`))
    expect([tried, skipped]).toEqual([Object.keys(storageLaws), {}])
    expect(await broken(fixtureOf())).toEqual([])
  })

  it.each<[string, readonly StorageLawName[], (sound: NotedStorage) => Partial<NotedStorage>]>([
    [
      "commits whatever the revision is",
      ["refusals.conflict", "race.one", "race.all"],
      (sound) => ({
        commit: async (commit) => {
          for (;;) {
            const { revision } = await sound.read(0)
            const done = await sound.commit({ ...commit, ifRevision: revision }).catch((cause: unknown) => {
              if (!(cause instanceof RevisionConflict)) throw cause
            })
            if (done !== undefined) return done
          }
        },
      }),
    ],
    [
      "leaves removals out",
      ["changes.follow", "changes.only"],
      (sound) => ({ read: async (since) => ({ ...(await sound.read(since)), removed: [] }) }),
    ],
    ["gives everything at every read", ["changes.only"], (sound) => ({ read: () => sound.read(0) })],
    [
      "gives the last change only",
      ["changes.follow"],
      (sound) => ({ read: async (since) => sound.read(since === 0 ? 0 : (await sound.read(0)).revision - 1) }),
    ],
    [
      "does not say that it gives everything",
      ["changes.unknown"],
      (sound) => ({ read: async (since) => ({ ...(await sound.read(since)), whole: false }) }),
    ],
    [
      "writes one document after the other",
      ["race.whole"],
      (sound) => ({
        commit: async ({ ifRevision, put, remove }) => {
          if (put.length !== 2) return sound.commit({ ifRevision, put, remove })
          let revision = ifRevision
          for (const each of put) {
            revision = await sound.commit({ ifRevision: revision, put: [each], remove: [] })
            await new Promise((resolve) => setTimeout(resolve, 2))
          }
          return remove.length === 0 ? revision : sound.commit({ ifRevision: revision, put: [], remove })
        },
      }),
    ],
    ["forgets its note", ["race.note"], () => ({ mark: async () => undefined })],
    [
      "changes a text",
      ["documents.same"],
      (sound) => ({
        read: async (since) => JSON.parse(JSON.stringify(await sound.read(since)).replaceAll("x-secret", "")) as never,
      }),
    ],
  ])("find a storage that %s", async (_, laws, spoil) => {
    expect(await broken(fixtureOf(spoil))).toEqual(expect.arrayContaining([...laws]))
  })

  it.each<[object, string]>([
    [{ skip: { "race.none": "x" } }, 'ingressStorageSuite: skip: there is no law "race.none"'],
    [{ skip: { "race.one": " " } }, "ingressStorageSuite: skip: race.one needs a reason"],
    [{ writer: 4 }, "writer"],
    [{ writers: 1 }, "ingressStorageSuite: writers must be an integer from 2 to 200"],
  ])("refuse %j", (options, message) => {
    expect(() => ingressStorageSuite(() => undefined, fixtureOf(), options as never)).toThrow(message)
    expect(() => ingressStorageSuite(() => undefined, {} as never)).toThrow("open")
  })
})
