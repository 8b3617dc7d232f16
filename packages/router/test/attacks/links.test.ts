/**
 * Attacks with share links: forged grants and those of others, redeemed by pages of others, used on another port, and in place of a session. What
 * a browser and the platform's logs get to see of a grant, and frames of others: `../access/link-page.test.ts`, in Chromium.
 */
import { afterEach, describe, expect, it, vi } from "vitest"
import { stamped, names, values } from "../fakes.ts"
import type { Policy } from "../../src/router.ts"
import { access, banana, day, grantOf, link, project, token, world } from "../access/world.ts"

const codeOf = (response: Response) => [response.status, response.headers.get("x-iterate-proxy-error")]
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

afterEach(() => void vi.useRealTimers())

describe("a grant", () => {
  const refused = async (grant: string, host?: string) => {
    const { redeem, sent } = world()
    const response = await redeem(grant, host)
    expect([response.headers.getSetCookie(), sent]).toEqual([[], []])
    return codeOf(response)
  }

  it("of another project, port or generation gives no cookie", async () => {
    for (const made of [
      await link({ project: banana }),
      await link({ port: 8001 }),
      await link({ project: { ...project, generation: 2 } }),
      await link({ project: { ...project, owner: "org_2" } }),
      await link({ project: { key: "p:misha", owner: "org_1", generation: 3 } }),
    ]) {
      expect(await refused(grantOf(made))).toEqual([403, "LINK_INVALID"])
    }
    const own = grantOf(await link())
    expect(await refused(own, "8000__banana.iterate.app")).toEqual([403, "LINK_INVALID"])
    expect(await refused(own, "8001__misha.iterate.app")).toEqual([403, "LINK_INVALID"])
    expect(await refused(own, "8001__mach_1.machines.iterate.app")).toEqual([403, "LINK_INVALID"])
  })

  it("that is forged or of another purpose gives no cookie", async () => {
    const [head, body, signature] = grantOf(await link()).split(".") as [string, string, string]
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object
    const { kid } = JSON.parse(Buffer.from(head, "base64url").toString()) as { kid: string }
    const { cookieOf } = world()
    const cookie = (await cookieOf(grantOf(await link()))).replace(/^[^=]*=/, "")
    for (const forged of [
      `${encoded({ alg: "none", kid, typ: "ingress-link+jwt" })}.${body}.`,
      `${head}.${encoded({ ...claims, to: "//evil.example" })}.${signature}`,
      `${head}.${encoded({ ...claims, ports: "1" })}.${signature}`,
      `${head}.${body}.`,
      (await token()).token,
      (await token()).token.slice("ingress_".length),
      cookie,
      await access.signed("session").sign(claims as Record<string, string>, day),
      "",
      "a".repeat(10_000),
    ]) {
      expect(await refused(forged)).toEqual([403, "LINK_INVALID"])
    }
  })

  it("that has ended gives no cookie, and its cookie has ended with it", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 })
    const grant = grantOf(await link({ expiresInMs: 60_000 }))
    const { ask, redeem, cookieOf } = world()
    vi.setSystemTime(1_800_000_050_000)
    const response = await redeem(grant)
    expect(response.headers.getSetCookie()[0]).toContain("; Max-Age=10;")
    const cookie = await cookieOf(grant)
    expect((await ask("/", { cookie })).status).toBe(200)
    vi.setSystemTime(1_800_000_066_000)
    expect(codeOf(await redeem(grant))).toEqual([403, "LINK_INVALID"])
    expect((await ask("/", { cookie })).status).toBe(401)
  })

  it("in a URL, a cookie, a body or another field opens nothing", async () => {
    const { ask, sent } = world()
    const grant = grantOf(await link())
    const origin = "https://8000__misha.iterate.app"
    for (const init of [
      { method: "POST", body: grant },
      { method: "POST", body: new URLSearchParams({ grant }) },
    ]) {
      expect(codeOf(await ask("/_/link", { origin }, init))).toEqual([403, "LINK_INVALID"])
    }
    const post = { method: "POST" }
    expect(codeOf(await ask(`/_/link?${grant}`, { origin }, post))).toEqual([403, "LINK_INVALID"])
    expect(codeOf(await ask(`/_/link?grant=${grant}`, { origin, cookie: `grant=${grant}` }, post))).toEqual([
      403,
      "LINK_INVALID",
    ])
    const page = await ask(`/_/link?${grant}`, { "x-ingress-link": grant })
    expect([page.status, page.headers.getSetCookie()]).toEqual([200, []])
    expect(await page.text()).not.toContain(grant)
    for (const headers of [{ "x-ingress-link": grant }, { cookie: `__Host-ingress-link=${grant}` }]) {
      expect((await ask("/", headers)).status).toBe(401)
    }
    expect(sent).toEqual([])
  })

  it("does not say whose it is, and a refusal is the same for a hostname that does not exist", async () => {
    const grant = grantOf(await link())
    expect(Buffer.from(grant.split(".")[1]!, "base64url").toString()).not.toMatch(/org_1|misha/)
    const { redeem, ask } = world()
    const strip = async (response: Response) => {
      const { requestId, ...body } = (await response.json()) as Record<string, unknown>
      expect(requestId).toEqual(expect.any(String))
      return [response.status, body]
    }
    const accept = { accept: "application/json" }
    const known = await strip(await redeem("a.b.c", "8000__misha.iterate.app", accept))
    expect(await strip(await redeem("a.b.c", "8000__nobody.iterate.app", accept))).toEqual(known)
    const pages = [await ask("/_/link"), await ask("https://8000__nobody.iterate.app/_/link")]
    expect(pages.map(({ status }) => status)).toEqual([200, 200])
    const [first, second] = await Promise.all(pages.map((page) => page.text()))
    expect(first!.replaceAll(/nonce="[^"]*"/g, "")).toBe(second!.replaceAll(/nonce="[^"]*"/g, ""))
  })
})

