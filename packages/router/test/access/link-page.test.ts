/** Share links in Chromium: the page, without scripts, in frames, and what the platform gets to see of a grant. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { need, startBrowser } from "../../../../examples/quickstart/test/browser.ts"
import { accessTokens, embedding, shareLinks } from "../../src/access.ts"
import { visibility } from "../../src/policies.ts"
import { browserWorld, embedder, evil, grammar } from "./browser-world.ts"
import { access, grantOf, link } from "./world.ts"

type Browser = NonNullable<Awaited<ReturnType<typeof startBrowser>>["browser"]>
type BrowserContext = Awaited<ReturnType<Browser["newContext"]>>
type Page = Awaited<ReturnType<BrowserContext["newPage"]>>

const hostname = "8000.misha.ingress.test"
const origin = `https://${hostname}`
const over = new Set<string>()
const policies = [
  accessTokens(access),
  shareLinks(access, { isRevoked: (id) => over.has(id) }),
  embedding(),
  visibility({ grammar }),
]
let world: Awaited<ReturnType<typeof browserWorld>>
let started: Awaited<ReturnType<typeof startBrowser>>

beforeAll(async () => {
  world = await browserWorld(policies, { visibility: "private" })
  started = await startBrowser(world.browserArguments)
})
afterAll(async () => {
  await started.browser?.close()
  await world[Symbol.asyncDispose]()
})

const inBrowser = async (
  ctx: Parameters<typeof need>[0],
  run: (page: Page, context: BrowserContext) => Promise<void>,
  options: { readonly javaScriptEnabled?: boolean } = {},
): Promise<void> => {
  need(ctx, started.noBrowser)
  const context = await started.browser!.newContext(options)
  try {
    await run(await context.newPage(), context)
  } finally {
    await context.close()
  }
}

/** How often the app was asked for a path. */
const asked = (path: string): number => world.requests.filter(({ url }) => url === path).length

const text = (page: Page) => page.locator("body").innerText()

describe("a share link in a browser", () => {
  it("opens the app at its path, is gone from the address bar, and is said to nobody", (ctx) =>
    inBrowser(ctx, async (page, context) => {
      const made = await link({ hostname, path: "/docs?page=2#top" })
      const written: string[] = []
      const tap = (chunk: unknown): boolean => (written.push(String(chunk)), true)
      const taps = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write").mockImplementation(tap))
      const urls: string[] = []
      page.on("framenavigated", (frame) => urls.push(frame.url()))
      try {
        await page.goto(made.url)
        await page.waitForURL(`${origin}/docs?page=2#top`)
      } finally {
        for (const each of taps) each.mockRestore()
      }
      expect(await page.title()).toBe("app /docs?page=2")
      expect(urls).toEqual([made.url, `${origin}/_/link`, `${origin}/docs?page=2#top`])
      expect(await page.evaluate(() => document.referrer)).not.toContain("#")

      // Another page of the app, and one of others, by a link in a page: neither is sent the grant as a referrer.
      await page.evaluate(() => void (location.href = "/next"))
      await page.waitForURL(`${origin}/next`)
      await page.goBack()
      await page.waitForURL(`${origin}/docs?page=2#top`)

      const signature = grantOf(made).split(".")[2]!
      const heads = world.requests.map(({ url, rawHeaders }) => [url, rawHeaders])
      const told = JSON.stringify([heads, world.events, world.said, written])
      expect(told).toContain("/docs?page=2")
      expect(world.events.length).toBeGreaterThan(2)
      expect(told).not.toContain(signature)
      expect(told).not.toContain(grantOf(made).split(".")[1]!)
      expect(JSON.stringify(heads)).not.toContain("__Host-ingress-link")

      const [cookie] = await context.cookies(origin)
      expect(cookie).toMatchObject({
        name: "__Host-ingress-link",
        httpOnly: true,
        secure: true,
        sameSite: "Lax",
        path: "/",
      })
      const opened = await page.evaluate(
        () =>
          new Promise((resolve) => {
            const socket = new WebSocket(location.origin.replace("https", "wss"))
            socket.addEventListener("message", ({ data }) => resolve(data))
            socket.addEventListener("error", () => resolve("refused"))
          }),
      )
      expect(opened).toBe("hello")
    }))

  it("that was withdrawn says what to do, without a cookie, and can be tried again", (ctx) =>
    inBrowser(ctx, async (page, context) => {
      const made = await link({ hostname })
      over.add(made.id)
      await page.goto(made.url)
      await expect.poll(() => text(page)).toContain("was withdrawn")
      expect(page.url()).toBe(`${origin}/_/link`)
      expect(await context.cookies(origin)).toEqual([])
      over.delete(made.id)
      await page.click("button")
      await page.waitForURL(`${origin}/`)
      expect(await page.title()).toBe("app /")
    }))

  it("of which a part is missing says so", (ctx) =>
    inBrowser(ctx, async (page) => {
      await page.goto(`${origin}/_/link`)
      expect(await text(page)).toContain("This link is not complete.")
      expect(await page.locator("button").isHidden()).toBe(true)
    }))

  it("says without scripts what is missing", (ctx) =>
    inBrowser(
      ctx,
      async (page, context) => {
        const { url } = await link({ hostname })
        const response = await page.goto(url)
        expect(response!.status()).toBe(200)
        expect(await text(page)).toContain("This page needs JavaScript")
        expect(await context.cookies(origin)).toEqual([])
      },
      { javaScriptEnabled: false },
    ))

  it("breaks no rule of its own content security policy", (ctx) =>
    inBrowser(ctx, async (page) => {
      const problems: string[] = []
      page.on("console", (message) => problems.push(message.text()))
      page.on("pageerror", (error) => problems.push(error.message))
      await page.goto((await link({ hostname })).url)
      await page.waitForURL(`${origin}/`)
      expect(problems.filter((problem) => !problem.includes("favicon"))).toEqual([])
    }))
})

