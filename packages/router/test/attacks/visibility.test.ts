/** `visibility`: strangers, and pages of others in a visitor's browser. */
import { defineGrammar } from "@project-ingress/hostname"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { visibility } from "../../src/policies.ts"
import type { SignIn } from "../../src/policies.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { hostnames as grammar, machine } from "../fakes.ts"
import { handshake, startRawHost } from "./raw-host.ts"
import { named, toMachine, visits } from "./visit.ts"

const navigation = { "sec-fetch-mode": "navigate" }
const signIn: SignIn = { location: ({ host }) => `https://app.example/sign-in?for=${host}` }

describe("a stranger", () => {
  const routes: Record<string, RouteInput> = {
    "p:misha": toMachine({ ports: { 8080: { visibility: "public" } } }),
    "p:open": toMachine({ visibility: "public", ports: { 22: { visibility: "private" } } }),
    "p:old": { kind: "redirect", to: { project: "misha" }, status: 308 },
    "p:gone": { kind: "removed" },
    "p:asleep": { kind: "detached", visibility: "private" },
    "p:moved": { kind: "redirect", to: { project: "open" }, status: 308, visibility: "public" },
  }

  it.each([
    ["misha", 401],
    ["3000__misha", 401],
    ["8080__misha", 200],
    ["8080.misha", 200],
    ["nosuch--misha", 401],
    ["open", 200],
    ["22__open", 401],
    ["22--open", 401],
    // Neither a new name, nor a former project, nor one without a machine is told.
    ["old", 401],
    ["8080__old", 401],
    ["gone", 401],
    ["asleep", 401],
    ["moved", 308],
    ["nobody", 404],
  ])("gets of %s %s", async (name, status) => {
    const { visit, resolved } = visits([named(), visibility()], routes)
    const got = await visit(`https://${name}.iterate.app/`)
    expect([got.status, got.location]).toEqual([status, status === 308 ? "https://open.iterate.app/" : null])
    expect(resolved()).toBe(status === 200 ? 1 : 0)
  })

  it("is sent to the login by a navigation, and gets 401 by everything else", async () => {
    const { visit } = visits([visibility({ signIn })])
    const page = await visit("https://4096__misha.iterate.app/x", { headers: navigation })
    expect([page.status, page.location]).toEqual([302, "https://app.example/sign-in?for=4096__misha.iterate.app"])
    const script = await visit("https://misha.iterate.app/", { headers: { "sec-fetch-mode": "cors" } })
    expect([script.status, script.code, script.location]).toEqual([401, "LOGIN_REQUIRED", null])
  })

  it("is let in nowhere if the login cannot be told, or is none", async () => {
    for (const location of [() => Promise.reject(new Error("down")), () => "/a\r\nset-cookie: x=1", () => undefined]) {
      const { visit, resolved } = visits([visibility({ signIn: { location: location as SignIn["location"] } })])
      expect((await visit("https://misha.iterate.app/", { headers: navigation })).status).toBe(500)
      expect(resolved()).toBe(0)
    }
  })

  it("cannot say who it is by fields that look like ours", async () => {
    const { visit } = visits([visibility()])
    const headers = {
      "x-visitor": "anna",
      "x-iterate-visitor": "anna",
      cookie: "visitor=anna",
      authorization: "Bearer x",
    }
    expect((await visit("https://misha.iterate.app/", { headers })).status).toBe(401)
  })

  it("reaches what says nothing of its visibility only where that is public", async () => {
    expect((await visits([visibility({ default: "public" })], routes).visit("https://misha.iterate.app/")).status).toBe(
      200,
    )
    expect(
      (await visits([visibility({ default: "public" })], routes).visit("https://22__open.iterate.app/")).status,
    ).toBe(401)
  })
})

const routes: Record<string, RouteInput> = {
  "p:misha": toMachine({ machine: machine("mach_1"), replicas: [machine("mach_2")], services: { web: 8000 } }),
  "m:mach_1": toMachine(),
  "d:www.example.com": toMachine({ services: { web: 8000 } }),
  "d:api.www.example.com": toMachine({ machine: machine("mach_9"), owner: "org_9" }),
}
const aliased = defineGrammar({
  domains: ["iterate.app", "alias.test"],
  services: { opencode: 4096 },
  reserved: ["www"],
})
const own = "https://4096__misha.iterate.app"
const ask = async (url: string, origin: string | undefined, more: Record<string, string> = {}, method = "POST") => {
  const { visit, sent } = visits([named(), visibility({ grammar: aliased })], routes, { grammar: aliased })
  const headers = { "x-visitor": "anna", ...(origin === undefined ? {} : { origin }), ...more }
  const { status } = await visit(url, { method, headers })
  return [status, sent.length]
}
const goesOn = [200, 1]
const refused = [403, 0]

