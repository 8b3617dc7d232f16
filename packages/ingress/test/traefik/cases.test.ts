import type { Ingress } from "@project-ingress/ingress"
import { checkTraefik, mergeOverrides, traefikLabels } from "@project-ingress/ingress/traefik"
import type { LabelledRule, TraefikOptions } from "@project-ingress/ingress/traefik"
import { describe, expect, it } from "vitest"
import { acme, declared, exported, readYaml } from "./declared.ts"

type Rule = Ingress["rules"][number]

const rowsOf = async (
  rules: readonly Omit<Rule, "target">[],
  service = "web",
  port = 80,
): Promise<readonly LabelledRule[]> => {
  const { rules: all } = await declared({
    name: "p",
    rules: rules.map((rule) => ({
      ...rule,
      target: { url: rule.match.protocol === undefined ? "http://x" : `${rule.match.protocol}://x:1` },
    })),
  })
  return all.map((rule) => ({ service, port, rule }))
}

const labelsOf = async (
  rules: readonly Omit<Rule, "target">[],
  options: TraefikOptions = {},
  labels?: unknown,
): Promise<readonly string[]> => {
  const compose = { services: { web: { image: "nginx", ...(labels === undefined ? {} : { labels }) } } }
  const { compose: after, problems } = traefikLabels("p", compose, await rowsOf(rules), options)
  expect(problems).toEqual([])
  return (after as { services: { web: { labels: string[] } } }).services.web.labels
}

const secure = { match: { hostname: "h.example.com" }, tls: true } as const

