import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { exportCaddy, exportCaddyfile } from "../../src/caddy.ts"
import { checkCaddyConfig } from "../../src/caddy/check-config.ts"
import { matchHostname } from "../../src/resource/hostname-pattern.ts"
import { takenBy } from "../fronts/definition.ts"
import type { Asked } from "../fronts/definition.ts"
import { decoded, hostile, mostly } from "./hostile.ts"
import { inputOf } from "./ingresses.ts"
import { adaptCaddyfile, caddyBinary, NO_CADDY } from "./real-caddy.ts"

const strings = (value: unknown): readonly string[] => {
  if (typeof value === "string") return [value]
  if (typeof value !== "object" || value === null) return []
  return Object.values(value).flatMap(strings)
}

/** All values that stand under some keys, wherever they are, sorted. */
const under = (value: unknown, keys: readonly string[]): readonly string[] => {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value)
    .flatMap(([key, each]) => (keys.includes(key) ? strings(each) : under(each, keys)))
    .toSorted()
}

describe("generated configuration", () => {
  const rule = fc.record({
    match: fc.record(
      {
        hostname: mostly(fc.constantFrom("a.example.com", "{m}.example.com", "*.*.example.com"), hostile(1, 12)),
        path: fc.oneof(
          hostile(0, 12).map((path) => `/${path}`),
          hostile(0, 12).map((path) => ({ exact: `/${path}` })),
        ),
        method: mostly(fc.constantFrom("GET", "IMPORT", "`", "#", "*'$"), hostile(1, 5)),
        headers: fc.dictionary(fc.constantFrom("x-a", "import", "+x", "x#`"), hostile(0, 12), { maxKeys: 2 }),
        port: fc.constantFrom(80, 8080),
      },
      { requiredKeys: ["hostname"] },
    ),
    target: mostly(
      fc.constant({ url: "http://10.0.0.5:80" }),
      fc.oneof(
        fc.record({ url: hostile(1, 20).map((host) => `http://${host}:80`) }),
        fc.record({ machine: hostile(1, 9), port: fc.constant(80) }),
      ),
    ),
    requireHeader: fc.option(fc.record({ name: fc.constantFrom("x-key", "import"), value: hostile(32, 40) }), {
      nil: undefined,
    }),
    responseHeaders: fc.option(
      fc.record({
        set: fc.dictionary(fc.constantFrom("x-a", "import", "defer", "-x"), hostile(0, 12), { maxKeys: 2 }),
        remove: fc.constant(["x-b"]),
      }),
      { nil: undefined },
    ),
    healthCheck: fc.option(
      hostile(0, 12).map((path) => ({ path: `/${path}` })),
      { nil: undefined },
    ),
  })
  const present = (value: object) => JSON.parse(JSON.stringify(value)) as unknown
  const document = fc
    .array(rule, { minLength: 1, maxLength: 12 })
    .map((rules) => ({ name: "one", rules: rules.map(present) }))

  it("has the same structure whatever documents say", async () => {
    await fc.assert(
      fc.asyncProperty(document, hostile(0, 20), async (given, address) => {
        const one = await decoded(given)
        const input = { ...inputOf([one]), address: () => address }
        const { config, files } = exportCaddy(input)
        expect(JSON.parse(files[0]!.text)).toEqual(config)
        expect(checkCaddyConfig(config)).toEqual([])
        for (const [name, { routes }] of Object.entries(
          (config["apps"] as { http?: { servers: Record<string, { routes: unknown[] }> } } | undefined)?.http
            ?.servers ?? {},
        )) {
          expect(name).toMatch(/^ingress-(?:80|8080)$/)
          expect(routes.length).toBeLessThanOrEqual(2 * one.rules.length + 1)
        }
      }),
      { numRuns: 200 },
    )
  })

  it("means the same as JSON and as a Caddyfile", async (ctx) => {
    if (caddyBinary === undefined) ctx.skip(NO_CADDY)
    await fc.assert(
      fc.asyncProperty(document, async (given) => {
        const { rules, ...one } = await decoded(given)
        // A rule that a Caddyfile cannot write is a problem of its own, and left out here.
        const writable = rules.filter((each) =>
          exportCaddyfile(inputOf([{ ...one, rules: [each] }])).problems.every(({ kind }) => kind === "unresolved"),
        )
        const input = inputOf([{ ...one, rules: writable }])
        const json = exportCaddy(input).config
        const adapted = adaptCaddyfile(exportCaddyfile(input).files[0]!.text)
        for (const keys of [["pattern"], ["dial"], ["host"], ["method"], ["uri"], ["delete"], ["body"]])
          expect(under(adapted, keys), keys[0]).toEqual(under(json, keys))
      }),
      { numRuns: 20 },
    )
  })

  it("has many hostnames in groups, and they take the same requests in the same order", async () => {
    const rules = Array.from({ length: 150 }, (_, at) => [
      { match: { hostname: `h${at}.example.com`, path: "/x" }, target: { url: `http://10.0.0.1:${2 * at + 1}` } },
      { match: { hostname: `h${at}.example.com`, method: "POST" }, target: { url: `http://10.0.0.1:${2 * at + 2}` } },
    ]).flat()
    const wild = { match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.1:999" } }
    const { config } = exportCaddy(inputOf([await decoded({ name: "one", rules: [...rules, wild] })]))
    for (let at = 0; at < 150; at += 1) {
      const request = { hostname: `h${at}.example.com`, path: "/x/y", method: "POST", headers: {} }
      expect(interpreted(config, request)).toBe(`10.0.0.1:${2 * at + 1}`)
      expect(interpreted(config, { ...request, path: "/y" })).toBe(`10.0.0.1:${2 * at + 2}`)
      expect(interpreted(config, { ...request, path: "/y", method: "GET" })).toBe("404")
    }
    expect(interpreted(config, { hostname: "z.example.com", path: "/", method: "GET", headers: {} })).toBe(
      "10.0.0.1:999",
    )
  })

  it("routes as the resource's precedence says", async () => {
    const hostname = fc.constantFrom(
      "a.example.com",
      "b.example.com",
      "*.example.com",
      "*.b.example.com",
      "a.*.example.com",
      "*.*.example.com",
    )
    const path = fc.constantFrom("/", "/a", "/a/b", "/a/b/", "/ab")
    const headers = fc.dictionary(fc.constantFrom("x-a", "x-b"), fc.constantFrom("1", "2"), { maxKeys: 2 })
    const method = fc.constantFrom("GET", "POST")
    const match = fc.record(
      {
        hostname,
        path: fc.oneof(
          path,
          path.map((exact) => ({ exact })),
        ),
        method,
        headers,
      },
      { requiredKeys: ["hostname"] },
    )
    const documents = fc.array(
      fc.record({
        matches: fc.array(match, { minLength: 1, maxLength: 5 }),
        createdAt: fc.integer({ min: 1, max: 3 }),
      }),
      { minLength: 1, maxLength: 5 },
    )
    const request = fc.record({
      hostname: fc.constantFrom(
        "a.example.com",
        "b.example.com",
        "c.example.com",
        "a.b.example.com",
        "x.b.example.com",
        "x.y.example.com",
      ),
      path: fc.oneof(path, fc.constant("/a/c")),
      method,
      headers,
    })
    await fc.assert(
      fc.asyncProperty(documents, fc.array(request, { minLength: 1, maxLength: 10 }), async (given, requests) => {
        let port = 0
        const ingresses = await Promise.all(
          given.map(({ matches, createdAt }, at) =>
            decoded(
              {
                name: `i${at}`,
                rules: matches.map((each) => ({
                  match: each,
                  // Every fifth has no address now.
                  target: (port += 1) % 5 === 0 ? { machine: "gone", port } : { url: `http://10.0.0.1:${port}` },
                })),
              },
              createdAt,
            ),
          ),
        )
        const { config } = exportCaddy(inputOf(ingresses.toReversed()))
        for (const each of requests) {
          const target = takenBy(ingresses, each)?.rule.targets[0]
          const wanted = target === undefined ? "404" : target.kind === "url" ? `10.0.0.1:${target.port}` : "503"
          expect([each, interpreted(config, each)]).toEqual([each, wanted])
        }
      }),
      { numRuns: 300 },
    )
  })
})

interface Matcher {
  readonly host: readonly string[]
  readonly path_regexp?: { readonly pattern: string }
  readonly method?: readonly string[]
  readonly header_regexp?: Readonly<Record<string, { readonly pattern: string }>>
}
interface Route {
  readonly match?: readonly [Matcher]
  readonly handle: readonly [
    {
      readonly upstreams?: readonly { readonly dial: string }[]
      readonly routes?: readonly Route[]
      readonly status_code?: number
    },
  ]
}

/** What Caddy does with the routes of port 80, an address or a status: the first one that matches, looked for in groups as well. */
const interpreted = (config: object, request: Asked): string => {
  const { apps } = config as { apps: { http: { servers: Record<string, { routes: readonly Route[] }> } } }
  const [handler] = found(apps.http.servers["ingress-80"]!.routes, request)!.handle
  return handler.upstreams?.[0]?.dial ?? String(handler.status_code)
}

const found = (routes: readonly Route[], request: Asked): Route | undefined => {
  for (const route of routes) {
    if (route.match !== undefined && !isMatch(route.match[0], request)) continue
    const { routes: inner } = route.handle[0]
    const one = inner === undefined ? route : found(inner, request)
    if (one !== undefined) return one
  }
  return undefined
}

const isMatch = (matcher: Matcher, { hostname, path, method, headers }: Asked): boolean =>
  matcher.host.some((host) => matchHostname({ text: host, wildcard: host, captures: [] }, hostname) !== undefined) &&
  (matcher.path_regexp === undefined || new RegExp(matcher.path_regexp.pattern).test(path)) &&
  (matcher.method === undefined || matcher.method.includes(method)) &&
  Object.entries(matcher.header_regexp ?? {}).every(
    ([name, { pattern }]) => headers[name] !== undefined && new RegExp(pattern).test(headers[name]),
  )
