import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { need, startBrowser } from "../../quickstart/test/browser.ts"
import { asking } from "../../../packages/router/test/access/asking.ts"
import { serve } from "../src/serve.ts"
import { outcome } from "./outcome.ts"

describe("a platform with private ports", () => {
  let platform: Awaited<ReturnType<typeof serve>>
  beforeEach(async () => {
    platform = await serve(0)
  })
  afterEach(() => platform[Symbol.asyncDispose]())

  it("opens them by a session, a token and a link, until these end", async () => {
    const ask = asking(Number(new URL(platform.originOf("misha", 8000)).port))
    const now = Date.now()
    vi.useFakeTimers({ toFake: ["Date"] })
    try {
      const clock = (ms: number) => vi.setSystemTime(now + ms)
      const revoke = () => platform.registry.revoke("misha")
      await expect(outcome({ ...platform, ask, clock, revoke })).resolves.toBeUndefined()
    } finally {
      vi.useRealTimers()
    }
  })

  it("does so in a browser", async (ctx) => {
    const { browser, noBrowser } = await startBrowser()
    need(ctx, noBrowser)
    const { originOf, token, link, registry } = platform
    const [page, second] = [`${originOf("misha", 8000)}/x?y`, `${originOf("misha", 5173)}/`]
    try {
      const ann = await (await browser!.newContext()).newPage()
      await ann.goto(`${originOf("misha", 3000)}/`)
      expect(await ann.title()).toBe("app")
      await ann.goto(page)
      expect([new URL(ann.url()).pathname, await ann.title()]).toEqual(["/login", "Sign in"])
      await ann.fill("[name=name]", "ann")
      await ann.fill("[name=password]", "ann")
      await ann.click("button")
      await ann.waitForURL(page)
      expect(await ann.textContent("p")).toBe("nothing secret")
      // Not even a redirect: the session is the project's.
      const opened = await ann.goto(second)
      expect([opened!.status(), opened!.request().redirectedFrom()]).toEqual([200, null])
      expect((await ann.goto(`${originOf("eve", 8000)}/`))!.status()).toBe(403)

      const guest = await (await browser!.newContext()).newPage()
      const seen: string[] = []
      guest.on("request", (request) => seen.push(request.url()))
      await guest.goto(link)
      await guest.waitForURL(`${originOf("misha", 8000)}/docs`)
      expect([await guest.textContent("h1"), await guest.textContent("p")]).toEqual(["/docs", "nothing secret"])
      expect(seen.filter((url) => url.includes(new URL(link).hash.slice(1)))).toEqual([])
      await guest.goto(second)
      expect(new URL(guest.url()).pathname).toBe("/login")

      // A page of the project that has a token uses it without cookies.
      await ann.goto(page)
      const byToken = (value: string) =>
        ann.evaluate(async (headers) => (await fetch("/", { credentials: "omit", headers })).status, {
          authorization: `Bearer ${value}`,
        })
      expect([await byToken(token), await byToken("ingress_a.b.c")]).toEqual([200, 401])

      await registry.revoke("misha")
      expect(await ann.evaluate(async () => (await fetch("/")).status)).toBe(401)
      expect(await byToken(token)).toBe(403)
      await guest.goto(`${originOf("misha", 8000)}/docs`)
      expect(new URL(guest.url()).pathname).toBe("/login")
      await guest.goto(link)
      await expect.poll(() => guest.textContent("body")).toMatch(/link/i)
      expect(new URL(guest.url()).pathname).toBe("/_/link")
      // By the control plane's own session ann is signed in again, unasked.
      await ann.goto(page)
      expect([ann.url(), await ann.title()]).toEqual([page, "app"])
    } finally {
      await browser!.close()
    }
  })
})
