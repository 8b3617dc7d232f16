import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { upstream } from "@project-ingress/providers/upstream"
import { beforeEach, describe, expect, it } from "vitest"
import { serveNode } from "../../src/hosts/node.ts"
import { authorize as askPlatform, visibility } from "../../src/policies.ts"
import { AccessDenied, createRouter, LoginRequired } from "../../src/router.ts"
import type { Policy, Router, RouterEvent, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { MemoryStore } from "../../src/stores/memory.ts"
import { closedAfterEach } from "./closing.ts"
import { openSocket, openStream, openUpload, startMachine, startStreamApp } from "./streams.ts"
import type { Running, StreamApp } from "./streams.ts"

const { signing } = await generateTicketKeys("test")
const { closing, opened } = closedAfterEach()

let app: StreamApp
let machine: Running
let store: MemoryStore
/** Who may open the project now. */
const allowed = new Set<string>()
/** When the sessions of new requests end. */
let expiresAt: number | undefined

/** Who a client says to be, for a test. */
const session: Policy = {
  name: "session",
  onRoute: ({ header }) => {
    const subject = header("x-user")
    return subject === undefined
      ? undefined
      : { visitor: { subject, by: "session", id: `s-${subject}`, ...(expiresAt && { expiresAt }) } }
  },
}
const authorize: Policy = {
  name: "authorize",
  enforces: ["visibility"],
  onRoute: ({ visitor }, { settings }) => {
    if (settings.visibility !== "private") return undefined
    if (visitor === undefined) return { deny: new LoginRequired({ location: "/login" }) }
    return allowed.has(visitor.subject) ? undefined : { deny: new AccessDenied() }
  },
}

const recordOf = (generation = 1) => ({
  machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machine.port } },
  port: app.port,
  visibility: "private" as const,
  generation,
})

beforeEach(async () => {
  allowed.clear()
  expiresAt = undefined
  app = opened(await startStreamApp())
  machine = opened(await startMachine(signing, "mach_1"))
  store = memoryStore({ "p:misha": recordOf() })
})

const routerWith = (more: Partial<RouterOptions> = {}) => {
  const events: RouterEvent[] = []
  const router = createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store,
    providers: [local(), upstream({ allowCidrs: ["127.0.0.0/8"] })],
    signingKey: signing,
    policies: [session, authorize],
    onEvent: (event) => events.push(event),
    ...more,
  })
  return { router, events, withdrawn: () => events.filter(({ type }) => type === "access_withdrawn") }
}

const serve = async (router: Router) => {
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  closing.push(() => close({ deadlineMs: 0 }))
  return port
}

const as = (user?: string, host = "misha.iterate.app") => ({ host, ...(user === undefined ? {} : { "x-user": user }) })

describe("on sockets, a visitor who is no longer let in", () => {
  it("loses what is open within 5 s, by nothing but the policies' saying no", { timeout: 30_000 }, async () => {
    const { router, withdrawn } = routerWith()
    const port = await serve(router)
    allowed.add("anna").add("bob")
    const stream = opened(await openStream(port, as("anna")))
    const socket = opened(await openSocket(port, as("anna")))
    const upload = opened(openUpload(port, as("anna")))
    const others = [opened(await openStream(port, as("bob"))), opened(await openSocket(port, as("bob")))]
    await expect.poll(app.uploaded).toBeGreaterThan(0)

    allowed.delete("anna")
    const at = performance.now()
    expect(await Promise.all([stream.ended, socket.ended, upload.ended])).toEqual([
      "broken",
      1008,
      "403 ACCESS_WITHDRAWN",
    ])
    console.log(`withdrawn on sockets after ${Math.round(performance.now() - at)} ms`)
    expect(others.map((each) => each.isOpen())).toEqual([true, true])
    expect(withdrawn()).toMatchObject([{ host: "misha.iterate.app", machine: "mach_1", reason: "denied", count: 3 }])
    // No app learns which session it was.
    expect(app.seen.flatMap((headers) => Object.keys(headers).filter((name) => name.includes("session")))).toEqual([])
  })

  it("loses it by authorize, however long its decisions hold for requests", { timeout: 30_000 }, async () => {
    const decide = askPlatform(({ subject }) => allowed.has(subject), { ttlMs: 600_000 })
    const { router, withdrawn } = routerWith({ policies: [session, visibility(), decide] })
    const port = await serve(router)
    allowed.add("anna").add("bob")
    const stream = opened(await openStream(port, as("anna")))
    const other = opened(await openStream(port, as("bob")))
    allowed.delete("anna")
    expect(await stream.ended).toBe("broken")
    expect([withdrawn(), other.isOpen()]).toMatchObject([[{ reason: "denied", count: 1 }], true])
  })

  it("loses it when the session ends", { timeout: 30_000 }, async () => {
    const { router, withdrawn } = routerWith()
    const port = await serve(router)
    allowed.add("anna")
    expiresAt = Date.now() + 1_500
    const stream = opened(await openStream(port, as("anna")))
    expect(await stream.ended).toBe("broken")
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt)
    expect(withdrawn()).toMatchObject([{ reason: "expired", count: 1 }])
  })

  it("loses it when all grants of the project are withdrawn", { timeout: 30_000 }, async () => {
    const { router, withdrawn } = routerWith()
    const port = await serve(router)
    allowed.add("anna")
    const socket = opened(await openSocket(port, as("anna")))
    store.attach("p:misha", recordOf(2))
    expect(await socket.ended).toBe(1008)
    expect(withdrawn()).toMatchObject([{ reason: "generation" }])
  })

  it(
    "loses it when the project leaves the machine, which may be another project's then",
    { timeout: 30_000 },
    async () => {
      const { router, withdrawn } = routerWith()
      const port = await serve(router)
      allowed.add("anna")
      const inOld = opened(await openSocket(port, as("anna")))
      store.attach("p:misha", { ...recordOf(), machine: { ...recordOf().machine, id: "mach_2" } })
      store.attach("p:other", recordOf())
      expect(await inOld.ended).toBe(1008)
      expect(withdrawn()).toMatchObject([{ machine: "mach_1", reason: "moved", count: 1 }])
      const stays = opened(await openStream(port, as("anna", "other.iterate.app")))
      store.attach("p:other", {
        ...recordOf(),
        machine: { ...recordOf().machine, id: "mach_3" },
        replicas: [recordOf().machine],
      })
      const moved = Date.now() + 5_000
      await expect.poll(() => Date.now() > moved, { timeout: 8_000 }).toBe(true)
      expect(stays.isOpen()).toBe(true)
    },
  )
})

