/** What an app may do to the cookies of others: nothing. test/apps/tenants.test.ts has it in a browser. */
import { defineGrammar, parse } from "@project-ingress/hostname"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { isolationEvents } from "../src/hop/isolation-events.ts"
import type { Policy, RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { machine, setup, stamped, values } from "./fakes.ts"

/** The cookies that a visitor of `host` gets where the app sets `cookies`. */
const given = async (
  host: string,
  cookies: readonly string[],
  options: Partial<RouterOptions> = {},
): Promise<readonly string[]> => {
  const attached = { machine: machine("mach_1") }
  const keys = [
    "p:misha",
    "p:banana",
    "m:mach_1",
    "d:www.example.com",
    "d:misha.apps.example.com",
    "d:eve.apps.example.com",
    "d:*.shop.example.com",
    "d:example.net",
  ] as const
  const { router } = setup({
    store: memoryStore(Object.fromEntries(keys.map((key) => [key, attached]))),
    answer: () => stamped("ok", { headers: cookies.map((cookie) => ["set-cookie", cookie] as [string, string]) }),
    ...options,
  })
  const response = await router.fetch(new Request(`https://${host}/`))
  expect(response?.status).toBe(200)
  return response!.headers.getSetCookie()
}

describe("a cookie's Domain", () => {
  it.each([
    ["5173--misha.iterate.app", "misha.iterate.app", "stays, though the browser refuses it"],
    ["5173--misha.iterate.app", "5173--misha.iterate.app", "stays"],
    ["5173.misha.iterate.app", "misha.iterate.app", "stays"],
    ["5173.misha.iterate.app", ".MISHA.iterate.app ", "stays"],
    ["5173.MISHA.iterate.app", "5173.misha.iterate.app", "stays"],
    ["misha.iterate.app", "8000.misha.iterate.app", "stays, though the browser refuses it"],
    ["misha.iterate.app:8443", "misha.iterate.app", "stays"],
    ["4096__mach_1.machines.iterate.app", "4096__mach_1.machines.iterate.app", "stays"],
    ["mach_1.machines.iterate.app", "mach_1.machines.iterate.app", "stays"],
    ["5173.misha.iterate.app", "", "stays: it is for the host alone"],
    ["5173--misha.iterate.app", "iterate.app", "is dropped"],
    ["5173.misha.iterate.app", "iterate.app", "is dropped"],
    ["5173.misha.iterate.app", ".Iterate.App", "is dropped"],
    ["5173.misha.iterate.app", "\titerate.app\t", "is dropped"],
    ["5173.misha.iterate.app", "app", "is dropped"],
    ["5173.misha.iterate.app", "banana.iterate.app", "is dropped"],
    ["5173.misha.iterate.app", "xmisha.iterate.app", "is dropped"],
    ["5173.misha.iterate.app", "..misha.iterate.app", "is dropped"],
    ["5173.misha.iterate.app", '"iterate.app"', "is dropped"],
    ["5173.misha.iterate.app", "iterate.app.", "is dropped"],
    ["5173.misha.iterate.app", "iterate%2Eapp", "is dropped: Chromium undoes escapes"],
    ["5173.misha.iterate.app", "iterate\u00adapp.misha.iterate.app", "is dropped"],
    ["5173.misha.iterate.app", "iterate.app/.misha.iterate.app", "is dropped"],
    ["5173.misha.iterate.app", "iterate.app x", "is dropped"],
    ["5173.misha.iterate.app", "=iterate.app", "is dropped"],
    ["4096__mach_1.machines.iterate.app", "machines.iterate.app", "is dropped"],
    ["4096__mach_1.machines.iterate.app", "mach_1.machines.iterate.app", "is dropped"],
    ["www.example.com", "www.example.com", "stays"],
    ["www.example.com", "example.com", "is dropped: names below it may be another owner's"],
    ["4096.www.example.com", "www.example.com", "stays"],
    ["4096.www.example.com", "example.com", "is dropped"],
    ["misha.apps.example.com", "apps.example.com", "is dropped: eve.apps.example.com would get it"],
    ["misha.apps.example.com", "eve.apps.example.com", "is dropped"],
    ["5173.misha.apps.example.com", "misha.apps.example.com", "stays: ports of the domain share the cookie"],
    ["5173.misha.apps.example.com", "apps.example.com", "is dropped"],
    ["a.shop.example.com", "shop.example.com", "stays: all names below are the record's"],
    ["a.shop.example.com", "example.com", "is dropped"],
    ["5173.example.net", "example.net", "stays"],
    ["example.net", "net", "is dropped"],
    ["www.example.com", "iterate.app", "is dropped"],
    ["www.example.com", "app", "is dropped"],
    ["www.example.com", "example%2Ecom", "is dropped"],
  ])("of %s: %j %s", async (host, domain, fate) => {
    const kept = fate.startsWith("stays") ? `; domain =${domain}` : ""
    expect(await given(host, [`a=1; Path=/; domain =${domain}; Secure`])).toEqual([`a=1; Path=/${kept}; Secure`])
  })

  it("counts each time that it is there: browsers take the last", async () => {
    const set = ["a=1; Domain=misha.iterate.app; Domain=iterate.app", "b=2;DOMAIN=iterate.app;Domain=misha.iterate.app"]
    const out = ["a=1; Domain=misha.iterate.app", "b=2;Domain=misha.iterate.app"]
    expect(await given("5173.misha.iterate.app", set)).toEqual(out)
  })

  it("in a cookie's name or value is none", async () => {
    const set = ["Domain=iterate.app; Path=/", "a=Domain=iterate.app", "b=1; X-Domain=iterate.app"]
    expect(await given("5173.misha.iterate.app", set)).toEqual(set)
  })

  it("is the app's affair with isolateCookies false", async () => {
    const set = ["a=1; Domain=iterate.app"]
    expect(await given("5173.misha.iterate.app", set, { isolateCookies: false })).toEqual(set)
  })

  it("is narrowed where a custom domain is the platform's parent", async () => {
    const options = { grammar: defineGrammar({ domains: ["apps.example.net"] }) }
    const set = ["a=1; Domain=example.net", "b=2; Domain=x.example.net"]
    expect(await given("example.net", set, options)).toEqual(["a=1", set[1]])
  })
})

describe("no cookie that a tenant sets", () => {
  const domains = ["iterate.app", "preview.iterate.app", "iterate.dev"] as const
  const grammar = defineGrammar({ domains, reserved: ["www", "preview"], services: { web: 5173 } })
  const label = fc.constantFrom(
    "misha",
    "banana",
    "www",
    "preview",
    "iterate",
    "app",
    "dev",
    "machines",
    "mach_1",
    "5173",
  )
  const written = fc.oneof(
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join(".")),
    fc.constantFrom(...domains),
    fc.constantFrom(...domains.flatMap((domain) => [`misha.${domain}`, `banana.${domain}`, `www.${domain}`])),
  )
  const attribute = fc
    .tuple(
      fc.constantFrom("Domain=", "domain=", " DOMAIN = ", "\tDomain=.", "Domain=\t", "Path=/", "X="),
      written,
      fc.constantFrom("", " ", ".", '"'),
      fc.boolean(),
    )
    .map(([name, domain, after, upper]) => name + (upper ? domain.toUpperCase() : domain) + after)
  const project = (domain: string) =>
    [`misha.${domain}`, `5173--misha.${domain}`, `web.misha.${domain}`, `5173__misha.${domain}`] as const
  const sender = fc.constantFrom(
    ...domains.flatMap((domain) => [...project(domain), `5173__mach_1.machines.${domain}`, `mach_1.${domain}`]),
    "www.example.com",
  )
  /** Everything under the grammar's domains that is no hostname of what the sender leads to. */
  const others = domains.flatMap((domain) => [
    domain,
    `www.${domain}`,
    `banana.${domain}`,
    `5173.banana.${domain}`,
    `5173--banana.${domain}`,
    `mach_2.machines.${domain}`,
    `5173__mach_2.machines.${domain}`,
  ])

  /** RFC 6265bis §5.7: the hosts that a browser sends it to, for the value of one `Set-Cookie` of `host`. */
  const reaches = (cookie: string, host: string, other: string): boolean => {
    const values = cookie
      .split(";")
      .slice(1)
      .map((each) => [each.slice(0, each.indexOf("=")).trim().toLowerCase(), each.slice(each.indexOf("=") + 1).trim()])
      .filter(([name]) => name === "domain")
    const domain = values.at(-1)?.[1]?.toLowerCase().replace(/^\./, "") ?? ""
    const isAtOrBelow = (name: string) => name === domain || name.endsWith(`.${domain}`)
    return domain === "" ? other === host : isAtOrBelow(host) && isAtOrBelow(other)
  }

  it("is one that another tenant's or the platform's host would get (property)", async () => {
    const reached = new Set<string>()
    await fc.assert(
      fc.asyncProperty(sender, fc.array(attribute, { maxLength: 4 }), async (host, attributes) => {
        const set = ["a=1", ...attributes].join(";")
        const [cookie] = await given(host, [set], { grammar })
        for (const other of others) {
          expect(reaches(cookie!, host, other), `${set} of ${host} became ${cookie}, which ${other} gets`).toBe(false)
          if (reaches(set, host, other)) reached.add(other)
        }
      }),
      { numRuns: 2_000 },
    )
    // The cookies were such that most of them would have got some.
    expect(reached.size).toBeGreaterThan(others.length / 2)
  })

  it("is kept from the hosts of its own project (property)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...domains), fc.nat({ max: 3 }), async (domain, at) => {
        const host = project(domain)[at]!
        const target = parse(grammar, host)
        expect(target._tag).toBe("Target")
        const set = `a=1; Domain=misha.${domain}`
        expect(await given(host, [set], { grammar })).toEqual([set])
      }),
    )
  })
})

