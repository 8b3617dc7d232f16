import { defineGrammar } from "@project-ingress/hostname"
import type { RouteKey, RouteRecord } from "../../stores/record.ts"
import type { RegistryError } from "../../stores/registry/errors.ts"
import type { FeedPage } from "../../stores/route-feed.ts"
import type { NewMachine } from "../../stores/route-registry.ts"
import type { AnyRegistry, RegistryFixture } from "./registry-fixture.ts"

/** In ms. */
export const DAY = 86_400_000

/** The grammar of every law. */
export const grammar = defineGrammar({ domains: ["iterate.app"], services: { opencode: 4096 }, reserved: ["www"] })

export const testMachine = (id: string, owner?: string): NewMachine => ({
  id,
  type: "fake",
  externalId: id,
  metadata: {},
  ...(owner === undefined ? {} : { owner }),
})

/** What a promise rejects with; an error without a tag where it does not. */
export const failing = async (work: Promise<unknown>): Promise<RegistryError> => {
  const error: unknown = await work.then(
    () => new Error("did not fail"),
    (cause: unknown) => cause,
  )
  return error as RegistryError
}
export const tagOf = async (work: Promise<unknown>): Promise<string> => (await failing(work))._tag

export const changesIn = (page: FeedPage): Extract<FeedPage, { readonly status: "changes" }> => {
  if (page.status === "gap") throw new Error("gap")
  return page
}

export const all = async <A>(items: AsyncIterable<A>): Promise<readonly A[]> => {
  const found: A[] = []
  for await (const item of items) found.push(item)
  return found
}

/** What a law works with. */
export type LawContext = ReturnType<typeof lawContext>

/** `count`: how many writers race. */
export const lawContext = (fixture: RegistryFixture, count: number) => ({
  /** An empty registry with a clock and a DNS of its own. */
  setup: async () => {
    await fixture.empty()
    const clock = { now: 2_000_000_000_000 }
    const dns = new Map<string, readonly (string | readonly string[])[]>()
    const resolveTxt = async (name: string) => dns.get(name) ?? Promise.reject(new Error("ENOTFOUND"))
    const registry = await fixture.open({ grammar, resolveTxt, now: () => clock.now })
    const { signal } = new AbortController()
    const get = async (key: RouteKey) => registry.get(key, { signal })
    const record = async (key: RouteKey): Promise<RouteRecord | undefined> => {
      const found = await get(key)
      return found.status === "hit" && (found.record.expiresAt ?? Infinity) > clock.now ? found.record : undefined
    }
    const put = (id: string, rest: Partial<NewMachine> = {}) =>
      registry.putMachine({ ...testMachine(id), externalId: `ext-${id}`, ...rest })
    /** Adds a domain and publishes its proof. */
    const own = async (project: string, hostname: string) => {
      const { proof } = await registry.addDomain(project, hostname)
      dns.set(proof.name, [["v=spf1"], proof.value])
      return registry.verifyDomain(project, hostname)
    }
    return { registry, clock, dns, get, record, put, own }
  },

  /** An empty registry whose feed is read. Without notifications, looking often is all there is. */
  feed: async ({ keptChanges = 10_000, pollMs = fixture.notifies ? 60_000 : 20 } = {}) => {
    await fixture.empty()
    const proofs: string[] = []
    const open = () => fixture.open({ grammar, keptChanges, pollMs, resolveTxt: async () => proofs })
    const registry = await open()
    const keysSince = async (cursor: string) =>
      changesIn(await registry.changes(cursor)).changes.map(({ key, record }) => `${key} ${record?.kind ?? "miss"}`)
    return { registry, open, proofs, keysSince }
  },

  /** Many registries on the same rows, as so many processes; `p-0`, `p-1` … are projects of which each has one. */
  writers: async (projects?: "with a project each") => {
    await fixture.empty()
    const proofs: string[] = []
    const resolveTxt = async () => proofs
    const all = await Promise.all(Array.from({ length: count }, async () => fixture.open({ grammar, resolveTxt })))
    /** Has every writer do the same at once. Returns how often each came about. */
    const race = async (act: (registry: AnyRegistry, at: number) => Promise<unknown>) => {
      const outcomes = await Promise.all(
        all.map((writer, at) =>
          act(writer, at).then(
            () => "done",
            (cause: Error & { readonly _tag?: string }) => cause._tag ?? `${cause}`,
          ),
        ),
      )
      const counts: Record<string, number> = {}
      for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
      return counts
    }
    if (projects !== undefined) await race((writer, at) => writer.create({ name: `p-${at}` }))
    return { registry: all[0]!, race, oneAnd: (tag: string) => ({ done: 1, [tag]: count - 1 }), proofs, count }
  },
})
