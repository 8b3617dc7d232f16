/** Two tenants and the platform in one browser, where all hostnames are one site: nobody sees or sets a cookie of another. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import type { BrowserContext } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { need, startBrowser } from "../../examples/quickstart/test/browser.ts"
import { hostNames, platformCookie, startChain } from "./chain.ts"
import type { Chain, ChainHost } from "./chain.ts"

/** An app whose response says which cookies came, and that sets what its query says: what a tenant with root can do. */
const app = createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/html", ...asked(request) })
  response.end(`<title>${request.headers.cookie ?? "none"}</title>`)
})
const sockets = new WebSocketServer({ server: app })
sockets.on("headers", (lines, request) => {
  lines.push(...(asked(request)["set-cookie"] ?? []).map((cookie) => `Set-Cookie: ${cookie}`))
})
sockets.on("connection", (socket) => socket.send("open"))

const asked = ({ url }: IncomingMessage): { readonly "set-cookie"?: string[]; readonly "clear-site-data"?: string } => {
  const { searchParams } = new URL(url!, "http://app")
  const clears = searchParams.get("clears")
  return { "set-cookie": searchParams.getAll("set"), ...(clears === null ? {} : { "clear-site-data": clears }) }
}

let port: number

beforeAll(async () => {
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  port = (app.address() as AddressInfo).port
})
afterAll(() => {
  for (const socket of sockets.clients) socket.terminate()
  app.closeAllConnections()
  app.close()
})

/** Every way that this test knows to set a cookie for more than one's own project. */
const hostile = (domain: string): readonly string[] => [
  `plain=evil; Domain=${domain}`,
  `dot=evil; domain=.${domain}`,
  `upper=evil; DOMAIN = ${domain.toUpperCase()} ; Secure`,
  `twice=evil; Domain=misha.${domain}; Domain=${domain}`,
  `none=evil; Secure; SameSite=None; Path=/; Domain=${domain}`,
  `escaped=evil; Domain=${domain.replace(".", "%2E")}`,
  `tab=evil;\tDomain\t=\t${domain}\t`,
  `other=evil; Domain=banana.${domain}`,
  `${platformCookie}=evil; Domain=${domain}`,
  `${platformCookie}=evil`,
  `=${platformCookie}=evil`,
]

/** The cookies that the browser would send to a URL, as `name=value`. */
const jar = async (context: BrowserContext, url: string): Promise<readonly string[]> =>
  (await context.cookies(url)).map(({ name, value }) => `${name}=${value}`).toSorted()

/** A visitor who is signed in to the platform by a cookie for all of its names, and has a session with each tenant's app. */
const visitor = async (context: BrowserContext, { origin, domain }: ChainHost) => {
  await context.addCookies([{ name: platformCookie, value: "real", domain: `.${domain}`, path: "/", secure: true }])
  const page = await context.newPage()
  /** Loads a page of a tenant and gives the cookies that its app got. */
  const visit = async (project: string, query: string[][] = []) => {
    await page.goto(`${origin(port, project)}/?${new URLSearchParams(query).toString()}`)
    return page.title()
  }
  await visit("banana", [["set", "session=banana"]])
  await visit("misha", [["set", "session=misha"]])
  return { page, visit }
}

describe.each(["flat", "nested"] as const)("two tenants and the platform, in the shape %s", (shape) => {
  let chain: Chain

  beforeAll(async () => {
    chain = await startChain({ shape, projects: ["misha", "banana"] })
  })
  afterAll(() => chain[Symbol.asyncDispose]())

  it.for(hostNames)("see and set nothing of each other: router on %s", async (name, ctx) => {
    const host = chain.hosts.find((each) => each.name === name)!
    const { origin, domain } = host
    const { browser, noBrowser } = await startBrowser(chain.browserArguments)
    need(ctx, noBrowser)
    try {
      const context = await browser!.newContext()
      const { page, visit } = await visitor(context, host)
      const others = [`https://www.${domain}/`, `https://${domain}/`]
      const real = `${platformCookie}=real`
      const isUntouched = async () => {
        expect(await jar(context, origin(port, "banana"))).toEqual([real, "session=banana"])
        for (const url of others) expect(await jar(context, url)).toEqual([real])
      }
      await isUntouched()

      const set = hostile(domain).map((cookie) => ["set", cookie])
      await visit("misha", set)
      await isUntouched()

      // The same in the head of a 101.
      const socket = `${origin(port, "misha").replace("https", "wss")}/?${new URLSearchParams(set).toString()}`
      const opened = await page.evaluate(
        (url) =>
          new Promise((resolve) => {
            const own = new WebSocket(url)
            own.addEventListener("message", ({ data }) => resolve(data))
            own.addEventListener("error", () => resolve("refused"))
          }),
        socket,
      )
      expect(opened).toBe("open")
      await isUntouched()

      // What an app sets with such a `Domain` is its own cookie, and it gets none of the platform's, not even under another name.
      const seen = await visit("misha")
      expect(seen).toContain("session=misha")
      expect(seen).toContain("plain=evil")
      expect(seen).not.toContain(platformCookie)
      expect(await visit("banana")).toBe("session=banana")

      await visit("misha", [["clears", '"cookies"']])
      await isUntouched()
    } finally {
      await browser!.close()
    }
  })

  it.for(hostNames)(
    "share a cookie among the ports of a project as far as the shape allows: router on %s",
    async (name, ctx) => {
      const { origin, domain } = chain.hosts.find((each) => each.name === name)!
      const { browser, noBrowser } = await startBrowser(chain.browserArguments)
      need(ctx, noBrowser)
      try {
        const context = await browser!.newContext()
        const page = await context.newPage()
        const set = new URLSearchParams({ set: `shared=1; Domain=misha.${domain}` }).toString()
        await page.goto(`${origin(port, "misha")}/?${set}`)
        const isShared = shape === "nested"
        expect(await jar(context, origin(8000, "misha"))).toEqual(isShared ? ["shared=1"] : [])
        expect(await jar(context, origin(port, "banana"))).toEqual([])
      } finally {
        await browser!.close()
      }
    },
  )
})
