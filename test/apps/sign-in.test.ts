/** Signing in as a person does, in Chromium through TLS; and what scripts and service workers of an app can do to it. */
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startPlatform } from "./sign-in-platform.ts"
import type { Platform } from "./sign-in-platform.ts"
import { need, startBrowser } from "../../examples/quickstart/test/browser.ts"

const hosts = {
  "--": ["8000--misha", "4096--misha", "8000--eve"],
  ".": ["8000.misha", "4096.misha", "8000.eve"],
} as const

describe.each(["--", "."] as const)("in Chromium, with hostnames by %s", (separator) => {
  let platform: Platform
  let browser: Browser | undefined
  let noBrowser: string | undefined
  const [first, second, foreign] = hosts[separator].map((label) => `https://${label}.ingress.test`) as [
    string,
    string,
    string,
  ]
  const SESSION = separator === "." ? "__Http-ingress-session" : "__Host-ingress-session"

  beforeAll(async () => {
    platform = await startPlatform(separator)
    ;({ browser, noBrowser } = await startBrowser(platform.browserArguments))
  })
  afterAll(async () => {
    await browser?.close()
    await platform[Symbol.asyncDispose]()
  })

  /** A new profile, and a tab of it that has signed in at the first host by its login. */
  const signedIn = async (): Promise<{ readonly context: BrowserContext; readonly page: Page }> => {
    const context = await browser!.newContext()
    const page = await context.newPage()
    await page.goto(`${first}/x?y`)
    expect(new URL(page.url()).host).toBe("control.test")
    await page.click("button")
    await page.waitForURL(`${first}/x?y`)
    return { context, page }
  }
  const names = async (context: BrowserContext, url: string): Promise<readonly string[]> =>
    (await context.cookies(url)).map(({ name }) => name).toSorted()

  it("a person signs in once, opens other ports and a custom domain, and signs out", async (ctx) => {
    need(ctx, noBrowser)
    const { context, page } = await signedIn()
    expect(await page.title()).toBe("none")
    expect(await names(context, first)).toEqual([SESSION])
    expect(await page.evaluate(() => document.cookie)).toBe("")
    for (const url of [`${second}/`, "https://www.custom.test/a"]) {
      await page.goto(url)
      expect([page.url(), await page.title()]).toEqual([url, "none"])
    }
    expect(await names(context, "https://www.custom.test/")).toEqual(["__Host-ingress-session"])

    await page.goto(`${first}/_/sign-out`)
    await page.click("button")
    await page.waitForSelector("text=You are signed out of")
    expect(await names(context, first)).toEqual([])
    expect(platform.strays).toEqual([])
    await context.close()
  })

  it("tabs that are opened at once come to their pages", async (ctx) => {
    need(ctx, noBrowser)
    const { context } = await signedIn()
    await context.clearCookies({ name: SESSION })
    const tabs = await Promise.all(Array.from({ length: 6 }, () => context.newPage()))
    await Promise.all(tabs.map((tab, at) => tab.goto(`${first}/tab${at}`)))
    expect(tabs.map((tab) => tab.url())).toEqual(tabs.map((_, at) => `${first}/tab${at}`))
    expect(await names(context, first)).toEqual([SESSION])
    await context.close()
  })

  it("a generation that rises ends it, in open pages too", async (ctx) => {
    need(ctx, noBrowser)
    const { context, page } = await signedIn()
    const status = () => page.evaluate(async () => (await fetch("/")).status)
    expect(await status()).toBe(200)
    platform.store.attach("p:misha", { ...platform.record("ann"), generation: 1 })
    expect(await status()).toBe(401)
    await page.reload()
    expect([page.url(), await status()]).toEqual([`${first}/x?y`, 200])
    await context.close()
  })

  it("a page of another project plants no session and no attempt, and starts none in a frame", async (ctx) => {
    need(ctx, noBrowser)
    const { context, page } = await signedIn()
    await page.goto(`${foreign}/`)
    await page.evaluate(() => {
      for (const name of ["__Host-ingress-session", "__Http-ingress-session", "__Host-ingress-state-aaaaaaaa"])
        for (const domain of ["ingress.test", "misha.ingress.test"])
          document.cookie = `${name}=planted; Domain=${domain}; Path=/; Secure`
      document.cookie = "plain=planted; Domain=ingress.test; Path=/; Secure"
    })
    expect(await names(context, first)).toEqual([SESSION, "plain"])
    expect((await context.cookies(first)).find(({ name }) => name === SESSION)!.value).not.toBe("planted")
    await context.clearCookies({ name: SESSION })
    const frame = await page.evaluate(async (src) => {
      const made = document.createElement("iframe")
      made.src = src
      document.body.append(made)
      await new Promise((loaded) => made.addEventListener("load", loaded))
      return made.src
    }, `${first}/_/sign-in`)
    expect(frame).toBe(`${first}/_/sign-in`)
    expect(platform.events.findLast((event) => event.type === "request" && event.host.includes("misha"))).toMatchObject(
      {
        status: 400,
        reason: "not a navigation of a tab",
      },
    )
    expect(await names(context, first)).toEqual(["plain"])
    await context.close()
  })

  it("a script of the app reads nothing of it, sends no request that signs in, and has no service worker there", async (ctx) => {
    need(ctx, noBrowser)
    const { context, page } = await signedIn()
    const seen = await page.evaluate(async () => {
      const ask = async (url: string, init: RequestInit = {}) => {
        const { status, type, headers } = await fetch(url, init)
        return [status, type, headers.get("location")]
      }
      const register = (url: string) =>
        navigator.serviceWorker.register(url).then(
          () => "registered",
          (error: unknown) => (error as Error).name,
        )
      return [
        await ask("/_/sign-in?path=/x"),
        await ask("/_/sign-in?path=/x", { redirect: "manual" }),
        await ask("/_/callback?code=x"),
        await register("/_/sw.js"),
        await register("/_/sign-in"),
      ]
    })
    expect(seen).toEqual([[400, "basic", null], [400, "basic", null], [400, "basic", null], "TypeError", "TypeError"])
    expect(platform.strays).toEqual([])
    await context.close()
  })

  it("an app's service worker that passes navigations on sees the code's URL, which is worth nothing elsewhere", async (ctx) => {
    need(ctx, noBrowser)
    const { context, page } = await signedIn()
    await page.evaluate(async () => {
      await navigator.serviceWorker.register("/sw.js")
      await new Promise((resolve) => {
        if (navigator.serviceWorker.controller !== null) resolve(undefined)
        else navigator.serviceWorker.addEventListener("controllerchange", resolve)
      })
    })
    await context.clearCookies({ name: SESSION })
    await page.goto(`${first}/again`)
    expect([page.url(), await names(context, first)]).toEqual([`${first}/again`, [SESSION]])
    const urls = await page.evaluate(
      () =>
        new Promise<string[]>((resolve) => {
          navigator.serviceWorker.addEventListener("message", ({ data }) => resolve(data as string[]))
          // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin to name
          navigator.serviceWorker.controller!.postMessage("what have you seen")
        }),
    )
    const stolen = urls.find((url) => url.includes("/_/callback?code="))
    expect(stolen).toBeDefined()
    const thief = await browser!.newContext()
    const response = await (await thief.newPage()).goto(stolen!)
    expect([response!.status(), await names(thief, first)]).toEqual([400, []])
    await thief.close()
    await context.close()
  })

  it("an app's service worker that asks again by URL keeps its own visitors from signing in, and gets nothing", async (ctx) => {
    need(ctx, noBrowser)
    const { context, page } = await signedIn()
    await page.evaluate(async () => {
      await navigator.serviceWorker.register("/greedy.js")
      await new Promise((resolve) => {
        if (navigator.serviceWorker.controller !== null) resolve(undefined)
        else navigator.serviceWorker.addEventListener("controllerchange", resolve)
      })
    })
    await context.clearCookies({ name: SESSION })
    const response = await page.goto(`${first}/_/sign-in`)
    expect([response!.status(), await names(context, first)]).toEqual([400, []])
    await context.close()
  })
})
