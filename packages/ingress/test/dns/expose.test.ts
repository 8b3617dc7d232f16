import { describe, expect, it } from "vitest"
import { createExpose } from "@project-ingress/ingress/expose"
import type { ExposeEvent, ExposeOptions, ExposeRequest } from "@project-ingress/ingress/expose"
import type { DeclaredIngress } from "@project-ingress/ingress"
import type { DnsProvider } from "@project-ingress/ingress/dns"
import { coveredBy } from "../../src/certificates/covered-by.ts"
import { fakeDns, testIngresses, memoryStorage } from "./fakes.ts"
import type { Faults } from "./fakes.ts"

const domain = "internal.example.com"
const address = "100.64.0.1"
const llm = `llm.${domain}`

const setUp = (options: Partial<ExposeOptions> = {}, { foreign = [] as string[], reserved = [] as string[] } = {}) => {
  const faults: Faults = { next: new Map() }
  const { storage, documents, unreadable } = memoryStorage(faults)
  const { dns, records } = fakeDns(faults, foreign)
  const ingresses = testIngresses(storage, faults, reserved)
  const events: ExposeEvent[] = []
  let time = 1_000
  const make = (more: Partial<ExposeOptions> = {}) =>
    createExpose({
      ingresses,
      storage,
      dns,
      address,
      domain,
      allowedTargets: ["100.64.0.0/10", "fd7a::/16"],
      onEvent: (event) => events.push(event),
      now: () => time++,
      ...options,
      ...more,
    })
  /** Where every name leads: by DNS, and by the proxy. */
  const state = () => ({
    dns: [...records.values()]
      .flat()
      .map(({ name, type, content }) => `${name} ${type} ${content}`)
      .toSorted(),
    routes: [...documents.values()]
      .flatMap((each) =>
        each.kind === "ingress"
          ? each.rules.map(({ match, targets, tls }) => {
              const target = targets[0] as { protocol: string; host: string; port: number }
              return `${match.hostname!.text} ${target.protocol}://${target.host}:${target.port}${tls === true ? " tls" : ""}`
            })
          : [],
      )
      .toSorted(),
    stored: [...documents.values()].flatMap((each) => (each.kind === "record" ? [each.id] : [])).toSorted(),
  })
  return { expose: make(), make, state, faults, storage, documents, records, events, ingresses, unreadable, dns }
}

/** What DNS providers reject with becomes the cause of a `DnsFailed`. */
const messageOf = (error: Error): string => (error.cause instanceof Error ? error.cause : error).message

const nothing = { dns: [], routes: [], stored: [] }
const proxied: ExposeRequest = { name: "llm", port: 8080, target: "100.64.0.2" }
const asProxied = { dns: [`${llm} A ${address}`], routes: [`${llm} http://100.64.0.2:8080`], stored: [llm] }
const direct: ExposeRequest = { name: "llm", target: "100.64.0.2" }
const asDirect = { dns: [`${llm} A 100.64.0.2`], routes: [], stored: [llm] }