describe("an unsafe method with a visitor's cookie", () => {
  it.each([
    own,
    "https://misha.iterate.app",
    "https://3000__misha.iterate.app",
    "https://opencode--misha.iterate.app",
    "https://opencode.misha.iterate.app",
    "https://misha.iterate.app.",
    "https://misha.alias.test",
    "https://nosuch--misha.iterate.app",
    "https://mach_1.machines.iterate.app",
    "https://4096__mach_2.machines.iterate.app",
  ])("goes on from the project's own page %s", async (origin) => {
    expect(await ask(`${own}/`, origin)).toEqual(goesOn)
  })

  it.each([
    "null",
    "",
    "https://evil.iterate.app",
    "https://4096__evil.iterate.app",
    "https://misha.iterate.app.evil.example",
    "https://evil-misha.iterate.app",
    "https://misha--evil.iterate.app",
    "https://4096__misha--evil.iterate.app",
    "https://iterate.app",
    "https://www.iterate.app",
    "http://4096__misha.iterate.app",
    "https://4096__misha.iterate.app:8443",
    "https://4096__misha.iterate.app:443",
    "HTTPS://4096__misha.iterate.app",
    "https://4096__MISHA.iterate.app",
    "https://4096__misha.iterate.app/",
    "https://4096__misha.iterate.app#",
    "https://user@4096__misha.iterate.app",
    "https://4096__misha.iterate.app https://evil.example",
    `${own}, https://evil.example`,
    `https://evil.example, ${own}`,
    `${own}, ${own}`,
    "https://mach_9.machines.iterate.app",
    "https://www.example.com",
    "file://",
    "chrome-extension://abcdefgh",
    "localhost:3000",
    "http://localhost:4096",
  ])("is refused from %j", async (origin) => {
    expect(await ask(`${own}/`, origin)).toEqual(refused)
  })

  it.each([
    ["http://misha.iterate.app:8787", goesOn],
    ["http://4096__misha.iterate.app:8787", goesOn],
    ["http://misha.iterate.app", refused],
    ["https://misha.iterate.app:8787", refused],
    ["http://misha.iterate.app:87870", refused],
  ])("at a public port of its own, from %s: %j", async (origin, expected) => {
    expect(await ask("http://misha.iterate.app:8787/", origin)).toEqual(expected)
  })

  it.each([
    ["https://www.example.com", goesOn],
    ["https://4096.www.example.com", goesOn],
    ["https://web.www.example.com", goesOn],
    ["https://opencode.www.example.com", goesOn],
    ["https://4096__mach_1.www.example.com", goesOn],
    // A label that is no service may be another project's domain: this one is.
    ["https://api.www.example.com", refused],
    ["https://example.com", refused],
    ["https://misha.iterate.app", refused],
    ["https://wwww.example.com", refused],
    ["https://4096__mach_9.www.example.com", refused],
  ])("on a custom domain, from %s: %j", async (origin, expected) => {
    expect(await ask("https://8080.www.example.com/", origin)).toEqual(expected)
  })

  it("by a machine's hostname, from its own ports and not from the project's: whose machine it is is not in its record", async () => {
    const url = "https://4096__mach_1.machines.iterate.app/"
    expect(await ask(url, "https://mach_1.machines.iterate.app")).toEqual(goesOn)
    expect(await ask(url, "https://misha.iterate.app")).toEqual(refused)
  })

  it.each([
    [{}, goesOn],
    [{ "sec-fetch-site": "same-origin" }, goesOn],
    [{ "sec-fetch-site": "none" }, goesOn],
    [{ "sec-fetch-site": "same-site" }, refused],
    [{ "sec-fetch-site": "cross-site" }, refused],
    [{ "sec-fetch-site": "same-origin, cross-site" }, refused],
    [{ "sec-fetch-site": "" }, refused],
  ])("without an origin, by Sec-Fetch-Site: %j: %j", async (headers, expected) => {
    expect(await ask(`${own}/`, undefined, headers as Record<string, string>)).toEqual(expected)
  })

  it.each(["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get", "LOCK"])(
    "is %s, too, if another page sends it",
    async (method) => {
      // `get` is normalised by `Request`; a navigation of others is a GET.
      const more: Record<string, string> = method === "get" ? {} : navigation
      expect(await ask(`${own}/`, "https://evil.iterate.app", more, method)).toEqual(refused)
    },
  )

  it("goes on from anywhere with a credential that no browser sends by itself", async () => {
    const { visit } = visits([named({ ambient: false }), visibility({ grammar })])
    const headers = { "x-visitor": "anna", origin: "https://evil.example", "sec-fetch-site": "cross-site" }
    expect((await visit(`${own}/`, { method: "POST", headers })).status).toBe(200)
  })

  it("goes on from anywhere to a public port, as on any web server", async () => {
    const { visit } = visits([named(), visibility({ grammar })], { "p:misha": toMachine({ visibility: "public" }) })
    const headers = { "x-visitor": "anna", origin: "https://evil.example" }
    expect((await visit(`${own}/`, { method: "POST", headers })).status).toBe(200)
  })

  it("without a grammar, goes on from the port's own origin alone", async () => {
    const { visit } = visits([named(), visibility()])
    const post = async (origin: string) =>
      (await visit(`${own}/`, { method: "POST", headers: { "x-visitor": "anna", origin } })).status
    expect([await post(own), await post("https://misha.iterate.app")]).toEqual([200, 403])
  })

  it("is refused from every origin that is no hostname of the project (property)", async () => {
    const label = fc.stringMatching(/^[a-z0-9._-]{0,20}$/)
    const origins = fc.tuple(
      label,
      fc.constantFrom("misha", "mach_1.machines", ""),
      label,
      fc.constantFrom("", ":443", ":80", "/", "."),
    )
    await fc.assert(
      fc.asyncProperty(origins, async ([before, name, after, end]) => {
        const origin = `https://${before}${name}${after}.example${end}`
        expect(await ask(`${own}/`, origin)).toEqual(refused)
      }),
      { numRuns: 100 },
    )
  })
})