describe("withdraw", () => {
  it("ends what is open of a session in the machines of a hostname, whoever opened it", async () => {
    const { router } = routerWith()
    const port = await serve(router)
    // A router that shares nothing with the other one but the key.
    const { router: elsewhere } = routerWith()
    allowed.add("anna").add("bob")
    const stream = opened(await openStream(port, as("anna")))
    const socket = opened(await openSocket(port, as("anna")))
    const other = opened(await openStream(port, as("bob")))
    expect(await elsewhere.withdraw("misha.iterate.app", { sessions: ["s-anna"] })).toEqual({
      ended: 2,
      machines: [{ machine: "mach_1", ended: 2 }],
    })
    expect(await Promise.all([stream.ended, socket.ended])).toEqual(["broken", 1008])
    expect(other.isOpen()).toBe(true)
    expect(await elsewhere.withdraw("misha.iterate.app", { sessions: "all" })).toMatchObject({ ended: 1 })
    expect(await other.ended).toBe("broken")
  })

  it("ends nothing behind another hostname", async () => {
    const second = opened(await startMachine(signing, "mach_2"))
    store.attach("p:other", {
      ...recordOf(),
      machine: { id: "mach_2", type: "local", externalId: "dev2", metadata: { port: second.port } },
    })
    const { router } = routerWith()
    const port = await serve(router)
    allowed.add("anna")
    const stream = opened(await openStream(port, as("anna")))
    expect(await router.withdraw("other.iterate.app", { sessions: ["s-anna"] })).toMatchObject({ ended: 0 })
    expect(await router.withdraw("other.iterate.app", { sessions: "all" })).toMatchObject({ ended: 0 })
    expect(stream.isOpen()).toBe(true)
  })

  it("says of each machine what is not known to have ended", async () => {
    const { router } = routerWith()
    const gone = await startMachine(signing, "mach_3")
    await gone.close()
    const at = (id: string, port: number) => ({ id, type: "local", externalId: id, metadata: { port } })
    store.attach("p:misha", { ...recordOf(), replicas: [at("mach_3", gone.port)] })
    expect(await router.withdraw("misha.iterate.app", { sessions: ["s"] })).toEqual({
      ended: 0,
      machines: [
        { machine: "mach_1", ended: 0 },
        { machine: "mach_3", ended: 0, error: expect.any(String) },
      ],
    })
    const metadata = { origin: `http://127.0.0.1:${app.port}` }
    store.attach("p:misha", { ...recordOf(), machine: { id: "mach_4", type: "upstream", externalId: "u", metadata } })
    expect((await router.withdraw("misha.iterate.app", { sessions: ["s"] })).machines).toEqual([
      { machine: "mach_4", ended: 0, error: "NotSupported" },
    ])
  })

  it("ends what this host has open where there is no machine proxy", async () => {
    const metadata = { origin: `http://127.0.0.1:${app.port}` }
    store.attach("p:misha", { ...recordOf(), machine: { id: "mach_4", type: "upstream", externalId: "u", metadata } })
    const { router } = routerWith()
    const port = await serve(router)
    allowed.add("anna").add("bob")
    const stream = opened(await openStream(port, as("anna")))
    const other = opened(await openStream(port, as("bob")))
    await router.withdraw("misha.iterate.app", { sessions: ["s-anna"] })
    expect(await stream.ended).toBe("broken")
    expect(other.isOpen()).toBe(true)
  })

  it("rejects for a hostname that cannot be resolved, and for options that are wrong", async () => {
    const { router } = routerWith()
    await expect(router.withdraw("nobody.iterate.app", { sessions: [] })).rejects.toMatchObject({
      _tag: "RouteNotFound",
    })
    await expect(router.withdraw("example.org", { sessions: [] })).rejects.toMatchObject({ _tag: "RouteNotFound" })
    // @ts-expect-error there are none
    await expect(router.withdraw("misha.iterate.app", {})).rejects.toThrow("withdraw: sessions must be")
    await expect(router.withdraw("misha.iterate.app", { sessions: ["a b"] })).rejects.toThrow(
      "withdraw: sessions must be",
    )
  })
})