describe("expose", () => {
  it("with a port makes a record that leads to the proxy, and a route to the target", async () => {
    const { expose, state } = setUp()
    await expect(expose.expose(proxied)).resolves.toEqual({
      name: llm,
      type: "A",
      content: address,
      createdAt: 1_000,
      updatedAt: 1_000,
      route: { ingress: expect.any(String), target: "100.64.0.2", port: 8080, protocol: "http", createdAt: 1_000 },
    })
    expect(state()).toEqual(asProxied)
  })
  it("without a port makes a record that leads to the target", async () => {
    const { expose, state } = setUp()
    await expect(expose.expose(direct)).resolves.toMatchObject({ content: "100.64.0.2" })
    expect(state()).toEqual(asDirect)
  })
  it("without a target means the proxy's own address", async () => {
    const { expose, state } = setUp()
    await expose.expose({ name: "llm", port: 3000 })
    expect(state().routes).toEqual([`${llm} http://100.64.0.1:3000`])
  })
  it("takes IPv6 targets, and IPv6 addresses of the proxy", async () => {
    const { expose, state } = setUp({ address: "FD7A::1" })
    await expose.expose({ name: "llm", port: 8080, target: "FD7A::0:2", protocol: "https" })
    expect(state()).toMatchObject({ dns: [`${llm} AAAA fd7a::1`], routes: [`${llm} https://fd7a::2:8080`] })
  })
  it.each<[string, ExposeRequest, ExposeRequest, object]>([
    [
      "another target",
      proxied,
      { ...proxied, port: 81, protocol: "https" },
      { ...asProxied, routes: [`${llm} https://100.64.0.2:81`] },
    ],
    ["DNS only instead of a route", proxied, direct, asDirect],
    ["a route instead of DNS only", direct, proxied, asProxied],
    ["the same", proxied, proxied, asProxied],
  ])("of a name that is there replaces it: %s (case 2-18)", async (_what, first, second, state) => {
    const made = setUp()
    await made.expose.expose(first)
    const again = await made.expose.expose(second)
    expect(made.state()).toEqual(state)
    expect(again).toMatchObject({ createdAt: 1_000, updatedAt: 1_001 })
  })
  it("takes ten at the same time (case 2-25), also beside another process", async () => {
    const { expose, make, state, storage } = setUp()
    const other = make()
    const names = Array.from({ length: 10 }, (_, i) => `n${i}`)
    // What another process commits in between is about other names.
    let busy = 0
    const read = storage.read.bind(storage)
    storage.read = async (since) => {
      const changes = await read(since)
      if (busy++ % 7 === 3)
        await storage.commit({ ifRevision: changes.revision, put: [], remove: [] }).catch(() => undefined)
      return changes
    }
    const results = await Promise.allSettled(
      names.map((name, i) => (i % 2 === 0 ? expose : other).expose({ name, target: "100.64.0.2" })),
    )
    expect(results.map(({ status }) => status)).toEqual(names.map(() => "fulfilled"))
    expect(state().stored).toHaveLength(10)
    expect(state().dns).toHaveLength(10)
    await expect(expose.list()).resolves.toHaveLength(10)
  })
  it("says which certificate covers the name, and serves it by TLS", async () => {
    const { expose, state } = setUp({ certificates: ["example.com", `*.${domain}`] })
    await expect(expose.expose(proxied)).resolves.toMatchObject({ certificate: `*.${domain}` })
    const deep = await expose.expose({ ...proxied, name: `a.b.${domain}` })
    expect(deep).not.toHaveProperty("certificate")
    expect(state().routes).toEqual([`a.b.${domain} http://100.64.0.2:8080`, `${llm} http://100.64.0.2:8080 tls`])
  })
  it("serves by TLS what is not covered only where `tls` says so", async () => {
    const always = setUp({ tls: true })
    await always.expose.expose(proxied)
    const never = setUp({ tls: false, certificates: [llm] })
    await never.expose.expose(proxied)
    expect([always.state().routes, never.state().routes]).toEqual([
      [`${llm} http://100.64.0.2:8080 tls`],
      asProxied.routes,
    ])
  })
})

