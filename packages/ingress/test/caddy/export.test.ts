import { describe, expect, it } from "vitest"
import { exportCaddy, exportCaddyfile } from "../../src/caddy.ts"
import type { CaddyConfig, CaddyOptions } from "../../src/caddy.ts"
import { checkCaddyConfig } from "../../src/caddy/check-config.ts"
import { bindFailure } from "../../src/caddy/front/listeners.ts"
import type { ExportInput } from "../../src/fronts/front.ts"
import { readPattern } from "../../src/resource/hostname-pattern.ts"
import type { IngressRule } from "../../src/resource/ingress.ts"
import { ingress, inputOf } from "./ingresses.ts"

const target = { url: "http://10.0.0.5:8080" }

// Cases of other systems' tests, by the id that they have in the project's lists.
describe("what is exported for Caddy", () => {
  it("4-20: turns redirects off and not TLS where rules with and without tls are mixed, 4-17: a server for each port in order", async () => {
    const rules = [9000, 80, 443].map((port) => ({
      match: { hostname: "a.example.com", port },
      target,
      tls: port === 443,
    }))
    const text = exportCaddy(inputOf([await ingress("one", rules)]), { certificates: { issuer: "internal" } }).files[0]!
      .text
    for (let run = 0; run < 5; run += 1) {
      const shuffled = inputOf([await ingress("one", [...rules.slice(run % 3), ...rules.slice(0, run % 3)])])
      expect(exportCaddy(shuffled, { certificates: { issuer: "internal" } }).files[0]!.text).toBe(text)
    }
    expect(text.match(/"ingress-\d+"|":\d+"|"disable\w*"/g)).toEqual(
      '"ingress-80" ":80" "disable" "ingress-443" ":443" "disable_redirects" "disable_certificates" "ingress-9000" ":9000" "disable"'.split(
        " ",
      ),
    )
  })

  it("4-13, 4-14: names the label that a capture is, from the right", async () => {
    const names = async (hostname: string, capture: string) => {
      const match = { hostname }
      const { config } = exportCaddy(inputOf([await ingress("one", [{ match, target: { capture, port: 80 } }])]))
      return /labels\.(\d+)/.exec(JSON.stringify(config))?.[1]
    }
    expect(await names("{instance}.example.com", "instance")).toBe("2")
    expect(await names("{instance}.app.example.com", "instance")).toBe("3")
    expect(await names("{instance}.{env}.example.com", "instance")).toBe("3")
    expect(await names("{instance}.{env}.example.com", "env")).toBe("2")
    expect(readPattern("{instance}.{env}.example.com")).toMatchObject({ wildcard: "*.*.example.com" })
    await expect(names("api-{i}.x.com", "i")).rejects.toThrow("mixed captures")
    await expect(names("{i}.{i}.x.com", "i")).rejects.toThrow("duplicate captures")
    await expect(names("x.example.com", "i")).rejects.toThrow("a capture of match.hostname")
  })

  it("4-22: refuses tls without certificates, and wildcards without a way to prove them", async () => {
    const exported = async (hostname: string, certificates?: CaddyOptions["certificates"]) =>
      exportCaddy(
        inputOf([await ingress("one", [{ match: { hostname }, target, tls: true }])]),
        certificates === undefined ? {} : { certificates },
      ).problems
    const issuer = { email: "ops@example.com" }
    const dns = { provider: "cloudflare" as const }
    expect(await exported("a.example.com")).toMatchObject([{ field: "rules.0.tls", kind: "unsupported" }])
    expect((await exported("a.example.com"))[0]?.reason).toContain("ACME is not configured")
    expect(await exported("a.example.com", { issuer })).toEqual([])
    expect(await exported("*.example.com", { issuer })).toMatchObject([{ field: "rules.0.match.hostname" }])
    expect(await exported("*.example.com", { issuer: { ...issuer, dns } })).toEqual([])
    expect(await exported("*.*.example.com", { issuer: { ...issuer, dns } })).toHaveLength(1)
    expect(await exported("*.*.example.com", { issuer, ask: "http://127.0.0.1/" })).toEqual([])
  })

  it("4-23: reads the port of an address that is in use", () => {
    expect(bindFailure("listen tcp 0.0.0.0:8080: bind: address already in use")).toEqual({ port: 8080 })
    expect(bindFailure("listen tcp [::]:443: bind: address already in use")).toEqual({ port: 443 })
    expect(bindFailure("address already in use")).toEqual({ port: undefined })
    expect(bindFailure("unknown module")).toBeUndefined()
  })

  it("says of each rule what Caddy cannot do, and then gives its hostname 503, or nothing", async () => {
    const match = { hostname: "a.example.com" }
    const certificates = { issuer: "internal" as const }
    const cases: readonly (readonly [IngressRule, string])[] = [
      [{ match: { protocol: "tcp", port: 5432 }, target: { url: "tcp://10.0.0.5:5432" } }, "match.protocol"],
      [{ match: { protocol: "udp", port: 53 }, target: { url: "udp://10.0.0.5:53" } }, "match.protocol"],
      [
        { match: { protocol: "tcp", ...match }, target: { url: "tcp://10.0.0.5:443" }, passthrough: true },
        "match.protocol",
      ],
      [{ match, target, proxyProtocol: 2 }, "proxyProtocol"],
      [{ match, target, requireHeader: { name: "x-key", sha256: "0".repeat(64) } }, "requireHeader"],
      [{ match, target, requireHeader: { name: "*x", value: "0".repeat(64) } }, "requireHeader.name"],
      [{ match, target, responseHeaders: { remove: ["x-*"] } }, "responseHeaders.remove"],
      [{ match, target, healthCheck: { path: "/", statuses: [200, 204] } }, "healthCheck.statuses"],
      [{ match: { ...match, path: "/a/../b" }, target }, "match.path"],
      [{ match: { ...match, path: "/a%2Fb" }, target }, "match.path"],
      [{ match: { ...match, path: "/a?b" }, target }, "match.path"],
      [{ match: { ...match, path: "/%zz" }, target }, "match.path"],
      [{ match, target: { project: "misha" } }, "targets.0.port"],
      [{ match, targets: [target, { url: "https://10.0.0.6" }] }, "targets"],
      [
        {
          match,
          targets: [
            { ...target, weight: 1 },
            { ...target, weight: 100 },
          ],
        },
        "targets",
      ],
      [
        { match: { hostname: "{m}.example.com" }, target: { capture: "m", port: 1 }, healthCheck: { path: "/" } },
        "healthCheck",
      ],
      [{ match: { hostname: "{m}.example.com" }, targets: [{ capture: "m", port: 1 }, target] }, "targets"],
    ]
    for (const [rule, field] of cases) {
      const { config, problems } = exportCaddy(inputOf([await ingress("one", [rule])]), { certificates })
      expect(problems.map((each) => [each.kind, each.ingress, each.field])).toEqual([
        ["unsupported", "one", `rules.0.${field}`],
      ])
      expect(JSON.stringify(config)).not.toContain("reverse_proxy")
      const isHttp = rule.match.protocol === undefined && field !== "match.path"
      expect(JSON.stringify(config).includes('"status_code":503')).toBe(isHttp)
    }
  })

  it("needs a zone for captures, a plain port beside one with tls, and addresses that are addresses", async () => {
    const fields = async (rules: readonly IngressRule[], more: Partial<ExportInput> = {}) =>
      exportCaddy(
        { ...inputOf([await ingress("one", rules)]), ...more },
        { certificates: { issuer: "internal" } },
      ).problems.map(({ field }) => field)
    const capture = [{ match: { hostname: "{m}.example.com" }, target: { capture: "m", port: 1 } }]
    for (const internalZone of [undefined, "a b", "{env.HOME}", "::1"]) {
      expect(await fields(capture, { internalZone } as Partial<ExportInput>)).toEqual(["rules.0.targets.0.capture"])
    }
    const plain = { match: { hostname: "a.example.com", port: 8443 }, target }
    expect(await fields([plain, { ...plain, match: { hostname: "b.example.com", port: 8443 }, tls: true }])).toEqual([
      "rules.0.match.port",
    ])
    const machine = [{ match: { hostname: "a.example.com" }, target: { machine: "mach_1", port: 80 } }]
    for (const address of ["{env.HOME}", "10.0.0.5:1", "unix//x", "tcp/x", "a b", "", "[::1]", "1.2.3"]) {
      expect(await fields(machine, { address: () => address }), address).toEqual(["rules.0.targets.0"])
    }
    expect(await fields(machine, { address: () => "2001:db8::1" })).toEqual([])
  })

  it("leaves a target without an address out while another one has one", async () => {
    const targets = [{ machine: "gone", port: 80 }, target]
    const { config, problems } = exportCaddy(
      inputOf([await ingress("one", [{ match: { hostname: "a.example.com" }, targets }])]),
    )
    expect(problems).toEqual([
      { kind: "unresolved", ingress: "one", field: "rules.0.targets.0", reason: "has no address now" },
    ])
    expect(JSON.stringify(config)).toContain('"upstreams":[{"dial":"10.0.0.5:8080"}]')
  })

  it("refuses in a Caddyfile what that cannot write, and nothing else", async () => {
    const refused = async (set: Readonly<Record<string, string>>) =>
      exportCaddyfile(
        inputOf([await ingress("one", [{ match: { hostname: "a.example.com" }, target, responseHeaders: { set } }])]),
      ).problems
    for (const set of [{ "x-a": "{$HOME}" }, { "x-a": "a}" }, { "x-a": "`\\" }, { import: "x" }, { "-x": "x" }]) {
      expect(await refused(set as Record<string, string>)).toMatchObject([{ field: "rules.0.responseHeaders.set" }])
    }
    expect(await refused({ "x-a": `"a" 'b' #c \\ $HOME`, "x-b": '`" <<', "x-c": "" })).toEqual([])
  })

  it("finds in a configuration what Caddy would accept and carry out otherwise", async () => {
    const rules = [{ match: { hostname: "a.example.com" }, target, tls: true }]
    const { config } = exportCaddy(inputOf([await ingress("one", rules)]), { certificates: { issuer: "internal" } })
    const broken = (from: string, to: string) =>
      checkCaddyConfig(JSON.parse(JSON.stringify(config).replace(from, to)) as CaddyConfig)
    expect(checkCaddyConfig(config)).toEqual([])
    expect(broken('"10.0.0.5:8080"', '"http://10.0.0.5:8080"')).toEqual(["dial must be host:port"])
    expect(broken('"10.0.0.5:8080"', '"10.0.0.5"')).toEqual(["dial must be host:port"])
    expect(broken('"terminal":true', '"terminal":false')).toEqual(["ingress-443.routes.0 must be terminal"])
    expect(broken("hostname {http.request.host}", "{env.SECRET}")).toEqual([
      "body must have no placeholder but those of the exporter",
    ])
    expect(broken('"automate":["a.', '"automate":["b.')).toEqual([
      "ingress-443.routes.0 must have a certificate for its hostname",
    ])
    expect(broken('[":443"]', '[":443",":443"]')).toEqual(["ingress-443.listen must be an address of its own"])
    expect(
      broken(
        ',{"handle":[{"handler":"static_response","status_code":404',
        ',{"match":[{}],"handle":[{"status_code":404',
      ),
    ).toEqual(["ingress-443.routes must end with one that takes everything"])
  })

  it("writes how long WebSockets go on, for Caddy 2.7", async () => {
    const input = inputOf([await ingress("one", [{ match: { hostname: "a.example.com" }, target }])])
    expect(exportCaddy(input, { streamCloseDelayMs: 60_000 }).files[0]?.text).toContain(
      '"stream_close_delay": "60000ms"',
    )
    expect(exportCaddyfile(input, { streamCloseDelayMs: 60_000 }).files[0]?.text).toContain(
      "stream_close_delay 60000ms",
    )
  })
})
