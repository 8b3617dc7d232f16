import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { envoyOptionsFromEnvironment, exportEnvoy } from "../../src/envoy.ts"
import type { EnvoyOptions } from "../../src/envoy.ts"
import type { ExportInput } from "../../src/ingress.ts"
import { address, declare, readable, to } from "./declare.ts"
import { assertMessage } from "./envoy-api.ts"
import { interpret } from "./interpret-envoy.ts"
import type { Visit } from "./interpret-envoy.ts"

const certificate = { certFile: "/tls/a.pem", keyFile: "/tls/a.key" }
const certificates = { "*.example.com": certificate, "*.dev.example.com": { certFile: "/b.pem", keyFile: "/b.key" } }
const fixed: EnvoyOptions = { mode: "static", certificates }
const watched: EnvoyOptions = { folder: "/etc/envoy", format: "json", certificates }

type Rules = readonly unknown[]
const input = async (...rules: readonly Rules[]): Promise<ExportInput> => ({
  ingresses: await declare(...rules.map((rules) => ({ rules }))),
  address,
})

/** Of the static file; everything is checked against Envoy's definitions on the way. */
const configuration = (given: ExportInput, options: EnvoyOptions = fixed): unknown => {
  const [file] = exportEnvoy(given, { ...options, mode: "static" }).files
  const value: unknown = parse(readable(file!.text, given.ingresses))
  assertMessage("envoy.config.bootstrap.v3.Bootstrap", value)
  for (const { path, text } of exportEnvoy(given, watched).files) {
    const type = path.startsWith("bootstrap")
      ? "envoy.config.bootstrap.v3.Bootstrap"
      : "envoy.service.discovery.v3.DiscoveryResponse"
    assertMessage(type, JSON.parse(text))
  }
  return value
}

const visit = async (rules: Rules, to: Visit, options?: EnvoyOptions) =>
  interpret(configuration(await input(rules), options), to)
const get = (host: string, more: Partial<Visit> = {}): Visit => ({ port: 80, host, ...more })
const clusters = (...names: readonly string[]) => ({ kind: "clusters", names, removed: [] })
const unknown = { kind: "status", status: 404, text: "No ingress found for this hostname" }

const everything: Rules = [
  { match: { hostname: "api.example.com" }, target: to(1), tls: true, redirectHttp: true },
  { match: { hostname: "api.example.com", path: "/v2", method: "POST", headers: { "x-a": "1" } }, target: to(2) },
  { match: { hostname: "*.dev.example.com", path: { exact: "/x" } }, target: { url: "h2c://app.internal:50051" } },
  { match: { hostname: "{name}.dev.example.com" }, target: { url: "https://app.internal" }, tls: true },
  {
    match: { hostname: "many.example.com", port: 9000 },
    targets: [
      { ...to(3), weight: 3 },
      { url: "http://app.internal:80", weight: 1 },
      { url: "https://[2001:db8::1]:8443", weight: 2 },
      { ...to(4), weight: 0 },
    ],
    allowCidrs: ["10.0.0.0/8", "2001:db8::/32"],
    requireHeader: { name: "x-key", value: `"secret"\\%s$(x)${"y".repeat(20)}` },
    responseHeaders: { set: { "x-robots": "50% #1: 'no'", "x-empty": "" }, remove: ["server", "via"] },
    healthCheck: { path: "/ok?a=%20b", intervalMs: 2_500, statuses: [204, 200] },
    proxyProtocol: 2,
  },
  { match: { protocol: "tcp", port: 5432 }, target: to(5, 5432), proxyProtocol: 1, allowCidrs: ["192.0.2.0/24"] },
  { match: { protocol: "tcp", hostname: "db.example.com", port: 443 }, target: to(6, 5432), passthrough: true },
  { match: { protocol: "tcp", hostname: "*.db.example.com", port: 443 }, target: to(7, 5432), passthrough: true },
  { match: { protocol: "tcp", hostname: "mq.example.com", port: 8883 }, target: to(8, 1883), tls: true },
  { match: { protocol: "udp", port: 53 }, target: to(9, 53) },
]

