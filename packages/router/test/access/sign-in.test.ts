import { generateTicketKeys } from "@project-ingress/forward"
import { describe, expect, it, vi } from "vitest"
import { signIn, signInHandler, defineAccess } from "../../src/access.ts"
import { hostnames, keys } from "../fakes.ts"
import { browserOf, isCallback, navigation, nested, signedIn, world } from "./sign-in-world.ts"

const page = "https://8000__misha.iterate.app/x?y=%2F&z"

describe("a visitor without a session", () => {
  it("is sent to the control plane, is given a code for this host and comes back to the page", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const visits = await browser.open(page)
    const urls = visits.map(({ url }) => new URL(url)).toReversed()
    expect(urls.map(({ host, pathname }) => host + pathname)).toEqual([
      "8000__misha.iterate.app/x",
      "8000__misha.iterate.app/_/sign-in",
      "iterate.com/ingress-sign-in",
      "8000__misha.iterate.app/_/callback",
      "8000__misha.iterate.app/x",
    ])
    expect(urls.at(-1)!.href).toBe(page)
    expect(visits[0]!.response.status).toBe(200)
    const asked = urls[2]!.searchParams
    expect(asked.get("host")).toBe("8000__misha.iterate.app")
    expect(asked.get("path")).toBe("/x?y=%2F&z")
    expect(asked.get("state")).toMatch(/^[\w-]{43}$/)
    const [visitor] = here.visitors
    expect(visitor).toEqual({
      subject: "ann",
      by: "session",
      id: expect.stringMatching(/^[\w-]{22}$/) as string,
      expiresAt: expect.any(Number) as number,
    })
    const hours = (visitor!.expiresAt! - Date.now()) / 3_600_000
    expect(hours).toBeGreaterThan(11.9)
    expect(hours).toBeLessThanOrEqual(12)
  })

  it("has one cookie afterwards, of this host alone, which no script reads and no app gets", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const [, callback] = await browser.open(page)
    const [session, removed] = callback!.response.headers.getSetCookie()
    expect(session).toMatch(/^__Host-ingress-session=[\w.-]+; Path=\/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax$/)
    expect(removed).toMatch(/^__Host-ingress-state-[\w-]{8}=; Path=\/; Max-Age=0; /)
    expect(browser.cookies(page)).toMatch(/^__Host-ingress-session=[\w.-]+$/)
    browser.set("8000__misha.iterate.app", "theme=dark; Path=/")
    await browser.open(page)
    expect(here.cookiesSent()).toEqual([undefined, "theme=dark"])
    expect((await browser.open("https://4096__misha.iterate.app/")).length).toBeGreaterThan(1)
  })

  it("goes to the login first, with a way back", async () => {
    const here = world()
    const browser = browserOf(here)
    const [login] = await browser.open(page)
    const { pathname, searchParams } = new URL(login!.url)
    expect(pathname).toBe("/login")
    browser.set("iterate.com", "session=ann")
    const back = new URL(searchParams.get("redirectUrl")!, "https://iterate.com")
    expect([back.host, back.pathname]).toEqual(["iterate.com", "/ingress-sign-in"])
    const [last] = await browser.open(back.href)
    expect([last!.url, last!.response.status]).toEqual([page, 200])
  })

  it("that is a script gets 401, and no redirect", async () => {
    const response = await world().ask(page, { headers: { accept: "*/*", "sec-fetch-mode": "cors" } })
    expect([response.status, response.headers.get("location")]).toEqual([401, null])
  })

  it("signs in on a custom domain, and only where the store has it", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const [last] = await browser.open("https://4096.www.example.com/deep")
    expect([last!.url, last!.response.status]).toEqual(["https://4096.www.example.com/deep", 200])
    expect(browser.cookies("https://www.example.com/")).toBe("")
    const state = "a".repeat(43)
    for (const host of ["www.example.net", "blog.www.example.com", "example.com"]) {
      const response = await browser.request(`https://iterate.com/ingress-sign-in?host=${host}&state=${state}`)
      expect([response.status, await response.text()]).toEqual([400, "host is no host of this platform"])
    }
  })

  it("signs in below a wildcard, and where no machine is attached", async () => {
    const here = world()
    const machine = { id: "mach_1", type: "fake", externalId: "ext", metadata: {} }
    here.routes.attach("d:*.apps.example.org", { machine, visibility: "private" })
    here.routes.attach("p:asleep", { kind: "detached", visibility: "private" })
    const browser = signedIn(here, "ann")
    const ends = async (url: string) => (await browser.open(url))[0]!.response.status
    expect(await ends("https://shop.apps.example.org/")).toBe(200)
    expect(await ends("https://asleep.iterate.app/")).toBe(503)
    expect(await ends("https://nobody.iterate.app/")).toBe(404)
  })

  it("signs in behind another prefix, by cookies of another name", async () => {
    const here = world({ accessOptions: { prefix: "/~platform/", cookieName: "os" } })
    const browser = signedIn(here, "ann")
    const visits = await browser.open(page)
    expect(visits.map(({ url }) => new URL(url).pathname)).toEqual([
      "/x",
      "/~platform/callback",
      "/ingress-sign-in",
      "/~platform/sign-in",
      "/x",
    ])
    expect(browser.cookies(page)).toMatch(/^__Host-os-session=[^;]+$/)
    expect((await browser.request("https://8000__misha.iterate.app/_/callback")).status).toBe(200)
  })

  it("signs in while keys rotate, and not by a control plane with other keys", async () => {
    const { signing: other } = await generateTicketKeys("other")
    const rotating = world({
      accessOptions: { keys: [other, keys.signing] },
      handlerAccess: defineAccess({ keys: [keys.signing] }),
    })
    expect((await signedIn(rotating, "ann").open(page))[0]!.response.status).toBe(200)
    const apart = world({ handlerAccess: defineAccess({ keys: [other] }) })
    expect((await signedIn(apart, "ann").open(page))[0]!.response.status).toBe(400)
  })

  it("goes on in each of several tabs, and has at most eight attempts", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const tabs = []
    for (let tab = 0; tab < 12; tab++) {
      const [at] = await browser.open(`https://misha.iterate.app/tab${tab}`, isCallback)
      tabs.push(at!.url)
    }
    expect(browser.cookies("https://misha.iterate.app/").split("; ")).toHaveLength(8)
    const ends = []
    for (const tab of [tabs[11]!, tabs[4]!, tabs[0]!]) ends.push((await browser.open(tab))[0]!)
    // The first one's attempt is gone: it goes on with the session of the others.
    expect(ends.map(({ url, response }) => [new URL(url).pathname, response.status])).toEqual([
      ["/tab11", 200],
      ["/tab4", 200],
      ["/tab0", 200],
    ])
    expect(new Set(here.visitors.map((visitor) => visitor!.id)).size).toBe(2)
  })
})

