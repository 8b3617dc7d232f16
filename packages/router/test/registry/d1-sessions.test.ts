import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { d1Registry } from "../../src/stores/d1.ts"
import { d1Routes } from "../../src/stores/d1-routes.ts"
import { startReplicatedD1 } from "./d1-replica.ts"
import { startD1 } from "./d1-worker.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })

describe("look-ups in D1 with a replica", () => {
  let database: Awaited<ReturnType<typeof startReplicatedD1>>
  beforeAll(async () => {
    database = await startReplicatedD1()
    await d1Registry(database.binding, { grammar }).migrate()
    await database.catchUp()
  })
  afterAll(() => database?.close())

  let names = 0
  /** A control plane and a router in different isolates, and a project that both databases have. */
  const setup = async () => {
    const name = `n-${(names += 1)}`
    let now = Date.now()
    const open = () => d1Registry(database.binding, { grammar, now: () => now })
    const control = open()
    await control.create({ name, owner: "org_1" })
    await database.catchUp()
    database.reads()
    const router = open()
    const ownerOf = async (registry = router, options = {}) => {
      const lookup = await registry.get(`p:${name}`, options)
      return lookup.status === "hit" ? lookup.record.owner : lookup.status
    }
    return { name, open, control, router, ownerOf, passTime: (ms: number) => void (now += ms) }
  }

  it("are read at the replica, and with refresh at the primary", async () => {
    const { control, ownerOf, name, open } = await setup()
    await control.transfer(name, "org_2")
    database.reads()
    expect(await ownerOf()).toBe("org_1")
    expect(database.reads()).toEqual(["replica"])
    expect(await ownerOf(open(), { refresh: true })).toBe("org_2")
    expect(database.reads()).toEqual(["primary"])
    await database.catchUp()
    expect(await ownerOf(open())).toBe("org_2")
    expect(database.reads()).toEqual(["replica"])
  })

  it("see what the same registry has written", async () => {
    const { control, ownerOf, name } = await setup()
    await control.transfer(name, "org_2")
    expect(await ownerOf(control)).toBe("org_2")
    await database.catchUp()
    database.reads()
    expect(await ownerOf(control)).toBe("org_2")
    expect(database.reads()).toEqual(["replica"])
  })

  it("never see less than they have seen before: after a refresh the replica must have as much", async () => {
    const { control, ownerOf, name } = await setup()
    await control.transfer(name, "org_2")
    expect([await ownerOf(), await ownerOf(undefined, { refresh: true }), await ownerOf()]).toEqual([
      "org_1",
      "org_2",
      "org_2",
    ])
  })

  it("are a miss only if the primary has no such route", async () => {
    const { control, router } = await setup()
    const name = `later-${names}`
    await control.create({ name })
    expect(await router.get(`p:${name}`)).toMatchObject({ status: "hit" })
    database.reads()
    expect(await router.getFirst(["p:nobody-1", "p:nobody-2"])).toEqual({ status: "miss", layer: "d1" })
    expect(database.reads().at(-1)).toBe("primary")
  })

  it("lead to a later key only if the primary has no earlier one: what a replica lacks may be another tenant's", async () => {
    const { control, router, name } = await setup()
    const later = `exact-${names}`
    await control.create({ name: later, owner: "org_2" })
    const keys = [`p:${later}`, `p:${name}`] as const
    expect(await d1Routes(database.binding).getFirst(keys)).toMatchObject({ key: keys[0], record: { owner: "org_2" } })
    expect(await router.getFirst(keys)).toMatchObject({ key: keys[0], record: { owner: "org_2" } })
    await database.catchUp()
  })

  it("end although the replica does not know yet that an expired project was published as such", async () => {
    const { control, router, passTime } = await setup()
    const name = `short-${names}`
    await control.create({ name, expiresAt: Date.now() + 1_000 })
    await database.catchUp()
    passTime(2_000)
    expect(await router.get(`p:${name}`)).toMatchObject({ status: "miss" })
    expect(await router.get(`p:${name}`)).toMatchObject({ status: "miss" })
    await database.catchUp()
  })

  it("fail where the database fails, and are no miss", async () => {
    const { open } = await setup()
    const failing = d1Registry(
      {
        ...database.binding,
        withSession: (constraint) => ({
          ...database.binding.withSession!(constraint),
          batch: async () => Promise.reject(new Error("D1_ERROR: 500")),
        }),
      },
      { grammar },
    )
    await expect(failing.get("p:nobody")).rejects.toThrow("D1_ERROR")
    expect(await open().get("p:nobody")).toMatchObject({ status: "miss" })
  })
})

it("a session of D1 in workerd gives a bookmark, with which the next one goes on", async () => {
  const { binding, close } = await startD1()
  try {
    const constraints: string[] = []
    const watched = {
      ...binding,
      withSession: (constraint: string) => {
        constraints.push(constraint)
        return binding.withSession(constraint)
      },
    }
    const registry = d1Registry(watched, { grammar })
    await registry.migrate()
    await registry.create({ name: "misha" })
    expect(new Set(constraints)).toEqual(new Set(["first-primary"]))
    expect(await registry.get("p:misha")).toMatchObject({ status: "hit" })
    // The form in which D1 gives it.
    expect(constraints.at(-1)).toMatch(/^[\da-f]{8}-[\da-f]{8}-[\da-f]{8}-[\da-f]{32}$/)
    // One without sessions, as an older runtime has it.
    const { prepare, batch } = binding
    expect(await d1Registry({ prepare, batch }, { grammar }).get("p:misha")).toMatchObject({ status: "hit", ageMs: 0 })
  } finally {
    await close()
  }
})