describe("Envoy's configuration", () => {
  it.each([
    ["static.yaml", fixed],
    ["watched.txt", watched],
  ])("is %s, byte for byte", async (file, options) => {
    const given = await input(everything)
    configuration(given)
    const { files, problems } = exportEnvoy(given, options)
    expect(problems).toEqual([])
    expect(files.every(({ mode }) => mode === 0o600)).toBe(true)
    const text = files.map(({ path, text }) => `# ${path}\n${text}`).join("")
    await expect(text).toMatchFileSnapshot(`golden/${file}`)
    const again = exportEnvoy({ ...given, ingresses: given.ingresses.toReversed() }, options)
    expect(again.files).toEqual(files)
  })

  it("is the same in YAML as in JSON", async () => {
    const given = await input(everything)
    const [yaml, json] = (["yaml", "json"] as const).map((format) => exportEnvoy(given, { ...fixed, format }).files[0]!)
    expect(parse(yaml!.text)).toEqual(JSON.parse(json!.text))
  })

  it("gives watched files a version that changes with their content alone", async () => {
    const version = (given: ExportInput, path: string) =>
      (
        JSON.parse(exportEnvoy(given, watched).files.find((file) => file.path === path)!.text) as {
          version_info: string
        }
      ).version_info
    const one = await input([{ match: { hostname: "a.example.com" }, target: to(1) }])
    const other = await input([{ match: { hostname: "a.example.com" }, target: to(2) }])
    expect(version(one, "cds/cds.json")).toMatch(/^[\da-f]{16}$/)
    expect(version(one, "cds/cds.json")).not.toBe(version(other, "cds/cds.json"))
    // Another target changes no route and no listener: no connection is drained.
    for (const path of ["lds/lds.json", "rds/ingress_routes_80.json"])
      expect(version(one, path)).toBe(version(other, path))
  })
})

