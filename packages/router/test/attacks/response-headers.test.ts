/** `responseHeaders`: what a setting may do to responses, and what it may not. */
import { describe, expect, it } from "vitest"
import { responseHeaders } from "../../src/policies.ts"
import { AccessDenied } from "../../src/router.ts"
import type { Policy } from "../../src/router.ts"
import { stamped } from "../fakes.ts"
import { toMachine, visits } from "./visit.ts"

const url = "https://misha.iterate.app/"
const answer = () =>
  stamped("ok", { headers: { server: "app", "x-frame-options": "DENY", "x-a": "app's", "content-type": "text/plain" } })
const rules = { set: { "x-a": "ours", "x-robots-tag": "noindex" }, remove: ["server", "x-frame-options", "x-none"] }

describe("the app's responses", () => {
  it("lose what is removed, and get what is set in place of theirs", async () => {
    const { visit } = visits([responseHeaders()], { "p:misha": toMachine({ responseHeaders: rules }) }, { answer })
    const { headers } = (await visit(url)).response
    expect([
      headers.get("server"),
      headers.get("x-frame-options"),
      headers.get("x-a"),
      headers.get("x-robots-tag"),
    ]).toEqual([null, null, "ours", "noindex"])
    expect(headers.get("content-type")).toBe("text/plain")
  })

  it("are as they were where nothing is asked for, and for another port", async () => {
    const { visit } = visits(
      [responseHeaders()],
      { "p:misha": toMachine({ ports: { 8080: { responseHeaders: rules } } }) },
      { answer },
    )
    const { response } = await visit(url)
    const plain = await visits([], { "p:misha": toMachine() }, { answer }).visit(url)
    expect([...response.headers]).toEqual([...plain.response.headers])
    expect((await visit("https://8080.misha.iterate.app/")).response.headers.get("x-a")).toBe("ours")
  })

  it("are the same whatever the status", async () => {
    for (const status of [204, 304, 404, 500]) {
      const { visit } = visits(
        [responseHeaders()],
        { "p:misha": toMachine({ responseHeaders: rules }) },
        { answer: () => stamped(null, { status }) },
      )
      expect((await visit(url)).response.headers.get("x-a")).toBe("ours")
    }
  })

  it("of the router stay its own", async () => {
    const deny = () => ({ deny: new AccessDenied() })
    const { visit } = visits([responseHeaders(), deny], {
      "p:misha": toMachine({ responseHeaders: { set: { "x-iterate-proxy-error": "NONE", "x-a": "1" } } }),
    })
    const { code, response } = await visit(url)
    expect([code, response.headers.get("x-a")]).toEqual(["ACCESS_DENIED", null])
  })
})

describe("a setting", () => {
  it.each([
    "set-cookie",
    "content-length",
    "connection",
    "transfer-encoding",
    "x-accel-redirect",
    "x-sendfile",
    "fly-replay",
    "alt-svc",
    "surrogate-control",
  ])("that sets %s is invalid, and nothing is sent to the machine", async (name) => {
    const { visit, routes, sent } = visits([responseHeaders()])
    routes.attach("p:misha", toMachine({ responseHeaders: { set: { [name]: "1" } } }))
    expect([(await visit(url)).code, sent.length]).toEqual(["ROUTE_INVALID", 0])
  })

  it("that sets a field of the hop fails the request, and says nothing of a ticket", async () => {
    const { visit } = visits([responseHeaders()], {
      "p:misha": toMachine({ responseHeaders: { set: { "x-iterate-proxy-stamp": "forged" } } }),
    })
    expect((await visit(url)).status).toBe(500)
  })

  it("closes the port without the policy that carries it out", async () => {
    expect((await visits([], { "p:misha": toMachine({ responseHeaders: rules }) }).visit(url)).code).toBe(
      "NOT_SUPPORTED",
    )
  })
})

describe("with filterResponseHeaders", () => {
  const set = { "clear-site-data": '"*"', "strict-transport-security": "max-age=60; includeSubDomains", "x-set": "1" }
  const got = async (host: string, policies: readonly Policy[] = [responseHeaders()]) => {
    const route = toMachine({ responseHeaders: { set } })
    const { visit } = visits(
      policies,
      { "p:misha": route, "d:www.example.com": route },
      { filterResponseHeaders: true },
    )
    const { headers } = (await visit(`https://${host}/`)).response
    return Object.keys(set).map((name) => headers.get(name))
  }

  it("a record sets nothing that its app may not send", async () => {
    expect(await got("misha.iterate.app")).toEqual([null, "max-age=60", "1"])
    expect(await got("www.example.com")).toEqual(Object.values(set))
  })

  it("a policy of the platform's may", async () => {
    const own: Policy = { name: "own", onResponse: (_, edit) => edit.set("origin-agent-cluster", "?1") }
    const { visit } = visits([own], undefined, { filterResponseHeaders: true })
    expect((await visit("https://misha.iterate.app/")).response.headers.get("origin-agent-cluster")).toBe("?1")
  })
})