describe("a request is refused with its field", () => {
  it.each<[string, object, string]>([
    ...["Internal", "my_service", "a@b", "-a", "a-", "a--b", "a".repeat(64), "", "a b", "a\nb", "*", "{x}"].map(
      (name) => [`the name ${JSON.stringify(name)}`, { name }, "name"] as [string, object, string],
    ),
    ["a name elsewhere", { name: "www.example.org" }, "name"],
    ["the domain itself", { name: domain }, "name"],
    ["a suffix that only ends alike", { name: `x${domain}` }, "name"],
    ["a full name with capitals", { name: `LLM.${domain}` }, "name"],
    ["a full name with an underscore", { name: `a_b.${domain}` }, "name"],
    ["a final dot", { name: `llm.${domain}.` }, "name"],
    ["an empty label", { name: `llm..${domain}` }, "name"],
    ...[0, -1, -80, 65_536, 70_000, 1.5, "80", NaN].map(
      (port) => [`the port ${port}`, { port }, "port"] as [string, object, string],
    ),
    ["the protocol ftp", { protocol: "ftp" }, "protocol"],
    ...[
      "100.64.1",
      "100.64.0.256",
      "100.64.01.1",
      "0x64400002",
      "100.64.0.a",
      "llm",
      "100.64.0.2:80",
      "http://100.64.0.2",
      "",
    ].map((target) => [`the target ${target}`, { target }, "target"] as [string, object, string]),
    ["a target elsewhere", { target: "10.0.0.1" }, "target"],
    ["loopback", { target: "127.0.0.1" }, "target"],
    ["loopback within IPv6", { target: "::ffff:127.0.0.1" }, "target"],
    ["an empty owner", { owner: "" }, "owner"],
  ])("%s", async (_what, more, field) => {
    const { expose, state } = setUp()
    await expect(expose.expose({ ...proxied, ...more })).rejects.toMatchObject({ _tag: "IngressInvalid", field })
    expect(state()).toEqual(nothing)
  })
  it.each([1, 65_535])("but not the port %i", async (port) => {
    const { expose } = setUp()
    await expect(expose.expose({ ...proxied, port })).resolves.toMatchObject({ route: { port } })
  })
  it("one label without a domain, and a full name with it anywhere that DNS takes it", async () => {
    const { domain: _, ...rest } = { domain: undefined }
    const { expose } = setUp({ ...rest, domain: undefined as unknown as string })
    await expect(expose.expose(proxied)).rejects.toMatchObject({ field: "name" })
    await expect(expose.expose({ ...proxied, name: "www.example.org" })).resolves.toMatchObject({
      name: "www.example.org",
    })
  })
  it.each([proxied, direct])("a name that is reserved, with and without a port", async (request) => {
    const { expose, state } = setUp({}, { reserved: [llm] })
    await expect(expose.expose(request)).rejects.toMatchObject({ _tag: "HostnameReserved" })
    expect(state()).toEqual(nothing)
  })
  it.each([proxied, direct])("a name that somebody else has in DNS, with and without a port", async (request) => {
    const { expose, state } = setUp({}, { foreign: [llm] })
    await expect(expose.expose(request)).rejects.toMatchObject({ _tag: "RecordInUse" })
    expect(state()).toEqual(nothing)
  })
  it.each([proxied, direct])("a name that another ingress has", async (request) => {
    const { expose, state, ingresses } = setUp()
    await ingresses.create({
      name: "other",
      rules: [{ match: { hostname: llm }, target: { url: "http://100.64.0.9:1" } }],
    })
    await expect(expose.expose(request)).rejects.toMatchObject({ _tag: "HostnameInUse" })
    expect(state()).toEqual({ ...nothing, routes: [`${llm} http://100.64.0.9:1`] })
  })
})

describe("owners", () => {
  it("see and change their own names only; the operator all, and the owner stays", async () => {
    const { expose } = setUp()
    await expose.expose({ ...proxied, owner: "org_1" })
    await expect(expose.expose({ ...direct, owner: "org_2" })).rejects.toMatchObject({ _tag: "HostnameInUse" })
    await expect(expose.unexpose("llm", { owner: "org_2" })).rejects.toMatchObject({ _tag: "NotFound" })
    await expect(expose.list({ owner: "org_2" })).resolves.toEqual([])
    await expect(expose.expose({ ...proxied, port: 81 })).resolves.toMatchObject({ owner: "org_1" })
    await expect(expose.list({ owner: "org_1" })).resolves.toHaveLength(1)
    await expose.unexpose("llm", { owner: "org_1" })
    await expect(expose.list()).resolves.toEqual([])
  })
})

describe("unexpose", () => {
  it.each([proxied, direct])("removes record and route", async (request) => {
    const { expose, state } = setUp()
    await expose.expose(request)
    await expose.expose({ ...request, name: "other" })
    await expose.unexpose("llm")
    expect(state().stored).toEqual([`other.${domain}`])
    expect(state().dns).toHaveLength(1)
    await expose.unexpose(`other.${domain}`)
    expect(state()).toEqual(nothing)
  })
  it("of a name that is not there is NotFound", async () => {
    const { expose } = setUp()
    await expect(expose.unexpose("llm")).rejects.toMatchObject({ _tag: "NotFound", reference: llm })
  })
})