describe("the cases of an ingress manager with Envoy", () => {
  const app = { match: { hostname: "api.example.com" }, target: to(1) }

  it("4-16: without ingresses there are no listeners", async () => {
    expect(configuration(await input())).toMatchObject({ static_resources: {} })
    expect(exportEnvoy(await input(), watched).files.map(({ path }) => path)).toEqual([
      "bootstrap.json",
      "cds/cds.json",
      "lds/lds.json",
    ])
  })

  it("4-17: listeners are sorted by port, however often it is exported", async () => {
    const at = (port: number) => ({ match: { hostname: "api.example.com", port }, target: to(1) })
    const given = await input([at(9000)], [at(80)], [at(443)])
    const texts = Array.from({ length: 5 }, () => exportEnvoy(given, fixed).files[0]!.text)
    expect(new Set(texts).size).toBe(1)
    const ports = Array.from(texts[0]!.matchAll(/name: "ingress_listener_(\d+)"/g), ([, port]) => port)
    expect(ports).toEqual(["80", "443", "9000"])
  })

  it("4-18: an unknown hostname is 404 in plain text", async () => {
    expect(await visit([app], get("other.example.com"))).toEqual(unknown)
  })

  it("4-13, 4-14: a capture is exactly one label, whole, and named once", async () => {
    const rules = [
      { match: { hostname: "{a}.example.com" }, target: to(1) },
      { match: { hostname: "{a}.{b}.example.com" }, target: to(2) },
    ]
    expect(await visit(rules, get("x.example.com"))).toEqual(clusters("app-0_0"))
    expect(await visit(rules, get("X.y.EXAMPLE.com:8080"))).toEqual(clusters("app-0_1"))
    for (const host of ["example.com", "x.y.z.example.com", "xexample.com", ".example.com"]) {
      expect(await visit(rules, get(host)), host).toEqual(unknown)
    }
    for (const hostname of ["api-{a}.example.com", "{a}.{a}.example.com"]) {
      await expect(declare({ rules: [{ match: { hostname }, target: to(1) }] })).rejects.toThrow(/mixed|duplicate/)
    }
  })

  // 4-26, an address that changes without a reload, is of fronts that resolve each request. Envoy's is the next look-up of a name.
  it("4-26: a target that is a name is looked up again every 5 s, or after its own TTL", async () => {
    const rules = [{ match: { hostname: "api.example.com" }, target: { url: "http://app.internal:80" } }]
    expect(configuration(await input(rules))).toMatchObject({
      static_resources: { clusters: [{ type: "STRICT_DNS", dns_refresh_rate: "5s", respect_dns_ttl: true }] },
    })
  })

  it("4-28: a target without an address is reported, its requests are 503, and the other rules stay", async () => {
    const gone = { match: { hostname: "gone.example.com" }, target: { machine: "mach_gone", port: 80 } }
    const given = await input([app, gone])
    expect(exportEnvoy(given, fixed).problems).toEqual([
      { kind: "unresolved", ingress: "app-0", field: "rules.1.target", reason: "has no address now" },
    ])
    expect(interpret(configuration(given), get("api.example.com"))).toEqual(clusters("app-0_0"))
    expect(interpret(configuration(given), get("gone.example.com"))).toMatchObject({ status: 503 })
  })

  it("4-29: an exact hostname goes before a pattern, whichever was declared first", async () => {
    const pattern = { match: { hostname: "{a}.example.com" }, target: to(2) }
    for (const rules of [
      [app, pattern],
      [pattern, app],
    ]) {
      expect(await visit(rules, get("api.example.com"))).toEqual(clusters(`app-0_${rules.indexOf(app)}`))
      expect(await visit(rules, get("x.example.com"))).toEqual(clusters(`app-0_${rules.indexOf(pattern)}`))
    }
  })

  it("4-33: a required header is compared, and removed before the target; redirects need none", async () => {
    const value = "k".repeat(32)
    const rules = [{ ...app, tls: true, redirectHttp: true, requireHeader: { name: "x-key", value } }]
    const https = { port: 443, sni: "api.example.com", host: "api.example.com" }
    expect(await visit(rules, { ...https, headers: { "x-key": value } })).toEqual({
      ...clusters("app-0_0"),
      removed: ["x-key"],
    })
    for (const headers of [{}, { "x-key": "k" }]) {
      expect(await visit(rules, { ...https, headers })).toMatchObject({ status: 403 })
    }
    expect(await visit(rules, get("api.example.com"))).toMatchObject({ kind: "redirect" })
  })

  it("4-41: metrics go to a collector in five groups, without traces; without it there is nothing of them", async () => {
    const env = { OTEL_ENABLED: "true", OTEL_ENDPOINT: "otel-collector:4317", OTEL_SERVICE_NAME: "hypeman" }
    const value = configuration(await input([app]), { ...fixed, ...envoyOptionsFromEnvironment(env) })
    expect(value).toMatchObject({
      stats_sinks: [{ name: "envoy.stat_sinks.open_telemetry" }],
      stats_config: { stats_tags: [{ tag_name: "service.name", fixed_value: "hypeman-envoy" }] },
      static_resources: { clusters: [{ name: "app-0_0" }, { name: "otel_collector", type: "STRICT_DNS" }] },
    })
    expect(
      (value as { stats_config: { stats_matcher: { inclusion_list: { patterns: unknown[] } } } }).stats_config
        .stats_matcher.inclusion_list.patterns,
    ).toHaveLength(5)
    expect(JSON.stringify(value)).not.toMatch(/tracing|access_log/)
    expect(JSON.stringify(configuration(await input([app])))).not.toMatch(/stats_|otel|tracing/)
    // A sink starts with Envoy: its cluster is in the bootstrap, also where the others are watched.
    const start = exportEnvoy(await input([app]), { ...watched, ...envoyOptionsFromEnvironment(env) }).files[0]!.text
    expect(JSON.parse(start)).toMatchObject({ static_resources: { clusters: [{ name: "otel_collector" }] } })
  })
})

