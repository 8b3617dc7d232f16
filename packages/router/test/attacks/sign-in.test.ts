/** What somebody tries who wants to be somebody else at a project's hostname, or to make somebody else be them. */
import { base64url, SignJWT } from "jose"
import { describe, expect, it, vi } from "vitest"
import { defineAccess } from "../../src/access.ts"
import type { Claims } from "../../src/access/signed-values.ts"
import { localPath } from "../../src/access/local-path.ts"
import { sha256 } from "../../src/access/sha256.ts"
import { browserOf, isCallback, navigation, nested, signedIn, world } from "../access/sign-in-world.ts"
import type { Browser, World } from "../access/sign-in-world.ts"
import { keys } from "../fakes.ts"

const host = "https://8000__misha.iterate.app"
const SESSION = "__Host-ingress-session"

/** The callback that a browser is sent to, and has not opened yet. */
const stopAtCallback = async (browser: Browser, page = `${host}/x`): Promise<string> => {
  const [at] = await browser.open(page, isCallback)
  if (!isCallback(at!.url)) throw new Error(`no callback: ${at!.url}`)
  return at!.url
}
const sessionOf = (browser: Browser, page = `${host}/`): string =>
  new RegExp(`(?:${SESSION}|__Http-ingress-session)=([^;]+)`).exec(browser.cookies(page))?.[1] ?? ""

/** Whether a `Cookie` field opens a page, without anything else. */
const opens = async ({ ask }: World, cookie: string, page = `${host}/`): Promise<boolean> => {
  const { status, headers } = await ask(page, { headers: { ...navigation, cookie } })
  expect([200, 302]).toContain(status)
  if (status === 302) expect(headers.get("location")).toContain("/_/sign-in")
  return status === 200
}
/** What a failed callback is: a page of a refusal, without a cookie, and with the reason in the event alone. */
const refusal = async (here: World, response: Response) => {
  const body = await response.text()
  const { reason, error } = here.events.findLast((event) => event.type === "request")!
  expect([response.status, response.headers.getSetCookie(), error]).toEqual([400, [], "SignInFailed"])
  expect(response.headers.get("x-iterate-proxy-error")).toBe("SIGN_IN_FAILED")
  expect(body).not.toContain(reason)
  return reason
}

const json = (value: object): string => base64url.encode(JSON.stringify(value))