describe("a framed port", () => {
  const framing = (host: string, url: string) => `https://${host}/?frame=${encodeURIComponent(url)}`
  const frameOf = (page: Page) => page.frames()[1]!
  const title = async (page: Page) => {
    await page.waitForLoadState("load")
    return frameOf(page).title()
  }

  it("is framed by the origins of embed and by nobody else, with a link that is opened inside", (ctx) =>
    inBrowser(ctx, async (page, context) => {
      world.configure({ visibility: "private", embed: [`https://${embedder}`] })
      try {
        await page.goto(framing(embedder, (await link({ hostname, path: "/in" })).url))
        await expect.poll(() => title(page)).toBe("app /in")
        const cookies = await context.cookies(origin)
        expect(cookies).toMatchObject([{ name: "__Host-ingress-link", sameSite: "None", secure: true }])
        expect(cookies[0]).toHaveProperty("partitionKey", expect.stringContaining("embedder.test"))

        // The frame acts by its cookie; the page around it does not.
        const status = (where: { evaluate: Page["evaluate"] }, method: string) =>
          where.evaluate(
            async ([url, asked]) =>
              fetch(url!, { method: asked!, credentials: "include" }).then(
                (response) => response.status,
                () => "blocked",
              ),
            [`${origin}/api`, method],
          )
        expect(await status(frameOf(page), "POST")).toBe(200)
        const before = asked("/api")
        expect(await status(page, "GET")).toBe("blocked")
        expect(await status(page, "POST")).toBe("blocked")
        await page.evaluate(async (url) => {
          const image = new Image()
          await new Promise((over) => {
            image.addEventListener("error", over)
            image.src = url
          })
        }, `${origin}/image`)
        expect([asked("/api"), asked("/image")]).toEqual([before, 0])

        // Another site has another partition, and may not frame it in any case.
        const framed = asked("/in")
        await page.goto(framing(evil, `${origin}/in`))
        expect(await title(page)).not.toContain("app")
        expect(asked("/in")).toBe(framed)
        await page.goto(framing(evil, (await link({ hostname, path: "/in" })).url))
        expect(await title(page)).not.toContain("app")
      } finally {
        world.configure({ visibility: "private" })
      }
    }))

  it("that is public is framed by the origins of embed alone, too", (ctx) =>
    inBrowser(ctx, async (page) => {
      world.configure({ visibility: "public", embed: [`https://${embedder}`] })
      try {
        await page.goto(framing(embedder, `${origin}/in`))
        expect(await title(page)).toBe("app /in")
        await page.goto(framing(evil, `${origin}/in`))
        expect(await title(page)).not.toContain("app")
      } finally {
        world.configure({ visibility: "private" })
      }
    }))

  it("without embed gets no cookie of ours in frames of other sites", (ctx) =>
    inBrowser(ctx, async (page) => {
      await page.goto((await link({ hostname })).url)
      await page.waitForURL(`${origin}/`)
      const before = asked("/in")
      await page.goto(framing(embedder, `${origin}/in`))
      expect(await title(page)).not.toContain("app")
      expect(asked("/in")).toBe(before)
    }))
})