// The ids are those of a system that makes Traefik's configuration of project files.
describe("labels of containers", () => {
  it("3-01: are not added without rules", () => {
    const compose = { services: { web: { image: "nginx" } } }
    expect(traefikLabels("p", compose, []).compose).toBe(compose)
  })

  it("3-02: name router, entry point, host, TLS and port", async () => {
    const labels = await labelsOf([secure])
    expect(labels).toEqual([
      "traefik.enable=true",
      "traefik.http.routers.p-web-80.entrypoints=web-secure",
      expect.stringMatching(/^traefik\.http\.routers\.p-web-80\.priority=\d+$/),
      "traefik.http.routers.p-web-80.rule=Host(`h.example.com`)",
      "traefik.http.routers.p-web-80.service=p-web-80",
      "traefik.http.routers.p-web-80.tls=true",
      "traefik.http.services.p-web-80.loadbalancer.server.port=80",
    ])
  })

  it("3-03: take a path by whole segments", async () => {
    const labels = await labelsOf([{ ...secure, match: { hostname: "h.example.com", path: "/api" } }])
    expect(labels).toContain(
      "traefik.http.routers.p-web-80.rule=Host(`h.example.com`) && (Path(`/api`) || PathPrefix(`/api/`))",
    )
  })

  it("3-04: have the names of a certificate in one list", async () => {
    const certificates = [{ main: "h.example.com", sans: ["a.example.com", "b.example.com"] }]
    const labels = await labelsOf([secure], { acme: { ...acme, certificates } })
    expect(labels).toContain("traefik.http.routers.p-web-80.tls.domains[0].main=h.example.com")
    expect(labels).toContain("traefik.http.routers.p-web-80.tls.domains[0].sans=a.example.com,b.example.com")
    expect(labels.join("\n")).not.toContain(".sans[")
  })

  it.each([
    ["TCP", { match: { protocol: "tcp", port: 5432 } }],
    ["passthrough", { match: { protocol: "tcp", hostname: "h.example.com" }, passthrough: true }],
    ["UDP", { match: { protocol: "udp", port: 53 } }],
  ] as const)("3-05: only enable a container for %s", async (_, rule) => {
    expect(await labelsOf([rule])).toEqual(["traefik.enable=true"])
  })

  it("3-07: become a list, and keep those that are there", async () => {
    const labels = await labelsOf([secure], {}, { "com.example.team": "a", "com.example.size": 3 })
    expect(labels.slice(0, 2)).toEqual(["com.example.team=a", "com.example.size=3"])
    expect(await labelsOf([secure], {}, ["x=y"])).toEqual(["x=y", ...(await labelsOf([secure]))])
  })

  it("are the same when they are added again", async () => {
    const once = await labelsOf([secure])
    expect(await labelsOf([secure], {}, once)).toEqual(once)
  })

  it("3-08: are not added for a service that is not there, which is reported once", async () => {
    const compose = { services: { web: { image: "nginx" } } }
    const rows = await rowsOf([secure, secure], "nope")
    const { compose: after, problems } = traefikLabels("p", compose, rows)
    expect(after).toBe(compose)
    expect(problems).toMatchObject([{ reason: "references unknown service: nope" }])
  })

  it("3-09: redirect on the entry point web, but for ACME", async () => {
    const labels = await labelsOf([{ ...secure, redirectHttp: true }])
    expect(labels).toContain("traefik.http.routers.p-web-80-redirect.entrypoints=web")
    expect(labels).toContain(
      "traefik.http.routers.p-web-80-redirect.rule=Host(`h.example.com`) && !PathPrefix(`/.well-known/acme-challenge/`)",
    )
    expect(labels).toContain("traefik.http.routers.p-web-80-redirect.middlewares=p-web-80-redirect")
    expect(labels).toContain("traefik.http.middlewares.p-web-80-redirect.redirectscheme.scheme=https")
  })

  it("of two rows of one service do not replace each other", async () => {
    const labels = await labelsOf([secure, { ...secure, match: { hostname: "g.example.com" } }])
    expect(labels).toContain("traefik.http.routers.p-web-80.rule=Host(`h.example.com`)")
    expect(labels).toContain("traefik.http.routers.p-web-80_2.rule=Host(`g.example.com`)")
  })

  it("have names that no other project's have", async () => {
    const nameOf = async (project: string, service: string): Promise<string> => {
      const { compose } = traefikLabels(project, { services: { [service]: {} } }, await rowsOf([secure], service))
      return JSON.stringify(compose).match(/routers\.([^.]+)\./)![1]!
    }
    const names = [
      ["a", "b-c"],
      ["a-b", "c"],
      ["a", "b.c"],
      ["a", "b_c"],
      ["a", "b_dc"],
    ] as const
    expect(new Set(await Promise.all(names.map(([project, service]) => nameOf(project, service)))).size).toBe(5)
  })

  it("write a dollar as compose reads it, and hold together", async () => {
    const options = { acme, version: "3.6" } as const
    const rule = {
      ...secure,
      match: { hostname: "*.example.com" },
      redirectHttp: true,
      allowCidrs: ["10.0.0.0/8", "::1/128"],
      responseHeaders: { set: { "x-cost": "$5" } },
      healthCheck: { path: "/up" },
    }
    const labels = await labelsOf([rule], options)
    expect(labels).toContain("traefik.http.routers.p-web-80.rule=HostRegexp(`^[^.]+\\.example\\.com\\.?$$`)")
    expect(labels).toContain("traefik.http.middlewares.p-web-80_headers.headers.customresponseheaders.x-cost=$$5")
    expect(labels).toContain("traefik.http.middlewares.p-web-80_allow.ipallowlist.sourcerange=10.0.0.0/8,::1/128")
    const { files } = await exported([], options)
    const compose = { path: "docker-compose.yml", text: JSON.stringify({ services: { web: { labels } } }) }
    expect(checkTraefik([...files, compose])).toEqual([])
  })

  it("3-28: have an entry point for another port, where the export is given it", async () => {
    const labels = await labelsOf([{ match: { hostname: "h.example.com", port: 9000 } }])
    expect(labels).toContain("traefik.http.routers.p-web-80.entrypoints=tcp-9000")
    const compose = { path: "docker-compose.yml", text: JSON.stringify({ services: { web: { labels } } }) }
    const withPort = async (ports: readonly number[]) =>
      checkTraefik([...(await exported([], { ports })).files, compose])
    expect(await withPort([9000])).toEqual([])
    expect(await withPort([])).toMatchObject([{ kind: "undeclared", reason: expect.stringContaining("tcp-9000") }])
  })

  it("do not hold a secret", async () => {
    const value = "0123456789abcdef0123456789abcdef"
    const rows = await rowsOf([{ ...secure, requireHeader: { name: "x-key", value } }])
    const { compose, problems } = traefikLabels("p", { services: { web: {} } }, rows)
    expect(problems).toMatchObject([{ kind: "unsupported", field: "rules.0.requireHeader" }])
    expect(JSON.stringify([compose, problems])).not.toContain(value)
  })
})

