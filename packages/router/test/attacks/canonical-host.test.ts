/** `canonicalHost`: one name for one place, and never the way to another. */
import { defineGrammar, format, parse } from "@project-ingress/hostname"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { canonicalHost } from "../../src/policies.ts"
import { hostnames } from "../fakes.ts"
import { handshake, startRawHost } from "./raw-host.ts"
import { toMachine, visits } from "./visit.ts"

const grammar = defineGrammar({ domains: ["iterate.app", "iterate.example", "old.test"], services: { opencode: 4096 } })
const routes = {
  "p:misha": toMachine(),
  "m:mach_1": toMachine(),
  "d:www.example.com": toMachine(),
}
const { visit, sent } = visits([canonicalHost({ grammar })], routes, { grammar })

describe("a hostname", () => {
  it.each([
    ["misha.old.test", "misha.iterate.app"],
    ["misha.iterate.example", "misha.iterate.app"],
    ["4096--misha.iterate.app", "4096__misha.iterate.app"],
    ["4096.misha.iterate.app", "4096__misha.iterate.app"],
    ["opencode.misha.iterate.app", "opencode--misha.iterate.app"],
    ["mach_1.iterate.app", "mach_1.machines.iterate.app"],
    ["4096__mach_1.old.test", "4096__mach_1.machines.iterate.app"],
    ["mach-1.machines.iterate.app", "mach_1.machines.iterate.app"],
  ])("%s is redirected to %s", async (from, to) => {
    const { status, location, response } = await visit(`https://${from}/a?b=1`)
    expect([status, location]).toEqual([301, `https://${to}/a?b=1`])
    expect(response.headers.get("cache-control")).toBe("no-store")
  })

  it.each(["misha", "3000__misha", "80__misha", "opencode--misha", "mach_1.machines", "8080__mach_1.machines"])(
    "%s is canonical, and served",
    async (name) => {
      expect((await visit(`https://${name}.iterate.app/`)).status).toBe(200)
    },
  )

  it("of a custom domain is nobody's spelling", async () => {
    for (const host of ["www.example.com", "4096.www.example.com"])
      expect((await visit(`https://${host}/`)).status).toBe(200)
  })

  it("that is malformed is 400, under an alias as well: no redirect makes it another", async () => {
    for (const name of ["99999__misha", "0080__misha", "a.b.c"])
      expect((await visit(`https://${name}.old.test/`)).code).toBe("HOSTNAME_MALFORMED")
  })

  it("is served under an alias where it would be too long under the canonical domain", async () => {
    const long = `${Array.from({ length: 3 }, () => "a".repeat(63)).join(".")}.${"b".repeat(42)}.example`
    const uneven = defineGrammar({ domains: [long, "old.test"] })
    const { visit: visitUneven } = visits(
      [canonicalHost({ grammar: uneven })],
      { "p:misha": toMachine() },
      { grammar: uneven },
    )
    expect((await visitUneven("https://8080__misha.old.test/")).status).toBe(200)
  })
})

describe("a redirect", () => {
  it.each([
    ["GET", 301],
    ["HEAD", 301],
    ["POST", 308],
    ["PUT", 308],
    ["DELETE", 308],
    ["OPTIONS", 308],
  ])("of %s is %s, and reaches no machine", async (method, status) => {
    const before = sent.length
    expect((await visit("https://misha.old.test/x", { method })).status).toBe(status)
    expect(sent.length).toBe(before)
  })

  it("keeps path, query, scheme and public port as they were sent", async () => {
    const path = "/a%2Fb//c/;x=1?q=%20&q=a+b&=&r=//evil.example/"
    expect((await visit(`http://misha.old.test:8787${path}`)).location).toBe(`http://misha.iterate.app:8787${path}`)
  })

  const hosts = fc.constantFrom("misha.old.test", "opencode.misha.iterate.app", "4096.misha.iterate.app:8443")
  const paths = fc
    .stringMatching(/^[!-~]{0,40}$/)
    .map((text) => `/${text}`)
    .filter((path) => !path.includes("#"))
  it("never leads out of the grammar's domains, whatever the path (property)", async () => {
    await fc.assert(
      fc.asyncProperty(hosts, paths, async (host, path) => {
        const { location } = await visit(`https://${host}${path}`)
        const { hostname, port } = new URL(location!)
        const expected = parse(grammar, host)
        const { domain: _, ...target } = expected as Extract<typeof expected, { readonly _tag: "Target" }>
        expect(hostname).toBe(format(grammar, target))
        expect(port).toBe(host.includes(":") ? "8443" : "")
        expect(location).toMatch(/^https:\/\/[\w.-]+(?::8443)?\//)
      }),
      { numRuns: 200 },
    )
  })
})

it("checks its options", () => {
  // @ts-expect-error there is no grammar
  expect(() => canonicalHost({})).toThrow("canonicalHost: grammar must be what defineGrammar returns")
  // @ts-expect-error no such option
  expect(() => canonicalHost({ grammar, status: 302 })).toThrow("canonicalHost: status is not an option")
})

describe("on sockets", async () => {
  const host = await startRawHost([canonicalHost({ grammar: hostnames })], {})
  afterAll(() => host.close())

  it("a WebSocket handshake is served under the name that it has: no client follows a redirect of one", async () => {
    expect(await host.send(...handshake("4096.misha.iterate.app"))).toBe("101")
    expect(await host.send("GET / HTTP/1.1", "Host: 4096.misha.iterate.app")).toBe("301")
  })

  it.each(["MISHA.Iterate.App", "misha.iterate.app."])(
    "%s is no other spelling: hosts read it as browsers write it",
    async (name) => {
      expect(await host.send("GET / HTTP/1.1", `Host: ${name}`)).toBe("200")
    },
  )

  it("keeps every byte of path and query", async () => {
    const path = "//evil.example/%2e%2e/../a;b?q=%zz&r='//x:y@z&[]=!$()*+,"
    const head = await host.head(`GET ${path} HTTP/1.1`, "Host: 4096.misha.iterate.app:99")
    expect(head).toContain(`\r\nLocation: http://4096__misha.iterate.app:99${path}\r\n`)
  })

  it("an absolute form and `OPTIONS *` lead nowhere else", async () => {
    expect(
      await host.send("GET http://4096.misha.iterate.app//evil.example HTTP/1.1", "Host: 4096.misha.iterate.app"),
    ).toBe("301")
    expect(await host.send("OPTIONS * HTTP/1.1", "Host: 4096.misha.iterate.app")).not.toMatch(/^30/)
  })
})
