import { existsSync } from "node:fs"
import { createHash } from "node:crypto"
import { chromium } from "playwright-core"
import type { Browser, Page } from "playwright-core"
import { expect } from "vitest"
import type { TestContext } from "vitest"

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium"

/** Skips the test if this computer lacks what it needs: `problem` says what and why. */
export const need = (ctx: TestContext, problem: string | undefined): void => {
  if (problem !== undefined) ctx.skip(problem)
}

/** A running browser, or why there is none: no file, or one that does not start. Never rejects; waits for 60 s at most. */
export const startBrowser = async (): Promise<
  | { readonly browser: Browser; readonly noBrowser?: undefined }
  | { readonly browser?: undefined; readonly noBrowser: string }
> => {
  if (!existsSync(executablePath)) return { noBrowser: `no browser at ${executablePath}` }
  try {
    return { browser: await launch() }
  } catch (error) {
    const [reason] = (error as Error).message.split("\n")
    return { noBrowser: `the browser at ${executablePath} does not start: ${reason}` }
  }
}

const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath,
    timeout: 60_000,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  })

/** An ingress in front of machines `mach_a` and `mach_b`, whatever it runs on. */
export interface Ingress {
  /** The page of project misha, which is attached to `mach_a`. */
  readonly page: string
  readonly attach: (machine: string) => Promise<void>
  readonly detach: () => Promise<void>
}

const text = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText()

/**
 * What a person sees of an ingress: the same checks for every host, every provider. Gives the machines that answered, in
 * order; ends as it began.
 */
export const visit = async (browser: Browser, ingress: Ingress): Promise<readonly string[]> => {
  const seen: string[] = []
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    const errors: string[] = []
    page.on("pageerror", (error) => errors.push(error.message))
    const first = await page.goto(ingress.page)
    expect(first?.status()).toBe(200)
    seen.push(await text(page, "#machine"))

    await expect.poll(() => text(page, "#ws"), { timeout: 60_000 }).toBe("open")
    await page.fill("#say", "hello through two proxies ✓")
    await page.click("#send")
    await expect.poll(() => text(page, "#ws"), { timeout: 60_000 }).toBe("echo: hello through two proxies ✓")

    const ticks = Number(await text(page, "#sse"))
    await expect.poll(async () => Number(await text(page, "#sse")), { timeout: 60_000 }).toBeGreaterThan(ticks + 1)

    const sent = new Uint8Array(10_000_000)
    for (let i = 0; i < sent.length; i++) sent[i] = i * 31 + (i >> 8)
    const sha256 = createHash("sha256").update(sent).digest("hex")
    await page.click("#post")
    await expect.poll(() => text(page, "#upload"), { timeout: 60_000 }).toBe(`10000000 bytes, sha256 ${sha256}`)

    await ingress.attach("mach_b")
    await page.reload()
    seen.push(await text(page, "#machine"))

    await ingress.detach()
    const gone = await page.reload()
    expect(gone?.status()).toBe(404)
    expect(gone?.headers()["content-type"]).toContain("text/html")
    expect(gone?.headers()["x-iterate-proxy-error"]).toBe("ROUTE_NOT_FOUND")
    expect(await text(page, "h1")).toBe(`There is no project at ${new URL(ingress.page).hostname}.`)
    expect(errors).toEqual([])

    await ingress.attach("mach_a")
    await page.reload()
    seen.push(await text(page, "#machine"))
    return seen
  } finally {
    await context.close()
  }
}
