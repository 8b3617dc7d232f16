/** The words of the worker `project-ingress-proxy`: its clients, links and bookmarks go on working. Cases by their ids. */
import { describe, expect, it } from "vitest"
import { isCallback, navigation, signedIn, browserOf, world } from "./sign-in-world.ts"

const s0 = { words: "project-ingress-proxy", controlPlane: "https://iterate.com" } as const
const start = "https://iterate.com/api/project-ingress-proxy-auth/bridge-start"
const state = "a".repeat(43)

describe("in the words of project-ingress-proxy", () => {
  it("0-41: without a session a page leads to bridge-start with host and path, and through it back", async () => {
    const here = world(s0)
    const browser = signedIn(here, "ann")
    const page = "https://4096__misha.iterate.app/a?b=1"
    const visits = (await browser.open(page)).toReversed()
    expect(visits.map(({ response }) => response.status)).toEqual([302, 303, 302, 303, 200])
    const [, , bridge, exchange, last] = visits.map(({ url }) => new URL(url))
    expect(bridge!.origin + bridge!.pathname).toBe(start)
    expect(bridge!.searchParams.get("projectIngressProxyHost")).toBe("4096__misha.iterate.app")
    expect(bridge!.searchParams.get("path")).toBe("/a?b=1")
    expect(exchange!.origin + exchange!.pathname).toBe("https://4096__misha.iterate.app/_/exchange-token")
    expect([...exchange!.searchParams.keys()]).toEqual(["token", "redirectPath"])
    expect(exchange!.searchParams.get("redirectPath")).toBe("/a?b=1")
    expect(last!.href).toBe(page)
    expect(here.visitors[0]).toMatchObject({ subject: "ann", by: "session" })
  })

  it("without a session of the control plane bridge-start leads to the login", async () => {
    const browser = browserOf(world(s0))
    const response = await browser.request(
      `${start}?projectIngressProxyHost=misha.iterate.app&redirectPath=/x&state=${state}`,
    )
    expect(response.status).toBe(302)
    const back = new URLSearchParams({ projectIngressProxyHost: "misha.iterate.app", path: "/x", state }).toString()
    expect(response.headers.get("location")).toBe(
      `/login?redirectUrl=${encodeURIComponent(`/api/project-ingress-proxy-auth/bridge-start?${back}`)}`,
    )
  })

  it.each([
    ["", "Missing projectIngressProxyHost or subdomain"],
    ["path=/x", "Missing projectIngressProxyHost or subdomain"],
    ["subdomain=", "Missing projectIngressProxyHost or subdomain"],
    ["projectIngressProxyHost=evil.com", "Invalid projectIngressProxyHost"],
    ["projectIngressProxyHost=iterate.app", "Invalid projectIngressProxyHost"],
    ["projectIngressProxyHost=70000__misha.iterate.app", "Invalid projectIngressProxyHost"],
    ["subdomain=a.b", "Invalid projectIngressProxyHost"],
    ["subdomain=misha.iterate.app.evil.com%2F", "Invalid projectIngressProxyHost"],
  ])("bridge-start?%s is 400 %s", async (query, text) => {
    const response = await signedIn(world(s0), "ann").request(`${start}?${query}&state=${state}`)
    expect([response.status, await response.text()]).toEqual([400, text])
  })

  it("a host may be named by its first label", async () => {
    const response = await signedIn(world(s0), "ann").request(`${start}?subdomain=4096__misha&path=/x&state=${state}`)
    const to = new URL(response.headers.get("location")!)
    expect([to.host, to.searchParams.get("redirectPath")]).toEqual(["4096__misha.iterate.app", "/x"])
  })

  it("0-49: 502 auth_unavailable when nobody can say who is signed in", async () => {
    const getUser = () => Promise.reject(new Error("connection refused"))
    const { ask } = world({ ...s0, handler: { getUser } })
    const response = await ask(`${start}?projectIngressProxyHost=misha.iterate.app&state=${state}`)
    expect([response.status, await response.json()]).toEqual([502, { error: "auth_unavailable" }])
  })

  it("0-54: a token on a host that is not canonical is 400", async () => {
    const browser = signedIn(world(s0), "ann")
    for (const host of ["4096--misha.iterate.app", "4096.misha.iterate.app"]) {
      const response = await browser.request(`https://${host}/_/exchange-token?token=x`, { headers: navigation })
      expect([response.status, await response.text()]).toEqual([400, "Non-canonical ingress host"])
    }
  })

  it("a token of another host is 400, and one that has been stolen is no text of this worker's", async () => {
    const browser = signedIn(world(s0), "ann")
    const [at] = await browser.open("https://4096__misha.iterate.app/", isCallback)
    const elsewhere = at!.url.replace("4096__misha", "4097__misha")
    const response = await browser.request(elsewhere, { headers: navigation })
    expect([response.status, await response.text()]).toEqual([400, "Invalid ingress host"])
    const stolen = await browserOf(world(s0)).request(at!.url, { headers: navigation })
    expect([stolen.status, stolen.headers.get("x-iterate-proxy-error")]).toEqual([400, "SIGN_IN_FAILED"])
  })

  it("a foreign redirectPath is /", async () => {
    const browser = signedIn(world(s0), "ann")
    const [at] = await browser.open("https://4096__misha.iterate.app/x", isCallback)
    const url = new URL(at!.url)
    url.searchParams.set("redirectPath", "https://evil.com/")
    const response = await browser.request(url.href, { headers: navigation })
    expect(response.headers.get("location")).toBe("/")
  })
})