describe("a session", () => {
  it("ends with its time, and the visitor is signed in again without being asked", async () => {
    const here = world({ sessionMs: 60_000 })
    const browser = signedIn(here, "ann")
    await browser.open(page)
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 66_000 })
    try {
      expect(await browser.open(page)).toHaveLength(5)
    } finally {
      vi.useRealTimers()
    }
  })

  it("ends when the generation rises, and does not when a machine is replaced", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open(page)
    const project = { owner: "ann", externalId: "prj_ann", visibility: "private" } as const
    const machine = { id: "mach_2", type: "fake", externalId: "ext", metadata: {} }
    here.routes.attach("p:misha", { ...project, machine })
    expect(await browser.open(page)).toHaveLength(1)
    here.routes.attach("p:misha", { ...project, machine, generation: 1 })
    expect(await browser.open(page)).toHaveLength(5)
    expect(await browser.open(page)).toHaveLength(1)
    // A router that has not heard of the revocation yet.
    here.routes.attach("p:misha", { ...project, machine })
    expect(await browser.open(page)).toHaveLength(1)
  })

  it("ends by signing out, which is asked for first and sent by a page of this host alone", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open(page)
    const out = "https://8000__misha.iterate.app/_/sign-out"
    const [form] = await browser.open(out)
    expect([form!.response.status, await form!.response.text()]).toEqual([
      200,
      expect.stringContaining('<form method="post">') as string,
    ])
    expect(form!.response.headers.get("content-security-policy")).toContain("frame-ancestors 'none'")
    const post = (headers: object) => browser.request(out, { method: "POST", headers: { ...headers } })
    for (const headers of [
      {},
      { origin: "https://evil.iterate.app", "sec-fetch-site": "same-site" },
      { origin: "null", "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { origin: "null" },
      { origin: "https://4096__misha.iterate.app" },
      { origin: "https://8000__misha.iterate.app.evil.com" },
      { origin: "https://8000__misha.iterate.app", "sec-fetch-site": "cross-site" },
    ]) {
      expect((await post(headers)).status).toBe(403)
      expect(browser.cookies(page)).toContain("session")
    }
    const done = await post({ origin: "https://8000__misha.iterate.app", "sec-fetch-site": "same-origin" })
    expect([done.status, await done.text()]).toEqual([200, expect.stringContaining("signed out") as string])
    expect(browser.cookies(page)).toBe("")
  })

  it("is the whole project's in the nested shape, under its own domain alone", async () => {
    const here = world({ grammar: nested })
    const browser = signedIn(here, "ann")
    const visits = await browser.open("https://8000.misha.iterate.app/")
    const [session] = visits[1]!.response.headers.getSetCookie()
    expect(session).toMatch(/^__Http-ingress-session=\S+; Path=\/; Domain=misha\.iterate\.app; Max-Age=43200; HttpOnly/)
    expect(await browser.open("https://4096.misha.iterate.app/")).toHaveLength(1)
    expect(await browser.open("https://misha.iterate.app/")).toHaveLength(1)
    expect(here.cookiesSent()).toEqual([undefined, undefined, undefined])
    expect(await browser.open("https://8000--misha.iterate.app/")).toHaveLength(5)
    expect(await browser.open("https://8000.eve.iterate.app/")).toHaveLength(5)
    await browser.request("https://4096.misha.iterate.app/_/sign-out", {
      method: "POST",
      headers: { origin: "https://4096.misha.iterate.app", "sec-fetch-site": "same-origin" },
    })
    expect(browser.cookies("https://8000.misha.iterate.app/")).toBe("")
  })

  it("is each hostname's own in the flat shape, the project's without a port as well", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open("https://misha.iterate.app/")
    expect(browser.cookies("https://misha.iterate.app/")).toMatch(/^__Host-ingress-session=[^;]+$/)
    expect(await browser.open("https://8000.misha.iterate.app/")).toHaveLength(5)
  })

  it("is each hostname's own in the nested shape, if that is asked for", async () => {
    const here = world({ grammar: nested, session: "host" })
    const browser = signedIn(here, "ann")
    await browser.open("https://8000.misha.iterate.app/")
    expect(await browser.open("https://4096.misha.iterate.app/")).toHaveLength(5)
  })
})

