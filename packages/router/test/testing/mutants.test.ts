/** The store suite itself: a sound store keeps every law, and each law finds a store that breaks it. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import type { Lookup, RouteKey, RouteStore } from "../../src/router.ts"
import { routeStoreSuite, storeLaws } from "../../src/testing.ts"
import type { StoreFixture, StoreLawName, StoreSuiteOptions } from "../../src/testing.ts"
import { plainStore, simpleFixture, simpleStore, textSource } from "./memory-fixture.ts"
import type { Read } from "./memory-fixture.ts"

/** The laws that do not hold. */
const broken = async (fixture: StoreFixture, names?: readonly StoreLawName[], options: StoreSuiteOptions = {}) => {
  const tests = new Map<string, () => Promise<void>>()
  routeStoreSuite((name, run) => tests.set(name.split(":")[0]!, run), fixture, { lookupTimeoutMs: 300, ...options })
  const found: string[] = []
  for (const name of names ?? tests.keys()) await tests.get(name)!().catch(() => found.push(name))
  return found
}

const mutant = (change: (sound: RouteStore, read: Read) => Partial<RouteStore>) => (read: Read) => {
  const sound = simpleStore(read)
  return { ...sound, ...change(sound, read) }
}
const onUnknown = (otherwise: (key: RouteKey) => Lookup) =>
  mutant((sound) => ({
    get: async (key, options) => {
      try {
        return await sound.get(key, options)
      } catch {
        return otherwise(key)
      }
    },
  }))

