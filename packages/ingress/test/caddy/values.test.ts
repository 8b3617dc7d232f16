import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { exportCaddy } from "../../src/caddy.ts"
import { get, startApp } from "./apps.ts"
import type { App } from "./apps.ts"
import { decoded, hostile } from "./hostile.ts"
import { inputOf } from "./ingresses.ts"
import { caddyBinary, NO_CADDY, startCaddy } from "./real-caddy.ts"
import type { RealCaddy } from "./real-caddy.ts"

describe.skipIf(caddyBinary === undefined)(
  `values of documents in a real Caddy${caddyBinary ? "" : `: ${NO_CADDY}`}`,
  () => {
    let caddy: RealCaddy
    let app: App
    beforeAll(async () => {
      ;[caddy, app] = await Promise.all([startCaddy(), startApp("app")])
    })
    afterAll(async () => Promise.all([caddy?.stop(), app?.close()]))

    it("are taken as they are: no placeholder, wildcard or quote means anything", async () => {
      const port = await freePort()
      const values = fc.sample(
        fc.record({ secret: hostile(32, 40), header: hostile(1, 12), response: hostile(0, 12) }),
        40,
      )
      const given = values.map(({ secret, header, response }, at) => ({
        match: { hostname: `r${at}.example.com`, headers: { "x-match": header } },
        target: { url: app.url },
        requireHeader: { name: "x-key", value: secret },
        responseHeaders: { set: { "x-a": `a${response}a` } },
      }))
      const one = await decoded({ name: "one", rules: given })
      const { config } = exportCaddy(inputOf([one]), {
        listenAddress: "127.0.0.1",
        publicPorts: { [port]: 80 },
        admin: { listen: new URL(caddy.admin).host },
      })
      expect((await caddy.load(config)).status).toBe(200)
      for (const { match, requireHeader, responseHeaders } of one.rules) {
        const secret = requireHeader!.value!
        const headers = { "x-match": match.headers!["x-match"]!, "x-key": secret }
        const right = await get(port, match.hostname!.text, "/", { headers })
        expect(right.status, secret).toBe(200)
        expect(right.headers["x-a"]).toBe(responseHeaders!.set!["x-a"])
        expect(
          (await get(port, match.hostname!.text, "/", { headers: { ...headers, "x-key": `${secret}x` } })).status,
        ).toBe(403)
        expect(
          (await get(port, match.hostname!.text, "/", { headers: { ...headers, "x-match": `x${headers["x-match"]}` } }))
            .status,
        ).toBe(404)
      }
    })

    it("route by groups as one after another", async () => {
      const port = await freePort()
      const rules = Array.from({ length: 300 }, (_, at) => ({
        match: { hostname: `h${at}.example.com`, path: "/x" },
        target: { url: app.url },
        responseHeaders: { set: { "x-rule": `${at}` } },
      }))
      const wild = { match: { hostname: "*.example.com" }, target: { url: app.url } }
      const { config } = exportCaddy(inputOf([await decoded({ name: "one", rules: [...rules, wild] })]), {
        listenAddress: "127.0.0.1",
        publicPorts: { [port]: 80 },
        admin: { listen: new URL(caddy.admin).host },
      })
      expect((await caddy.load(config)).status).toBe(200)
      for (const at of [0, 99, 100, 150, 299]) {
        expect((await get(port, `H${at}.example.com`, "/x")).headers["x-rule"]).toBe(String(at))
        expect((await get(port, `h${at}.example.com`, "/y")).headers).not.toHaveProperty("x-rule")
      }
      expect((await get(port, "h300.example.com", "/x")).status).toBe(200)
      expect((await get(port, "h0.example.org", "/x")).status).toBe(404)
    })
  },
)