describe("paths behind the prefix", () => {
  it.each([
    ["/_/", 404],
    ["/_/nothing", 404],
    ["/_/callback/x", 404],
    ["/_/CALLBACK", 404],
    ["/_//callback", 404],
    ["/_/exchange-token", 404],
    ["/_/link", 200],
    ["/_/ports", 200],
    ["/_/ports.json", 200],
    ["/_", 200],
    ["/__/callback", 200],
    ["/x/_/callback", 200],
  ])("%s is %i", async (path, status) => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open("https://misha.iterate.app/")
    const before = here.sent.length
    const { status: got } = await browser.request(`https://misha.iterate.app${path}`)
    expect([got, here.sent.length - before]).toEqual([status, status === 200 ? 1 : 0])
  })

  it("are no service worker's script, whatever policy has them", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open("https://misha.iterate.app/")
    for (const path of ["/_/link", "/_/sign-in", "/_/sw.js"]) {
      const headers = { "service-worker": "script", "sec-fetch-dest": "serviceworker", "sec-fetch-mode": "same-origin" }
      expect((await browser.request(`https://misha.iterate.app${path}`, { headers })).status).toBe(404)
    }
  })

  it("are never a place to come back to", async () => {
    const { people } = world()
    const at = (path: string, method = "GET") => people.location({ method, path } as never, {} as never)
    expect(at("/a?b=c&d")).toBe("/_/sign-in?path=%2Fa%3Fb%3Dc%26d")
    expect(at("/")).toBe("/_/sign-in")
    expect(at("/_/sign-out")).toBe("/_/sign-in")
    expect(at("/_/callback?code=x")).toBe("/_/sign-in")
    expect(at("/_/ports")).toBe("/_/sign-in?path=%2F_%2Fports")
    expect(at("/buy", "POST")).toBe("/_/sign-in")
  })

  it("give nothing that a script may read to anything but a navigation", async () => {
    const here = world()
    const start = "https://misha.iterate.app/_/sign-in"
    for (const headers of [
      { ...navigation, "sec-fetch-dest": "iframe" },
      { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" },
      { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
      { "sec-fetch-dest": "document" },
    ]) {
      const response = await here.ask(start, { headers })
      expect([response.status, response.headers.getSetCookie()]).toEqual([400, []])
    }
    // A service worker that passes a navigation on.
    expect((await here.ask(start, { headers: { ...navigation, "sec-fetch-dest": "empty" } })).status).toBe(303)
  })
})