describe("a page of another origin", () => {
  it.each([
    ["another site", { origin: "https://evil.example" }],
    ["another project", { origin: "https://8000__banana.iterate.app" }],
    ["another port of the project", { origin: "https://8001__misha.iterate.app" }],
    ["another port of the host", { origin: "https://8000__misha.iterate.app:8443" }],
    ["another scheme", { origin: "http://8000__misha.iterate.app" }],
    ["an opaque origin", { origin: "null" }],
    ["several", { origin: "https://8000__misha.iterate.app, https://evil.example" }],
    ["a user in it", { origin: "https://8000__misha.iterate.app@evil.example" }],
    ["no origin", { origin: "" }],
  ])("does not have a link redeemed in a visitor's browser: %s", async (_, headers) => {
    const { redeem, sent } = world()
    const response = await redeem(grantOf(await link()), undefined, headers)
    expect([...codeOf(response), response.headers.getSetCookie(), sent]).toEqual([403, "ACCESS_DENIED", [], []])
  })

  it("nor does a request without an origin", async () => {
    const { ask } = world()
    const response = await ask("/_/link", { "x-ingress-link": grantOf(await link()) }, { method: "POST" })
    expect([...codeOf(response), response.headers.getSetCookie()]).toEqual([403, "ACCESS_DENIED", []])
  })

  it("gets no answer to a preflight for it", async () => {
    const headers = {
      origin: "https://evil.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "x-ingress-link",
    }
    for (const settings of [{ visibility: "private" }, { visibility: "public" }] as const) {
      const { ask, sent } = world({ settings })
      const response = await ask("/_/link", headers, { method: "OPTIONS" })
      expect([response.status, sent]).toEqual([405, []])
      expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([])
    }
  })

  it("acts by nobody's link cookie", async () => {
    const { ask, sent, cookieOf } = world()
    const cookie = await cookieOf(grantOf(await link()))
    for (const [headers, method] of [
      [{ origin: "https://evil.example" }, "POST"],
      [{ origin: "null" }, "POST"],
      [{ origin: "https://evil.example" }, "GET"],
      [{ "sec-fetch-site": "cross-site" }, "DELETE"],
    ] as const) {
      expect((await ask("/", { cookie, ...headers }, { method })).status).toBe(403)
    }
    expect(sent).toEqual([])
  })
})

describe("a link's cookie", () => {
  it("opens no other port under any hostname of the machine, and no other project", async () => {
    const { ask, cookieOf, sent } = world()
    const cookie = await cookieOf(grantOf(await link()))
    for (const host of [
      "8001__misha.iterate.app",
      "8001--misha.iterate.app",
      "misha.iterate.app",
      "opencode--misha.iterate.app",
      "8001__mach_1.machines.iterate.app",
      "8001.www.example.com",
      "8000__banana.iterate.app",
      "8000__mach_2.machines.iterate.app",
    ]) {
      expect([host, (await ask(`https://${host}/`, { cookie })).status]).toEqual([host, 401])
    }
    expect(sent).toEqual([])
    // The same port is the same port, whatever it is called.
    expect((await ask("https://8000__mach_1.machines.iterate.app/", { cookie })).status).toBe(200)
  })

  it("never replaces a session, whatever comes first in the field", async () => {
    const session: Policy = {
      name: "session",
      onRequest: ({ header }) =>
        header("cookie")?.includes("session=1") === true
          ? { visitor: { subject: "user_ann", by: "session", id: "s1" } }
          : undefined,
    }
    const { ask, seen, cookieOf } = world({ before: [session] })
    const cookie = await cookieOf(grantOf(await link({ subject: "guest" })))
    for (const field of [`session=1; ${cookie}`, `${cookie}; session=1`]) await ask("/", { cookie: field })
    expect(seen.map((visitor) => visitor?.subject)).toEqual(["user_ann", "user_ann"])
    const { token: value } = await token()
    await ask("/", { cookie, "x-ingress-token": value })
    expect(seen.at(-1)).toMatchObject({ by: "token", subject: "ci" })
  })

  it("is neither set, read nor forged by an app", async () => {
    const planted = await world().cookieOf(grantOf(await link()))
    const answer = () => stamped("ok", { headers: { "set-cookie": `${planted}; Secure; Path=/` } })
    const { ask, sent, cookieOf } = world({ settings: { visibility: "public" }, answer })
    const cookie = await cookieOf(grantOf(await link()))
    const response = await ask("/", { cookie: `${cookie}; a=1`, "x-ingress-link": "x" })
    expect(response.headers.getSetCookie()).toEqual([])
    expect(values(sent[0]!.headers, "cookie")).toEqual(["a=1"])
    expect(names(sent[0]!.headers)).not.toContain("x-ingress-link")
    const closed = world()
    for (const forged of ["x", "a.b.c", (await token()).token.slice(8), grantOf(await link())]) {
      expect((await closed.ask("/", { cookie: `__Host-ingress-link=${forged}` })).status).toBe(401)
    }
  })

  it("ends with the project's generation", async () => {
    const { ask, store, cookieOf } = world()
    const cookie = await cookieOf(grantOf(await link()))
    expect((await ask("/", { cookie })).status).toBe(200)
    const found = store.get("p:misha")
    if (found.status !== "hit" || found.record.kind !== "machine") throw new Error("no record")
    const { key: _, ...identity } = project
    store.attach("p:misha", { machine: found.record.machine, ...identity, generation: 4, visibility: "private" })
    expect((await ask("/", { cookie })).status).toBe(401)
  })
})
