import { describe, expect, it } from "vitest"
import { exportCaddy, exportCaddyfile } from "../../src/caddy.ts"
import type { CaddyOptions } from "../../src/caddy.ts"
import type { IngressRule } from "../../src/resource/ingress.ts"
import { ingress, inputOf } from "./ingresses.ts"
import { adaptCaddyfile, caddyBinary, NO_CADDY, validateConfig } from "./real-caddy.ts"

// What Caddy is given, to be read by people; each is accepted by the installed Caddy, as JSON and as a Caddyfile. `vitest -u` writes them.
const api = { hostname: "api.example.com" }
const url = { url: "http://10.0.0.5:8080" }
const key = { name: "x-api-key", value: '0123456789abcdef{env.HOME}*$`"\\#0' }

const internal: CaddyOptions = { certificates: { issuer: "internal" } }
const acme: CaddyOptions = { certificates: { issuer: { email: "ops@example.com" } } }

const cases: Readonly<Record<string, { rules: readonly IngressRule[]; options?: CaddyOptions }>> = {
  plain: { rules: [{ match: api, target: url }], options: { listenAddress: "127.0.0.1" } },
  machine: { rules: [{ match: { ...api, port: 9000 }, target: { machine: "mach_1", port: 8080 } }] },
  capture: {
    rules: [{ match: { hostname: "{machine}.dev.example.com" }, target: { capture: "machine", port: 8080 } }],
    options: { resolver: "127.0.0.1:5353" },
  },
  weights: {
    rules: [
      {
        match: api,
        targets: [
          { url: "http://10.0.0.5:8080", weight: 30 },
          { url: "http://[2001:db8::1]:8080", weight: 10 },
        ],
      },
    ],
  },
  matches: {
    rules: [
      { match: { ...api, path: "/v1" }, target: url },
      { match: { ...api, path: { exact: "/a b%20é".replace(" ", "").replace("é", "%C3%A9") } }, target: url },
      { match: { ...api, method: "POST", headers: { "x-version": "2 {x}", accept: "*/*" } }, target: url },
    ],
  },
  guards: { rules: [{ match: api, target: url, allowCidrs: ["10.0.0.0/8", "2001:db8::/32"], requireHeader: key }] },
  headers: {
    rules: [
      { match: api, target: url, responseHeaders: { set: { "x-frame-options": "DENY" }, remove: ["x-powered-by"] } },
    ],
  },
  protocols: {
    rules: [
      { match: { ...api, path: "/h2c" }, target: { url: "h2c://10.0.0.5:8080" } },
      { match: api, target: { url: "https://app.internal" }, healthCheck: { path: "/healthz", statuses: [204] } },
    ],
  },
  redirect: {
    rules: [{ match: { ...api, port: 8443 }, target: url, tls: true, redirectHttp: true }],
    options: internal,
  },
  acme: {
    rules: [
      { match: api, target: url, tls: true },
      { match: { hostname: "www.example.com" }, target: url },
    ],
    options: acme,
  },
  ask: {
    rules: [
      { match: api, target: url, tls: true },
      { match: { hostname: "*.example.com" }, target: url, tls: true },
    ],
    options: { certificates: { issuer: { email: "ops@example.com" }, ask: "http://127.0.0.1:9123/ask" } },
  },
  behind: {
    rules: [{ match: api, target: url, tls: true, redirectHttp: true }],
    options: { ...internal, publicPorts: { 8080: 80, 8443: 443 }, storage: "/var/lib/caddy files" },
  },
  unresolved: { rules: [{ match: api, target: { machine: "gone", port: 8080 } }] },
}

describe("configuration of Caddy", () => {
  for (const [name, { rules, options }] of Object.entries(cases)) {
    it(`${name}: is what it was, and Caddy accepts it`, async (ctx) => {
      const input = inputOf([await ingress("my-api", rules)], { mach_1: "10.0.0.7" })
      const json = exportCaddy(input, options)
      const text = exportCaddyfile(input, options)
      await expect(json.files[0]?.text).toMatchFileSnapshot(`golden/${name}.json.txt`)
      await expect(text.files[0]?.text).toMatchFileSnapshot(`golden/${name}.Caddyfile`)
      expect(json.problems.map(({ kind }) => kind)).toEqual(name === "unresolved" ? ["unresolved"] : [])
      expect(text.problems).toEqual(json.problems)
      if (caddyBinary === undefined) ctx.skip(NO_CADDY)
      expect(validateConfig(json.config)).toBe("")
      expect(validateConfig(adaptCaddyfile(text.files[0]!.text))).toBe("")
    })
  }

  it("with the DNS-01 challenge needs a Caddy that was built with its module, and lacks nothing else", async (ctx) => {
    const rules = [{ match: { hostname: "*.example.com" }, target: url, tls: true }]
    const options: CaddyOptions = {
      certificates: { issuer: { email: "o@example.com", dns: { provider: "cloudflare" } } },
    }
    const { config, files } = exportCaddy(inputOf([await ingress("my-api", rules)]), options)
    expect(files[0]?.text).toContain('"api_token": "{env.CLOUDFLARE_API_TOKEN}"')
    if (caddyBinary === undefined) ctx.skip(NO_CADDY)
    expect(validateConfig(config)).toContain("unknown module: dns.providers.cloudflare")
  })

  it("has a file of mode 0600 if it holds the value of a required header", async () => {
    const guarded = inputOf([await ingress("my-api", cases["guards"]!.rules)])
    expect(exportCaddy(guarded).files[0]?.mode).toBe(0o600)
    expect(exportCaddyfile(guarded).files[0]?.mode).toBe(0o600)
    expect(exportCaddy(inputOf([])).files[0]).not.toHaveProperty("mode")
  })
})