const mutants: readonly (readonly [string, readonly StoreLawName[], (read: Read) => RouteStore])[] = [
  [
    "takes a source that fails for one without the route",
    ["error.cold", "error.warm", "flapping.no-miss"],
    onUnknown(() => ({ status: "miss" })),
  ],
  [
    "takes an entry that it cannot read for none",
    ["damage.corrupt", "damage.truncated"],
    onUnknown(() => ({ status: "miss" })),
  ],
  [
    "is a miss when a look-up takes long",
    ["hang.cold", "hang.warm"],
    mutant((sound) => ({
      get: (key, options) =>
        Promise.race([
          sound.get(key, options),
          new Promise<Lookup>((resolve) => setTimeout(() => resolve({ status: "miss" }), 150)),
        ]),
    })),
  ],
  [
    "remembers every record for good",
    ["version.newer", "miss.removed", "refresh.newer", "flapping.change"],
    mutant((sound) => {
      const known = new Map<RouteKey, Lookup>()
      return {
        get: async (key, options) => {
          const found = known.get(key) ?? (await sound.get(key, options))
          if (found.status === "hit") known.set(key, found)
          return found
        },
      }
    }),
  ],
  [
    "remembers every miss for good",
    ["miss.then-put"],
    mutant((sound) => {
      const known = new Map<RouteKey, Lookup>()
      return {
        get: async (key, options) => {
          const found = known.get(key) ?? (await sound.get(key, options))
          if (found.status === "miss") known.set(key, found)
          return found
        },
      }
    }),
  ],
  ["gives whatever version its source has", ["version.older", "stale.version"], plainStore],
  [
    "keeps the result that came last",
    ["reordered.version"],
    (read) => {
      const plain = plainStore(read)
      const known = new Map<RouteKey, Lookup>()
      return {
        get: async (key, options) => {
          const kept = options.refresh === true ? undefined : known.get(key)
          const found = kept ?? (await plain.get(key, options))
          known.set(key, found)
          return found
        },
      }
    },
  ],
  [
    "reads text to its first NUL",
    ["hit.any-text"],
    (read) => simpleStore(async (keys) => (await read(keys)).map((text) => text?.replaceAll("\\u0000", "") ?? null)),
  ],
  [
    "changes a record that it has given",
    ["hit.again"],
    mutant((sound) => {
      const given = new Map<RouteKey, object>()
      return {
        get: async (key, options) => {
          const found = await sound.get(key, options)
          if (found.status !== "hit") return found
          const record = Object.assign(given.get(key) ?? {}, found.record)
          given.set(key, record)
          return { ...found, record }
        },
      }
    }),
  ],
  [
    "forgets metadata",
    ["hit.fields", "hit.record"],
    mutant((sound) => ({
      get: async (key, options) => {
        const found = await sound.get(key, options)
        if (found.status !== "hit" || found.record.kind !== "machine") return found
        return { ...found, record: { ...found.record, machine: { ...found.record.machine, metadata: {} } } }
      },
    })),
  ],
  [
    "looks for a key without its underscores",
    ["name.exact"],
    mutant((sound) => ({
      get: async (key, options) => {
        const found = await sound.get(key, options)
        const other: RouteKey = `m:${key.slice(2).replaceAll("-", "_")}`
        return found.status === "miss" && key.startsWith("m:") ? sound.get(other, options) : found
      },
    })),
  ],
  [
    "keeps routes as the properties of an object",
    ["name.of-objects"],
    mutant((sound) => ({
      get: (key, options) => {
        const name = key.split(":").at(-1)!
        const found = ({} as Record<string, unknown>)[name]
        return found === undefined ? sound.get(key, options) : { status: "hit", record: found as never }
      },
    })),
  ],
  [
    "expands a wildcard",
    ["name.domains"],
    mutant((sound) => ({
      get: async (key, options) => {
        const found = await sound.get(key, options)
        const [, suffix] = /^d:[^.]+\.(.*)$/.exec(key) ?? []
        return found.status === "miss" && suffix !== undefined ? sound.get(`d:*.${suffix}`, options) : found
      },
    })),
  ],
  [
    "cuts keys to 64 characters",
    ["name.any-text"],
    mutant((sound) => {
      let last: Lookup = { status: "miss" }
      return {
        get: async (key, options) => {
          if (key.length > 64) return last
          return (last = await sound.get(key, options))
        },
      }
    }),
  ],
  [
    "passes an unknown key over for the next one",
    ["damage.corrupt", "damage.truncated"],
    mutant((sound) => ({
      getFirst: async (keys, options) => {
        for (const key of keys) {
          const found = await Promise.resolve(sound.get(key, options)).catch((): Lookup => ({ status: "miss" }))
          if (found.status !== "miss") return { ...found, key }
        }
        return { status: "miss" }
      },
    })),
  ],
  [
    "finds the last of several keys",
    ["first.in-turn"],
    mutant((sound) => ({ getFirst: (keys, options) => sound.getFirst!(keys.toReversed(), options) })),
  ],
  [
    "takes no more than 32 keys",
    ["first.long"],
    mutant((sound) => ({ getFirst: (keys, options) => sound.getFirst!(keys.slice(0, 32), options) })),
  ],
  [
    "gives the result of another look-up that runs",
    ["concurrent.own-record", "reordered.own-record"],
    mutant((sound) => {
      let running: Promise<Lookup> | undefined
      return {
        get: (key, options) =>
          (running ??= Promise.resolve(sound.get(key, options)).finally(() => {
            running = undefined
          })),
      }
    }),
  ],
  [
    "ends all look-ups of a key by the signal of the first",
    ["signal.of-one"],
    mutant((sound) => {
      const running = new Map<RouteKey, Promise<Lookup>>()
      return {
        get: (key, options) => {
          const shared = running.get(key)
          if (shared !== undefined) return shared
          const { signal } = options
          const own = new Promise<Lookup>((resolve, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason as Error))
            void Promise.resolve(sound.get(key, options)).then(resolve, reject)
          }).finally(() => running.delete(key))
          running.set(key, own)
          return own
        },
      }
    }),
  ],
  [
    "is a miss for a client that has left",
    ["signal.aborted"],
    mutant((sound) => ({
      get: (key, options) => (options.signal.aborted ? { status: "miss" } : sound.get(key, options)),
    })),
  ],
  [
    "counts its routes as text",
    ["stats.shape"],
    mutant(() => ({ stats: () => ({ layers: [{ layer: "x", routes: "1" as never }] }) })),
  ],
  [
    "counts its routes at the source",
    ["stats.no-read"],
    mutant((sound, read) => ({
      stats: () => {
        void read([])
        return sound.stats!()
      },
    })),
  ],
  ["never ends", ["dispose.settles"], mutant(() => ({ dispose: () => new Promise<void>(() => undefined) }))],
  [
    "leaves a timer",
    ["dispose.exit"],
    mutant(() => {
      setInterval(() => undefined, 60_000)
      return {}
    }),
  ],
  [
    "is a miss when its source takes 20 ms",
    ["slow.found"],
    mutant((sound) => ({
      get: (key, options) =>
        Promise.race([
          sound.get(key, options),
          new Promise<Lookup>((resolve) => setTimeout(() => resolve({ status: "miss" }), 20)),
        ]),
    })),
  ],
  [
    "takes an entry of a later format for none",
    ["damage.foreign"],
    mutant((sound) => ({
      get: async (key, options) => {
        const found = await sound.get(key, options)
        return found.status === "hit" && (found.record.kind as string) === "of-a-later-format"
          ? { status: "miss" }
          : found
      },
    })),
  ],
  ["gives nothing at all", ["hit.record", "miss.never-put"], mutant(() => ({ get: () => undefined as never }))],
  [
    "is as old as the future",
    ["hit.record"],
    mutant((sound) => ({ get: async (...given) => ({ ...(await sound.get(...given)), ageMs: -1 }) })),
  ],
]

