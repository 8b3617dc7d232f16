import { claim } from "../../claim.ts"
import { DAY, failing, tagOf } from "../law-context.ts"
import { law } from "../law.ts"

const key = (requestKey: string) => ({ requestKey })

/** Calls that are made again, and what time makes useless. */
export const requests = {
  "request.again": law(
    "a call that is made again with its key changes nothing, and returns what is registered now",
    async ({ setup }) => {
      const { registry, put, dns } = await setup()
      const created = await registry.create({ name: "misha" }, key("a"))
      claim(await registry.create({ name: "misha" }, key("a"))).toEqual(created)
      const machine = { id: "mach_1", type: "fake", externalId: "x", metadata: {} }
      claim(await registry.putMachine(machine, key("b"))).toEqual(await registry.putMachine(machine, key("b")))
      claim(await registry.attach("misha", "mach_1", key("c"))).toMatchObject({ epoch: 1 })
      claim(await registry.attach("misha", "mach_1", key("c"))).toMatchObject({ epoch: 1 })
      const { proof } = await registry.addDomain("misha", "www.example.com", key("d"))
      dns.set(proof.name, [proof.value])
      await registry.verifyDomain("misha", "www.example.com", key("e"))
      await registry.rename("misha", "anna", key("f"))
      await registry.transfer("anna", undefined, key("g"))
      // The proof is not asked for again, and the old name is not looked for.
      dns.clear()
      claim(await registry.verifyDomain("misha", "www.example.com", key("e"))).toMatchObject({ verified: true })
      const renamed = await registry.rename("misha", "anna", key("f"))
      claim(renamed).toMatchObject({ name: "anna", epoch: 1 })
      claim(await registry.read("anna")).toEqual(renamed)
      await registry.remove("anna", key("h"))
      await registry.remove("anna", key("h"))
      claim(await tagOf(registry.create({ name: "misha" }, key("a")))).toBe("NotFound")
      await registry.removeMachine("mach_1", key("i"))
      await registry.removeMachine("mach_1", key("i"))
      await put("mach_1")
      claim(await tagOf(registry.removeMachine("mach_1", key("i")))).toBe(undefined)
      claim((await registry.readMachine("mach_1")).externalId).toBe("ext-mach_1")
    },
  ),
  "request.concurrent": law(
    "a call that is made again with its key is made once, by however many at the same time",
    async ({ setup }) => {
      const { registry } = await setup()
      const { id, epoch } = await registry.create({ name: "misha" })
      const calls = Array.from({ length: 10 }, () => registry.detach("misha", { requestKey: "once" }))
      for (const project of await Promise.all(calls)) claim(project).toMatchObject({ id, epoch: epoch + 1 })
    },
  ),
  "request.other": law(
    "a call that is made again with its key is refused if it is another call, and free after one that failed",
    async ({ setup }) => {
      const { registry } = await setup()
      await registry.create({ name: "misha" })
      claim(await tagOf(registry.create({ name: "misha" }, { requestKey: "a" }))).toBe("NameTaken")
      await registry.configure("misha", { port: 80 }, { requestKey: "a" })
      const other = registry.configure("misha", { port: 81 }, { requestKey: "a" })
      claim(await failing(other)).toMatchObject({ _tag: "InvalidInput", field: "requestKey" })
      claim((await registry.read("misha")).port).toBe(80)
      for (const requestKey of ["", "x".repeat(257), "\0", 5]) {
        await claim(registry.revoke("misha", { requestKey: requestKey as string })).rejects.toBeInstanceOf(TypeError)
      }
    },
  ),
  "purge.forgets": law(
    "a purge forgets tombstones, former names and keys of requests once their time is over, and tells the feed",
    async ({ setup }) => {
      const { registry, clock, own, get } = await setup()
      await registry.create({ name: "a" }, { requestKey: "key" })
      await registry.rename("a", "b")
      await registry.create({ name: "gone" })
      await own("gone", "www.example.com")
      await registry.remove("gone")
      claim(await registry.purge()).toBe(0)
      clock.now += DAY
      claim(await registry.purge()).toBe(1)
      claim(await tagOf(registry.create({ name: "other" }, { requestKey: "key" }))).toBe(undefined)
      const { cursor } = await registry.snapshot()
      const { version } = await registry.read("b")
      clock.now += 29 * DAY
      claim(await registry.purge()).toBe(4)
      claim(await registry.purge()).toBe(0)
      const page = await registry.changes(cursor)
      const changes = page.status === "changes" ? page.changes : []
      claim(changes.map(({ key, record }) => `${key} ${record?.kind}`).toSorted()).toEqual([
        "d:www.example.com undefined",
        "p:a undefined",
        "p:gone undefined",
      ])
      for (const key of ["p:a", "p:gone"] as const) claim(await get(key)).toMatchObject({ status: "miss" })
      claim((await registry.read("b")).version).toBe(version)
      await registry.create({ name: "a" })
    },
  ),
}
