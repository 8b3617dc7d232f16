/** What a browser lets two ports of one project share, and two projects, in each shape of hostnames: the tables of docs/sites.md. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { need, startProfile } from "../../examples/quickstart/test/browser.ts"
import { markdownTable, withTable } from "../../scripts/tables.ts"
import { everything, onlyInAll } from "../requirements.ts"
import { startChain } from "./chain.ts"
import type { ChainHost, ChainSetup } from "./chain.ts"
import { startSplitApp } from "./split-app.ts"
import type { SplitApp } from "./split-app.ts"

/** The file of the tables. */
const file = fileURLToPath(new URL("../../docs/sites.md", import.meta.url))

/** What a Chromium of ours allows: its setting "Block third-party cookies", on or off. */
const thirdPartyCookies = {
  blocked: { profile: { cookie_controls_mode: 1 } },
  allowed: { profile: { cookie_controls_mode: 0 } },
}

// Both are in the private section of the Public Suffix List that Chromium is built with. Nothing is asked of them: they lead here.
const suffixes = { Node: "github.io", Workers: "vercel.app" } as const

const shapes: Readonly<Record<string, ChainSetup>> = {
  flat: { shape: "flat" },
  "flat, Public Suffix": { shape: "flat", domains: suffixes },
  nested: { shape: "nested" },
  "nested, Public Suffix": { shape: "nested", domains: suffixes },
}

/** A front end, open in a browser, and where its API is. */
interface Site {
  readonly context: BrowserContext
  readonly page: Page
  readonly frontEnd: string
  readonly api: string
  /** The API under the name of another project. */
  readonly otherApi: string
  /** What all projects are below. */
  readonly domain: string
}

type Question = readonly [text: string, ask: (site: Site) => Promise<boolean>]

/** What a page reads when it asks for a URL with credentials; `undefined` where the browser lets it read nothing. */
const read = (page: Page, url: string, init: Init = {}): Promise<string | undefined> =>
  page.evaluate(
    ([target, options]) =>
      fetch(target, { credentials: "include", ...options }).then(
        (response) => response.text(),
        () => undefined,
      ),
    [url, init] as const,
  )

interface Init {
  readonly method?: string
  readonly mode?: "no-cors"
  readonly headers?: Record<string, string>
  readonly body?: string
}

/** Whether a cookie that the API sets is there at the page's next call. */
const keeps =
  (name: string) =>
  async ({ page, api }: Site): Promise<boolean> => {
    await read(page, `${api}/cookies/${name}`, { method: "POST" })
    return (await read(page, `${api}/cookies`))?.includes(`"${name}":"yes"`) === true
  }

/** What the API's socket says of its handshake's cookies, after it has said what the page said. */
const socket = ({ page, api }: Site): Promise<string> =>
  page.evaluate(
    (url) =>
      new Promise<string>((resolve) => {
        const opened = new WebSocket(url)
        opened.addEventListener("error", () => resolve(""))
        opened.addEventListener("open", () => opened.send("hello"))
        opened.addEventListener("message", ({ data }) => resolve(String(data)))
      }),
    api.replace("http", "ws"),
  )

/** The hostname without its first label: what two ports of a project have in common. */
const parentOf = (origin: string): string => new URL(origin).hostname.replace(/^[^.]+\./, "")

/** The API sets a cookie for what its hostname and others have in common; on localhost for the host, which is all there is. */
const setShared = async ({ page, api }: Site): Promise<void> => {
  const domain = new URL(api).hostname === "localhost" ? "" : `?domain=${parentOf(api)}`
  await read(page, `${api}/cookies/shared${domain}`, { method: "POST" })
}