describe("files", () => {
  const one = (rule: Rule): readonly Ingress[] => [{ name: "p", rules: [rule] }]

  it("3-10: lead to a host outside by web-secure", async () => {
    const { read } = await exported(one({ ...secure, target: { url: "http://10.1.2.3:8096" } }))
    const { routers, services } = read("traefik/dynamic/p.yml")["http"]!
    expect(routers!["p_0"]).toMatchObject({ entryPoints: ["web-secure"], service: "p_0" })
    expect(services!["p_0"]).toEqual({ loadBalancer: { servers: [{ url: "http://10.1.2.3:8096/" }] } })
  })

  it("3-12: allow networks on the rule's own router only", async () => {
    const { read } = await exported([
      {
        name: "p",
        rules: [
          { ...secure, target: { machine: "m", port: 80 }, allowCidrs: ["10.0.0.0/8"] },
          { match: { hostname: "g.example.com" }, target: { machine: "m", port: 80 } },
        ],
      },
    ])
    const { routers, middlewares } = read("traefik/dynamic/p.yml")["http"]!
    expect(routers!["p_0"]!["middlewares"]).toEqual(["p_0_allow"])
    expect(routers!["p_1"]!["middlewares"]).toBeUndefined()
    expect(middlewares).toEqual({ p_0_allow: { ipAllowList: { sourceRange: ["10.0.0.0/8"] } } })
  })

  it.each([
    ["3-14: a port of its own", { port: 8883 }, "tcp-8883"],
    ["3-14: web-secure without one", {}, "web-secure"],
  ])("pass TLS through: %s", async (_, port, entryPoint) => {
    const { read } = await exported(
      one({
        match: { protocol: "tcp", hostname: "h.example.com", ...port },
        target: { url: "tcp://10.0.0.1:1" },
        passthrough: true,
      }),
    )
    expect(read("traefik/dynamic/p.yml")["tcp"]!["routers"]!["p_0"]).toMatchObject({
      entryPoints: [entryPoint],
      tls: { passthrough: true },
    })
    expect(Object.keys(read("traefik/traefik.yml")["entryPoints"]!)).toContain(entryPoint)
  })

  it.each([
    ["a name", { hostname: "d.example.com", port: 5432 }, { tls: true }, "HostSNI(`d.example.com`)"],
    ["none", { port: 5432 }, {}, "HostSNI(`*`)"],
  ])("3-15: take TCP by %s", async (_, match, settings, rule) => {
    const { read } = await exported(
      one({ match: { protocol: "tcp", ...match }, target: { url: "tcp://10.0.0.1:1" }, ...settings }),
    )
    expect(read("traefik/dynamic/p.yml")["tcp"]!["routers"]!["p_0"]).toMatchObject({ rule })
  })

  it("3-16: speak the PROXY protocol where it is asked for, as each version reads it", async () => {
    const rule = { match: { protocol: "tcp", port: 25 }, target: { url: "tcp://10.0.0.1:25" } } as const
    const of = async (settings: object, options?: TraefikOptions) =>
      (await exported(one({ ...rule, ...settings }), options)).read("traefik/dynamic/p.yml")["tcp"]!
    expect((await of({}))["serversTransports"]).toBeUndefined()
    const { services, serversTransports } = await of({ proxyProtocol: 2 })
    expect(services!["p_0"]).toMatchObject({ loadBalancer: { serversTransport: "p_0_proxy" } })
    expect(serversTransports).toEqual({ p_0_proxy: { proxyProtocol: { version: 2 } } })
    expect((await of({ proxyProtocol: 1 }, { version: "3.4" }))["services"]!["p_0"]).toMatchObject({
      loadBalancer: { proxyProtocol: { version: 1 } },
    })
  })

  it("3-19: are refused for a mail address that is a placeholder", async () => {
    const options = { acme: { ...acme, email: "${LETSENCRYPT_EMAIL}" } }
    await expect(exported([], options)).rejects.toThrow("acme.email must be an address of mail")
  })

  it("3-20: merge overrides: maps key by key, lists as it is said", () => {
    const base = { a: { b: 1, list: [1, 2] } }
    expect(mergeOverrides(base, { a: { c: 2 } })).toEqual({ a: { b: 1, list: [1, 2], c: 2 } })
    expect(mergeOverrides(base, { a: { list: [3] } }, { "a.list": "replace" })).toEqual({ a: { b: 1, list: [3] } })
  })

  it("3-28: declare the entry point of an HTTP rule with another port", async () => {
    const { read } = await exported(
      one({ match: { hostname: "h.example.com", port: 9000 }, target: { url: "http://10.0.0.1" } }),
    )
    const [entryPoint] = read("traefik/dynamic/p.yml")["http"]!["routers"]!["p_0"]![
      "entryPoints"
    ] as unknown as string[]
    expect(read("traefik/traefik.yml")["entryPoints"]![entryPoint!]).toEqual({ address: ":9000" })
  })
})