describe("the control plane's handler", () => {
  const state = "a".repeat(43)
  const to = (query: string) => `https://iterate.com/ingress-sign-in?${query}`

  it("leaves every other path to its caller", async () => {
    const access = defineAccess({ keys: [keys.signing] })
    const bridge = signInHandler(access, {
      grammar: hostnames,
      getUser: () => undefined,
      loginUrl: "/login",
      path: "/in",
    })
    expect(await bridge(new Request("https://iterate.com/ingress-sign-in"))).toBeUndefined()
    expect((await bridge(new Request("https://iterate.com/in")))?.status).toBe(400)
  })

  it.each([
    ["", "host is missing"],
    [`host=&state=${state}`, "host is missing"],
    [`host=evil.com&state=${state}`, "host is no host of this platform"],
    [`host=www.iterate.app&state=${state}`, "host is no host of this platform"],
    [`host=iterate.app&state=${state}`, "host is no host of this platform"],
    [`host=misha.iterate.app.evil.com&state=${state}`, "host is no host of this platform"],
    [`host=misha.iterate.app:8443&state=${state}`, "host is no host of this platform"],
    [`host=MISHA.iterate.app&state=${state}`, "host is no host of this platform"],
    [`host=misha.iterate.app.&state=${state}`, "host is no host of this platform"],
    [`host=ann@misha.iterate.app&state=${state}`, "host is no host of this platform"],
    [`host=misha.iterate.app%2F@evil.com&state=${state}`, "host is no host of this platform"],
    [`host=evil.com%23.iterate.app&state=${state}`, "host is no host of this platform"],
    [`host=evil.com%5C.iterate.app&state=${state}`, "host is no host of this platform"],
    [`host=127.0.0.1&state=${state}`, "host is no host of this platform"],
    [`host=%5B::1%5D&state=${state}`, "host is no host of this platform"],
    ["host=misha.iterate.app", "state is missing or invalid"],
    ["host=misha.iterate.app&state=x", "state is missing or invalid"],
  ])("refuses %j: %s", async (query, text) => {
    const response = await signedIn(world(), "ann").request(to(query))
    expect([response.status, await response.text(), response.headers.get("location")]).toEqual([400, text, null])
  })

  it("knows ports that are named, and a check of its caller's instead of a store", async () => {
    const heard: string[] = []
    const handler = {
      publicPorts: [8443],
      isOurs: (hostname: string) => {
        heard.push(hostname)
        return hostname === "app.example.org"
      },
    }
    const browser = signedIn(world({ handler }), "ann")
    const status = async (host: string) => (await browser.request(to(`host=${host}&state=${state}`))).status
    expect(await status("misha.iterate.app:8443")).toBe(302)
    expect(await status("app.example.org")).toBe(302)
    expect(await status("www.example.com")).toBe(400)
    expect(await status("www.iterate.app")).toBe(400)
    expect(heard).toEqual(["app.example.org", "www.example.com"])
  })

  it("is 405 for anything but GET and HEAD", async () => {
    const response = await world().ask(to(`host=misha.iterate.app&state=${state}`), { method: "POST" })
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"])
  })

  it.each([
    ["rejects", () => Promise.reject(new Error("the database says: secret"))],
    [
      "throws",
      () => {
        throw new Error("the database says: secret")
      },
    ],
    ["gives no id", () => ({ id: "" })],
  ])("is 503 when getUser %s, tells its caller, and says nothing of it", async (_, getUser) => {
    const causes: unknown[] = []
    const { ask } = world({ handler: { getUser, onError: (cause) => causes.push(cause) } })
    const response = await ask(to(`host=misha.iterate.app&state=${state}`))
    expect([response.status, await response.text()]).toEqual([503, '{"error":"auth_unavailable"}'])
    expect(causes).toHaveLength(1)
  })

  it("is 503 while the store cannot say whether a host is ours", async () => {
    const handler = { store: { get: () => ({ status: "unknown" }) as const } }
    const { ask } = world({ handler })
    expect((await ask(to(`host=shop.example.org&state=${state}`))).status).toBe(503)
  })
})

