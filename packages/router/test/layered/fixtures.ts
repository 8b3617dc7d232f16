/** An authority that counts and can fail, a cache that can fail, and a clock that the test holds. */
import { vi } from "vitest"
import { layeredStore } from "../../src/stores/layered.ts"
import type { CachedRoute, LayeredStoreOptions, RouteCache, RouteSourceEvent } from "../../src/stores/layered.ts"
import type { FirstLookup, Lookup, LookupOptions, RouteKey, RouteRecord, RouteStore } from "../../src/router.ts"

export const record = (
  version: number,
  fields: { readonly owner?: string; readonly machine?: string } = {},
): RouteRecord => {
  const { owner = "org_1", machine = "mach_1" } = fields
  return {
    kind: "machine",
    version,
    epoch: version,
    owner,
    machine: { id: machine, type: "local", externalId: "dev", metadata: {} },
  }
}

export type Behaviour = "works" | "hangs" | "rejects" | "throws" | "unknown"

/** A registry with one table, read by `get`, or by `getFirst` as well. */
export class FakeAuthority implements RouteStore {
  readonly routes = new Map<RouteKey, RouteRecord>()
  readonly asked: RouteKey[] = []
  readonly refreshed: RouteKey[] = []
  calls = 0
  behaviour: Behaviour = "works"
  delayMs = 0
  readonly failing = new Set<RouteKey>()

  get(key: RouteKey, options: LookupOptions): Lookup | Promise<Lookup> {
    return this.answer([key], options)
  }

  protected answer(keys: readonly RouteKey[], { refresh = false }: LookupOptions): FirstLookup | Promise<FirstLookup> {
    this.calls++
    this.asked.push(...keys)
    if (refresh) this.refreshed.push(...keys)
    if (this.behaviour === "throws") throw new Error("postgres://admin:hunter2@db")
    // As a database does: what is read is what was there when the read began.
    const looked = this.look(keys)
    if (this.behaviour === "hangs") return new Promise(() => undefined)
    if (this.behaviour === "rejects") return Promise.reject(Object.assign(new Error("x"), { code: "ECONNREFUSED" }))
    if (this.behaviour === "unknown") return { status: "unknown", cause: "not loaded" }
    if (keys.some((key) => this.failing.has(key))) return Promise.reject(new Error("one key fails"))
    if (this.delayMs === 0) return Promise.resolve(looked)
    return new Promise((resolve) => setTimeout(() => resolve(looked), this.delayMs))
  }

  private look(keys: readonly RouteKey[]): FirstLookup {
    for (const key of keys) {
      const found = this.routes.get(key)
      if (found !== undefined) return { status: "hit", key, record: found, layer: "registry" }
    }
    return { status: "miss", layer: "registry" }
  }
}

export class ManyAuthority extends FakeAuthority {
  getFirst(keys: readonly RouteKey[], options: LookupOptions): FirstLookup | Promise<FirstLookup> {
    return this.answer(keys, options)
  }
}

/** A shared cache whose entries a test sees and changes, as JSON. */
export class FakeCache implements RouteCache {
  readonly entries = new Map<RouteKey, string>()
  readonly layer: string
  reads = 0
  writes = 0
  behaviour: Behaviour = "works"

  constructor(layer = "cache") {
    this.layer = layer
  }

  async read(key: RouteKey): Promise<CachedRoute | undefined> {
    this.reads++
    await this.behave()
    const text = this.entries.get(key)
    return text === undefined ? undefined : (JSON.parse(text) as CachedRoute)
  }

  async write(key: RouteKey, entry: CachedRoute): Promise<void> {
    this.writes++
    await this.behave()
    this.entries.set(key, JSON.stringify(entry))
  }

  private async behave(): Promise<void> {
    if (this.behaviour === "hangs") await new Promise(() => undefined)
    if (this.behaviour !== "works") throw new Error("the cache fails")
  }
}

/** A store over an authority that knows `p:misha`, and what it reports. No jitter: the whole of every time. */
export const start = (options: Partial<LayeredStoreOptions> = {}) => {
  const authority = new FakeAuthority()
  authority.routes.set("p:misha", record(1))
  const events: RouteSourceEvent[] = []
  const store = layeredStore({ authority, random: () => 0, onEvent: (event) => events.push(event), ...options })
  return { authority, store, events }
}

/** The version of the route that a look-up found. */
export const version = (looked: unknown): number | undefined =>
  (looked as { readonly record?: { readonly version: number } }).record?.version

/** How a look-up of a router is called. */
export const lookup = (fields: Partial<LookupOptions> = {}): LookupOptions => ({
  signal: new AbortController().signal,
  ...fields,
})

export const holdTime = (): void => {
  vi.useFakeTimers({
    now: 1_800_000_000_000,
    toFake: ["Date", "performance", "setTimeout", "clearTimeout", "setImmediate", "clearImmediate"],
  })
}

export const later = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms)
}
