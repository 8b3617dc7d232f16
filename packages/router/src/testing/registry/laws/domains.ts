import { claim } from "../../claim.ts"
import { DAY, failing, tagOf } from "../law-context.ts"
import { inEachCase, law } from "../law.ts"

/** Custom domains and their proofs. */
export const domains = {
  "domain.unproven": law("a custom domain leads nowhere before its owner has proven it", async ({ setup }) => {
    const { registry, record, dns } = await setup()
    await registry.create({ name: "misha" })
    const { proof, verified } = await registry.addDomain("misha", "WWW.Example.com.")
    claim([proof.name, verified]).toEqual(["_project-ingress.www.example.com", false])
    claim(await record("d:www.example.com")).toBeUndefined()
    claim(await failing(registry.verifyDomain("misha", "www.example.com"))).toMatchObject({
      _tag: "DomainNotVerified",
      proof,
      cause: new Error("ENOTFOUND"),
    })
    dns.set(proof.name, [`${proof.value}x`, ["project-ingress", "=other"]])
    claim(await tagOf(registry.verifyDomain("misha", "www.example.com"))).toBe("DomainNotVerified")
    // One record in two parts, as DNS carries long ones.
    dns.set(proof.name, [[proof.value.slice(0, 9), proof.value.slice(9)]])
    claim(await registry.verifyDomain("misha", "www.example.com")).toEqual({
      hostname: "www.example.com",
      verified: true,
      proof,
    })
    claim(await record("d:www.example.com")).toMatchObject({ kind: "detached" })
    claim((await registry.read("misha")).domains).toMatchObject([{ hostname: "www.example.com", verified: true }])
  }),
  "domain.first": law(
    "a custom domain belongs to whoever proves it first, and then to nobody else",
    async ({ setup }) => {
      const { registry, record, dns, own } = await setup()
      await registry.create({ name: "victim", owner: "org_1" })
      await registry.create({ name: "attacker", owner: "org_2" })
      await registry.addDomain("attacker", "example.com")
      await own("victim", "example.com")
      // The proof in the DNS is the victim's: it says nothing for another owner.
      const { proof } = (await registry.read("attacker")).domains[0]!
      claim(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainNotVerified")
      dns.set(proof.name, [proof.value])
      claim(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainTaken")
      await registry.create({ name: "third", owner: "org_3" })
      claim(await tagOf(registry.addDomain("third", "example.com"))).toBe("DomainTaken")
      claim(await record("d:example.com")).toMatchObject({ owner: "org_1" })
    },
  ),
  "domain.takeover": law(
    "a custom domain of a removed project is a tombstone, and is taken over with a proof of the new owner alone",
    async ({ setup }) => {
      const { registry, record, own, dns, clock } = await setup()
      await registry.create({ name: "victim", owner: "org_1" })
      await own("victim", "example.com")
      await registry.remove("victim")
      await registry.create({ name: "attacker", owner: "org_2" })
      const { proof } = await registry.addDomain("attacker", "example.com")
      claim(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainNotVerified")
      claim(await record("d:example.com")).toMatchObject({ kind: "removed", owner: "org_1" })
      clock.now += 30 * DAY
      claim(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainNotVerified")
      claim(await record("d:example.com")).toBeUndefined()
      dns.set(proof.name, [proof.value])
      await registry.verifyDomain("attacker", "example.com")
      claim(await record("d:example.com")).toMatchObject({ kind: "detached", owner: "org_2" })
    },
  ),
  "domain.grace": law(
    "a custom domain leads on for a time of grace when a later check misses its proof, and is then free for who proves it",
    async ({ setup }) => {
      const { registry, record, own, dns, clock } = await setup()
      await registry.create({ name: "misha", owner: "org_1" })
      await registry.create({ name: "anna", owner: "org_2" })
      const { proof } = await own("misha", "example.com")
      await registry.addDomain("misha", "pending.example.com")
      const check = () => registry.recheckDomain("misha", "Example.com")
      const { version } = await registry.read("misha")
      claim(await check()).toEqual({ hostname: "example.com", verified: true, proof })
      claim((await registry.read("misha")).version).toBe(version)
      claim(await registry.recheckDomain("misha", "pending.example.com")).toMatchObject({ verified: false })
      claim(await tagOf(registry.recheckDomain("misha", "other.example.com"))).toBe("NotFound")

      dns.delete(proof.name)
      const failingSince = clock.now
      claim(await check()).toMatchObject({ verified: true, failingSince })
      clock.now += 7 * DAY - 1
      claim(await check()).toMatchObject({ verified: true, failingSince })
      claim((await registry.read("misha")).domains[0]).toMatchObject({ failingSince })
      claim(await record("d:example.com")).toMatchObject({ owner: "org_1" })
      claim(await tagOf(registry.addDomain("anna", "example.com"))).toBe("DomainTaken")
      // Found again: the time of grace begins from the start.
      dns.set(proof.name, [proof.value])
      claim(await check()).toEqual({ hostname: "example.com", verified: true, proof })
      dns.delete(proof.name)
      clock.now += DAY
      claim(await check()).toMatchObject({ verified: true, failingSince: clock.now })
      clock.now += 7 * DAY
      claim(await check()).toEqual({ hostname: "example.com", verified: false, proof })
      claim(await record("d:example.com")).toBeUndefined()
      claim(await tagOf(registry.verifyDomain("misha", "example.com"))).toBe("DomainNotVerified")
      const other = await registry.addDomain("anna", "example.com")
      claim(await tagOf(registry.verifyDomain("anna", "example.com"))).toBe("DomainNotVerified")
      dns.set(other.proof.name, [other.proof.value])
      claim(await registry.verifyDomain("anna", "example.com")).toMatchObject({ verified: true })
    },
  ),
  "domain.wildcard": law(
    "a custom domain may be a wildcard, and has the proof of the domain it is under",
    async ({ setup }) => {
      const { registry, record, own } = await setup()
      await registry.create({ name: "misha" })
      const { proof } = await own("misha", "*.example.com")
      claim(proof.name).toBe("_project-ingress.example.com")
      claim(await record("d:*.example.com")).toMatchObject({ kind: "detached" })
      claim((await registry.addDomain("misha", "example.com")).proof).toEqual(proof)
    },
  ),
  "domain.freed": law("a custom domain is free once it is removed", async ({ setup }) => {
    const { get, registry, own } = await setup()
    await registry.create({ name: "a", owner: "org_1" })
    await registry.create({ name: "b", owner: "org_1" })
    const { proof } = await own("a", "example.com")
    claim(await tagOf(registry.addDomain("b", "example.com"))).toBe("DomainTaken")
    await registry.removeDomain("a", "EXAMPLE.com")
    claim(await get("d:example.com")).toMatchObject({ status: "miss" })
    claim(await tagOf(registry.removeDomain("a", "example.com"))).toBe("NotFound")
    // One owner, one proof: nothing is to be changed in the DNS.
    claim((await registry.addDomain("b", "example.com")).proof).toEqual(proof)
    claim(await registry.verifyDomain("b", "example.com")).toMatchObject({ verified: true })
  }),
  "domain.reserved": law("a custom domain is never the platform's", async ({ setup }) => {
    await inEachCase(["iterate.app", "x.iterate.app", "*.iterate.app", "WWW.ITERATE.APP."], async (name) => {
      const { registry } = await setup()
      await registry.create({ name: "misha" })
      claim(await tagOf(registry.addDomain("misha", name))).toBe("ReservedName")
    })
  }),
  "domain.invalid": law("a custom domain is a domain of two labels or more", async ({ setup }) => {
    await inEachCase(
      [
        "",
        "com",
        "*.com",
        "*",
        "a.*.com",
        "*.*.example.com",
        "1.2.3.4",
        "[::1]",
        "a..b",
        "a_b.example.com",
        "x y.com",
        "a.com:80",
        5,
      ],
      async (name) => {
        const { registry } = await setup()
        await registry.create({ name: "misha" })
        claim(await failing(registry.addDomain("misha", name as string))).toMatchObject({
          _tag: "InvalidInput",
          field: "hostname",
        })
      },
    )
  }),
}