describe("a request", () => {
  const app = { match: { hostname: "api.example.com" }, target: to(1) }

  it("reaches a rule of another port with the port in its Host, which the target gets as it was sent", async () => {
    const rules = [{ match: { hostname: "api.example.com", port: 8081 }, target: to(1) }]
    expect(await visit(rules, { port: 8081, host: "api.example.com:8081" })).toEqual(clusters("app-0_0"))
    expect(JSON.stringify(configuration(await input(rules)))).not.toContain("strip_any_host_port")
  })

  it("by plain HTTP is redirected, but for challenges of ACME, to the port of the rule", async () => {
    const rules = [{ ...app, tls: true, redirectHttp: true }]
    expect(await visit(rules, get("api.example.com", { path: "/a?b" }))).toEqual({
      kind: "redirect",
      to: "https://api.example.com/a?b",
    })
    expect(await visit(rules, get("api.example.com", { path: "/.well-known/acme-challenge/x" }))).toMatchObject({
      status: 404,
    })
    const other = [{ match: { hostname: "api.example.com", port: 8443 }, target: to(1), tls: true, redirectHttp: true }]
    expect(await visit(other, get("api.example.com"))).toEqual({
      kind: "redirect",
      to: "https://api.example.com:8443/",
    })
    const challenges = { match: { hostname: "api.example.com", path: "/.well-known/acme-challenge" }, target: to(2) }
    expect(
      await visit([...rules, challenges], get("api.example.com", { path: "/.well-known/acme-challenge/x" })),
    ).toEqual(clusters("app-0_1"))
    expect(await visit([...rules, app], get("api.example.com"))).toEqual(clusters("app-0_1"))
  })

  it("by TLS needs a server name that there is a rule for, and goes by its Host then", async () => {
    const rules = [
      { ...app, tls: true },
      { match: { hostname: "www.example.com" }, target: to(2), tls: true },
    ]
    expect(await visit(rules, { port: 443, sni: "www.example.com", host: "api.example.com" })).toEqual(
      clusters("app-0_0"),
    )
    for (const sni of ["", "other.example.com"]) {
      expect(await visit(rules, { port: 443, sni, host: "api.example.com" })).toEqual({ kind: "closed" })
    }
    expect(await visit(rules, { port: 443, host: "api.example.com" })).toEqual({ kind: "closed" })
  })

  it("shares a port with TLS and with connections by server name", async () => {
    const rules = [
      { ...app, tls: true },
      { match: { hostname: "plain.example.com", port: 443 }, target: to(2) },
      { match: { protocol: "tcp", hostname: "db.example.com", port: 443 }, target: to(3), passthrough: true },
      { match: { protocol: "tcp", hostname: "*.db.example.com", port: 443 }, target: to(4), passthrough: true },
    ]
    expect(await visit(rules, { port: 443, sni: "api.example.com", host: "api.example.com" })).toEqual(
      clusters("app-0_0"),
    )
    expect(await visit(rules, { port: 443, host: "plain.example.com" })).toEqual(clusters("app-0_1"))
    expect(await visit(rules, { port: 443, sni: "db.example.com" })).toEqual(clusters("app-0_2"))
    expect(await visit(rules, { port: 443, sni: "a.db.example.com" })).toEqual(clusters("app-0_3"))
    expect(await visit(rules, { port: 443, sni: "a.b.db.example.com" })).toEqual({ kind: "closed" })
  })

  it("from outside the allowed networks is 403, and a connection is closed", async () => {
    const rules = [
      { ...app, allowCidrs: ["10.0.0.0/8"] },
      { match: { protocol: "tcp", port: 5432 }, target: to(2), allowCidrs: ["10.0.0.0/8"] },
    ]
    expect(await visit(rules, get("api.example.com", { client: "10.1.2.3" }))).toEqual(clusters("app-0_0"))
    expect(await visit(rules, get("api.example.com", { client: "11.1.2.3" }))).toMatchObject({ status: 403 })
    expect(await visit(rules, { port: 5432, client: "10.1.2.3" })).toEqual(clusters("app-0_1"))
    expect(await visit(rules, { port: 5432, client: "11.1.2.3" })).toEqual({ kind: "closed" })
  })

  it("never goes to a less specific rule because the target of its own has no address", async () => {
    const gone = { machine: "mach_gone", port: 80 }
    const rules = [
      { match: { hostname: "{a}.example.com" }, target: to(1) },
      { match: { hostname: "api.example.com" }, target: gone },
      { match: { hostname: "www.example.com", path: "/admin" }, target: gone },
      { match: { protocol: "tcp", hostname: "*.db.example.com", port: 443 }, target: to(2), passthrough: true },
      { match: { protocol: "tcp", hostname: "a.db.example.com", port: 443 }, target: gone, passthrough: true },
    ]
    expect(await visit(rules, get("api.example.com"))).toMatchObject({ status: 503 })
    expect(await visit(rules, get("www.example.com", { path: "/admin/x" }))).toMatchObject({ status: 503 })
    expect(await visit(rules, get("www.example.com", { path: "/" }))).toEqual(unknown)
    // Nor is its redirect missing where a pattern would take plain requests.
    const secure = [rules[0], { ...(rules[1] as object), tls: true, redirectHttp: true }]
    expect(await visit(secure, get("api.example.com"))).toMatchObject({ kind: "redirect" })
    expect(await visit(rules, { port: 443, sni: "a.db.example.com" })).toEqual({ kind: "closed" })
    expect(await visit(rules, { port: 443, sni: "b.db.example.com" })).toEqual(clusters("app-0_3"))
  })
})

