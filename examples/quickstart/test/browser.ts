import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chromium } from "playwright-core"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { expect } from "vitest"
import type { TestContext } from "vitest"

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium"

/** Skips the test if this computer lacks what it needs: `problem` says what and why. */
export const need = (ctx: TestContext, problem: string | undefined): void => {
  if (problem !== undefined) ctx.skip(problem)
}

/** What was started, or why it was not: no file, or one that does not start. */
type OrNoBrowser<A> =
  | (A & { readonly noBrowser?: undefined })
  | ({ readonly [Name in keyof A]?: undefined } & { readonly noBrowser: string })

/**
 * A running browser, or why there is none. Never rejects; waits for 60 s at most. It gets the arguments beside its own.
 */
export const startBrowser = (args: readonly string[] = []): Promise<OrNoBrowser<{ readonly browser: Browser }>> =>
  started(async () => ({ browser: await chromium.launch(launchOptions(args)) }))

/** A browser with a new profile of the given preferences, as Chromium's own file has them. Otherwise as {@link startBrowser}. */
export const startProfile = (
  preferences: Readonly<Record<string, unknown>>,
  args: readonly string[] = [],
): Promise<OrNoBrowser<{ readonly context: BrowserContext; readonly close: () => Promise<void> }>> =>
  started(async () => {
    const folder = await mkdtemp(join(tmpdir(), "project-ingress-profile-"))
    // Chromium's processes end a moment after it has, and write until then.
    const forget = () => rm(folder, { recursive: true, force: true, maxRetries: 20 })
    try {
      await mkdir(join(folder, "Default"))
      await writeFile(join(folder, "Default/Preferences"), JSON.stringify(preferences))
      const context = await chromium.launchPersistentContext(folder, launchOptions(args))
      return { context, close: () => context.close().then(forget) }
    } catch (error) {
      await forget()
      throw error
    }
  })

const started = async <A>(start: () => Promise<A>): Promise<OrNoBrowser<A>> => {
  if (!existsSync(executablePath)) return { noBrowser: `no browser at ${executablePath}` }
  try {
    return (await start()) as OrNoBrowser<A>
  } catch (error) {
    const [reason] = (error as Error).message.split("\n")
    return { noBrowser: `the browser at ${executablePath} does not start: ${reason}` }
  }
}

const launchOptions = (args: readonly string[]) => ({
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
    ...args,
  ],
})

/** An ingress in front of machines `mach_a` and `mach_b`, whatever it runs on. */
export interface Ingress {
  /** The page of project misha, which is attached to `mach_a`. */
  readonly page: string
  readonly attach: (machine: string) => Promise<void>
  readonly detach: () => Promise<void>
  /** What a visitor gets once it is detached. */
  readonly detached: { readonly status: number; readonly code: string }
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

    // From here on nobody reloads the page: it follows.
    await ingress.attach("mach_b")
    await expect.poll(() => text(page, "#machine"), { timeout: 60_000 }).toBe("mach_b")
    seen.push(await text(page, "#machine"))
    await expect.poll(() => text(page, "#ws"), { timeout: 60_000 }).toBe("open")

    await ingress.detach()
    await expect.poll(() => text(page, "#state"), { timeout: 60_000 }).toContain("No machine answers")
    const second = await context.newPage()
    const gone = await second.goto(ingress.page)
    expect(gone?.status()).toBe(ingress.detached.status)
    expect(gone?.headers()["content-type"]).toContain("text/html")
    expect(gone?.headers()["x-iterate-proxy-error"]).toBe(ingress.detached.code)

    await ingress.attach("mach_a")
    await expect.poll(() => text(page, "#machine"), { timeout: 60_000 }).toBe("mach_a")
    seen.push(await text(page, "#machine"))
    expect(errors).toEqual([])
    return seen
  } finally {
    await context.close()
  }
}
