import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import { startPglite } from "./engines.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })

/** Hyperdrive caches the rows of a read for 75 s, unless it is configured not to. The one of miniflare never does. */
describe("a Postgres whose reads are cached by something between", () => {
  let database: Awaited<ReturnType<typeof startPglite>>
  beforeAll(async () => {
    database = await startPglite()
    await postgresRegistry({ grammar, ...database.driver }).migrate()
  })
  afterAll(() => database?.close())

  const setup = async () => {
    await database.empty()
    const cache = new Map<string, unknown>()
    let now = Date.now()
    const registry = postgresRegistry({
      grammar,
      ...database.driver,
      now: () => (now += 1),
      query: async (text, values) => {
        const key = JSON.stringify([text, values])
        if (!cache.has(key)) cache.set(key, await database.driver.query(text, values))
        return cache.get(key)
      },
    })
    const direct = postgresRegistry({ grammar, ...database.driver })
    return { registry, direct, passTime: (ms: number) => void (now += ms) }
  }

  it("is written to as it is, because what has lost is read again in the transaction", async () => {
    const { registry, direct } = await setup()
    await registry.create({ name: "misha" })
    await registry.rename("misha", "anna")
    await registry.rename("anna", "bert")
    await expect(registry.create({ name: "bert" })).rejects.toMatchObject({ _tag: "NameTaken" })
    expect(await direct.get("p:bert")).toMatchObject({ status: "hit" })
  })

  it("fails a look-up that finds the same project expired again and again", async () => {
    const { registry, direct, passTime } = await setup()
    await registry.create({ name: "misha", expiresAt: Date.now() + 60_000 })
    await direct.create({ name: "anna" })
    expect(await registry.get("p:anna")).toMatchObject({ status: "hit" })
    passTime(120_000)
    await expect(registry.get("p:anna")).rejects.toMatchObject({ name: "LookupFailed" })
    expect(await direct.get("p:anna")).toMatchObject({ status: "hit" })
  })
})