const betweenPorts: readonly Question[] = [
  [
    "preflight: `PUT` with JSON and a header of its own",
    async ({ page, api }) => {
      const headers = { "content-type": "application/json", "x-requested-with": "front end" }
      return (await read(page, `${api}/items`, { method: "PUT", headers, body: "{}" })) === '{"updated":true}'
    },
  ],
  [
    "credentialed fetch: the response can be read",
    async ({ page, api }) => (await read(page, `${api}/cookies`)) !== undefined,
  ],
  ["WebSocket: opens, and messages pass", async (site) => (await socket(site)).startsWith("hello")],
  ["cookie set by the API, read on the next call: no `SameSite` (`Lax`)", keeps("lax")],
  ["the same with `SameSite=None; Secure`", keeps("none")],
  ["the same with `SameSite=None; Secure; Partitioned`", keeps("partitioned")],
  ["the API's `Lax` cookie in the WebSocket's handshake", async (site) => (await socket(site)).includes("lax=yes")],
  [
    "session begun on a page of the API's own (a sign-in), used by the front end's fetch",
    async ({ context, page, api }) => {
      const own = await context.newPage()
      await own.goto(`${api}/sign-in`)
      await own.close()
      return (await read(page, `${api}/cookies`))?.includes("signed-in") === true
    },
  ],
  [
    "cookie that the API sets with `Domain` for both (on localhost without), sent to the front end's server",
    async (site) => {
      await setShared(site)
      return (await read(site.page, "/cookies"))?.includes("shared=yes") === true
    },
  ],
]

/** Asked on a page of another project, after the first project's own page has set its cookies. */
const betweenProjects: readonly Question[] = [
  ["reads a response of the API", async ({ page, api }) => (await read(page, `${api}/cookies`)) !== undefined],
  ["opens a WebSocket of the API", async (site) => (await socket(site)) !== ""],
  [
    "has a `POST` to the API sent with the visitor's `Lax` session, by fetch",
    async ({ page, api, context }) => {
      const order = `${api}/orders/${crypto.randomUUID()}`
      await read(page, order, { method: "POST", mode: "no-cors" })
      const own = await context.newPage()
      await own.goto(order)
      const seen = await own.locator("body").innerText()
      await own.close()
      return seen.includes("lax")
    },
  ],
  [
    "is sent the cookie that the API set with `Domain` for both ports",
    async ({ page }) => (await read(page, "/cookies"))?.includes("shared=yes") === true,
  ],
  [
    "sets a cookie that the project is sent, by `Set-Cookie` of its app",
    async (site) => {
      const theirs = await site.context.newPage()
      await theirs.goto(`${site.otherApi}/sign-in`)
      await read(theirs, `/cookies/by-header?domain=${site.domain}`, { method: "POST" })
      await theirs.close()
      return isSent(site, "by-header=yes")
    },
  ],
  [
    "the same, by a script of its page (`document.cookie`)",
    async (site) => {
      await site.page.evaluate((to) => void (document.cookie = `by-script=yes; domain=${to}`), site.domain)
      return isSent(site, "by-script=yes")
    },
  ],
  [
    "the same with a `__Host-` name",
    async (site) => {
      await site.page.evaluate(
        (to) => void (document.cookie = `__Host-a=yes; secure; path=/; domain=${to}`),
        site.domain,
      )
      return isSent(site, "__Host-a=yes")
    },
  ],
  // Last, because nothing is left after it.
  [
    "makes the browser forget the visitor's session with the API, by hundreds of cookies of its own",
    async ({ context, page, api }) => {
      await page.evaluate(() => {
        for (let i = 0; i < 400; i++) document.cookie = `many${i}=yes; secure`
      })
      const own = await context.newPage()
      await own.goto(`${api}/cookies`)
      const seen = await own.locator("body").innerText()
      await own.close()
      return !seen.includes("signed-in")
    },
  ],
]

/** Whether the project's own page has a cookie sent to its server. */
const isSent = async ({ context, frontEnd }: Site, cookie: string): Promise<boolean> => {
  const own = await context.newPage()
  await own.goto(frontEnd)
  const seen = await read(own, "/cookies")
  await own.close()
  return seen?.includes(cookie) === true
}

let app: SplitApp

/** The answers behind one host of the router, in the order of the questions. */
interface Answers {
  readonly ports: readonly boolean[]
  readonly projects: readonly boolean[]
}