describe("a safe method with a visitor's cookie", () => {
  it("goes on without an origin, whatever site it is from: a link, an image", async () => {
    for (const site of ["none", "same-origin", "same-site", "cross-site"])
      expect(await ask(`${own}/`, undefined, { "sec-fetch-site": site }, "GET")).toEqual(goesOn)
  })

  it("is refused where a page of others wants to read it, and is let through as a navigation", async () => {
    const other = "https://evil.iterate.app"
    expect(await ask(`${own}/`, other, { "sec-fetch-mode": "cors" }, "GET")).toEqual(refused)
    expect(await ask(`${own}/`, other, {}, "HEAD")).toEqual(refused)
    expect(await ask(`${own}/`, "null", { "sec-fetch-mode": "cors" }, "GET")).toEqual(refused)
    expect(await ask(`${own}/`, other, navigation, "GET")).toEqual(goesOn)
    expect(await ask(`${own}/`, "https://misha.iterate.app", { "sec-fetch-mode": "cors" }, "GET")).toEqual(goesOn)
  })
})

describe("a preflight", () => {
  const preflight = async (
    origin: string,
    more: Record<string, string> = {},
    policies = [named(), visibility({ grammar })],
  ) => {
    const { visit, sent, resolved } = visits(policies, routes)
    const headers = { origin, "access-control-request-method": "PUT", ...more }
    const got = await visit(`${own}/x`, { method: "OPTIONS", headers })
    return { ...got, reached: sent.length + resolved() }
  }
  const allowed = (response: Response) =>
    Object.fromEntries([...response.headers].filter(([name]) => /^access-control|^vary|^cache/.test(name)))

  it("of the project's own page is responded to with what it asks for, and reaches no machine", async () => {
    const got = await preflight("https://misha.iterate.app", { "access-control-request-headers": "content-type,x-a" })
    expect([got.status, got.reached]).toEqual([204, 0])
    expect(allowed(got.response)).toEqual({
      "access-control-allow-origin": "https://misha.iterate.app",
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "PUT",
      "access-control-allow-headers": "content-type,x-a",
      vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
      "cache-control": "no-store",
    })
    expect(allowed((await preflight(own)).response)).not.toHaveProperty("access-control-allow-headers")
  })

  it.each(["null", "https://evil.iterate.app", "http://misha.iterate.app", "https://misha.iterate.app:8443"])(
    "of %s is refused, without a field that allows anything",
    async (origin) => {
      const got = await preflight(origin)
      expect([got.status, got.reached]).toEqual([403, 0])
      expect(allowed(got.response)).toEqual({ "cache-control": "no-store" })
    },
  )

  it.each([
    { "access-control-request-method": "PUT, DELETE" },
    { "access-control-request-method": "*/*" },
    { "access-control-request-headers": "x a" },
    { "access-control-request-headers": "x-a,,x-b" },
    { "access-control-request-headers": "x-a:1" },
    { "access-control-request-headers": "x-a,\u00a0x-b" },
  ] as Record<string, string>[])("for what is no method or field is refused: %j", async (headers) => {
    expect((await preflight(own, headers)).status).toBe(403)
  })

  it("takes no time that grows with the square of its length, which anybody may send", async () => {
    const blanks = `x${" ".repeat(200_000)}y`
    // A step of each pair of blanks would be 20 000 000 000 of them, which no test waits for.
    expect((await preflight(own, { "access-control-request-headers": blanks })).status).toBe(403)
    const around = `${" ".repeat(1_000)}x-a${"\t".repeat(1_000)},x-b`
    expect((await preflight(own, { "access-control-request-headers": around })).status).toBe(204)
  })

  it("with a visitor's cookie is responded to as without", async () => {
    expect((await preflight(own, { "x-visitor": "anna" })).status).toBe(204)
  })

  it("of a token's holder is for the app to respond to", async () => {
    const got = await preflight("https://evil.example", { "x-visitor": "anna" }, [
      named({ ambient: false }),
      visibility({ grammar }),
    ])
    expect([got.status, got.reached]).toEqual([200, 2])
  })

  it("that lacks a method or an origin is no preflight, and needs a visitor", async () => {
    const { visit } = visits([named(), visibility({ grammar })])
    expect((await visit(`${own}/`, { method: "OPTIONS", headers: { origin: own } })).status).toBe(401)
    expect(
      (await visit(`${own}/`, { method: "OPTIONS", headers: { "access-control-request-method": "PUT" } })).status,
    ).toBe(401)
  })
})