describe("the laws of stores", () => {
  it("hold for a sound store, each under its name", async () => {
    const names: string[] = []
    const { tried, skipped } = routeStoreSuite((name) => void names.push(name), simpleFixture())
    expect(names).toEqual(Object.entries(storeLaws).map(([name, claim]) => `${name}: ${claim}`))
    expect([tried, skipped]).toEqual([Object.keys(storeLaws), {}])
    expect(await broken(simpleFixture())).toEqual([])
  }, 60_000)

  it.each(mutants)("find a store that %s", { timeout: 60_000 }, async (_, laws, make) => {
    const options = { lawTimeoutMs: 5_000 }
    expect(await broken(simpleFixture(make), laws, options)).toEqual(laws)
  })

  it("are each broken by one of these stores", () => {
    const found = new Set(mutants.flatMap(([, laws]) => laws))
    expect(Object.keys(storeLaws).filter((name) => !found.has(name as StoreLawName))).toEqual([])
  })
})

describe("a law that cannot be checked", () => {
  it("is skipped with the field that is missing, or the deviation that was declared", () => {
    const { put, remove, source } = textSource()
    const skip = { "version.older": "it keeps nothing" }
    const skippedTests: string[] = []
    const test = Object.assign(() => undefined, { skip: (name: string) => void skippedTests.push(name) })
    const open = () => plainStore(source.call)
    const { skipped } = routeStoreSuite(test, { open, put, remove }, { skip })
    expect(skipped).toMatchObject({
      ...skip,
      "error.cold": "the fixture has no faults.error",
      "damage.foreign": "the fixture has no faults.foreign",
      "stats.no-read": "the fixture has no reads",
    })
    expect(skippedTests).toContain(`version.older: ${storeLaws["version.older"]} (skipped: it keeps nothing)`)
  })

  it("is skipped when it turns out that the store lacks a method", async () => {
    const { put, remove, source } = textSource()
    const tests = new Map<string, (context: unknown) => Promise<void>>()
    const test = (name: string, run: () => Promise<void>) => void tests.set(name.split(":")[0]!, run)
    routeStoreSuite(test, {
      open: () => ({ get: (key, options) => plainStore(source.call).get(key, options) }),
      put,
      remove,
    })
    const reasons: string[] = []
    for (const name of ["first.in-turn", "stats.shape", "dispose.settles"]) {
      await tests.get(name)!({ skip: (reason: string) => void reasons.push(reason) })
    }
    expect(reasons).toEqual([
      "not applicable: the store has no getFirst",
      "not applicable: the store has no stats",
      "not applicable: the store has no dispose",
    ])
  })

  it.each<[object, object, string]>([
    [{}, { skip: { "miss.none": "x" } }, 'routeStoreSuite: skip: there is no law "miss.none"'],
    [{}, { skip: { "miss.removed": " " } }, "routeStoreSuite: skip: miss.removed needs a reason"],
    [{}, { lookupTimeout: 1 }, "lookupTimeout"],
    [{ settel: () => undefined }, {}, "settel"],
    [{ faults: { hangs: () => undefined } }, {}, "hangs"],
    [{ put: undefined }, {}, "put"],
  ])("is a mistake: %j %j", (fields, options, message) => {
    const fixture = { ...simpleFixture(), ...fields }
    expect(() => routeStoreSuite(() => undefined, fixture as never, options as never)).toThrow(message)
  })

  it("runs under node:test", () => {
    const main = fileURLToPath(new URL("suite-main.ts", import.meta.url))
    const args = ["--conditions=@project-ingress/source", "--test", "--test-reporter=tap", main]
    // Without what tells a process that it is a test of another runner.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env })
    expect([status, stderr]).toEqual([0, ""])
    expect(stdout).toContain(`# tests ${Object.keys(storeLaws).length}`)
    expect(stdout).toContain("# SKIP not applicable: the store has no getFirst")
  }, 120_000)
})
