import { createIngresses } from "../../src/control/create-ingresses.ts"
import { describe, expect, it } from "vitest"
import { document, failure, fakeFront, platform, proofs, toA1, toB1 } from "./fakes.ts"

const b = { owner: "org_b" }
const signal = new AbortController().signal
const key = "d:80:x.example.com"

const reasons = async (made: Awaited<ReturnType<typeof platform>>, name: string) => {
  const { parents } = await made.ingresses.status(name)
  return Object.fromEntries(
    parents.map(({ parent, conditions }) => [parent, conditions.map(({ type, reason }) => `${type}: ${reason}`)]),
  )
}

describe("the status of an ingress", () => {
  it("says what the router and each front made of it", async () => {
    const made = await platform({ fronts: [fakeFront("caddy")] })
    await made.ingresses.create(document("x", "x.example.com", toA1))
    await made.ingresses.replace("x", document("x", "x.example.com", toB1))
    expect(await reasons(made, "x")).toEqual({
      router: ["Accepted: Accepted", "ResolvedRefs: ResolvedRefs", "Programmed: Programmed", "Served: Served"],
      caddy: ["Accepted: Accepted", "ResolvedRefs: ResolvedRefs", "Programmed: Programmed"],
    })
    const { parents } = await made.ingresses.status("x")
    for (const { conditions } of parents) {
      for (const { status, observedGeneration } of conditions) expect([status, observedGeneration]).toEqual(["True", 2])
    }
    expect(parents[0]!.conditions.at(-1)).toMatchObject({ layer: expect.any(String), ageMs: expect.any(Number) })
  })

  it("names rule and field of what only other fronts have", async () => {
    const made = await platform({ fronts: [fakeFront("envoy")] })
    const rules = [
      { match: { hostname: "x.example.com" }, target: { ...toA1, protocol: "h2c" } },
      { match: { protocol: "tcp", port: 5432 }, target: toA1 },
      { match: { hostname: "y.example.com" }, target: toA1, proxyProtocol: 2 },
    ]
    await made.ingresses.create({ name: "x", rules })
    const [router] = (await made.ingresses.status("x")).parents
    expect(router!.conditions[0]).toMatchObject({ type: "Accepted", status: "False", reason: "UnsupportedValue" })
    expect(router!.conditions[0]!.message).toBe(
      "rules.0.targets speak h2c, which only other fronts do; " +
        "rules.1.match.protocol is tcp, which only other fronts have; rules.2.proxyProtocol is for other fronts.",
    )
    expect(router!.conditions[2]).toMatchObject({ type: "Programmed", status: "False", reason: "Invalid" })
  })

  it("says that a target is gone, may not be used any more, or cannot be looked up", async () => {
    const made = await platform()
    await made.ingresses.create(document("x", "x.example.com", toB1))
    await made.registry.removeMachine("mach_b1")
    expect((await reasons(made, "x"))["router"]![1]).toBe("ResolvedRefs: BackendNotFound")

    const { id } = await made.ingresses.grant({ owner: "org_a", to: "org_b", target: { machine: "mach_a1" } })
    await made.ingresses.create(document("y", "y.example.com", toA1), b)
    expect((await reasons(made, "y"))["router"]![1]).toBe("ResolvedRefs: ResolvedRefs")
    await made.ingresses.revokeGrant(id)
    expect((await reasons(made, "y"))["router"]![1]).toBe("ResolvedRefs: RefNotPermitted")

    const store = { get: () => ({ status: "unknown" as const }) }
    const down = createIngresses({ ...made.options, store })
    const [router] = (await down.status("y")).parents
    expect(router!.conditions[1]).toMatchObject({ status: "Unknown" })
  })

  it("says that a domain was verified for a project since", async () => {
    const made = await platform()
    await made.ingresses.create(document("x", "x.example.com", toA1))
    const { proof } = await made.registry.addDomain("misha", "x.example.com")
    proofs.set(proof.name, [proof.value])
    await made.registry.verifyDomain("misha", "x.example.com")
    expect((await reasons(made, "x"))["router"]![0]).toBe("Accepted: HostnameConflict")
  })

  it("is pending at a front that this process has given nothing, and at one that failed", async () => {
    const front = fakeFront("caddy")
    const made = await platform({ fronts: [front] })
    await made.ingresses.create(document("x", "x.example.com", toA1))
    const next = createIngresses(made.options)
    const at = async () => (await next.status("x")).parents[1]!.conditions.at(-1)!
    expect(await at()).toMatchObject({ type: "Programmed", status: "Unknown", reason: "Pending" })
    await next.start()
    expect(await at()).toMatchObject({ status: "True" })
    await made.ingresses.replace("x", document("x", "y.example.com", toA1))
    front.failing.add("plan")
    expect(await failure(next.reconcile())).toMatchObject({ _tag: "FrontFailed" })
    expect(await at()).toMatchObject({ status: "False", reason: "Pending" })
  })

  it("says that a hostname has more rules than the router takes", async () => {
    const made = await platform()
    const rules = Array.from({ length: 1_000 }, (_, at) => ({
      match: { hostname: "x.example.com", path: `/${at}` },
      target: { url: `http://10.0.${at >> 8}.${at & 255}:80` },
      allowCidrs: ["10.0.0.0/8"],
    }))
    await made.ingresses.create({ name: "x", rules })
    expect((await reasons(made, "x"))["router"]![3]).toBe("Served: NotServed")
  })

  it("has no hostname to look up where there are patterns alone", async () => {
    const made = await platform()
    await made.ingresses.create(document("x", "{m}.example.com", { capture: "m", port: 80 }))
    expect((await reasons(made, "x"))["router"]![3]).toBe("Served: NoHostname")
  })
})