describe("patterns that take the same hostnames", () => {
  const at = (hostname: string, path?: string) => ({
    match: path === undefined ? { hostname } : { hostname, path },
    target: to(1),
  })
  // Envoy looks at the virtual host with the longest suffix alone. The nearest pattern owns the request.
  it.each<[string, Rules, string, string, string | undefined]>([
    ["of a longer and a shorter suffix", [at("*.a.x", "/p"), at("*.*.x")], "b.a.x", "/q", undefined],
    ["with a literal in front", [at("*.a.x", "/p"), at("b.*.x")], "b.a.x", "/q", "app-0_1"],
    ["of which one has more labels", [at("*.a.x"), at("*.*.a.x"), at("c.*.*.x")], "c.b.a.x", "/", "app-0_2"],
    ["of which the wider one takes more labels", [at("*.a.x", "/p"), at("*.*.*.x")], "c.b.a.x", "/q", "app-0_1"],
    ["and none of them these", [at("*.a.x"), at("c.*.x")], "d.b.x", "/", undefined],
    ["and a hostname of its own", [at("b.a.x", "/p"), at("*.a.x", "/q"), at("*.*.x")], "b.a.x", "/r", undefined],
  ])("%s", async (_, rules, host, path, cluster) => {
    expect(await visit(rules, get(host, { path }))).toEqual(cluster === undefined ? unknown : clusters(cluster))
  })
})