describe("a reserved cookie", () => {
  const isolateCookies = { reserved: ["platform_session", "__Host-platform-*"] }
  const hosts = ["5173--misha.iterate.app", "mach_1.machines.iterate.app", "www.example.com"]

  it.each(hosts)("reaches no app, and no other is changed: %s", async (host) => {
    const { router, sent } = setup({
      isolateCookies,
      store: memoryStore({
        "p:misha": { machine: machine("mach_1") },
        "m:mach_1": { machine: machine("mach_1") },
        "d:www.example.com": { machine: machine("mach_1") },
      }),
    })
    const cookie = 'a="1;platform_session=x;  b = 2; __Host-platform-csrf=y; __Host-platform=z; Platform_session=w'
    await router.fetch(new Request(`https://${host}/`, { headers: { cookie } }))
    await router.fetch(new Request(`https://${host}/`, { headers: { cookie: "platform_session=x" } }))
    expect(sent.map(({ headers }) => values(headers, "cookie"))).toEqual([
      ['a="1;  b = 2; __Host-platform=z; Platform_session=w'],
      [],
    ])
  })

  it.each(hosts)("is set by no app: %s", async (host) => {
    const set = [
      "platform_session=evil; Path=/",
      "platform_session",
      "=platform_session=evil",
      "__Host-platform-a=1; Secure",
    ]
    expect(await given(host, [...set, "mine=1", "platform_session2=1"], { isolateCookies })).toEqual([
      "mine=1",
      "platform_session2=1",
    ])
  })

  it("is read and set by the platform's own policies", async () => {
    let seen: string | undefined
    const policy: Policy = {
      name: "session",
      onRoute: ({ header }) => void (seen = header("cookie")),
      onResponse: (_, edit) => edit.append("Set-Cookie", "platform_session=renewed; Domain=iterate.app"),
    }
    const { router, sent } = setup({ isolateCookies, policies: [policy] })
    const headers = { cookie: "platform_session=x" }
    const response = await router.fetch(new Request("https://misha.iterate.app/", { headers }))
    expect(seen).toBe("platform_session=x")
    expect(values(sent[0]!.headers, "cookie")).toEqual([])
    expect(response!.headers.getSetCookie()).toEqual(["platform_session=renewed; Domain=iterate.app"])
  })

  it("is none by default", async () => {
    const { router, sent } = setup({ answer: () => stamped("ok", { headers: { "set-cookie": "platform_session=1" } }) })
    const headers = { cookie: "platform_session=x" }
    const response = await router.fetch(new Request("https://misha.iterate.app/", { headers }))
    expect(values(sent[0]!.headers, "cookie")).toEqual(["platform_session=x"])
    expect(response!.headers.getSetCookie()).toEqual(["platform_session=1"])
  })
})

