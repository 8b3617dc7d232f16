/** Signing in behind both hosts of the router, and the `Cookie` field that the machine gets, byte for byte. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { local } from "@project-ingress/providers/local"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { defineAccess, signIn, signInHandler } from "../../src/access.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { authorize, visibility } from "../../src/policies.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"
import { asking } from "./asking.ts"
import { browserOf, isCallback, navigation } from "./sign-in-world.ts"
import type { Browser, World } from "./sign-in-world.ts"
import { startWorker } from "../../../../test/start-worker.ts"
import type { StartedWorker } from "../../../../test/start-worker.ts"

/** One host, where it listens. Its machine gives the `Cookie` lines that it got, and tries to set cookies of ours. */
type Host = StartedWorker

const inWorkerd = (): Promise<Host> =>
  startWorker(new URL("sign-in-worker.ts", import.meta.url), { SIGNING_KEY: { ...keys.signing } })

const onNode = async (): Promise<Host> => {
  const app = createServer((request, response) => {
    const cookies = request.rawHeaders.filter((_, at, all) => at % 2 === 1 && all[at - 1]!.toLowerCase() === "cookie")
    response.setHeader("x-iterate-proxy-stamp", "unproven")
    const names = ["__Host-ingress-session", "__Host-ingress-state-aaaaaaaa", "__Http-ingress-session", "own"]
    response.setHeader(
      "set-cookie",
      names.map((name) => `${name}=evil; Path=/; Secure`),
    )
    response.end(JSON.stringify(cookies))
  })
  await new Promise<void>((listening) => app.listen(0, "127.0.0.1", listening))
  const metadata = { port: (app.address() as AddressInfo).port }
  const route = {
    machine: { id: "mach_1", type: "local", externalId: "dev", metadata },
    owner: "ann",
    visibility: "private",
  } as const
  const store = memoryStore({ "p:misha": route, "d:www.example.com": route, "p:eve": { ...route, owner: "eve" } })
  const access = defineAccess({ keys: [keys.signing] })
  const people = signIn(access, { grammar: hostnames, controlPlane: "http://localhost" })
  const router = createRouter({
    grammar: hostnames,
    store,
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    policies: [
      people.policy,
      visibility({ grammar: hostnames, signIn: people }),
      authorize(({ subject }, { record }) => record.owner === subject),
    ],
  })
  const bridge = signInHandler(access, {
    grammar: hostnames,
    store,
    scheme: "http",
    getUser: (request) => (request.headers.get("cookie")?.includes("session=ann") === true ? { id: "ann" } : undefined),
    loginUrl: "/login",
  })
  const host = serveNode(router, {
    fallback: async (request) => (await bridge(request)) ?? new Response("not ours", { status: 404 }),
  })
  const listening = await host.listen({ hostname: "127.0.0.1" })
  return {
    port: listening.port,
    dispose: async () => {
      await listening.close({ deadlineMs: 0 })
      app.closeAllConnections()
      app.close()
    },
  }
}

/** What a browser or a program sends, `$` being our cookie; and what is left of it. */
const fields: readonly (readonly [sent: string, got: readonly string[]])[] = [
  ["$", []],
  ["a=1; $", ["a=1"]],
  ["$; a=1", ["a=1"]],
  ["a=1; $; b=2", ["a=1; b=2"]],
  ['a="x y"; $; b=2=3; c; d=', ['a="x y"; b=2=3; c; d=']],
  ["a=1;$;b=2", ["a=1;b=2"]],
  ["a=1;  $ ;  b=%20%3B", ["a=1;  b=%20%3B"]],
  [
    "__Host-ingress-sessions=1; $; ingress-session=2; __host-ingress-session=3",
    ["__Host-ingress-sessions=1; ingress-session=2; __host-ingress-session=3"],
  ],
  ["__Host-ingress-state-abcdefgh=1; $; __Host-ingress-state=2; __Http-ingress-session=3; a=1", ["a=1"]],
]

describe.each([
  ["Node", onNode],
  ["workerd", inWorkerd],
] as const)("on %s", (_, start) => {
  let host: Host
  let ask: World["ask"]
  let browser: Browser
  const page = "http://8000__misha.iterate.app/x?y"

  beforeAll(async () => {
    host = await start()
    ask = asking(host.port)
    browser = browserOf({ ask })
    browser.set("localhost", "session=ann")
  })
  afterAll(() => host.dispose())

  it("a visitor signs in at a project and at a custom domain, and opens nobody else's", async () => {
    const [others] = await browser.open("http://8000__eve.iterate.app/")
    expect([others!.url, others!.response.status]).toEqual(["http://8000__eve.iterate.app/", 403])
    for (const url of [page, "http://4096.www.example.com/deep"]) {
      const visits = await browser.open(url)
      expect([visits.length, visits[0]!.url, visits[0]!.response.status]).toEqual([5, url, 200])
    }
  })

  it("a code is not taken from a WebSocket's handshake", async () => {
    const [at] = await browser.open("http://5173__misha.iterate.app/", isCallback)
    const cookie = browser.cookies(at!.url)
    const key = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13" }
    const headers = { cookie, connection: "Upgrade", upgrade: "websocket", ...key }
    const response = await ask(at!.url, { headers })
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(response.headers.getSetCookie()).toEqual([])
    expect((await ask(at!.url, { headers: { ...navigation, cookie } })).headers.getSetCookie()).toHaveLength(2)
  })

  // Such a name has no prefix to a browser: a page of another project sets it with `Domain=iterate.app`. To `trim` it would be ours.
  it.each(["\u2000", "\u00a0", "\ufeff", "\u3000"])(
    "a session is not read from a name that begins with %j",
    async (blank) => {
      if (browser.cookies(page) === "") await browser.open(page)
      const pairs = browser.cookies(page).split("; ")
      const session = pairs.find((pair) => pair.startsWith("__Host-ingress-session="))!
      const asVisitor = (cookie: string) =>
        ask(page, { headers: { ...navigation, cookie: Buffer.from(cookie, "utf8").toString("latin1") } })
      expect((await asVisitor(session)).status).toBe(200)
      expect((await asVisitor(`\t ${session} `)).status).toBe(200)
      expect((await asVisitor(`${blank}${session}`)).status).toBe(302)
    },
  )

  it.each(fields)("of the cookies %j the machine gets %j", async (sent, got) => {
    if (browser.cookies(page) === "") await browser.open(page)
    const cookie = browser
      .cookies(page)
      .split("; ")
      .find((pair) => pair.startsWith("__Host-ingress-session="))
    const headers = { ...navigation, cookie: sent.replace("$", cookie!) }
    const response = await ask(page, { headers })
    expect([response.status, await response.json()]).toEqual([200, got])
    // And the app sets none of ours.
    expect(response.headers.getSetCookie()).toEqual(["own=evil; Path=/; Secure"])
  })
})