describe("a session's cookie", () => {
  const forgeries: readonly (readonly [string, (value: string) => string | Promise<string>])[] = [
    ["is empty", () => ""],
    ["is cut off", (value) => value.slice(0, -1)],
    ["has a bit more", (value) => `${value}A`],
    ["has another signature", (value) => `${value.slice(0, value.lastIndexOf("."))}.${"A".repeat(43)}`],
    ["has no signature", (value) => value.slice(0, value.lastIndexOf(".") + 1)],
    ["says alg none", (value) => `${json({ alg: "none" })}.${value.split(".")[1]}.`],
    [
      "says alg none, with the key's name and type",
      (value) => `${json({ alg: "none", kid: "test", typ: "ingress-session+jwt" })}.${value.split(".")[1]}.`,
    ],
    [
      "is signed by the text of the public key",
      (value) =>
        new SignJWT(
          JSON.parse(new TextDecoder().decode(base64url.decode(value.split(".")[1]!))) as Record<string, unknown>,
        )
          .setProtectedHeader({ alg: "HS256", kid: "test", typ: "ingress-session+jwt" })
          .sign(new TextEncoder().encode(JSON.stringify(keys.verification))),
    ],
    ["is quoted", (value) => `"${value}"`],
    ["is escaped", (value) => value.replaceAll(".", "%2E")],
    ["is 100 kB", (value) => value + "A".repeat(100_000)],
  ]
  it.each(forgeries)("that %s opens nothing", async (_, forge) => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open(`${host}/`)
    const value = sessionOf(browser)
    expect(await opens(here, `${SESSION}=${value}`)).toBe(true)
    expect(await opens(here, `${SESSION}=${await forge(value)}`)).toBe(false)
  })

  it("of another purpose, or of another platform's keys, opens nothing", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const code = new URL(await stopAtCallback(browser)).searchParams.get("code")!
    expect(await opens(here, `${SESSION}=${code}`)).toBe(false)
    const [, state] = /state-[\w-]+=([^;]+)/.exec(browser.cookies(`${host}/`))!
    expect(await opens(here, `${SESSION}=${state}`)).toBe(false)
    await browser.open(`${host}/`)
    const { payload } = decode(sessionOf(browser))
    const other = defineAccess({ keys: [{ ...keys.signing, kid: "other" }] })
    expect(await opens(here, `${SESSION}=${await other.signed("session").sign(payload, 60_000)}`)).toBe(false)
  })

  it("of one host opens no other host, project or custom domain", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open(`${host}/`)
    const cookie = `${SESSION}=${sessionOf(browser)}`
    expect(await opens(here, cookie)).toBe(true)
    for (const other of [
      "https://4096__misha.iterate.app/",
      "https://misha.iterate.app/",
      "https://8000--misha.iterate.app/",
      "https://8000__eve.iterate.app/",
      "https://www.example.com/",
    ])
      expect(await opens(here, cookie, other)).toBe(false)
  })

  it("of a project in the nested shape opens no other project, and no other shape of a name", async () => {
    const here = world({ grammar: nested })
    const browser = signedIn(here, "eve")
    await browser.open("https://8000.eve.iterate.app/")
    const value = sessionOf(browser, "https://8000.eve.iterate.app/")
    const cookie = `__Http-ingress-session=${value}; ${SESSION}=${value}`
    expect(await opens(here, cookie, "https://5173.eve.iterate.app/")).toBe(true)
    for (const other of ["8000.misha.iterate.app", "misha.iterate.app", "8000--eve.iterate.app", "www.example.com"])
      expect(await opens(here, cookie, `https://${other}/`)).toBe(false)
  })

  it("ends with the generation, and with the project: a name that passes to somebody else", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open(`${host}/`)
    const cookie = `${SESSION}=${sessionOf(browser)}`
    const machine = { id: "mach_1", type: "fake", externalId: "ext", metadata: {} }
    const base = { machine, owner: "ann", externalId: "prj_ann", visibility: "private" } as const
    for (const [record, is] of [
      [base, true],
      [{ ...base, generation: 1 }, false],
      [{ ...base, owner: "eve" }, false],
      [{ ...base, externalId: "prj_2" }, false],
      [{ machine, visibility: "private" } as const, false],
      [base, true],
    ] as const) {
      here.routes.attach("p:misha", record)
      expect(await opens(here, cookie)).toBe(is)
    }
  })

  it("does not show its holder whose project it is", async () => {
    const here = world()
    const browser = signedIn(here, "mallory")
    await browser.open(`${host}/`)
    expect(Object.keys(decode(sessionOf(browser)).payload).toSorted()).toEqual(
      ["exp", "gen", "host", "iat", "id", "prj", "sub"].toSorted(),
    )
    expect(JSON.stringify(decode(sessionOf(browser)))).not.toMatch(/prj_ann|"ann"/)
  })

  it("is found among others of its name, as a browser sends a cookie that somebody tossed first", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    await browser.open(`${host}/`)
    const value = sessionOf(browser)
    expect(await opens(here, `${SESSION}=evil; x=1; ${SESSION}=${value}`)).toBe(true)
    // A name that only begins or ends so, or is written in other letters, is another cookie.
    for (const name of [`x${SESSION}`, `${SESSION}x`, SESSION.toUpperCase(), `__Host-ingress-state`])
      expect(await opens(here, `${name}=${value}`)).toBe(false)
  })
})

const decode = (value: string): { readonly payload: Claims } => ({
  payload: JSON.parse(new TextDecoder().decode(base64url.decode(value.split(".")[1]!))) as Claims,
})

