/** Waking on both hosts, in front of a vendor over HTTP; and in a real browser, with scripts and without. */
import { once } from "node:events"
import { request } from "node:http"
import type { IncomingMessage } from "node:http"
import { text } from "node:stream/consumers"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { WebSocket } from "ws"
import { need, startBrowser } from "../../../../examples/quickstart/test/browser.ts"
import { wakingHosts } from "./hosts.ts"
import type { WakingHost } from "./hosts.ts"
import { navigation } from "./sleeper.ts"
import { startVendor } from "./vendor.ts"
import type { Vendor } from "./vendor.ts"

describe.each(["Node", "workerd"] as const)("on %s", (name) => {
  let vendor: Vendor
  let host: WakingHost

  beforeAll(async () => {
    vendor = await startVendor()
    host = await wakingHosts[name](vendor.origin)
  }, 60_000)
  afterAll(async () => {
    await host.close()
    await vendor.close()
  })

  const ask = async (project: string, headers: Record<string, string> = navigation, method = "GET") => {
    const began = performance.now()
    const sent = request({
      host: "127.0.0.1",
      port: host.port,
      method,
      headers: { ...headers, host: `${project}.localhost` },
    })
    sent.end()
    const [response] = (await once(sent, "response")) as [IncomingMessage]
    const body = await text(response)
    const tookMs = performance.now() - began
    return { status: response.statusCode, code: response.headers["x-iterate-proxy-error"], body, tookMs, response }
  }
  const startsOf = (project: string) => vendor.starts.filter((each) => each === project).length

  it("a navigation gets the page, the start goes on without it, and the next one gets the app", async () => {
    const first = await ask("slow-1")
    expect([first.status, first.code]).toEqual([503, "MACHINE_STARTING"])
    expect(first.tookMs).toBeLessThan(2_000)
    await vi.waitFor(async () => expect((await ask("slow-1", navigation, "HEAD")).status).toBe(200), {
      timeout: 20_000,
      interval: 300,
    })
    const last = await ask("slow-1")
    expect([last.status, last.body]).toEqual([200, expect.stringContaining("the app")])
    expect([startsOf("slow-1"), vendor.abandoned]).toEqual([1, []])
  })

  it("a hundred navigations start it once", async () => {
    const responses = await Promise.all(Array.from({ length: 100 }, () => ask("slow-many")))
    expect(new Set(responses.map(({ code }) => code))).toEqual(new Set(["MACHINE_STARTING"]))
    expect(startsOf("slow-many")).toBe(1)
  })

  it.each(["hung-1", "mute-1"])(
    "a navigation gets the page within 2 s though the vendor of %s is silent",
    async (project) => {
      const { code, tookMs, body } = await ask(project)
      expect(code).toBe("MACHINE_STARTING")
      expect(tookMs).toBeLessThan(2_000)
      expect(body).toContain("<progress")
    },
  )

  it("a fetch is 503 with Retry-After after a short hold, and a crawler at once, waking nothing", async () => {
    const fetched = await ask("hung-2", { "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" })
    expect([fetched.status, fetched.code, fetched.response.headers["retry-after"]]).toEqual([
      503,
      "MACHINE_STARTING",
      "2",
    ])
    expect(JSON.parse(fetched.body)).toMatchObject({ error: "MACHINE_STARTING", retryable: true })
    const crawled = await ask("slow-crawled", { accept: "text/html" })
    expect([crawled.status, crawled.code]).toEqual([503, "MACHINE_NOT_RUNNING"])
    expect(startsOf("slow-crawled")).toBe(0)
  })

  const connect = (project: string) =>
    new WebSocket(`ws://127.0.0.1:${host.port}/`, { headers: { host: `${project}.localhost` } })

  it("a WebSocket handshake wakes and waits for its machine", async () => {
    const socket = connect("quick-1")
    await once(socket, "open")
    socket.send("hello")
    const [data] = (await once(socket, "message")) as [Buffer]
    expect(String(data)).toBe("hello")
    socket.terminate()
    expect(startsOf("quick-1")).toBe(1)
  })

  it("a WebSocket handshake is refused with Retry-After when its time is over", async () => {
    const socket = connect("hung-3")
    socket.on("error", () => {})
    const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage]
    expect([response.statusCode, response.headers["retry-after"]]).toEqual([503, "2"])
  })

  describe("in a browser", { timeout: 60_000 }, () => {
    const phone = { viewport: { width: 360, height: 640 } }
    it.for([true, false])(
      "the page reloads by itself into the app, with scripts: %s",
      async (javaScriptEnabled, ctx) => {
        const { browser, noBrowser } = await startBrowser()
        need(ctx, noBrowser)
        try {
          const context = await browser!.newContext({ ...phone, javaScriptEnabled, colorScheme: "dark" })
          const page = await context.newPage()
          const errors: string[] = []
          page.on("console", (message) => {
            if (message.type() === "error" && !message.text().includes("503")) errors.push(message.text())
          })
          const project = `slow-${name.toLowerCase()}-${javaScriptEnabled}`
          const began = performance.now()
          const response = await page.goto(`http://${project}.localhost:${host.port}/path?once=1`)
          expect(performance.now() - began).toBeLessThan(5_000)
          expect(response!.status()).toBe(503)
          expect(await page.title()).toBe(`The machine of project ${project} is starting.`)
          const bar = page.getByRole("progressbar")
          expect(await bar.isVisible()).toBe(true)
          // Nothing is wider than a phone, and dark means dark.
          const shown = await page.evaluate(`JSON.stringify({
          wide: document.documentElement.scrollWidth > innerWidth,
          background: getComputedStyle(document.body).backgroundColor,
        })`)
          expect(JSON.parse(shown as string)).toEqual({ wide: false, background: "rgb(18, 18, 18)" })
          await page.getByRole("heading", { name: "the app" }).waitFor({ timeout: 30_000 })
          expect(page.url()).toBe(`http://${project}.localhost:${host.port}/path?once=1`)
          // What the page's policy had to stop would be an error here.
          expect(errors).toEqual([])
          expect(startsOf(project)).toBe(1)
        } finally {
          await browser?.close()
        }
      },
    )
  })
})