describe("the event of an isolated cookie", () => {
  const isolateCookies = { reserved: ["platform_session"] }
  const told = async (hosts: readonly string[], set: readonly string[], options: Partial<RouterOptions> = {}) => {
    const events: unknown[] = []
    const { router } = setup({
      isolateCookies,
      store: memoryStore({
        "p:misha": { machine: machine("mach_1") },
        "p:banana": { machine: machine("mach_1") },
        "d:misha.apps.example.com": { machine: machine("mach_1") },
      }),
      answer: () => stamped("ok", { headers: set.map((cookie) => ["set-cookie", cookie] as [string, string]) }),
      onEvent: (event) => void (event.type === "cookie_isolated" && events.push(event)),
      ...options,
    })
    for (const host of hosts) await router.fetch(new Request(`https://${host}/`))
    return events
  }

  it("names route, hostname and cookie, and never its value", async () => {
    const set = ["s=canary; Domain=iterate.app", "platform_session=canary"]
    const events = await told(["5173.misha.iterate.app"], set)
    const from = { type: "cookie_isolated", key: "p:misha", host: "5173.misha.iterate.app" }
    expect(events).toEqual([
      { ...from, outcome: "refused", cookie: "platform_session", reason: expect.stringMatching(/reserved/) as string },
      { ...from, outcome: "narrowed", cookie: "s", reason: expect.stringMatching(/Domain is above/) as string },
    ])
    expect(JSON.stringify(events)).not.toContain("canary")
  })

  it("is one for a route and an outcome, however many cookies, ports and responses there are", async () => {
    const hosts = [
      "misha.iterate.app",
      "5173.misha.iterate.app",
      "misha.iterate.app",
      "banana.iterate.app",
      "misha.apps.example.com",
    ]
    const set = ["a=1; Domain=app", "b=1; Domain=app; Domain=iterate.app", "c=1; Domain=app"]
    const events = await told(hosts, set)
    expect(events).toMatchObject([{ key: "p:misha" }, { key: "p:banana" }, { key: "d:misha.apps.example.com" }])
  })

  it("comes again after ten minutes", async () => {
    vi.useFakeTimers({ toFake: ["performance"] })
    try {
      const events: unknown[] = []
      const onIsolated = isolationEvents((event) => events.push(event))
      const source = { key: "p:misha", host: "misha.iterate.app" } as const
      for (const afterMs of [0, 599_999, 1, 1]) {
        vi.advanceTimersByTime(afterMs)
        onIsolated(source, "narrowed", "a")
      }
      expect(events).toHaveLength(2)
    } finally {
      vi.useRealTimers()
    }
  })

  it("has the name of no cookie that is its value alone", async () => {
    const events = await told(["misha.iterate.app"], ["=canary; Domain=iterate.app"])
    events.push(...(await told(["misha.iterate.app"], ["canary; Domain=iterate.app"])))
    expect(events).toMatchObject([{ cookie: "" }, { cookie: "" }])
    expect(JSON.stringify(events)).not.toContain("canary")
  })

  it("is none of a cookie that stays, nor with isolateCookies false", async () => {
    expect(await told(["5173.misha.iterate.app"], ["a=1; Domain=misha.iterate.app", "b=1"])).toEqual([])
    expect(
      await told(["misha.iterate.app"], ["a=1; Domain=app", "platform_session=1"], { isolateCookies: false }),
    ).toEqual([])
  })
})

