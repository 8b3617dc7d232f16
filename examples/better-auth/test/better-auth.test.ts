import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startPlatform } from "../src/platform.ts"
import type { Platform } from "../src/platform.ts"
import { need, startBrowser } from "../../quickstart/test/browser.ts"
import { asking } from "../../../packages/router/test/access/asking.ts"
import { browserOf } from "../../../packages/router/test/access/sign-in-world.ts"

describe("a platform whose people sign in by better-auth", () => {
  let platform: Platform
  const email = "ann@example.com"
  const password = "correct horse battery"

  beforeAll(async () => {
    platform = await startPlatform(0)
    await platform.addMember(email, password)
  })
  afterAll(() => platform[Symbol.asyncDispose]())

  const control = (path: string, init: RequestInit = {}) =>
    fetch(platform.origin + path, { redirect: "manual", ...init })
  const start = () => {
    const host = new URL(platform.app).host
    return `/ingress-sign-in?${new URLSearchParams({ host, path: "/x", state: "a".repeat(43) }).toString()}`
  }

  it("gives a code by the session of better-auth, and none without one", async () => {
    const without = await control(start())
    expect(without.headers.get("location")).toBe(`/login?redirectUrl=${encodeURIComponent(start())}`)
    const forged = await control(start(), { headers: { cookie: "better-auth.session_token=forged.forged" } })
    expect(forged.headers.get("location")).toMatch(/^\/login/)

    const signedIn = await control("/api/auth/sign-in/email", {
      method: "POST",
      headers: { "content-type": "application/json", origin: platform.origin },
      body: JSON.stringify({ email, password }),
    })
    const cookie = signedIn.headers
      .getSetCookie()
      .map((line) => line.split(";", 1)[0])
      .join("; ")
    const to = new URL((await control(start(), { headers: { cookie } })).headers.get("location")!)
    expect([to.origin, to.pathname, to.searchParams.get("path")]).toEqual([platform.app, "/_/callback", "/x"])

    await control("/api/auth/sign-out", { method: "POST", headers: { cookie, origin: platform.origin } })
    expect((await control(start(), { headers: { cookie } })).headers.get("location")).toMatch(/^\/login/)
  })

  it("lets nobody in who has signed up and is no member", async () => {
    const signedUp = await control("/api/auth/sign-up/email", {
      method: "POST",
      headers: { "content-type": "application/json", origin: platform.origin },
      body: JSON.stringify({ email: "eve@example.com", password, name: "Eve" }),
    })
    const browser = browserOf({ ask: asking(Number(new URL(platform.origin).port)) })
    for (const line of signedUp.headers.getSetCookie()) browser.set("localhost", line)
    const [last, ...before] = await browser.open(`${platform.app}/x`)
    expect([last!.url, last!.response.status, before.length]).toEqual([`${platform.app}/x`, 403, 4])
  })

  it("lets a person in a browser open a private port, whose app gets no cookie of the platform", async (ctx) => {
    const { browser, noBrowser } = await startBrowser()
    need(ctx, noBrowser)
    try {
      const page = await browser!.newPage()
      await page.goto(`${platform.app}/x?y`)
      expect(page.url()).toMatch(new RegExp(`^${platform.origin}/login`))
      await page.fill("[name=email]", email)
      await page.fill("[name=password]", "wrong horse battery")
      await page.click("button")
      await expect.poll(() => page.textContent("output")).toBe("Wrong e-mail or password.")
      await page.fill("[name=password]", password)
      await page.click("button")
      await page.waitForURL(`${platform.app}/x?y`)
      expect([await page.title(), await page.textContent("p")]).toEqual(["app", "no cookies"])
    } finally {
      await browser!.close()
    }
  })
})