const changes: readonly {
  what: string
  before?: ExposeRequest
  work: ExposeRequest | "remove"
  was: object
  will: object
  calls: readonly string[]
}[] = [
  {
    what: "a new route",
    work: proxied,
    was: nothing,
    will: asProxied,
    calls: ["ingresses.create", "dns.put", "storage.commit"],
  },
  {
    what: "a new record",
    work: direct,
    was: nothing,
    will: asDirect,
    calls: ["ingresses.create dryRun", "dns.put", "storage.commit"],
  },
  {
    what: "another target",
    before: { ...proxied, port: 81 },
    work: proxied,
    was: { ...asProxied, routes: [`${llm} http://100.64.0.2:81`] },
    will: asProxied,
    calls: ["ingresses.replace", "dns.put", "storage.commit"],
  },
  {
    what: "DNS only instead",
    before: proxied,
    work: direct,
    was: asProxied,
    will: asDirect,
    calls: ["dns.put", "storage.commit", "ingresses.remove"],
  },
  {
    what: "a route instead",
    before: direct,
    work: proxied,
    was: asDirect,
    will: asProxied,
    calls: ["ingresses.create", "dns.put", "storage.commit"],
  },
  {
    what: "removal of a route",
    before: proxied,
    work: "remove",
    was: asProxied,
    will: nothing,
    calls: ["dns.put", "storage.commit", "ingresses.remove"],
  },
  {
    what: "removal of a record",
    before: direct,
    work: "remove",
    was: asDirect,
    will: nothing,
    calls: ["dns.put", "storage.commit"],
  },
]

