import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:http"
import dnsPacket from "dns-packet"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { caddyFront } from "../../src/caddy-front.ts"
import type { CaddyOptions } from "../../src/caddy.ts"
import { exportCaddy, exportCaddyfile } from "../../src/caddy.ts"
import { askHandler } from "../../src/certificates.ts"
import type { DeclaredIngress, IngressRule } from "../../src/resource/ingress.ts"
import { applyTo } from "./apply.ts"
import { get, startApp } from "./apps.ts"
import type { App } from "./apps.ts"
import { ingress, inputOf } from "./ingresses.ts"
import { adaptCaddyfile, caddyBinary, NO_CADDY, startCaddy, validateConfig } from "./real-caddy.ts"
import type { RealCaddy } from "./real-caddy.ts"

// Cases of other systems' tests, by the id that they have in the project's lists; here against a running Caddy.
const key = "0123456789abcdef0123456789abcdef"
let caddy: RealCaddy
let [a, b]: App[] = []
let [http, https, other] = [0, 0, 0]
let options: CaddyOptions = {}

beforeAll(async () => {
  if (caddyBinary === undefined) return
  caddy = await startCaddy()
  ;[a, b] = await Promise.all([startApp("a"), startApp("b")])
  ;[http, https, other] = await Promise.all([freePort(), freePort(), freePort()])
  options = {
    listenAddress: "127.0.0.1",
    publicPorts: { [http]: 80, [https]: 443 },
    certificates: { issuer: "internal" },
  }
})
afterAll(async () => Promise.all([caddy?.stop(), a?.close(), b?.close()]))

const run = async (ingresses: readonly DeclaredIngress[], more: CaddyOptions = {}): Promise<string> => {
  const front = caddyFront({ admin: caddy.admin, export: { ...options, ...more }, adopt: true })
  return applyTo(front, inputOf(ingresses, { mach_a: "127.0.0.1", mach_b: "127.0.0.1" }))
}
const one = async (...rules: readonly IngressRule[]) => run([await ingress("one", rules)])
const appOf = async (hostname: string, path = "/") => (await get(http, hostname, path)).seen?.app
/** Which app responds by TLS, once its certificate is there: that is made after the configuration is taken. */
const tlsAppOf = (port: number, hostname: string) =>
  get(port, hostname, "/", { tls: true }).then(
    ({ seen }) => seen?.app,
    () => undefined,
  )
const url = (app: App | undefined) => ({ url: app!.url })

