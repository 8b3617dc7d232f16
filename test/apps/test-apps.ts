import { spawnSync } from "node:child_process"
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { need, startBrowser } from "../../examples/quickstart/test/browser.ts"
import { hostNames, startChain } from "./chain.ts"
import type { Chain, ChainHost } from "./chain.ts"
import type { RunningProcess } from "./process.ts"
import type { Check, RealApp, Visit, VisitedPage } from "./real-app.ts"
import { systemProgram } from "./system.ts"

/** In ms: for what compilers, browsers and kernels do one after the other, on a machine that has much else to do. */
const LIMIT = 600_000

interface Started {
  readonly folder: string
  readonly process: RunningProcess
}

/**
 * Registers the checks of real apps. They share one chain and one browser; each app runs in a copy of its fixture. The copies
 * are below this folder, where an app finds the installed packages as it would in its project, and vanish at the end.
 */
export const testApps = (apps: readonly RealApp[]): void => {
  const undo = new AsyncDisposableStack()
  const started = new Map<RealApp, Started>()
  const failures = new Map<RealApp, Error>()
  let chain: Chain
  let browser: Browser | undefined
  let noBrowser: string | undefined

  beforeAll(async () => {
    const home = await mkdtemp(join(import.meta.dirname, ".running-"))
    undo.defer(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))
    const start = async (app: RealApp, at: number): Promise<void> => {
      if (app.missing?.() !== undefined) return
      try {
        const folder = join(home, String(at))
        await mkdir(folder)
        if (app.fixture !== undefined) {
          await cp(join(import.meta.dirname, "fixtures", app.fixture), folder, { recursive: true })
        }
        const process = await app.start(folder)
        undo.defer(process.stop)
        started.set(app, { folder, process })
      } catch (error) {
        failures.set(app, error as Error)
      }
    }
    await Promise.all(apps.map(start))
    const ports = Object.fromEntries([...started].map(([app, { process }]) => [process.port, app.settings]))
    chain = undo.use(await startChain({ settings: { ports } }))
    ;({ browser, noBrowser } = await startBrowser(chain.browserArguments))
    undo.defer(() => browser?.close())
  }, LIMIT)

  afterAll(() => undo.disposeAsync(), LIMIT)

  /** Visits a started app through one host; skips the test where the app cannot be started. */
  const visit = (ctx: TestContext, app: RealApp, name: ChainHost["name"], pages: Pages): Visit => {
    need(ctx, app.missing?.())
    const failure = failures.get(app)
    if (failure !== undefined) throw failure
    const { folder, process } = started.get(app)!
    const host = chain.hosts.find((each) => each.name === name)!
    ctx.onTestFailed(() =>
      console.log([`${app.name} wrote:`, process.output().slice(-4_000), ...pages.lines].join("\n")),
    )
    const { certificate } = chain
    const newPage = () => pages.open(() => (need(ctx, noBrowser), browser!))
    return { app: process, folder, host, origin: host.origin(process.port), certificate, newPage }
  }

  const assertCheck = async (ctx: TestContext, app: RealApp, name: ChainHost["name"], check: Check): Promise<void> => {
    await using pages = new Pages()
    await check.run(visit(ctx, app, name, pages))
  }

  const fromSystem = apps.filter(({ versionCommand }) => versionCommand !== undefined)
  it.for(fromSystem)("$name has the version that is documented", ({ version, versionCommand, missing }, ctx) => {
    need(ctx, missing?.())
    const [program, ...args] = versionCommand!
    const { stdout, stderr } = spawnSync(systemProgram(program) ?? program, args, { encoding: "utf8" })
    expect(`${stdout}${stderr}`).toContain(version)
  })

  describe.each(apps)("$name", (app) => {
    describe.each(hostNames)("behind the router on %s", (name) => {
      it.for(app.checks)("$claim", { timeout: LIMIT }, (check, ctx) => assertCheck(ctx, app, name, check))
    })
  })

  const probed = apps.flatMap((app) => app.probes.map((probe) => ({ app, name: app.name, ...probe })))
  describe.each(hostNames)("by default, behind the router on %s", (name) => {
    it.for(probed)("$name: $request gets $byDefault", { timeout: LIMIT }, async ({ app, send, byDefault }, ctx) => {
      expect(await send(visit(ctx, app, name, new Pages()))).toBe(byDefault)
    })
  })
  describe.each(hostNames)("with the public name, behind the router on %s", (name) => {
    beforeAll(() => chain.configure({ appOrigin: "public" }))

    it.for(probed)(
      "$name: $request gets $withPublicName",
      { timeout: LIMIT },
      async ({ app, send, withPublicName }, ctx) => {
        expect(await send(visit(ctx, app, name, new Pages()))).toBe(withPublicName)
      },
    )
  })
}

/** The pages of one test, each in a context of its own, and what they wrote to their consoles. */
class Pages implements AsyncDisposable {
  readonly #undo = new AsyncDisposableStack()
  readonly lines: string[] = []

  async open(browser: () => Browser): Promise<VisitedPage> {
    const { lines } = this
    const context = await browser().newContext()
    this.#undo.defer(() => context.close())
    context.setDefaultTimeout(LIMIT / 5)
    const page = await context.newPage()
    page.on("console", (message) => lines.push(message.text()))
    page.on("pageerror", (error) => lines.push(String(error)))
    page.on("requestfailed", (request) => lines.push(`${request.url()}: ${request.failure()?.errorText}`))
    return { page, console: lines }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#undo.disposeAsync()
  }
}