describe("on sockets", async () => {
  const host = await startRawHost([named(), visibility({ grammar })], {})
  afterAll(() => host.close())
  const site = "misha.iterate.app"

  it.each([
    [["x-visitor: anna", "Origin: http://misha.iterate.app"], "101"],
    [["x-visitor: anna", "Origin: http://4096__misha.iterate.app"], "101"],
    [["x-visitor: anna"], "101"],
    [["Origin: http://misha.iterate.app"], "401 LOGIN_REQUIRED"],
    [["x-visitor: anna", "Origin: null"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Origin:"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Origin: https://misha.iterate.app"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Origin: http://evil.iterate.app"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Origin: http://evil.iterate.app", "Sec-Fetch-Mode: navigate"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Origin: http://misha.iterate.app", "Origin: http://evil.iterate.app"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "oRiGiN: http://evil.iterate.app"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Origin: http://evil.iterate.app", "Connection: Origin"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Sec-Fetch-Site: cross-site"], "403 ACCESS_DENIED"],
    [["x-visitor: anna", "Sec-Fetch-Site: same-site"], "403 ACCESS_DENIED"],
  ])("a WebSocket handshake with %j: %s", async (fields, expected) => {
    expect(await host.send(...handshake(site, ...fields))).toBe(expected)
  })

  it("a method in lower case is no safe one", async () => {
    const lines = [`Host: ${site}`, "x-visitor: anna", "Origin: http://evil.iterate.app", "Sec-Fetch-Mode: navigate"]
    expect(await host.send("GET / HTTP/1.1", ...lines)).toBe("200")
    expect(await host.send("get / HTTP/1.1", ...lines)).not.toBe("200")
  })
})

it("checks its options", () => {
  // @ts-expect-error no such value
  expect(() => visibility({ default: "hidden" })).toThrow('visibility: default must be "public" or "private"')
  // @ts-expect-error no function
  expect(() => visibility({ signIn: { location: "/login" } })).toThrow(
    "visibility: signIn must be an object with a function",
  )
  // @ts-expect-error the options of a grammar
  expect(() => visibility({ grammar: { domains: ["iterate.app"] } })).toThrow(
    "visibility: grammar must be what defineGrammar",
  )
})