describe("what Traefik cannot do", () => {
  const at = (rule: Partial<Rule>, options?: TraefikOptions) =>
    exported(
      [{ name: "p", rules: [{ match: { hostname: "h.example.com" }, target: { url: "http://10.0.0.1" }, ...rule }] }],
      options,
    )
  const key = "0123456789abcdef0123456789abcdef"

  it.each<[string, Partial<Rule>, string, TraefikOptions?]>([
    [
      "a target that the request names",
      { match: { hostname: "{m}.example.com" }, target: { capture: "m", port: 80 } },
      "rules.0.targets.0.capture",
    ],
    ["a project's own port", { target: { project: "misha" } }, "rules.0.targets.0.port"],
    [
      "a hash of a required field",
      { requireHeader: { name: "x-key", sha256: "0".repeat(64) } },
      "rules.0.requireHeader.value",
    ],
    ["the PROXY protocol to an HTTP target", { proxyProtocol: 2 }, "rules.0.proxyProtocol"],
    ["several healthy statuses", { healthCheck: { path: "/", statuses: [200, 204] } }, "rules.0.healthCheck.statuses"],
    [
      "a health check of TCP",
      { match: { protocol: "tcp", port: 1 }, target: { url: "tcp://10.0.0.1:1" }, healthCheck: { path: "/" } },
      "rules.0.healthCheck",
    ],
    [
      "networks for UDP",
      { match: { protocol: "udp", port: 1 }, target: { url: "udp://10.0.0.1:1" }, allowCidrs: ["10.0.0.0/8"] },
      "rules.0.allowCidrs",
    ],
    [
      "a certificate for two wildcards",
      { match: { hostname: "*.*.example.com" }, tls: true },
      "rules.0.match.hostname",
      { acme },
    ],
    [
      "a wildcard certificate without DNS",
      { match: { hostname: "*.example.com" }, tls: true },
      "rules.0.match.hostname",
      { acme: { ...acme, challenge: "http" } },
    ],
    ["an encoded path", { match: { hostname: "h.example.com", path: "/a%20b" } }, "rules.0.match.path"],
    ["a backtick in a rule", { match: { hostname: "h.example.com", path: "/a`b" } }, "rules.0.match.path"],
    [
      "a template in a rule",
      { match: { hostname: "h.example.com", headers: { "x-a": "{{ env `HOME` }}" } } },
      "rules.0.match.headers.x-a",
    ],
    ["a template in a field", { responseHeaders: { set: { "x-a": "{{ 1 }}" } } }, "rules.0.responseHeaders.set.x-a"],
    ["a placeholder", { responseHeaders: { set: { "x-a": "${HOME}" } } }, "rules.0.responseHeaders.set.x-a"],
    ["an empty field", { responseHeaders: { set: { "x-a": "" } } }, "rules.0.responseHeaders.set.x-a"],
    [
      "a required value with a backtick",
      { requireHeader: { name: "x-key", value: `${key}\`` } },
      "rules.0.requireHeader",
    ],
    [
      "a port where Traefik listens for another",
      { match: { hostname: "h.example.com", port: 8080 } },
      "rules.0.match.port",
      { listen: { 80: ":8080" } },
    ],
    ["the port of its health", { match: { hostname: "h.example.com", port: 8082 } }, "rules.0.match.port"],
  ])("is refused by name: %s", async (_, rule, field, options) => {
    const { problems, texts } = await at(rule, options)
    expect(problems).toMatchObject([{ kind: "unsupported", ingress: "p", field }])
    expect(Object.keys(texts)).toEqual(["traefik/traefik.yml"])
    expect(JSON.stringify(problems)).not.toContain(key)
  })

  it("responds 503 to a rule without an address, and keeps the others", async () => {
    const { exportTraefik } = await import("@project-ingress/ingress/traefik")
    const ingress = await declared({
      name: "p",
      rules: [
        { match: { hostname: "a.example.com" }, target: { machine: "m", port: 80 } },
        { match: { hostname: "b.example.com" }, target: { url: "http://10.0.0.1" } },
      ],
    })
    const { files, problems } = exportTraefik({ ingresses: [ingress], address: () => undefined })
    expect(problems).toMatchObject([{ kind: "unresolved", ingress: "p", field: "rules.0.targets.0" }])
    expect(files[0]!.text).toContain("b.example.com")
    const { routers, middlewares } = readYaml(files[0]!.text)["http"]!
    expect(routers!["p_0"]).toMatchObject({ middlewares: ["p_0_unavailable"], service: "noop@internal" })
    expect(middlewares!["p_0_unavailable"]!["ipAllowList"]).toMatchObject({ rejectStatusCode: 503 })
  })

  it("gives a UDP port to the older rule", async () => {
    const rule = { match: { protocol: "udp", port: 53 }, target: { url: "udp://10.0.0.1:53" } } as const
    const { problems, texts } = await exported([
      { name: "z", rules: [rule] },
      { name: "a", rules: [rule] },
    ])
    expect(problems).toMatchObject([{ kind: "unsupported", ingress: "a", field: "rules.0.match.port" }])
    expect(Object.keys(texts)).toContain("traefik/dynamic/z.yml")
  })
})