describe("options", () => {
  const access = defineAccess({ keys: [keys.signing] })
  const kv = { get: async () => null, put: async () => {}, list: async () => ({}) }
  it.each([
    [
      { controlPlane: "http://iterate.com" },
      "signIn: controlPlane must be an absolute https: URL, or http: on localhost",
    ],
    [{ controlPlane: "/sign-in" }, "controlPlane must be"],
    [{ controlPlane: "https://ann:pw@iterate.com/" }, "controlPlane must be"],
    [{ grammar: { domains: ["iterate.app"] } }, "grammar must be what defineGrammar returns"],
    [{ sessionMs: 0 }, "sessionMs must be an integer from 60000"],
    [{ consume: kv }, "consume must be a function that notes an id atomically; a KV namespace cannot"],
    [{ session: "all" }, 'session must be "project" or "host"'],
    [{ words: "s0" }, 'words must be "ingress" or "project-ingress-proxy"'],
    [{ sesionMs: 1 }, "did you mean sessionMs?"],
  ])("signIn refuses %j", (wrong, message) => {
    const options = { grammar: hostnames, controlPlane: "https://iterate.com", ...wrong }
    expect(() => signIn(access, options as never)).toThrow(TypeError)
    expect(() => signIn(access, options as never)).toThrow(message)
  })

  it.each([
    [{ loginUrl: "//evil.com" }, "loginUrl must be a path, which begins with /, or a function"],
    [{ getUser: undefined }, "getUser must be a function"],
    [{ scheme: "ftp" }, 'scheme must be "https" or "http"'],
    [{ store: { get: () => ({ status: "miss" }) }, isOurs: () => true }, "store and isOurs exclude each other"],
    [{ store: {} }, "store must be a route store"],
  ])("signInHandler refuses %j", (wrong, message) => {
    const options = { grammar: hostnames, getUser: () => undefined, loginUrl: "/login", ...wrong }
    expect(() => signInHandler(access, options as never)).toThrow(message)
  })

  it("both want what defineAccess returns", () => {
    // @ts-expect-error keys are no access
    expect(() => signIn({ keys: [] }, {})).toThrow("signIn: access must be what defineAccess returns")
    // @ts-expect-error nothing is no access
    expect(() => signInHandler(undefined, {})).toThrow("signInHandler: access must be")
  })
})
