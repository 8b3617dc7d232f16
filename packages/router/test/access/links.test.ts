/** Share links: the page, its exchange for a cookie, and what the cookie opens. */
import { describe, expect, it } from "vitest"
import { createShareLink, defineAccess, shareLinks } from "../../src/access.ts"
import { authorize } from "../../src/policies.ts"
import type { Policy } from "../../src/router.ts"
import { keys, stamped, values } from "../fakes.ts"
import { access, day, grantOf, link, project, world } from "./world.ts"

describe("a share link", () => {
  it("has its grant in the fragment, and nothing of it before", async () => {
    const { url, id, expiresAt } = await link({ path: "/docs?page=2#top" })
    expect(url).toMatch(/^https:\/\/8000__misha\.iterate\.app\/_\/link#[\w-]+\.[\w-]+\.[\w-]+$/)
    expect(id).toMatch(/^[\da-f]{32}$/)
    expect(Math.abs(expiresAt - Date.now() - day)).toBeLessThan(5_000)
    const local = { hostname: "8000__misha.localhost", origin: "http://8000__misha.localhost:8787" }
    expect((await link(local)).url).toMatch(/^http:\/\/8000__misha\.localhost:8787\/_\/link#/)
  })

  it("leads to a page that no one keeps, frames or learns from", async () => {
    const { ask, sent } = world()
    const response = await ask("/_/link")
    expect([response.status, sent]).toEqual([200, []])
    const policy = response.headers.get("content-security-policy")!
    const nonce = /script-src '(nonce-[\w-]+)'/.exec(policy)![1]
    expect(policy).toBe(
      `default-src 'none'; script-src '${nonce}'; style-src '${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "cross-origin-opener-policy": "same-origin",
    })
    expect(await response.text()).not.toMatch(/https?:\/\//)
    expect((await ask("/_/link")).headers.get("content-security-policy")).not.toBe(policy)
  })

  it("is exchanged for a cookie that opens its port until it ends", async () => {
    const { ask, redeem, sent, seen } = world()
    const { url, id, expiresAt } = await link({ path: "/docs?page=2#top", subject: "guest of ann" })
    const response = await redeem(grantOf({ url }))
    expect([response.status, await response.json()]).toEqual([200, { path: "/docs?page=2#top" }])
    expect(response.headers.get("cache-control")).toBe("no-store")
    const [cookie, ...others] = response.headers.getSetCookie()
    expect(others).toEqual([])
    expect(cookie).toMatch(
      /^__Host-ingress-link=[\w.-]+; Path=\/; Max-Age=(?:8639\d|86400); HttpOnly; Secure; SameSite=Lax$/,
    )
    expect(sent).toEqual([])

    const pair = cookie!.split(";")[0]!
    expect((await ask("/", { cookie: `a=1; ${pair}; b=2` })).status).toBe(200)
    expect(seen.at(-1)).toMatchObject({ subject: "guest of ann", by: "link", id, granted: true })
    expect(Math.abs(seen.at(-1)!.expiresAt! - expiresAt)).toBeLessThan(5_000)
    expect(values(sent[0]!.headers, "cookie")).toEqual(["a=1; b=2"])
  })

  it("that was withdrawn by its id can neither be opened nor used", async () => {
    const over = new Set<string>()
    const { ask, redeem, cookieOf } = world({ links: { isRevoked: async (id) => over.has(id) } })
    const made = await link()
    const cookie = await cookieOf(grantOf(made))
    expect((await ask("/", { cookie })).status).toBe(200)
    over.add(made.id)
    expect((await ask("/", { cookie })).status).toBe(401)
    const again = await redeem(grantOf(made))
    expect([again.status, again.headers.get("x-iterate-proxy-error")]).toEqual([403, "LINK_INVALID"])
    expect(again.headers.getSetCookie()).toEqual([])
  })

  it("counts for a member as nothing, and lets in whom the platform does not", async () => {
    const ann = { subject: "user_ann", by: "session", id: "s1", granted: false }
    const session: Policy = { name: "session", onRequest: () => ({ visitor: ann }) }
    for (const member of [true, false]) {
      const last: (string | undefined)[] = []
      const look: Policy = { name: "look", onRoute: ({ visitor }) => void last.push(visitor?.by) }
      const asked: unknown[] = []
      const decide = authorize(({ subject }) => (asked.push(subject), member), { ttlMs: 0 })
      const signedIn = world({ before: [session], after: [decide, look] })
      expect((await signedIn.redeem(grantOf(await link()))).status).toBe(200)
      const made = await link()
      const cookie = await signedIn.cookieOf(grantOf(made))
      expect((await signedIn.ask("/", { cookie })).status).toBe(200)
      expect(signedIn.seen.at(-1)).toMatchObject({ ...ann, otherwise: { by: "link", id: made.id } })
      expect([asked, last]).toEqual([["user_ann"], [member ? "session" : "link"]])
      // Not with the link of another port, nor by pages of others.
      expect((await signedIn.ask("https://8001__misha.iterate.app/", { cookie })).status).toBe(member ? 200 : 403)
      const foreign = { cookie, origin: "https://evil.example" }
      expect((await signedIn.ask("/", foreign, { method: "POST" })).status).toBe(403)
    }
  })

  it("lets nobody in who is signed in and no member, once it was withdrawn", async () => {
    const over = new Set<string>()
    const ann = { subject: "user_ann", by: "session", id: "s1" }
    const session: Policy = { name: "session", onRequest: () => ({ visitor: ann }) }
    const isRevoked = (id: string) => over.has(id)
    const { ask, cookieOf } = world({ before: [session], after: [authorize(() => false)], links: { isRevoked } })
    const made = await link()
    const cookie = await cookieOf(grantOf(made))
    expect((await ask("/", { cookie })).status).toBe(200)
    over.add(made.id)
    expect((await ask("/", { cookie })).status).toBe(403)
  })

  it("is behind the prefix and in the cookie that the platform has chosen", async () => {
    const own = defineAccess({ keys: [keys.signing], prefix: "/.platform/", cookieName: "platform" })
    const { url } = await createShareLink(own, {
      hostname: "8000__misha.iterate.app",
      project,
      port: 8000,
      expiresInMs: day,
    })
    expect(url).toMatch(/^https:\/\/8000__misha\.iterate\.app\/\.platform\/link#/)
    const { ask, sent } = world({ before: [shareLinks(own)] })
    const fields = { origin: "https://8000__misha.iterate.app", "x-ingress-link": grantOf({ url }) }
    const [cookie] = (await ask("/.platform/link", fields, { method: "POST" })).headers.getSetCookie()
    expect(cookie).toMatch(/^__Host-platform-link=/)
    expect((await ask("/", { cookie: cookie!.split(";")[0]! })).status).toBe(200)
    expect(values(sent[0]!.headers, "cookie")).toEqual([])
  })

  it("is for several ports where rules lead to more than one", async () => {
    const { ask, cookieOf } = world()
    const cookie = await cookieOf(grantOf(await link({ port: [8000, 8001] })))
    expect((await ask("https://8001__misha.iterate.app/", { cookie })).status).toBe(200)
    expect((await ask("https://8002__misha.iterate.app/", { cookie })).status).toBe(401)
  })

  it.each(["PUT", "DELETE", "OPTIONS"])("knows no %s", async (method) => {
    const response = await world().ask("/_/link", {}, { method })
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"])
  })

  it("leaves all other paths to the app, on public ports as well", async () => {
    const { ask, sent } = world({ settings: { visibility: "public" } })
    for (const path of ["/_/links", "/_/link/x", "/link", "/a/_/link", "/"]) expect((await ask(path)).status).toBe(200)
    expect(sent).toHaveLength(5)
  })
})

describe("a port that others may frame", () => {
  const settings = { visibility: "private", embed: ["https://docs.example", "https://app.example:8443"] } as const
  const ancestors = "frame-ancestors 'self' https://docs.example https://app.example:8443"
  const framed = { "sec-fetch-dest": "iframe", "sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site" }

  it("says so in its app's responses, beside what the app says", async () => {
    const answer = () => stamped("ok", { headers: { "content-security-policy": "default-src 'self'" } })
    const { ask } = world({ settings: { ...settings, visibility: "public" }, answer })
    expect((await ask("/")).headers.get("content-security-policy")).toBe(`default-src 'self', ${ancestors}`)
  })

  it("and none else says anything", async () => {
    const { ask } = world({ settings: { visibility: "public" } })
    expect((await ask("/")).headers.has("content-security-policy")).toBe(false)
    const none = world({ settings: { visibility: "public", embed: [] } })
    expect((await none.ask("/")).headers.get("content-security-policy")).toBe("frame-ancestors 'self'")
  })

  it("has the page of links in a frame, too, and a cookie of the frame's own", async () => {
    const { ask, redeem } = world({ settings })
    const page = await ask("/_/link", framed)
    expect(page.status).toBe(200)
    expect(page.headers.get("content-security-policy")).toMatch(new RegExp(`; ${ancestors}$`))
    const [cookie] = (await redeem(grantOf(await link()))).headers.getSetCookie()
    expect(cookie).toMatch(/; HttpOnly; Secure; SameSite=None; Partitioned$/)
    expect((await ask("/", { ...framed, cookie: cookie!.split(";")[0]! })).status).toBe(200)
  })

  it("without embed has neither", async () => {
    const { ask, redeem } = world()
    // As on a hostname that does not exist.
    expect((await ask("/_/link", framed)).status).toBe(404)
    expect((await redeem(grantOf(await link()))).headers.getSetCookie()[0]).toMatch(/; SameSite=Lax$/)
    const none = world({ settings: { embed: [] } })
    expect((await none.ask("/_/link", framed)).status).toBe(404)
    expect((await none.redeem(grantOf(await link()))).headers.getSetCookie()[0]).toMatch(/; SameSite=Lax$/)
  })

  it("is shown by those pages, and neither read nor used by them", async () => {
    const session: Policy = {
      name: "session",
      onRequest: () => ({ visitor: { subject: "user_ann", by: "session", id: "s1", granted: true } }),
    }
    for (const { ask, headers, refused } of [
      {
        ask: world({ settings }).ask,
        headers: { cookie: await world({ settings }).cookieOf(grantOf(await link())) },
        refused: 401,
      },
      { ask: world({ settings, before: [session] }).ask, headers: {}, refused: 403 },
    ]) {
      const from = (site: string, mode: string, method = "GET") =>
        ask("/", { ...headers, "sec-fetch-site": site, "sec-fetch-mode": mode }, { method })
      expect((await from("cross-site", "navigate")).status).toBe(200)
      expect((await from("same-origin", "cors")).status).toBe(200)
      expect((await from("same-origin", "cors", "POST")).status).toBe(200)
      // A link's cookie is not read at all, and a session does not count.
      expect((await from("cross-site", "navigate", "POST")).status).toBe(refused)
      expect((await from("cross-site", "no-cors")).status).toBe(refused)
      expect((await from("cross-site", "cors")).status).toBe(refused)
    }
  })

  it("is as open as ever where it is public", async () => {
    const { ask } = world({ settings: { ...settings, visibility: "public" } })
    expect((await ask("/", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" })).status).toBe(200)
  })
})

describe("options of createShareLink", () => {
  const good = { hostname: "8000__misha.iterate.app", project, port: 8000, expiresInMs: day }
  it.each([
    [{ ...good, hostname: "misha.iterate.app:8443" }, "hostname must be a hostname in lower case, without a port"],
    [{ ...good, hostname: "evil.example/x" }, "hostname must be a hostname"],
    [{ ...good, hostname: "Misha.iterate.app" }, "hostname must be a hostname"],
    [{ ...good, origin: "https://evil.example" }, "origin must be that of hostname"],
    [{ ...good, origin: "https://user@8000__misha.iterate.app" }, "origin must be an origin"],
    [{ ...good, port: undefined }, "port must be a port from 1 to 65535"],
    [{ ...good, path: "//evil.example" }, "path must be a path of the app's"],
    [{ ...good, path: "/_/sign-out" }, "path must be a path of the app's"],
    [{ ...good, subject: "\u{1f600}".repeat(128), path: `/${"a".repeat(1_000)}` }, "are too long together"],
    [{ ...good, grammar: {} }, "grammar is not an option"],
  ])("are checked: %#", async (options, message) => {
    await expect(createShareLink(access, options as never)).rejects.toThrow(message)
  })

  it("and those of shareLinks", () => {
    expect(() => shareLinks(access, { isRevoked: "x" } as never)).toThrow("isRevoked must be a function")
  })
})