describe("what Envoy cannot express", () => {
  const rule = { match: { hostname: "api.example.com" }, target: to(1) }
  const tcp = { match: { protocol: "tcp", port: 5432 }, target: to(1) }
  const sha256 = "0".repeat(64)
  it.each<[string, Rules, string, RegExp, EnvoyOptions?]>([
    [
      "captures",
      [{ match: { hostname: "{a}.example.com" }, target: { capture: "a", port: 80 } }],
      "rules.0.target.capture",
      /dynamic/,
    ],
    ["the hash of a header", [{ ...rule, requireHeader: { name: "x-key", sha256 } }], "rules.0.requireHeader", /value/],
    [
      "TLS without a certificate",
      [{ ...rule, tls: true }],
      "rules.0.tls",
      /none for api\.example\.com/,
      { mode: "static" },
    ],
    [
      "a path with a query",
      [{ ...rule, match: { hostname: "a.example.com", path: "/a?b" } }],
      "rules.0.match.path",
      /\?/,
    ],
    [
      "server names of several *",
      [{ match: { protocol: "tcp", hostname: "*.*.example.com" }, target: to(1), passthrough: true }],
      "rules.0.match.hostname",
      /one \*/,
    ],
    [
      "networks of UDP",
      [{ match: { protocol: "udp", port: 53 }, target: to(1), allowCidrs: ["10.0.0.0/8"] }],
      "rules.0.allowCidrs",
      /UDP/,
    ],
    [
      "the PROXY protocol by UDP",
      [{ match: { protocol: "udp", port: 53 }, target: to(1), proxyProtocol: 2 }],
      "rules.0.proxyProtocol",
      /UDP/,
    ],
    ["health checks by TCP", [{ ...tcp, healthCheck: { path: "/" } }], "rules.0.healthCheck", /HTTP/],
    ["a project's own port", [{ ...rule, target: { project: "misha" } }], "rules.0.target.port", /project/],
    [
      "a port by TCP and by HTTP",
      [tcp, { match: { hostname: "a.example.com", port: 5432 }, target: to(2) }],
      "rules.0.match.port",
      /share/,
    ],
    ["one port of TCP twice", [tcp, tcp], "rules.1.match", /port 5432/],
    [
      "one server name twice",
      [
        { match: { hostname: "*.example.com" }, target: to(1), tls: true },
        { match: { protocol: "tcp", hostname: "*.example.com", port: 443 }, target: to(2), passthrough: true },
      ],
      "rules.1.match",
      /\*\.example\.com/,
    ],
  ])("is a problem: %s", async (_, rules, field, reason, options = fixed) => {
    const { problems, files } = exportEnvoy(await input(rules), options)
    expect(problems).toEqual([{ kind: "unsupported", ingress: "app-0", field, reason: expect.stringMatching(reason) }])
    assertMessage("envoy.config.bootstrap.v3.Bootstrap", parse(files[0]!.text))
  })
})

describe("options", () => {
  it.each<[unknown, RegExp]>([
    [{}, /folder must be an absolute path/],
    [{ folder: "etc" }, /folder must be an absolute path/],
    [{ mode: "static", folders: "/etc" }, /did you mean folder/],
    [{ mode: "static", listenAddress: "localhost" }, /listenAddress must be an IP address/],
    [{ mode: "static", admin: { port: 0 } }, /admin\.port must be an integer from 1/],
    [{ mode: "static", certificates: { "a.com": { certFile: "/a" } } }, /certificates\.a\.com\.keyFile/],
    [
      { mode: "static", telemetry: { endpoint: "collector", serviceName: "x" } },
      /telemetry\.endpoint must be host:port/,
    ],
  ])("%j are refused", async (options, message) => {
    const given = await input()
    expect(() => exportEnvoy(given, options as EnvoyOptions)).toThrow(message)
  })

  it("come from an ingress manager's variables", () => {
    expect(envoyOptionsFromEnvironment({})).toEqual({})
    const env = {
      ENVOY_LISTEN_ADDRESS: "127.0.0.2",
      ENVOY_ADMIN_ADDRESS: "::1",
      ENVOY_ADMIN_PORT: "9902",
      OTEL_ENABLED: "false",
    }
    expect(envoyOptionsFromEnvironment(env)).toEqual({
      listenAddress: "127.0.0.2",
      admin: { address: "::1", port: 9902 },
    })
    expect(() => envoyOptionsFromEnvironment({ ENVOY_ADMIN_PORT: "http" })).toThrow(/admin\.port/)
    expect(() => envoyOptionsFromEnvironment({ OTEL_ENABLED: "true" })).toThrow(/OTEL_ENDPOINT/)
  })

  it("have the admin API on loopback, elsewhere, or nowhere", async () => {
    const given = await input()
    const admin = (options: EnvoyOptions) => (configuration(given, options) as { admin?: unknown }).admin
    expect(admin(fixed)).toEqual({ address: { socket_address: { address: "127.0.0.1", port_value: 9901 } } })
    expect(admin({ ...fixed, admin: false })).toBeUndefined()
  })
})
