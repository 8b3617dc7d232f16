/** The order that docs/policies.md documents, read from its example: what each place is for. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import {
  accessTokens,
  createShareLink,
  createToken,
  defineAccess,
  embedding,
  shareLinks,
  signIn,
  signInHandler,
} from "../src/access.ts"
import {
  allowCidrs,
  authorize,
  canonicalHost,
  hopLimit,
  rateLimit,
  requireHeader,
  responseHeaders,
  visibility,
} from "../src/policies.ts"
import type { Policy, RouterEvent } from "../src/router.ts"
import { toMachine, visits } from "./attacks/visit.ts"
import { hostnames as grammar, keys } from "./fakes.ts"
import { browserOf } from "./access/sign-in-world.ts"

const page = readFileSync(new URL("../../../docs/policies.md", import.meta.url), "utf8")
/** `rateLimit client`, `hopLimit` …, as they stand in the page's first example. */
const documented = [
  ...page
    .split("PolicyInput[] = [")[1]!
    .split("\n]")[0]!
    .matchAll(/^ {2}([\w.]+)(?:\(\{ key: "(\w+)")?/gm),
].map(([, name, key]) => [name, key].filter(Boolean).join(" "))

const sha256 = createHash("sha256").update("key").digest("hex")

const hostname = "4096__misha.iterate.app"
const access = defineAccess({ keys: [keys.signing] })
const people = signIn(access, { grammar, controlPlane: "https://iterate.com" })
const project = { key: "p:misha", owner: "org_1", externalId: "prj_1" } as const
const grant = { project, port: 4096, expiresInMs: 60_000 }

/** What visitors have by the time they come: sessions of anna and eve, tokens, and the cookie of a link. */
const credentials = await (async () => {
  const { visit, routes } = visits([people.policy, shareLinks(access)], { "p:misha": toMachine() })
  const handler = { grammar, store: routes, loginUrl: "/login" }
  const session = async (id: string) => {
    const bridge = signInHandler(access, { ...handler, getUser: () => ({ id }) })
    const ask = async (url: string, init?: RequestInit) =>
      url.startsWith("https://iterate.com/") ? (await bridge(new Request(url)))! : (await visit(url, init)).response
    const browser = browserOf({ ask })
    await browser.open(`https://${hostname}/_/sign-in`)
    return browser.cookies(`https://${hostname}/`)
  }
  const { url } = await createShareLink(access, { ...grant, hostname })
  const headers = { origin: `https://${hostname}`, "x-ingress-link": new URL(url).hash.slice(1) }
  const { response } = await visit(`https://${hostname}/_/link`, { method: "POST", headers })
  const token = async (port: number) => (await createToken(access, { ...grant, port, subject: "ci" })).token
  return {
    anna: await session("anna"),
    eve: await session("eve"),
    link: response.headers.getSetCookie()[0]!.split(";", 1)[0]!,
    token: await token(4096),
    otherToken: await token(22),
  }
})()
const { anna, eve, link, token, otherToken } = credentials

/** A router with the policies in an order, before a port that has every setting. */
const inOrder = (order: readonly string[]) => {
  const counts = { who: 0, decide: 0 }
  const events: RouterEvent[] = []
  /** Counts how often a session was looked for. */
  const who: Policy = {
    ...people.policy,
    onRoute: (request, route) => {
      if (request.visitor === undefined) counts.who += 1
      return people.policy.onRoute!(request, route)
    },
  }
  const made: Readonly<Record<string, () => Policy>> = {
    "rateLimit client": () => rateLimit({ key: "client", burst: 2, perSecond: 0.001 }),
    hopLimit: () => hopLimit({ max: 1 }),
    canonicalHost: () => canonicalHost({ grammar }),
    allowCidrs,
    requireHeader,
    accessTokens: () => accessTokens(access),
    "people.policy": () => who,
    shareLinks: () => shareLinks(access),
    embedding,
    visibility: () => visibility({ grammar }),
    authorize: () => authorize(({ subject }) => ((counts.decide += 1), subject === "anna"), { ttlMs: 0 }),
    "rateLimit project": () => rateLimit({ key: "project", burst: 1, perSecond: 0.001 }),
    responseHeaders,
  }
  const port = {
    allowCidrs: ["10.0.0.0/8"],
    requireHeader: { name: "x-key", sha256 },
    responseHeaders: { set: { "x-set": "1" } },
    embed: ["https://docs.example"],
  }
  const { visit, resolved } = visits(
    order.map((name) => made[name]!()),
    { "p:misha": toMachine(port) },
    { clientAddress: (request) => request.headers.get("x-client"), onEvent: (event) => void events.push(event) },
  )
  let client = 0
  /** By a client of its own each, with the field, unless it is said otherwise. */
  const ask = (headers: Record<string, string>, host = hostname, method = "GET") =>
    visit(`https://${host}/`, {
      method,
      headers: { "x-client": `10.0.0.${(client += 1)}`, "x-key": "key", ...headers },
    })
  const reason = () => {
    const last = events.at(-1)
    return last?.type === "request" ? last.reason : undefined
  }
  return { ask, counts, resolved, reason }
}

type Made = ReturnType<typeof inOrder>

/** What is true of the documented order, and why it is that one. */
const claims: Readonly<Record<string, (made: Made) => Promise<boolean>>> = {
  "a client over its rate costs nothing else": async ({ ask }) => {
    const flood = { "x-client": "10.9.9.9", via: "1.1 a, 1.1 b" }
    const codes = [await ask(flood), await ask(flood), await ask(flood)].map(({ code }) => code)
    return codes.join() === "TOO_MANY_HOPS,TOO_MANY_HOPS,RATE_LIMITED"
  },
  "a request in a circle is not redirected": async ({ ask }) =>
    (await ask({ via: "1.1 a, 1.1 b" }, "4096.misha.iterate.app")).code === "TOO_MANY_HOPS",
  "nobody is asked who it is under a name that is left at once": async ({ ask, counts }) =>
    (await ask({}, "4096.misha.iterate.app")).status === 301 && counts.who === 0,
  "who comes from elsewhere is not told of a field": async ({ ask, reason }) =>
    (await ask({ "x-client": "192.0.2.7", "x-key": "wrong" })).status === 403 && /allowCidrs/.test(reason()!),
  "without the field nobody is asked who it is": async ({ ask, counts }) =>
    (await ask({ "x-key": "wrong", cookie: anna })).status === 403 && counts.who === 0,
  "without the field nobody is told of a token": async ({ ask }) =>
    (await ask({ "x-key": "wrong", "x-ingress-token": otherToken })).code === "ACCESS_DENIED",
  "who sends a token is not asked for a session": async ({ ask, counts }) =>
    (await ask({ cookie: anna, "x-ingress-token": token })).status === 200 && counts.who + counts.decide === 0,
  "a session goes before a link": async ({ ask, counts }) =>
    (await ask({ cookie: `${anna}; ${link}` })).status === 200 && counts.decide === 1,
  "a link opens without a session": async ({ ask }) => (await ask({ cookie: link })).status === 200,
  "a link helps whom the platform refuses": async ({ ask }) =>
    (await ask({ cookie: `${eve}; ${link}` })).status === 200,
  "a page of another site is refused before the platform is called": async ({ ask, counts }) => {
    const image = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" }
    return (await ask({ cookie: anna, ...image })).status === 403 && counts.decide === 0
  },
  "a member is let in": async ({ ask }) => {
    const { status, response } = await ask({ cookie: anna })
    return status === 200 && response.headers.get("x-set") === "1"
  },
  "who has not signed in is no question to the platform": async ({ ask, counts }) =>
    (await ask({})).status === 401 && counts.decide === 0,
  "a page of others is none either": async ({ ask, counts }) =>
    (await ask({ cookie: anna, origin: "https://evil.example" }, hostname, "POST")).status === 403 &&
    counts.decide === 0,
  "strangers use up nothing of the project's rate": async ({ ask }) => {
    for (let i = 0; i < 3; i++) await ask({ cookie: eve })
    return (await ask({ cookie: anna })).status === 200
  },
  "nothing wakes for who is refused": async ({ ask, resolved }) => {
    const refused = [{}, { cookie: eve }, { "x-key": "" }, { "x-client": "192.0.2.7" }, { via: "1.1 a, 1.1 b" }]
    for (const headers of refused) if ((await ask(headers)).status < 400) return false
    return resolved() === 0
  },
}

const holds = async (order: readonly string[], claim: (made: Made) => Promise<boolean>) => claim(inOrder(order))

const without = (name: string) => documented.filter((each) => each !== name)
/** The documented order, with one policy right before another. */
const before = (name: string, other: string) =>
  without(name).flatMap((each) => (each === other ? [name, each] : [each]))

describe("the documented order", () => {
  it("is read from the page", () => {
    expect(documented.length).toBe(13)
  })

  it.each(Object.entries(claims))("keeps it so that %s", async (_, claim) => {
    expect(await holds(documented, claim)).toBe(true)
  })

  /** Of another phase than the one before it: their order says nothing. */
  const otherPhase = ["allowCidrs", "responseHeaders"]
  // `embedding` reads what those before it have proven, and is asked before the platform is: see below.
  const neighbours = without("embedding")
  const swaps = neighbours.flatMap((name, at) =>
    at === 0 || otherPhase.includes(name) ? [] : [[neighbours[at - 1]!, name] as const],
  )
  it.each(swaps)("is noticed where %s and %s change places", async (one, other) => {
    const order = documented.map((name) => (name === one ? other : name === other ? one : name))
    const held = await Promise.all(Object.values(claims).map((claim) => holds(order, claim)))
    expect(held).toContain(false)
  })

  it.each(["people.policy", "rateLimit project"])("is noticed where embedding stands before %s", async (other) => {
    const held = await Promise.all(Object.values(claims).map((claim) => holds(before("embedding", other), claim)))
    expect(held).toContain(false)
  })

  it("of phases does not depend on the list", async () => {
    const moved = ["allowCidrs", ...documented.filter((name) => name !== "allowCidrs" && name !== "responseHeaders")]
    const order = ["responseHeaders", ...moved]
    for (const claim of Object.values(claims)) expect(await holds(order, claim)).toBe(true)
  })
})