describe("a code", () => {
  it("is worth nothing in another browser: a stolen URL", async () => {
    const here = world()
    const url = await stopAtCallback(signedIn(here, "ann"))
    const thief = browserOf(here)
    expect(await refusal(here, await thief.request(url, { headers: navigation }))).toContain(
      "this browser has not begun",
    )
    // Nor if that browser has begun a sign-in of its own.
    await signedIn(here, "mallory").open(`${host}/x`, isCallback)
    const other = signedIn(here, "mallory")
    await stopAtCallback(other)
    expect(await refusal(here, await other.request(url, { headers: navigation }))).toContain(
      "this browser has not begun",
    )
  })

  it("of an attacker's signs no victim in (login CSRF)", async () => {
    const here = world()
    const url = await stopAtCallback(signedIn(here, "mallory"))
    const victim = signedIn(here, "ann")
    await victim.request(url, { headers: navigation }).then((response) => refusal(here, response))
    expect(victim.cookies(`${host}/`)).toBe("")
    // A victim who is signed in stays who they are.
    await victim.open(`${host}/x`)
    const before = sessionOf(victim)
    const response = await victim.request(url, { headers: navigation })
    expect([response.status, response.headers.getSetCookie()]).toEqual([303, []])
    expect(sessionOf(victim)).toBe(before)
  })

  it("is for one host", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const url = new URL(await stopAtCallback(browser))
    const cookie = browser.cookies(host)
    for (const hostname of [
      "4096__misha.iterate.app",
      "eve.iterate.app",
      "www.example.com",
      "8000__misha.iterate.app:8443",
    ]) {
      url.host = hostname
      expect(await refusal(here, await here.ask(url.href, { headers: { ...navigation, cookie } }))).toContain(
        "another host",
      )
    }
  })

  it("fits one attempt: a state that somebody has made is no attempt", async () => {
    const here = world()
    const { signed, cookies } = here.access
    const made = "a-state-of-my-own"
    const state = await sha256(made)
    const code = await signed("code").sign({ sub: "ann", host: "8000__misha.iterate.app", state, id: "x" }, 60_000)
    const cookie = `${cookies.state}-${state.slice(0, 8)}=${made}`
    const url = `${host}/_/callback?code=${code}`
    expect(await refusal(here, await here.ask(url, { headers: { ...navigation, cookie } }))).toContain("has not begun")
    // One of another host is none either (state fixation).
    const browser = signedIn(here, "mallory")
    const elsewhere = await stopAtCallback(browser, "https://8000__eve.iterate.app/")
    const [, theirs] = /state-[\w-]+=([^;]+)/.exec(browser.cookies(elsewhere))!
    const hash = await sha256(theirs!)
    const fixed = await signed("code").sign(
      { sub: "ann", host: "8000__misha.iterate.app", state: hash, id: "y" },
      60_000,
    )
    const planted = `${cookies.state}-${hash.slice(0, 8)}=${theirs}`
    const response = await here.ask(`${host}/_/callback?code=${fixed}`, { headers: { ...navigation, cookie: planted } })
    expect(await refusal(here, response)).toContain("another project")
    // Nor one of another port of the same project.
    const beside = await stopAtCallback(browser, "https://4096__misha.iterate.app/")
    const [, ofPort] = /state-[\w-]+=([^;]+)/.exec(browser.cookies(beside))!
    const portHash = await sha256(ofPort!)
    const ofHost = await signed("code").sign(
      { sub: "ann", host: "8000__misha.iterate.app", state: portHash, id: "z" },
      60_000,
    )
    const moved = `${cookies.state}-${portHash.slice(0, 8)}=${ofPort}`
    const refused = await here.ask(`${host}/_/callback?code=${ofHost}`, { headers: { ...navigation, cookie: moved } })
    expect(await refusal(here, refused)).toContain("another project")
  })

  it("is not fitted by an attempt of one's own under the name of the one that it is for", async () => {
    const here = world()
    const victim = signedIn(here, "ann")
    const url = await stopAtCallback(victim)
    const [name] = victim.cookies(host).split("=", 1)
    const thief = signedIn(here, "mallory")
    await stopAtCallback(thief)
    const own = thief.cookies(host).slice(thief.cookies(host).indexOf("=") + 1)
    const response = await here.ask(url, { headers: { ...navigation, cookie: `${name}=${own}` } })
    expect(await refusal(here, response)).toContain("has not begun")
  })

  it("that an app leads a visitor to, for an attempt of its author's, is a session of that app's host alone (a limit)", async () => {
    const here = world()
    const author = signedIn(here, "eve")
    const page = "https://8000__eve.iterate.app/"
    const [begun] = await author.open(page, (url) => url.startsWith("https://iterate.com/"))
    // The visitor's browser goes where the author's was sent; a service worker of the app tells the author the URL that comes back.
    const visitor = signedIn(here, "ann")
    const [at] = await visitor.open(begun!.url, isCallback)
    await author.request(at!.url, { headers: navigation })
    expect(here.visitors).toEqual([])
    await author.open(page)
    expect(here.visitors.at(-1)).toMatchObject({ subject: "ann" })
    expect(await opens(here, author.cookies(page), "https://8000__misha.iterate.app/")).toBe(false)
    expect(await opens(here, author.cookies(page), "https://4096__eve.iterate.app/")).toBe(false)
  })

  it("ends after 60 s", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const url = await stopAtCallback(browser)
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 66_000 })
    try {
      expect(await refusal(here, await browser.request(url, { headers: navigation }))).toContain("has ended")
    } finally {
      vi.useRealTimers()
    }
  })

  it("ends when access is revoked, and when the name passes to another project", async () => {
    for (const [change, reason] of [
      [{ generation: 1 }, "revoked"],
      [{ owner: "eve" }, "another project"],
    ] as const) {
      const here = world()
      const browser = signedIn(here, "ann")
      const url = await stopAtCallback(browser)
      const machine = { id: "mach_1", type: "fake", externalId: "ext", metadata: {} }
      here.routes.attach("p:misha", { machine, owner: "ann", externalId: "prj_ann", ...change })
      expect(await refusal(here, await browser.request(url, { headers: navigation }))).toContain(reason)
    }
  })

  it("is used once by a browser, and once at all with consume, which no stranger can use up", async () => {
    const used = new Set<string>()
    const consume = async (id: string) => !used.has(id) && used.add(id) !== undefined
    const here = world({ consume })
    const browser = signedIn(here, "ann")
    const url = await stopAtCallback(browser)
    const cookie = browser.cookies(host)
    await refusal(here, await browserOf(here).request(url, { headers: navigation }))
    expect(used.size).toBe(0)
    const again = () => here.ask(url, { headers: { ...navigation, cookie } })
    const both = await Promise.all([again(), again()])
    expect(both.map(({ status }) => String(status)).toSorted()).toEqual(["303", "400"])
    expect(await refusal(here, await again())).toContain("used before")
    // Without consume the browser's own cookie is gone after the first time.
    const without = world()
    const other = signedIn(without, "ann")
    const second = await stopAtCallback(other)
    expect((await other.request(second, { headers: navigation })).headers.getSetCookie()).toHaveLength(2)
    expect((await other.request(second, { headers: navigation })).headers.getSetCookie()).toEqual([])
  })

  it("that cannot be consumed signs nobody in", async () => {
    const here = world({ consume: () => Promise.reject(new Error("down")) })
    const browser = signedIn(here, "ann")
    const response = await browser.request(await stopAtCallback(browser), { headers: navigation })
    expect([response.status, response.headers.getSetCookie()]).toEqual([500, []])
  })

  it.each([
    ["nothing", ""],
    ["an empty one", "code="],
    ["a text", "code=ann"],
    ["alg none", `code=${json({ alg: "none", kid: "test" })}.${json({ sub: "ann", exp: 9e9, iat: 1 })}.`],
    ["10 000 characters", `code=${"a".repeat(10_000)}`],
    ["control characters", "code=%00%0D%0ASet-Cookie:%20a=b"],
  ])("that is %s is refused", async (_, query) => {
    const here = world()
    const response = await here.ask(`${host}/_/callback?${query}`, { headers: navigation })
    expect(await refusal(here, response)).toContain("not valid")
  })

  it("of a session's claims, or of a token's, is none", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const url = new URL(await stopAtCallback(browser))
    const { payload } = decode(url.searchParams.get("code")!)
    for (const purpose of ["session", "token", "link", "state"] as const) {
      url.searchParams.set("code", await here.access.signed(purpose).sign(payload, 60_000))
      expect(await refusal(here, await browser.request(url.href, { headers: navigation }))).toContain("not valid")
    }
    url.searchParams.set("code", await here.access.signed("code").sign({ sub: "ann" }, 60_000))
    expect(await refusal(here, await browser.request(url.href, { headers: navigation }))).toContain("not complete")
  })

  it.each([
    ["a POST", { method: "POST", headers: navigation }],
    ["a HEAD", { method: "HEAD", headers: navigation }],
    ["a frame", { headers: { ...navigation, "sec-fetch-dest": "iframe" } }],
    ["a fetch", { headers: { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" } }],
    ["a script element", { headers: { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" } }],
    ["a WebSocket's handshake", { headers: { ...navigation, upgrade: "websocket", connection: "upgrade" } }],
  ])("is not taken from %s", async (_, init) => {
    const here = world()
    const browser = signedIn(here, "ann")
    const url = await stopAtCallback(browser)
    const response = await browser.request(url, init)
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(response.headers.getSetCookie()).toEqual([])
    expect((await browser.request(url, { headers: navigation })).headers.getSetCookie()).toHaveLength(2)
  })

  it("stays out of a Referer, of caches and of the event", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const url = await stopAtCallback(browser)
    const { headers } = await browser.request(url, { headers: navigation })
    expect([headers.get("referrer-policy"), headers.get("cache-control")]).toEqual(["no-referrer", "no-store"])
    const code = new URL(url).searchParams.get("code")!
    expect(JSON.stringify(here.events)).not.toContain(code)
    expect(JSON.stringify(here.events)).not.toContain(sessionOf(browser))
  })
})

describe("the control plane", () => {
  it("gives a code to nobody who is not signed in, whatever they say they are", async () => {
    const here = world()
    const state = "a".repeat(43)
    const response = await here.ask(
      `https://iterate.com/ingress-sign-in?host=misha.iterate.app&state=${state}&sub=ann&id=ann`,
    )
    expect(response.headers.get("location")).toMatch(/^\/login\?redirectUrl=/)
  })

  it("sends nobody to another host than the one that the code is for", async () => {
    const here = world()
    const browser = signedIn(here, "ann")
    const url = new URL(await stopAtCallback(browser))
    expect(decode(url.searchParams.get("code")!).payload).toMatchObject({ sub: "ann", host: url.host })
  })
})

/** What becomes of a path that a stranger may have written. */
const paths: readonly (readonly [given: string | null, path: string])[] = [
  ["/", "/"],
  ["/x?y=1&z=%2F", "/x?y=1&z=%2F"],
  ["/a//b", "/a//b"],
  ["/?next=//evil.com", "/?next=//evil.com"],
  ["/x#top", "/x"],
  [null, "/"],
  ["", "/"],
  ["x", "/"],
  ["?x", "/"],
  ["//evil.com", "/"],
  ["///evil.com", "/"],
  // What the check itself resolves paths against.
  ["//local.invalid/x", "/"],
  ["/\\evil.com", "/"],
  ["\\\\evil.com", "/"],
  ["\\/evil.com", "/"],
  ["/a\\..\\\\evil.com", "/"],
  ["/%2F/evil.com", "/"],
  ["/%2fevil.com", "/"],
  ["/%5Cevil.com", "/"],
  ["%2F%2Fevil.com", "/"],
  ["/.//evil.com", "/"],
  ["/a/..//evil.com", "/"],
  ["/%2e//evil.com", "/"],
  ["/./%2Fevil.com", "/"],
  ["/\t/evil.com", "/"],
  ["/\n/evil.com", "/"],
  ["\t//evil.com", "/"],
  [" //evil.com", "/"],
  ["/x\r\nSet-Cookie: a=b", "/"],
  ["/x\u0000", "/"],
  ["/é", "/"],
  ["/\u2028/evil.com", "/"],
  ["/／evil.com", "/"],
  ["https://evil.com/", "/"],
  ["https:evil.com", "/"],
  ["HTTPS:/\\evil.com", "/"],
  ["javascript:alert(1)", "/"],
  ["data:text/html,x", "/"],
  ["/@evil.com", "/@evil.com"],
  ["/:443", "/:443"],
  ["/.evil.com", "/.evil.com"],
  [`/${"a".repeat(2_047)}`, `/${"a".repeat(2_047)}`],
  [`/${"a".repeat(2_048)}`, "/"],
]

describe("a path to come back to", () => {
  it.each(paths)("%j leads to %j", (given, path) => {
    expect(localPath(given)).toBe(path)
    // As a browser reads the redirect.
    expect(new URL(localPath(given), "https://misha.iterate.app/_/callback").host).toBe("misha.iterate.app")
  })

  it.each(paths.filter(([given]) => given !== null))("%j is checked at each step", async (given, path) => {
    const here = world()
    const browser = signedIn(here, "ann")
    const query = new URLSearchParams({ path: given! }).toString()
    const start = await browser.request(`${host}/_/sign-in?${query}`, { headers: navigation })
    const toControlPlane = new URL(start.headers.get("location")!)
    expect(toControlPlane.searchParams.get("path") ?? "/").toBe(path)
    toControlPlane.searchParams.set("path", given!)
    const answered = await browser.request(toControlPlane.href, { headers: navigation })
    const toCallback = new URL(answered.headers.get("location")!)
    expect(toCallback.host).toBe("8000__misha.iterate.app")
    expect(toCallback.searchParams.get("path") ?? "/").toBe(path)
    toCallback.searchParams.set("path", given!)
    const ended = await browser.request(toCallback.href, { headers: navigation })
    expect([ended.status, ended.headers.get("location"), ended.headers.getSetCookie().length]).toEqual([303, path, 2])
  })

  it("is the first of several, and a second one changes nothing", async () => {
    const browser = signedIn(world(), "ann")
    const url = `${host}/_/sign-in?path=/a&path=//evil.com`
    const { headers } = await browser.request(url, { headers: navigation })
    expect(new URL(headers.get("location")!).searchParams.get("path")).toBe("/a")
  })
})
