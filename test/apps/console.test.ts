/** The console in a browser: by keyboard alone, in dark mode, under its own policy. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createRouter } from "@project-ingress/router"
import { createConsole, recentEvents } from "@project-ingress/router/console"
import { memoryStore } from "@project-ingress/router/stores/memory"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { need, startBrowser } from "../../examples/quickstart/test/browser.ts"

const recent = recentEvents()
const machine = { id: "mach_1", type: "upstream", externalId: "dev", metadata: {} }
const router = createRouter({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store: memoryStore({ "p:misha": { machine }, "p:secret": { machine, visibility: "private" } }),
  providers: [
    {
      type: "upstream",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: async () => ({ origin: "http://127.0.0.1:1", epoch: "1", ttlMs: 60_000 }),
    },
  ],
  signingKey: (await generateTicketKeys("test")).signing,
  onEvent: recent.onEvent,
})
const ask = createConsole(router, { authorize: () => true, recent })
const server = createServer((request, response) => {
  void ask(new Request(`http://ops.localhost${request.url}`)).then(async (found) => {
    response.writeHead(found.status, Object.fromEntries(found.headers)).end(await found.text())
  })
})

let browser: Browser | undefined
let missing: string | undefined
let origin: string

beforeAll(async () => {
  for (const name of ["misha", "nobody", "secret"]) await router.fetch(new Request(`https://${name}.iterate.app/`))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  ;({ browser, noBrowser: missing } = await startBrowser())
}, 90_000)
afterAll(async () => {
  await browser?.close()
  server.closeAllConnections()
  server.close()
})

/** A page, and what the browser complains about. */
const open = async (ctx: TestContext, url: string, options: BrowserContextOptions = {}) => {
  need(ctx, missing)
  const context = await browser!.newContext(options)
  ctx.onTestFinished(() => context.close())
  const page = await context.newPage()
  const problems: string[] = []
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()))
  page.on("pageerror", (error) => problems.push(error.message))
  page.on("dialog", (dialog) => {
    problems.push(`dialog ${dialog.message()}`)
    void dialog.dismiss()
  })
  await page.goto(url)
  return { page, problems: () => problems.filter((problem) => !problem.includes("favicon")) }
}

describe("the console in a browser", () => {
  it("is searched by keyboard alone, and shows where it stops", async (ctx) => {
    const { page, problems } = await open(ctx, origin)
    // The search has the focus.
    await page.keyboard.type("secret.iterate.app")
    await Promise.all([page.waitForURL(/hostname=secret/), page.keyboard.press("Enter")])
    expect(await page.locator(".end.bad").innerText()).toContain("403 ACCESS_DENIED")
    expect(await page.locator("li.stop").innerText()).toContain("it stops here")
    // From anywhere by `/`, which replaces what was there.
    await page.locator("body").click({ position: { x: 1, y: 1 } })
    await page.keyboard.press("/")
    await page.keyboard.type("misha.iterate.app")
    await Promise.all([page.waitForURL(/hostname=misha/), page.keyboard.press("Enter")])
    expect(await page.locator(".end").innerText()).toContain("Sent to the machine")
    expect(await page.locator("ol.road > li").count()).toBeGreaterThan(4)
    // Every control is reached by Tab.
    await page.keyboard.press("/")
    const reached: string[] = []
    for (let at = 0; at < 3; at++) {
      await page.keyboard.press("Tab")
      reached.push(await page.evaluate("document.activeElement.name || document.activeElement.tagName"))
    }
    expect(reached).toEqual(["path", "policies", "BUTTON"])
    expect(problems()).toEqual([])
  })

  it.for(["light", "dark"] as const)(
    "is drawn in the colours of the %s mode, with enough contrast",
    async (colorScheme, ctx) => {
      const { page, problems } = await open(ctx, `${origin}?hostname=secret.iterate.app`, { colorScheme })
      const background = await luminance(page, "body", "backgroundColor")
      expect(background > 0.5).toBe(colorScheme === "light")
      for (const selector of ["h1", ".note", ".end.bad b", "li.stop", "td.warn", "td.bad", "button"]) {
        const own = selector === "button" ? await luminance(page, selector, "backgroundColor") : background
        const [dark, light] = [own, await luminance(page, selector, "color")].toSorted((a, b) => a - b)
        // WCAG 2.2, 1.4.3: 4.5 for text of this size.
        expect([selector, (light! + 0.05) / (dark! + 0.05) >= 4.5]).toEqual([selector, true])
      }
      expect(problems()).toEqual([])
      const folder = process.env["SCREENSHOTS"]
      if (folder !== undefined) await page.screenshot({ path: `${folder}/console-${colorScheme}.png`, fullPage: true })
    },
  )

  it("runs nothing that a hostname brings, and its policy lets nothing else run", async (ctx) => {
    const hostile = `"><img src=x onerror=alert(1)><script>alert(1)</script>`
    const { page, problems } = await open(ctx, `${origin}?hostname=${encodeURIComponent(hostile)}`)
    expect(await page.locator("#hostname").inputValue()).toBe(hostile)
    expect(await page.locator("main img, main script").count()).toBe(0)
    expect(problems()).toEqual([])
    // Its policy would stop what escaping missed: the first by its trusted types, the second by its sources.
    const script = 'document.createElement("script").src = "data:text/javascript,alert(1)"'
    await page.evaluate(script).catch(() => undefined)
    await page.evaluate('new Image().src = "https://example.com/x"')
    await expect
      .poll(problems)
      .toEqual([expect.stringContaining("TrustedScriptURL"), expect.stringContaining("Content Security Policy")])
  })

  it("is read on a phone without scrolling sideways, and without scripts", async (ctx) => {
    const options = { viewport: { width: 360, height: 640 }, javaScriptEnabled: false }
    const { page } = await open(ctx, `${origin}?hostname=${"a".repeat(63)}.iterate.app`, options)
    const wide = await page
      .locator("html")
      .evaluate((element: { scrollWidth: number; clientWidth: number }) => element.scrollWidth - element.clientWidth)
    expect(wide).toBeLessThanOrEqual(0)
    expect(await page.locator("li.stop").count()).toBe(1)
  })
})

/** The relative luminance of a colour on the page (WCAG 2.2). */
const luminance = (page: Page, selector: string, property: "color" | "backgroundColor"): Promise<number> =>
  page
    .locator(selector)
    .first()
    .evaluate((element, property) => {
      // Painted, so that every notation of a colour is the same.
      const canvas = element.ownerDocument.createElement("canvas").getContext("2d")!
      canvas.fillStyle = element.ownerDocument.defaultView!.getComputedStyle(element)[property]
      canvas.fillRect(0, 0, 1, 1)
      const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
        const part = value / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
    }, property)