describe.skipIf(caddyBinary === undefined)(`a real Caddy${caddyBinary ? "" : `: ${NO_CADDY}`}`, () => {
  it("4-18: responds 404 to a hostname that nobody declared, 4-43: and passes a declared one on", async () => {
    await one({ match: { hostname: "test.local" }, target: url(a) })
    expect(await appOf("test.local")).toBe("a")
    expect(await appOf("TEST.local:8080")).toBe("a")
    const missing = await get(http, "other.local")
    expect(missing).toMatchObject({
      status: 404,
      body: "Not Found: no ingress configured for hostname other.local",
      headers: { "content-type": "text/plain; charset=utf-8" },
    })
  })

  it("2-19: has both hosts of two rules, and an identical document the second time", async () => {
    const two = [
      await ingress("one", [{ match: { hostname: "a.example.com" }, target: { machine: "mach_a", port: a!.port } }]),
      await ingress("two", [{ match: { hostname: "b.example.com" }, target: { machine: "mach_b", port: b!.port } }]),
    ]
    expect(await run(two)).toContain(`"dial": "127.0.0.1:${a!.port}"`)
    expect(await run(two.toReversed())).toBe("")
    expect(await Promise.all([appOf("a.example.com"), appOf("b.example.com")])).toEqual(["a", "b"])
  })

  it("2-29: serves a new host when the call returns, and a removed one no longer", async () => {
    await one({ match: { hostname: "a.example.com" }, target: url(a) })
    for (const app of [b, a]) {
      await one({ match: { hostname: "new.example.com" }, target: url(app) })
      expect(await appOf("new.example.com")).toBe(app === a ? "a" : "b")
      expect((await get(http, "a.example.com")).status).toBe(404)
    }
  })

  it("2-20, 4-16: has neither apps nor a proxy without rules", async () => {
    const { config } = exportCaddy(inputOf([]), { storage: "/var/lib/caddy" })
    expect(Object.keys(config)).toEqual(["@id", "admin", "storage"])
    expect(exportCaddyfile(inputOf([])).files[0]?.text).not.toContain("reverse_proxy")
    await run([])
    expect(await caddy.config()).not.toHaveProperty("apps")
    await expect(get(http, "a.example.com")).rejects.toThrow("ECONNREFUSED")
  })

  it("4-29: takes the exact hostname before a pattern, whichever was there first", async () => {
    for (const [exact, pattern] of [
      [1, 2],
      [2, 1],
    ] as const) {
      await run([
        await ingress("p", [{ match: { hostname: "{m}.example.com" }, target: url(b) }], { createdAt: pattern }),
        await ingress("e", [{ match: { hostname: "www.example.com" }, target: url(a) }], { createdAt: exact }),
      ])
      expect(await appOf("www.example.com")).toBe("a")
      expect(await appOf("x.example.com")).toBe("b")
      // `*` is one label.
      expect((await get(http, "x.y.example.com")).status).toBe(404)
      expect((await get(http, "example.com")).status).toBe(404)
    }
  })

  it("4-33: lets the right header in and takes it off; all else is 403, a redirect needs none", async () => {
    const requireHeader = { name: "x-api-key", value: `${key}{$HOME}*` }
    await one({ match: { hostname: "a.example.com" }, target: url(a), tls: true, redirectHttp: true, requireHeader })
    const ask = (value?: string) =>
      get(https, "a.example.com", "/", {
        tls: true,
        ...(value === undefined ? {} : { headers: { "X-Api-Key": value } }),
      })
    // The certificate is made after the configuration is taken.
    await expect
      .poll(() =>
        ask().then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(403)
    const right = await ask(requireHeader.value)
    expect(right.seen?.app).toBe("a")
    expect(right.seen?.headers).not.toHaveProperty("x-api-key")
    for (const value of [undefined, key, `${requireHeader.value}x`, `${key}/root*`, ""]) {
      expect((await ask(value)).status).toBe(403)
    }
    expect((await get(http, "a.example.com")).status).toBe(301)
  })

  it("4-19: redirects HTTP alone, with the port unless it is 443, and not the challenge's path", async () => {
    await one(
      { match: { hostname: "a.example.com" }, target: url(a), tls: true, redirectHttp: true },
      { match: { hostname: "b.example.com", port: other }, target: url(b), tls: true, redirectHttp: true },
      // Of somebody else: neither the redirect nor the challenge may fall through to it.
      { match: { hostname: "*.example.com" }, target: url(b) },
    )
    const location = async (host: string) => (await get(http, host, "/x%20y?z={q}")).headers.location
    expect(await location("a.example.com")).toBe("https://a.example.com/x%20y?z={q}")
    expect(await location("b.example.com")).toBe(`https://b.example.com:${other}/x%20y?z={q}`)
    await expect.poll(() => tlsAppOf(https, "a.example.com")).toBe("a")
    await expect.poll(() => tlsAppOf(other, "b.example.com")).toBe("b")
    expect((await get(http, "a.example.com", "/.well-known/acme-challenge/token")).status).toBe(404)
    expect(await appOf("c.example.com")).toBe("b")
    const { config } = exportCaddy(
      inputOf([await ingress("x", [{ match: { hostname: "a.b.c" }, target: url(a), tls: true }])]),
      {
        certificates: { issuer: { email: "o@example.com", dns: { provider: "cloudflare" } } },
      },
    )
    expect(JSON.stringify(config)).toContain(
      '"subjects":["a.b.c"],"issuers":[{"module":"acme","email":"o@example.com","challenges":{"dns"',
    )
  })

  it("4-26: follows a machine's address by DNS within its 5 s, without a new configuration", async () => {
    // The same port on two addresses of loopback.
    const first = await startApp("first", "127.0.0.2")
    const moved = await startApp("moved", "127.0.0.3", first.port)
    const addresses = { "mach-1.machines.internal": "127.0.0.2" } as Record<string, string>
    const asked: string[] = []
    const dns = createSocket("udp4").bind(0, "127.0.0.1")
    await once(dns, "listening")
    dns.on("message", (message, { port, address }) => {
      const { id, questions = [] } = dnsPacket.decode(message)
      const [{ name, type }] = questions as [dnsPacket.Question]
      asked.push(name)
      const data = type === "A" ? addresses[name.toLowerCase()] : undefined
      const found = data === undefined ? [] : [{ type: "A" as const, name, ttl: 5, data }]
      const flags = dnsPacket.AUTHORITATIVE_ANSWER | (addresses[name.toLowerCase()] === undefined ? 3 : 0)
      dns.send(dnsPacket.encode({ id: id!, type: "response", flags, questions, answers: found }), port, address)
    })
    try {
      const rule = { match: { hostname: "{m}.dev.example.com" }, target: { capture: "m", port: first.port } }
      await run([await ingress("one", [rule])], { resolver: `127.0.0.1:${dns.address().port}` })
      expect(await appOf("mach-1.dev.example.com")).toBe("first")
      expect((await get(http, "mach-2.dev.example.com")).status).toBe(503)
      // What a client writes as a label is no more than a name that is looked up.
      expect((await get(http, "*.dev.example.com")).status).toBe(503)
      expect(asked.every((name) => name.endsWith(".machines.internal"))).toBe(true)
      addresses["mach-1.machines.internal"] = "127.0.0.3"
      const before = await caddy.config()
      await expect.poll(() => appOf("mach-1.dev.example.com"), { timeout: 20_000 }).toBe("moved")
      expect(await caddy.config()).toEqual(before)
    } finally {
      dns.close()
      await Promise.all([first.close(), moved.close()])
    }
  })

  it("4-28: gives 503 where a target has no address, and the hostname to nobody else", async () => {
    await run([
      await ingress("gone", [{ match: { hostname: "gone.example.com" }, target: { machine: "mach_gone", port: 80 } }]),
      await ingress("wild", [{ match: { hostname: "*.example.com" }, target: url(b) }], { owner: "somebody" }),
    ])
    expect((await get(http, "gone.example.com")).status).toBe(503)
    expect(await appOf("x.example.com")).toBe("b")
  })

  it("orders one certificate for a wildcard, none for names under it, and asks for what it cannot order", async () => {
    const rules = ["*.dev.example.com", "a.dev.example.com", "*.*.example.com"].map((hostname) => ({
      match: { hostname },
      target: url(a),
      tls: true,
    }))
    const ingresses = [await ingress("one", rules)]
    const handler = askHandler({
      ingresses: () => ingresses,
      authorize: (hostname) => !hostname.startsWith("invented"),
    })
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(request.url!)
      void handler(new Request(`http://localhost${request.url}`)).then(({ status }) => response.writeHead(status).end())
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    try {
      const ask = `http://127.0.0.1:${(server.address() as { port: number }).port}/ask`
      await run(ingresses, { certificates: { issuer: "internal", ask } })
      const visit = (hostname: string) => get(https, hostname, "/", { tls: true })
      await expect
        .poll(() =>
          visit("a.dev.example.com").then(
            ({ status }) => status,
            () => 0,
          ),
        )
        .toBe(200)
      expect(asked).toEqual([])
      expect((await visit("x.y.example.com")).seen?.app).toBe("a")
      await expect(visit("invented.y.example.com")).rejects.toThrow("alert internal error")
      await expect(visit("unknown.org")).rejects.toThrow("alert internal error")
      expect(asked).toEqual(
        ["x.y", "invented.y"].map((name) => `/ask?domain=${name}.example.com`).concat("/ask?domain=unknown.org"),
      )
    } finally {
      server.close()
    }
  })

  it("sends requests by weight, by path, method and field, and only to networks that are allowed", async () => {
    const match = { hostname: "w.example.com" }
    await one(
      {
        match,
        targets: [
          { ...url(a), weight: 30 },
          { ...url(b), weight: 10 },
          { url: "http://127.0.0.1:1", weight: 0 },
        ],
      },
      { match: { ...match, path: "/denied" }, target: url(a), allowCidrs: ["10.0.0.0/8"] },
      { match: { ...match, path: "/local" }, target: url(b), allowCidrs: ["127.0.0.0/8"] },
      {
        match: { ...match, path: { exact: "/only" } },
        target: url(b),
        responseHeaders: { set: { "x-a": "{http.request.host} \\{x}" }, remove: ["x-powered-by"] },
      },
      { match: { ...match, path: "/m", method: "DELETE" }, target: url(b) },
      { match: { ...match, path: "/m", headers: { "x-v": "2*" } }, target: url(b) },
    )
    const shares = await Promise.all(Array.from({ length: 40 }, () => appOf("w.example.com")))
    expect(shares.filter((app) => app === "b")).toHaveLength(10)
    expect((await get(http, "w.example.com", "/denied/x")).status).toBe(403)
    expect(await appOf("w.example.com", "/local")).toBe("b")
    const only = await get(http, "w.example.com", "/only?q")
    expect(only.headers).toMatchObject({ "x-a": "{http.request.host} \\{x}" })
    expect(only.headers).not.toHaveProperty("x-powered-by")
    expect((await get(http, "w.example.com", "/m", { method: "DELETE" })).seen?.app).toBe("b")
    expect((await get(http, "w.example.com", "/m", { headers: { "X-V": "2*" } })).seen?.app).toBe("b")
    // A spelling of a protected path does not avoid its rule.
    for (const path of ["/denied", "//denied", "/x/../denied", "/%64enied", "/denied%2Fx", "/./denied/"]) {
      expect((await get(http, "w.example.com", path)).status, path).toBe(403)
    }
    for (const path of ["/deniedx", "/DENIED", "/denied/../x", "/only/"]) {
      expect((await get(http, "w.example.com", path)).status, path).toBe(200)
    }
  })

  it("does the same by its Caddyfile", async () => {
    const rules: IngressRule[] = [
      { match: { hostname: "*.example.com" }, target: url(b) },
      {
        match: { hostname: "a.example.com", path: "/x" },
        target: url(b),
        requireHeader: { name: "x-api-key", value: key },
      },
      { match: { hostname: "a.example.com" }, target: url(a), allowCidrs: ["10.0.0.0/8"] },
      { match: { hostname: "s.example.com" }, target: url(a), tls: true, redirectHttp: true },
      { match: { hostname: "gone.example.com" }, target: { machine: "none", port: 80 } },
    ]
    const { files } = exportCaddyfile(inputOf([await ingress("one", rules)]), {
      ...options,
      admin: { listen: new URL(caddy.admin).host },
    })
    const config = adaptCaddyfile(files[0]!.text)
    expect(validateConfig(config)).toBe("")
    expect((await caddy.load(config)).status).toBe(200)
    expect((await get(http, "a.example.com")).status).toBe(403)
    expect((await get(http, "a.example.com", "/x")).status).toBe(403)
    const keyed = await get(http, "a.example.com", "/x/y", { headers: { "X-Api-Key": key } })
    expect(keyed.seen?.app).toBe("b")
    expect(keyed.seen?.headers).not.toHaveProperty("x-api-key")
    expect(await appOf("z.example.com")).toBe("b")
    expect((await get(http, "gone.example.com")).status).toBe(503)
    expect((await get(http, "other.org")).body).toBe("Not Found: no ingress configured for hostname other.org")
    expect((await get(http, "s.example.com")).headers.location).toBe("https://s.example.com/")
    await expect.poll(() => tlsAppOf(https, "s.example.com")).toBe("a")
  })
})