describe("the store", () => {
  it("leads where an ingress says, and not after it was removed", async () => {
    const { ingresses } = await platform()
    expect(await ingresses.store.get(key, { signal })).toMatchObject({ status: "miss" })
    await ingresses.create(document("x", "x.example.com", toA1))
    expect(await ingresses.store.get(key, { signal })).toMatchObject({ status: "hit", ageMs: expect.any(Number) })
    await ingresses.remove("x")
    expect(await ingresses.store.get(key, { signal })).toMatchObject({ status: "miss" })
  })

  it("ends with the next request what a grant led to, also where a front fails", async () => {
    const front = fakeFront("caddy")
    const { ingresses, events } = await platform({ fronts: [front] })
    const { id } = await ingresses.grant({ owner: "org_a", to: "org_b", target: { machine: "mach_a1" } })
    await ingresses.create(document("x", "x.example.com", toA1), b)
    expect(front.running).not.toBe("")
    front.failing.add("apply")
    expect(await failure(ingresses.revokeGrant(id))).toMatchObject({ _tag: "FrontFailed" })
    expect(JSON.stringify(await ingresses.store.get(key, { signal }))).not.toContain("mach_a1")
    front.failing.clear()
    await ingresses.reconcile()
    expect(front.running).toBe("")
    expect(events).toContainEqual(expect.objectContaining({ type: "reconciled", front: "caddy" }))
  })

  it("sees what another process has changed within pollMs", async () => {
    const { ingresses, options } = await platform({ pollMs: 100 })
    const reader = createIngresses(options)
    expect(await reader.store.get(key, { signal })).toMatchObject({ status: "miss" })
    await ingresses.create(document("x", "x.example.com", toA1))
    await new Promise((resolve) => setTimeout(resolve, 110))
    expect(await reader.store.get(key, { signal })).toMatchObject({ status: "hit" })
  })

  it("reads once for all look-ups that wait, and not before pollMs is half over", async () => {
    const made = await platform({ pollMs: 60_000 })
    let reads = 0
    const { storage } = made.options
    const read = (since: number) => {
      reads += 1
      return storage.read(since)
    }
    const { store } = createIngresses({ ...made.options, storage: { ...storage, read } })
    await Promise.all(Array.from({ length: 20 }, async () => store.get(key, { signal })))
    await store.getFirst!([key, "d:80:y.example.com"], { signal })
    expect(reads).toBe(1)
  })

  it("knows nothing before the first read, and goes on with what it has where a read fails", async () => {
    const made = await platform({ pollMs: 100 })
    const { storage } = made.options
    let isDown = true
    const read = (since: number) => (isDown ? Promise.reject(new Error("down")) : storage.read(since))
    const { store } = createIngresses({ ...made.options, storage: { ...storage, read } })
    const keys = [key, "d:80:y.example.com"] as const
    expect(await store.get(key, { signal })).toMatchObject({ status: "unknown" })
    expect(await store.getFirst!(keys, { signal })).toMatchObject({ status: "unknown" })
    expect(await store.get("m:mach_a1", { signal })).toMatchObject({ status: "hit", layer: "memory" })
    isDown = false
    await made.ingresses.create(document("x", "x.example.com", toA1))
    await expect.poll(async () => (await store.get(key, { signal })).status).toBe("hit")
    isDown = true
    await new Promise((resolve) => setTimeout(resolve, 250))
    for (let times = 0; times < 2; times++) {
      expect(await store.get(key, { signal })).toMatchObject({ status: "hit", stale: true })
    }
    expect(made.events).toContainEqual({ type: "error", during: "read", cause: expect.any(Error) })
  })

  it("is not held up by a storage that hangs", async () => {
    const made = await platform({ pollMs: 100 })
    const { storage } = made.options
    let hangs = false
    const read = (since: number) => (hangs ? new Promise<never>(() => undefined) : storage.read(since))
    const ingresses = createIngresses({ ...made.options, storage: { ...storage, read } })
    const { store } = ingresses
    await ingresses.create(document("x", "x.example.com", toA1))
    hangs = true
    await new Promise((resolve) => setTimeout(resolve, 110))
    expect(await store.get(key, { signal })).toMatchObject({ status: "hit" })
  })
})
