/** The simplest store that keeps every law, over a source that a test can make fail. */
import type { Lookup, RouteKey, RouteRecord, RouteStore } from "../../src/router.ts"
import { damagedEntries, faultySource } from "../../src/testing.ts"
import type { StoreFixture } from "../../src/testing.ts"

/** Entries as JSON text, by key. */
export const textSource = () => {
  const texts = new Map<string, string>()
  const source = faultySource(async (keys: readonly string[]) => keys.map((key) => texts.get(key) ?? null))
  return {
    texts,
    source,
    put: (key: RouteKey, record: RouteRecord) => void texts.set(key, JSON.stringify(record)),
    remove: (key: RouteKey) => void texts.delete(key),
    faults: {
      ...source.faults,
      ...damagedEntries({ read: (key) => texts.get(key), write: (key, text) => texts.set(key, text) }),
    },
  }
}

export type Read = (keys: readonly string[]) => Promise<readonly (string | null)[]>

/** Reads each time, and gives no record of a version before one that it has given; until `forget` it keeps nothing else. */
export const simpleStore = (read: Read): RouteStore => {
  const newest = new Map<RouteKey, RouteRecord>()
  const lookupOf = (key: RouteKey, text: string | null): Lookup => {
    if (text === null) return { status: "miss", layer: "simple" }
    const record = JSON.parse(text) as RouteRecord
    const known = newest.get(key)
    if (known !== undefined && known.version > record.version) return { status: "hit", record: known, stale: true }
    newest.set(key, record)
    return { status: "hit", record, layer: "simple", ageMs: 0 }
  }
  return {
    get: async (key) => lookupOf(key, (await read([key]))[0]!),
    getFirst: async (keys) => {
      const texts = await read(keys)
      for (const [at, key] of keys.entries()) {
        const found = lookupOf(key, texts[at]!)
        if (found.status !== "miss") return { ...found, key }
      }
      return { status: "miss" }
    },
    stats: () => ({ layers: [{ layer: "simple", routes: newest.size }] }),
    dispose: () => newest.clear(),
  }
}

/** The same without any memory: it gives what the source has, earlier versions as well. */
export const plainStore = (read: Read): RouteStore => {
  const sound = (): RouteStore => simpleStore(read)
  return {
    get: (key, options) => sound().get(key, options),
    getFirst: (keys, options) => sound().getFirst!(keys, options),
  }
}

export const simpleFixture = (make: (read: Read) => RouteStore = simpleStore): StoreFixture => {
  const { source, put, remove, faults } = textSource()
  return { open: () => make(source.call), put, remove, faults, reads: source.reads }
}