describe("filterResponseHeaders", () => {
  const all: readonly (readonly [string, string])[] = [
    ["Clear-Site-Data", '"cookies"'],
    ["Origin-Agent-Cluster", "?0"],
    ["Strict-Transport-Security", 'max-age="60" ; IncludeSubDomains;preload'],
    ["NEL", "{}"],
    ["Report-To", "{}"],
    ["Reporting-Endpoints", 'a="https://evil.example"'],
    ["Service-Worker-Allowed", "/"],
    ["Set-Login", "logged-in"],
    ["X-Kept", "1"],
  ]
  const passed = async (options: Partial<RouterOptions>, host = "misha.iterate.app", fields = all) => {
    const { router } = setup({
      store: memoryStore({
        "p:misha": { machine: machine("mach_1") },
        "d:www.example.com": { machine: machine("mach_1") },
      }),
      answer: () => stamped("ok", { headers: fields.map(([name, value]) => [name, value] as [string, string]) }),
      ...options,
    })
    const { headers } = (await router.fetch(new Request(`https://${host}/`)))!
    return all.flatMap(([name]) => (headers.has(name) ? [`${name}: ${headers.get(name)}`] : []))
  }
  const untouched = all.map(([name, value]) => `${name}: ${value}`)

  it("is off by default, and on a custom domain", async () => {
    expect(await passed({})).toEqual(untouched)
    expect(await passed({ filterResponseHeaders: false })).toEqual(untouched)
    expect(await passed({ filterResponseHeaders: [] })).toEqual(untouched)
    expect(await passed({ filterResponseHeaders: true }, "www.example.com")).toEqual(untouched)
  })

  it("takes all of them out, and of HSTS what is not the hostname's own", async () => {
    const left = ['Strict-Transport-Security: max-age="60"', "X-Kept: 1"]
    expect(await passed({ filterResponseHeaders: true })).toEqual(left)
    const only: typeof all = [["Strict-Transport-Security", "includeSubDomains"]]
    expect(await passed({ filterResponseHeaders: true }, "misha.iterate.app", only)).toEqual([])
  })

  it("takes the named ones out", async () => {
    const left = untouched.filter((each) => !/^(?:NEL|Clear)/.test(each))
    expect(await passed({ filterResponseHeaders: ["nel", "clear-site-data"] })).toEqual(left)
  })

  it("leaves what a policy sets", async () => {
    const policy: Policy = { name: "own", onResponse: (_, edit) => edit.set("Clear-Site-Data", '"cache"') }
    expect(await passed({ filterResponseHeaders: true, policies: [policy] })).toContain('Clear-Site-Data: "cache"')
  })
})

describe("createRouter refuses", () => {
  const isolation = /isolateCookies must be false or \{ reserved: names of cookies/
  it.each([
    [{ isolateCookies: true }, isolation],
    [{ isolateCookies: ["platform_session"] }, isolation],
    [{ isolateCookies: { names: ["platform_session"] } }, isolation],
    [{ isolateCookies: { reserved: "platform_session" } }, isolation],
    [{ isolateCookies: { reserved: ["*"] } }, isolation],
    [{ isolateCookies: { reserved: [""] } }, isolation],
    [{ isolateCookies: { reserved: ["a*b"] } }, isolation],
    [{ isolateCookies: { reserved: ["a=b"] } }, isolation],
    [{ filterResponseHeaders: "nel" }, /filterResponseHeaders must be true, false or an array of "clear-site-data"/],
    [{ filterResponseHeaders: ["NEL"] }, /filterResponseHeaders must be/],
  ])("%j", (options, message) => {
    expect(() => setup(options as unknown as Partial<RouterOptions>)).toThrow(message)
  })
})