const askAll = async (
  context: BrowserContext,
  { origin: origins, domain }: Pick<ChainHost, "origin" | "domain">,
): Promise<Answers> => {
  const page = await context.newPage()
  const [frontEnd, api, otherApi] = [origins(app.frontEnd), origins(app.api), origins(app.api, "banana")]
  const ask = async (questions: readonly Question[]): Promise<boolean[]> => {
    const answers: boolean[] = []
    for (const [, question] of questions)
      answers.push(await question({ context, page, frontEnd, api, otherApi, domain }))
    return answers
  }
  await page.goto(frontEnd)
  const ports = await ask(betweenPorts)
  // A machine's app that anybody may have, under the name of another project.
  await page.goto(origins(app.frontEnd, "banana"))
  const projects = await ask(betweenProjects)
  await page.close()
  return { ports, projects }
}

/** What both hosts of the router say to one browser. */
const askHosts = async (
  ctx: TestContext,
  setup: ChainSetup,
  preferences: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<ChainHost["name"], Answers>>> => {
  await using chain = await startChain({ ...setup, projects: ["misha", "banana"] })
  const { context, close, noBrowser } = await startProfile(preferences, chain.browserArguments)
  need(ctx, noBrowser)
  try {
    const [node, workers] = chain.hosts
    return { Node: await askAll(context!, node), Workers: await askAll(context!, workers) }
  } finally {
    await close!()
  }
}

/** The columns of the tables, by their shape. */
const columns = new Map<string, Answers>()

describe.skipIf(!everything)(`what a browser without third-party cookies lets two ports share${onlyInAll}`, () => {
  beforeAll(async () => {
    app = await startSplitApp()
  })
  afterAll(() => app[Symbol.asyncDispose]())

  it("is everything on localhost, without a proxy", async (ctx) => {
    const { context, close, noBrowser } = await startProfile(thirdPartyCookies.blocked)
    need(ctx, noBrowser)
    const answers = await askAll(context!, { origin: (port) => `http://localhost:${port}`, domain: "localhost" })
    await close!()
    columns.set("localhost", answers)
    expect(answers.ports).toEqual(betweenPorts.map(() => true))
  })

  it.for(Object.entries(shapes))("is the same behind both hosts of the router: %s", async ([name, setup], ctx) => {
    const { Node, Workers } = await askHosts(ctx, setup, thirdPartyCookies.blocked)
    columns.set(name, Node)
    expect(Workers).toEqual(Node)
  })

  it("is everything in the nested shape, as on localhost, and nothing between projects", () => {
    expect(columns.get("nested, Public Suffix")).toEqual({
      ports: betweenPorts.map(() => true),
      projects: betweenProjects.map(() => false),
    })
  })

  it("is less than in one that does not: the setting has its effect", async (ctx) => {
    const { Node } = await askHosts(ctx, shapes["flat, Public Suffix"]!, thirdPartyCookies.allowed)
    const at = betweenPorts.findIndex(([text]) => text.includes("`SameSite=None; Secure`"))
    expect([columns.get("flat, Public Suffix")?.ports[at], Node.ports[at]]).toEqual([false, true])
  })

  it("is what docs/sites.md says (a wanted change: pnpm test:all test/apps/sites.test.ts -u)", async () => {
    const names = Object.keys(shapes)
    const page = readFileSync(file, "utf8")
    const ports = answersOf(["localhost", ...names], betweenPorts, "ports")
    const projects = answersOf(names, betweenProjects, "projects")
    const first = withTable(
      page,
      "ports",
      markdownTable(["between two ports of one project", "localhost", ...names], ports),
    )
    const made = withTable(first, "projects", markdownTable(["a page of another project", ...names], projects))
    await expect(made).toMatchFileSnapshot(file)
  })
})

/** The rows of a table: what was asked, and the answers in each column. */
const answersOf = (
  names: readonly string[],
  questions: readonly Question[],
  which: keyof Answers,
): readonly (readonly string[])[] =>
  questions.map(([text], at) => [
    text,
    ...names.map((name) => {
      const answers = columns.get(name)
      if (answers === undefined) throw new Error(`no answers: ${name}`)
      return answers[which][at] === true ? "yes" : "no"
    }),
  ])
