/** What each credential opens, by each kind of request that a browser sends: the table of docs/tokens-and-links.md, over TLS and sockets. */
import { readFileSync } from "node:fs"
import { request as httpsRequest } from "node:https"
import type { IncomingHttpHeaders } from "node:http"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { markdownTable, withTable } from "../../../../scripts/tables.ts"
import { accessTokens, embedding, shareLinks, signIn, signInHandler } from "../../src/access.ts"
import { authorize, visibility } from "../../src/policies.ts"
import { browserWorld, embedder, evil, grammar } from "./browser-world.ts"
import { access, grantOf, link, token } from "./world.ts"

const file = fileURLToPath(new URL("../../../../docs/tokens-and-links.md", import.meta.url))
const overview = fileURLToPath(new URL("../../../../docs/access.md", import.meta.url))
const hostname = "8000.misha.ingress.test"
const own = `https://${hostname}`
const sibling = "https://3000.misha.ingress.test"

/** A kind of request: where it comes from, and its fields. */
interface Kind {
  readonly name: string
  readonly method?: string
  readonly headers: Readonly<Record<string, string>>
  /** `same`: of the same site. `top`: of another one, to a tab. `partition`: from a site that frames the port, where the link was opened. */
  readonly from: "same" | "top" | "other" | "partition"
  readonly upgrade?: boolean
  /** Whether the port has `embed`. */
  readonly embed?: boolean
}

const fetched = (site: string, origin: string) => ({
  "sec-fetch-mode": "cors",
  "sec-fetch-dest": "empty",
  "sec-fetch-site": site,
  origin,
})
const navigated = (site: string, destination: string) => ({
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": destination,
  "sec-fetch-site": site,
  accept: "text/html",
})
const preflight = (origin: string, site: string) => ({
  ...fetched(site, origin),
  "access-control-request-method": "POST",
  "access-control-request-headers": "x-ingress-token",
})

const kinds: readonly Kind[] = [
  { name: "page: typed, or followed from another site", from: "top", headers: navigated("cross-site", "document") },
  {
    name: "`fetch` (`POST`) of the port's own page",
    method: "POST",
    from: "same",
    headers: fetched("same-origin", own),
  },
  { name: "… of another port of the project", method: "POST", from: "same", headers: fetched("same-site", sibling) },
  {
    name: "… of a page of another site",
    method: "POST",
    from: "other",
    headers: fetched("cross-site", `https://${evil}`),
  },
  { name: "WebSocket of the port's own page", upgrade: true, from: "same", headers: { origin: own } },
  { name: "… of another port of the project", upgrade: true, from: "same", headers: { origin: sibling } },
  { name: "… of a page of another site", upgrade: true, from: "other", headers: { origin: `https://${evil}` } },
  {
    name: "preflight of another port of the project",
    method: "OPTIONS",
    from: "same",
    headers: preflight(sibling, "same-site"),
  },
  {
    name: "… of a page of another site",
    method: "OPTIONS",
    from: "other",
    headers: preflight(`https://${evil}`, "cross-site"),
  },
  { name: "iframe in a page of the project", from: "same", headers: navigated("same-site", "iframe") },
  { name: "… in a page of another site", from: "other", headers: navigated("cross-site", "iframe") },
  { name: "iframe in a page of `embed`", embed: true, from: "partition", headers: navigated("cross-site", "iframe") },
  {
    name: "… `fetch` (`POST`) in that frame",
    embed: true,
    method: "POST",
    from: "partition",
    headers: fetched("same-origin", own),
  },
  { name: "… WebSocket in that frame", embed: true, upgrade: true, from: "partition", headers: { origin: own } },
  {
    name: "… `fetch` (`POST`) of the page around it",
    embed: true,
    method: "POST",
    from: "partition",
    headers: fetched("cross-site", `https://${embedder}`),
  },
  {
    name: "… image in the page around it",
    embed: true,
    from: "partition",
    headers: { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", "sec-fetch-site": "cross-site" },
  },
  {
    name: "iframe in a page that `embed` does not name",
    embed: true,
    from: "other",
    headers: navigated("cross-site", "iframe"),
  },
]

/** The rows of docs/access.md, and what they are called there. */
const inShort: Readonly<Record<string, string>> = {
  "page: typed, or followed from another site": "page",
  "`fetch` (`POST`) of the port's own page": "`fetch`",
  "… of another port of the project": "`fetch` by a page of another port of the project",
  "… of a page of another site": "`fetch` by a page of another site",
  "WebSocket of the port's own page": "WebSocket",
  "preflight of another port of the project": "preflight for another port of the project",
  "iframe in a page of the project": "frame in a page of the project",
  "iframe in a page of `embed`": "frame in a page that `embed` names",
}

const credentials = ["session", "token", "link", "none"] as const
type Credential = (typeof credentials)[number]

const people = signIn(access, { grammar, controlPlane: "https://platform.test" })
const policies = [
  accessTokens(access),
  people.policy,
  shareLinks(access),
  embedding(),
  visibility({ grammar, signIn: people }),
  authorize(({ subject }) => subject === "user_ann"),
]
const settings = { visibility: "private" } as const
let world: Awaited<ReturnType<typeof browserWorld>>

beforeAll(async () => {
  world = await browserWorld(policies, settings)
})
afterAll(() => world[Symbol.asyncDispose]())

interface Asked {
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly upgrade?: boolean
}

const ask = ({ path = "/", method = "GET", headers = {}, upgrade = false }: Asked) =>
  new Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders }>((resolve, reject) => {
    const handshake = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    const request = httpsRequest({
      host: "127.0.0.1",
      port: world.port,
      servername: hostname,
      ca: world.cert,
      agent: false,
      path,
      method,
      headers: { host: hostname, ...headers, ...(upgrade ? handshake : {}) },
    })
    request.on("response", (response) => {
      response.resume()
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers }))
    })
    request.on("upgrade", (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode!, headers: response.headers })
    })
    request.on("error", reject)
    request.end()
  })