describe("both or neither", () => {
  const table = changes.flatMap((change) =>
    change.calls.flatMap((call) => [
      { ...change, call, when: "before" as const },
      { ...change, call, when: "after" as const },
    ]),
  )
  it.each(table)(
    "$what: $call fails $when it has worked, and all is as it was, or as it shall be where it was stored",
    async ({ before, work, was, will, call, when }) => {
      const { expose, state, faults, events } = setUp()
      if (before) await expose.expose(before)
      expect(state()).toEqual(was)
      faults.next.set(call, { skip: 0, when })
      const done = work === "remove" ? expose.unexpose("llm") : expose.expose(work)
      // That a route is gone is all that was wanted of the last step.
      const error = call === "ingresses.remove" && when === "after" ? undefined : `${call} fails ${when}`
      expect(await done.then(() => undefined, messageOf)).toBe(error)
      expect(events).toEqual([])
      const isStored = when === "after" && (call === "storage.commit" || call === "ingresses.remove")
      expect(isStored ? [was, will] : [was]).toContainEqual(state())
      // And the same again succeeds.
      await (work === "remove" ? expose.unexpose("llm").catch(() => undefined) : expose.expose(work))
      expect(state()).toEqual(will)
    },
  )

  it.each(table)(
    "$what: a process that is killed when $call is called, $when it has worked, is repaired by the next start",
    async ({ before, work, was, will, call, when }) => {
      const { expose, make, state, faults, storage, ingresses, dns } = setUp()
      if (before) await expose.expose(before)
      faults.next.set(call, { skip: 0, when })
      // Killed: nothing that it does after that has an effect.
      let killed = false
      const dead = <A>(work: () => Promise<A>) =>
        killed
          ? new Promise<never>(() => undefined)
          : work().catch(() => {
              killed = true
              return new Promise<never>(() => undefined)
            })
      const mortal = createExpose({
        ingresses: {
          create: (...given) => dead(() => ingresses.create(...given)),
          replace: (...given) => dead(() => ingresses.replace(...given)),
          remove: (...given) => dead(() => ingresses.remove(...given)),
        },
        storage: {
          read: (since) => dead(() => storage.read(since)),
          commit: (given) => dead(() => storage.commit(given)),
        },
        dns: { name: "fake", list: (name) => dns.list(name), put: (...given) => dead(() => dns.put(...given)) },
        address,
        domain,
        allowedTargets: ["100.64.0.0/10"],
      })
      void (work === "remove" ? mortal.unexpose("llm") : mortal.expose(work))
      await expect.poll(() => killed, { interval: 1 }).toBe(true)
      const next = make()
      await next.start()
      // A replaced target has taken effect at once: record and route fit together either way.
      expect([was, will]).toContainEqual(state())
      await expect(next.start()).resolves.toEqual([])
    },
  )

  it("what cannot be undone is an event, and the next start does it", async () => {
    const { make, state, dns, events } = setUp()
    let isDown = true
    const broken: DnsProvider = {
      ...dns,
      put: async (...given) => {
        // Goes down when it has taken the record.
        if (!isDown || given[1].length > 0) await dns.put(...given)
        if (isDown) throw new Error("DNS is down")
      },
    }
    const expose = make({ dns: broken })
    await expose.expose(direct).catch(() => undefined)
    expect(events).toMatchObject([
      { type: "error", during: "undo", name: llm, cause: { _tag: "DnsFailed", cause: { message: "DNS is down" } } },
    ])
    expect(state()).toEqual({ ...nothing, dns: asDirect.dns })
    isDown = false
    await expect(expose.start()).resolves.toEqual([{ name: llm, what: "dns" }])
    expect(state()).toEqual(nothing)
  })
  it("the route is gone even if DNS can neither be changed nor changed back", async () => {
    const { make, state, dns, events } = setUp()
    const expose = make({ dns: { ...dns, put: () => Promise.reject(new Error("DNS is down")) } })
    await expect(expose.expose(proxied)).rejects.toMatchObject({ _tag: "DnsFailed", cause: { message: "DNS is down" } })
    expect(events).toMatchObject([
      { type: "error", during: "undo", name: llm, cause: { _tag: "DnsFailed", cause: { message: "DNS is down" } } },
    ])
    expect(state()).toEqual(nothing)
  })

  it("another process that changes the same name at the same time wins, and nothing is in between", async () => {
    const { expose, make, state, dns, storage } = setUp()
    const other = make()
    const put = dns.put.bind(dns)
    let isFirst = true
    Object.assign(dns, {
      put: async (...given: Parameters<typeof put>) => {
        await put(...given)
        if (isFirst) {
          isFirst = false
          await other.expose({ ...direct, target: "100.64.0.7" })
        }
      },
    })
    await expect(expose.expose(direct)).rejects.toMatchObject({ _tag: "RevisionConflict" })
    expect(state()).toEqual({ ...asDirect, dns: [`${llm} A 100.64.0.7`] })
    expect((await storage.read(0)).documents).toHaveLength(1)
  })
})

describe("start", () => {
  it("brings DNS to what is stored, and removes what is not", async () => {
    const { expose, state, records } = setUp()
    await expose.expose(proxied)
    records.set(llm, [{ name: llm, type: "A", content: "100.64.0.99" }])
    const gone = `gone.${domain}`
    records.set(gone, [{ name: gone, type: "A", content: address }])
    const acme = `_acme-challenge.${domain}`
    records.set(acme, [{ name: acme, type: "TXT", content: "token" }])
    await expect(expose.start()).resolves.toEqual([
      { name: gone, what: "dns" },
      { name: llm, what: "dns" },
    ])
    expect(state()).toEqual({ ...asProxied, dns: [`${acme} TXT token`, ...asProxied.dns] })
    await expect(expose.start()).resolves.toEqual([])
  })
  it("removes a name whose route somebody has removed", async () => {
    const { expose, state, ingresses } = setUp()
    const { route } = await expose.expose(proxied)
    await ingresses.remove(route!.ingress)
    await expect(expose.start()).resolves.toEqual([{ name: llm, what: "record" }])
    expect(state()).toEqual(nothing)
  })
  it("leaves ingresses alone that others have made, whatever they are called", async () => {
    const { expose, ingresses, state } = setUp()
    await ingresses.create({
      name: "expose-llm-0123456789ab",
      rules: [{ match: { hostname: llm }, target: { url: "http://100.64.0.9:1" } }],
    })
    await expect(expose.start()).resolves.toEqual([])
    expect(state().routes).toHaveLength(1)
  })
  it("removes nothing while a document cannot be read", async () => {
    const { expose, state, ingresses, unreadable, events } = setUp()
    const { route } = await expose.expose(proxied)
    await ingresses.remove(route!.ingress)
    unreadable.push({ kind: "ingress", id: route!.ingress, reason: "not JSON" })
    await expect(expose.start()).resolves.toEqual([])
    expect(state().dns).toEqual(asProxied.dns)
    expect(events).toEqual([{ type: "unreadable", kind: "ingress", id: route!.ingress }])
  })
  it("takes nothing from a name that another process exposes meanwhile", async () => {
    const { expose, make, state, dns } = setUp()
    const list: DnsProvider["list"] = async (...call) => {
      await expose.expose(proxied)
      return dns.list(...call)
    }
    await make({ dns: { ...dns, list } }).start()
    expect(state()).toEqual(asProxied)
    // And while it is being put in order.
    const put: DnsProvider["put"] = async (...call) => {
      await dns.put(...call)
      await expose.expose(direct)
    }
    await dns.put(llm, [])
    let puts = 0
    await make({ dns: { ...dns, put: (...call) => (++puts === 1 ? put(...call) : dns.put(...call)) } }).start()
    expect(state()).toEqual(asDirect)
  })
  it("rejects while DNS is down, and may be called again", async () => {
    const { expose, faults, records } = setUp()
    await expose.expose(direct)
    records.clear()
    faults.next.set("dns.put", { skip: 0, when: "before" })
    await expect(expose.start()).rejects.toMatchObject({ _tag: "DnsFailed" })
    await expect(expose.start()).resolves.toEqual([{ name: llm, what: "dns" }])
  })
})

it("a storage that always gives everything is as good", async () => {
  const { storage, documents } = memoryStorage(undefined, { whole: true })
  const { dns } = fakeDns({ next: new Map() })
  const ingresses = testIngresses(storage, { next: new Map() })
  const make = () => createExpose({ ingresses, storage, dns, address, domain, allowedTargets: ["100.64.0.0/10"] })
  const [one, other] = [make(), make()]
  await one.expose(proxied)
  await expect(other.list()).resolves.toHaveLength(1)
  await other.unexpose("llm")
  await expect(one.list()).resolves.toEqual([])
  expect(documents.size).toBe(0)
})

it("hostnames that differ have ingresses of different names", async () => {
  const { expose, documents } = setUp()
  for (const name of [`a-b.c.${domain}`, `a.b.c.${domain}`, `a.b-c.${domain}`, `${"x".repeat(63)}.${domain}`]) {
    await expose.expose({ ...proxied, name })
  }
  const names = [...documents.values()].flatMap((each) =>
    each.kind === "ingress" ? [(each as DeclaredIngress).name] : [],
  )
  expect(new Set(names).size).toBe(4)
})

it.each([
  ["*.example.com", "a.example.com", true],
  ["*.example.com", "a.b.example.com", false],
  ["*.example.com", "example.com", false],
  ["example.com", "example.com", true],
  ["*.example.com", "aexample.com", false],
])("the certificate %s covers %s: %s", (name, hostname, covers) => {
  expect(coveredBy([name], hostname)).toBe(covers ? name : undefined)
})

it.each([
  [{ address: "100.64.0.01" }, /address must be an IP address/],
  [{ address: "proxy.example.com" }, /address must be an IP address/],
  [{ allowedTargets: [] }, /allowedTargets must be an array of at least one network/],
  [{ allowedTargets: ["0.0.0.0/0"] }, /holds every address/],
  [{ allowedTargets: ["100.64.0.1"] }, /is not a range/],
  [{ domain: "Example.com" }, /domain must be/],
  [{ certificates: ["a b"] }, /certificates must be/],
  [{ allowedSources: ["100.64.0.0/10"] }, /allowedSources is not an option/],
])("options %j are refused", (options, message) => {
  expect(() => setUp(options as Partial<ExposeOptions>)).toThrow(message)
})