const cookieIn = ({ headers }: { readonly headers: IncomingHttpHeaders }): string =>
  (headers["set-cookie"] ?? []).map((line) => line.split(";")[0]).join("; ")

/** Signs in as a browser does: the router, the control plane, and back. */
const session = async (): Promise<{ readonly cookie: string; readonly lines: readonly string[] }> => {
  const bridge = signInHandler(access, {
    grammar,
    getUser: () => ({ id: "user_ann" }),
    loginUrl: "/login",
    store: world.store,
  })
  const headers = navigated("none", "document")
  const started = await ask({ path: "/_/sign-in", headers })
  const sent = (await bridge(new Request(started.headers.location!)))!
  const back = new URL(sent.headers.get("location")!)
  const done = await ask({ path: back.pathname + back.search, headers: { ...headers, cookie: cookieIn(started) } })
  const lines = (done.headers["set-cookie"] ?? []).filter((line) => line.includes("session="))
  return {
    cookie: lines
      .map((line) => line.split(";")[0])
      .filter((pair) => !pair!.endsWith("="))
      .join("; "),
    lines,
  }
}

const linkCookie = async (): Promise<{ readonly cookie: string; readonly lines: readonly string[] }> => {
  const grant = grantOf(await link({ hostname }))
  const redeemed = await ask({ path: "/_/link", method: "POST", headers: { origin: own, "x-ingress-link": grant } })
  return { cookie: cookieIn(redeemed), lines: redeemed.headers["set-cookie"] ?? [] }
}

/** Whether a browser sends a cookie that was set so with a request that comes from there (RFC 6265bis §5.6.3, CHIPS). */
const isSent = (lines: readonly string[], from: Kind["from"], by: Credential): boolean => {
  if (from === "same") return true
  if (from === "top") return lines.every((line) => /SameSite=(?:Lax|None)/.test(line))
  // In a frame there is what was set in a frame of that site: a link is opened there, and nobody signs in.
  return from === "partition" && by === "link" && lines.every((line) => line.endsWith("; SameSite=None; Partitioned"))
}

const outcome = async (kind: Kind, by: Credential): Promise<string> => {
  world.configure(kind.embed === true ? { ...settings, embed: [`https://${embedder}`] } : settings)
  const made = by === "session" ? await session() : by === "link" ? await linkCookie() : undefined
  if (made !== undefined) expect(made.cookie).toMatch(/^__H[\w-]+=[\w.-]+$/)
  const isPreflight = kind.method === "OPTIONS"
  const headers: Record<string, string> = { ...kind.headers }
  if (made !== undefined && !isPreflight && isSent(made.lines, kind.from, by)) headers["cookie"] = made.cookie
  if (by === "token" && !isPreflight) headers["x-ingress-token"] = (await token()).token
  const before = world.requests.length
  const { status, headers: given } = await ask({ ...kind, headers })
  const reached = world.requests.length > before || status === 101
  expect(reached).toBe(status === 200 || status === 101)
  if (reached) return "app"
  return status === 302 && given.location?.startsWith("/_/sign-in") === true ? "sign-in" : String(status)
}

describe("access to a private port", () => {
  it("is what docs/tokens-and-links.md and docs/access.md say (a wanted change: -u)", async () => {
    const rows: string[][] = []
    for (const kind of kinds) {
      const cells: string[] = []
      for (const by of credentials) cells.push(await outcome(kind, by))
      rows.push([kind.name, ...cells])
    }
    const page = withTable(readFileSync(file, "utf8"), "access", markdownTable(["request", ...credentials], rows))
    await expect(page).toMatchFileSnapshot(file)
    const short = Object.entries(inShort).map(([name, called]) => {
      // Of rows with one name the first: those of `fetch` come before those of WebSockets.
      const [, ...cells] = rows.find(([first]) => first === name)!
      return [called, ...cells]
    })
    const table = markdownTable(["request", ...credentials], short)
    await expect(withTable(readFileSync(overview, "utf8"), "access-in-short", table)).toMatchFileSnapshot(overview)
  })

  it("does not depend on a browser that keeps cookies back", async () => {
    // The same with each cookie sent by whoever asks: what only `SameSite` would have stopped, `Origin` stops.
    for (const by of ["session", "link"] as const) {
      for (const embed of [false, true]) {
        world.configure(embed ? { ...settings, embed: [`https://${embedder}`] } : settings)
        const { cookie } = by === "session" ? await session() : await linkCookie()
        const before = world.requests.length
        for (const kind of kinds.filter(({ name }) => /of a page of another site$|of the page around it$/.test(name))) {
          const { status } = await ask({ ...kind, headers: { ...kind.headers, cookie } })
          expect([by, kind.name, status]).toEqual([
            by,
            kind.name,
            by === "link" && embed && !kind.upgrade && kind.method !== "OPTIONS" ? 401 : 403,
          ])
        }
        expect(world.requests).toHaveLength(before)
      }
    }
  })
})
