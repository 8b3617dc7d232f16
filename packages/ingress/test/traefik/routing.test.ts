import type { DeclaredIngress, DeclaredRule, Ingress } from "@project-ingress/ingress"
import { compareRules, matchPort } from "@project-ingress/ingress"
import { exportTraefik } from "@project-ingress/ingress/traefik"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { matchHostname } from "../../src/resource/hostname-pattern.ts"
import { compareHostnames } from "../../src/resource/precedence.ts"
import { declared, exported } from "./declared.ts"
import { traefikOf } from "./interpreter.ts"
import type { Visit } from "./interpreter.ts"

// Few names and values, so that rules often take the same requests.
const label = fc.constantFrom("a", "cc", "*", "{x}")
const pattern = fc
  .tuple(label, label)
  .map((labels) => `${labels[0]}.${labels[1] === "{x}" && labels[0] === "{x}" ? "*" : labels[1]}.example.com`)
const key = "0123456789abcdef0123456789abcdef"
const rule = fc.record(
  {
    hostname: pattern,
    path: fc.constantFrom<Ingress["rules"][number]["match"]["path"] & {}>(
      "/a",
      "/a/b",
      "/ab",
      { exact: "/a" },
      { exact: "/" },
    ),
    method: fc.constantFrom("GET", "POST"),
    headers: fc.dictionary(fc.constantFrom("x-a", "x-b"), fc.constantFrom("1", "2"), { maxKeys: 1 }),
    port: fc.constantFrom(80, 443),
    mode: fc.constantFrom("plain", "tls", "redirect"),
    isGuarded: fc.boolean(),
    isDown: fc.boolean(),
  },
  { requiredKeys: ["hostname", "mode", "isGuarded", "isDown"] },
)
const ingresses = fc.array(fc.tuple(fc.array(rule, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 3 })), {
  minLength: 1,
  maxLength: 5,
})
/** A request, mostly one that a rule takes. */
const visit = fc.record({
  rule: fc.nat(),
  labels: fc.tuple(fc.constantFrom("a", "cc", "d"), fc.constantFrom("a", "cc", "d")),
  path: fc.constantFrom("", "", "/", "/b", "/a/b/c", "/abc", "/.well-known/acme-challenge/x"),
  method: fc.constantFrom("GET", "POST"),
  headers: fc.dictionary(fc.constantFrom("x-a", "x-b", "x-key"), fc.constantFrom("1", "2", key)),
  isPlain: fc.boolean(),
})
const visitOf = (
  all: readonly DeclaredIngress[],
  each: typeof visit extends fc.Arbitrary<infer T> ? T : never,
): Visit => {
  const rules = all.flatMap((ingress) => ingress.rules)
  const chosen = rules[each.rule % rules.length]!
  const { match, redirectHttp = false, tls = false } = chosen
  const own = match.path === undefined ? "" : "exact" in match.path ? match.path.exact : match.path.prefix
  const isPlain = redirectHttp && each.isPlain
  return {
    port: isPlain ? 80 : matchPort(chosen),
    tls: tls && !isPlain,
    host: match
      .hostname!.wildcard.split(".")
      .map((part, at) => (part === "*" ? each.labels[at]! : part))
      .join("."),
    path: `${own}${each.path}` || "/",
    method: match.method ?? each.method,
    headers: { ...each.headers, ...match.headers },
  }
}

const takes = ({ match }: DeclaredRule, { host, path, method, headers }: Visit): boolean =>
  matchHostname(match.hostname!, host) !== undefined &&
  (match.path === undefined ||
    ("exact" in match.path
      ? path === match.path.exact
      : path === match.path.prefix || path.startsWith(`${match.path.prefix}/`))) &&
  (match.method === undefined || match.method === method) &&
  Object.entries(match.headers ?? {}).every(([name, value]) => headers[name] === value)

/** The definition, without any index: the most specific hostname of the port, then the first of its rules that takes the request. */
const expectedOf = (all: readonly DeclaredIngress[], request: Visit): object => {
  const named = all
    .flatMap((ingress) => ingress.rules.map((each) => ({ ingress, rule: each })))
    .filter(({ rule: { match } }) => matchHostname(match.hostname!, request.host) !== undefined)
  const onPort = named.filter(
    ({ rule: each }) => matchPort(each) === request.port || (each.redirectHttp === true && request.port === 80),
  )
  const [nearest] = onPort.map(({ rule: { match } }) => match.hostname!).toSorted(compareHostnames)
  const candidates = onPort.filter(
    ({ rule: each }) => each.match.hostname!.wildcard === nearest?.wildcard && takes(each, request),
  )
  const isPlain = request.port === 80 && !request.tls && !request.path.startsWith("/.well-known/acme-challenge/")
  const isOwn = ({ rule: each }: (typeof candidates)[number]): boolean =>
    matchPort(each) === request.port && (each.tls === true) === request.tls
  const claims = [
    ...candidates.filter(isOwn).map(({ ingress, rule: each }) => ({ ingress, rule: each, isRedirect: false })),
    ...candidates
      .filter((each) => isPlain && each.rule.redirectHttp === true)
      .map(({ ingress, rule: each }) => ({ ingress, rule: each, isRedirect: true })),
  ]
  const [first] = claims.toSorted((a, b) => compareRules(a, b) || Number(a.isRedirect) - Number(b.isRedirect))
  if (first === undefined) return { status: 404 }
  if (first.isRedirect) {
    const port = matchPort(first.rule)
    return { status: 301, ...(port === 443 ? {} : { port: String(port) }) }
  }
  if (first.rule.requireHeader !== undefined && request.headers["x-key"] !== key) return { status: 403 }
  const [target] = first.rule.targets
  if (target?.kind === "machine") return { status: 503 }
  if (target?.kind !== "url") throw new Error("a url is expected")
  return {
    to: [[`http://${target.host}:${target.port}/`, 1]],
    removed: first.rule.requireHeader === undefined ? [] : ["x-key"],
  }
}

describe("the routing of exported files", () => {
  it.each(["3.6", "3.7"])("is that of the declared precedence in version %s", async (version) => {
    await fc.assert(
      fc.asyncProperty(ingresses, fc.array(visit, { minLength: 20, maxLength: 20 }), async (documents, visits) => {
        const all = await Promise.all(
          documents.map(([rules, createdAt], at) =>
            declared(
              {
                name: `i${at}`,
                rules: rules.map(({ mode, isGuarded, isDown, port, ...match }, index) => ({
                  match: { ...match, ...(port === undefined ? {} : { port }) },
                  target: isDown ? { machine: "gone", port: 90 } : { url: `http://10.0.${at}.${index}:90` },
                  ...(mode === "plain" ? {} : { tls: true }),
                  ...(mode === "redirect" ? { redirectHttp: true } : {}),
                  ...(isGuarded ? { requireHeader: { name: "x-key", value: key } } : {}),
                })),
              },
              createdAt,
            ),
          ),
        )
        const { files, problems } = exportTraefik({ ingresses: all, address: () => undefined }, { version })
        const down = all.flatMap(({ rules }) => rules.filter(({ targets }) => targets[0]!.kind === "machine"))
        expect(problems.map(({ kind }) => kind)).toEqual(down.map(() => "unresolved"))
        const traefik = traefikOf(files)
        for (const each of visits) {
          const request = visitOf(all, each)
          expect(traefik(request)).toEqual(expectedOf(all, request))
        }
      }),
      { numRuns: 80 },
    )
  })

  const visitTo = (change: Partial<Visit>): Visit => ({
    port: 443,
    tls: true,
    host: "a.example.com",
    path: "/",
    method: "GET",
    headers: {},
    ...change,
  })

  it("takes whole segments of paths, whole labels and no more of them", async () => {
    const { files } = await exported([
      {
        name: "shop",
        rules: [{ match: { hostname: "a.example.com", path: "/products" }, target: { url: "http://10.0.0.1" } }],
      },
      { name: "wild", rules: [{ match: { hostname: "*.dev.example.com" }, target: { url: "http://10.0.0.2" } }] },
    ])
    const traefik = traefikOf(files)
    const at = (change: Partial<Visit>) => traefik(visitTo({ port: 80, tls: false, ...change }))
    expect(at({ path: "/products-for-sale" })).toEqual({ status: 404 })
    expect(at({ path: "/products" })).toMatchObject({ to: [["http://10.0.0.1:80/", 1]] })
    expect(at({ path: "/products/1" })).toMatchObject({ to: [["http://10.0.0.1:80/", 1]] })
    expect(at({ host: "x.dev.example.com" })).toMatchObject({ to: [["http://10.0.0.2:80/", 1]] })
    for (const host of ["dev.example.com", "a.b.dev.example.com", "xdev.example.com", "x.dev.example.com.evil.org"]) {
      expect(at({ host })).toEqual({ status: 404 })
    }
  })

  it("prefers few captures, then the older rule, then a rule to a redirect, where nothing else decides", async () => {
    const to = (ip: string) => ({ target: { url: `http://${ip}` } })
    const host = { hostname: "a.example.com" }
    const { files } = await exported([
      { name: "z", rules: [{ match: { ...host, headers: { "x-a": "1" } }, ...to("10.0.0.1") }] },
      { name: "a", rules: [{ match: { ...host, headers: { "x-b": "1" } }, ...to("10.0.0.2") }] },
      {
        name: "m",
        rules: [
          { match: { hostname: "b.example.com" }, ...to("10.0.0.3"), tls: true, redirectHttp: true },
          { match: { hostname: "b.example.com" }, ...to("10.0.0.4") },
        ],
      },
      { name: "few", rules: [{ match: { hostname: "*.a.a.net" }, ...to("10.0.0.5") }] },
      { name: "many", rules: [{ match: { hostname: "a.*.*.net" }, ...to("10.0.0.6") }] },
    ])
    const traefik = traefikOf(files)
    const at = (change: Partial<Visit>) => traefik(visitTo({ port: 80, tls: false, ...change }))
    expect(at({ headers: { "x-a": "1", "x-b": "1" } })).toMatchObject({ to: [["http://10.0.0.1:80/", 1]] })
    expect(at({ headers: { "x-b": "1" } })).toMatchObject({ to: [["http://10.0.0.2:80/", 1]] })
    expect(at({ host: "b.example.com" })).toMatchObject({ to: [["http://10.0.0.4:80/", 1]] })
    expect(at({ host: "a.a.a.net" })).toMatchObject({ to: [["http://10.0.0.5:80/", 1]] })
  })

  it("keeps what no rule of a hostname takes from every wider pattern, and adds nothing where there is none", async () => {
    const narrow = [
      {
        name: "api",
        rules: [{ match: { hostname: "x.example.com", path: "/api" }, target: { url: "http://10.0.0.1" } }],
      },
      {
        name: "site",
        rules: [
          { match: { hostname: "y.example.com" }, target: { url: "http://10.0.0.3" }, tls: true, redirectHttp: true },
        ],
      },
    ]
    const alone = await exported(narrow)
    expect(Object.values(alone.texts).join("")).not.toContain("unmatched")
    const { files, texts } = await exported([
      ...narrow,
      { name: "wide", rules: [{ match: { hostname: "{x}.example.com" }, target: { url: "http://10.0.0.2" } }] },
    ])
    const traefik = traefikOf(files)
    const at = (change: Partial<Visit>) => traefik(visitTo({ port: 80, tls: false, ...change }))
    expect(at({ host: "x.example.com", path: "/other" })).toEqual({ status: 404 })
    expect(at({ host: "z.example.com", path: "/other" })).toMatchObject({ to: [["http://10.0.0.2:80/", 1]] })
    // Whoever got the tokens of y.example.com would get its certificate.
    expect(at({ host: "y.example.com", path: "/.well-known/acme-challenge/x" })).toEqual({ status: 404 })
    expect(at({ host: "y.example.com" })).toEqual({ status: 301 })
    // In the file of the hostname: hostnames come and go without a change of the pattern's file.
    const changed = Object.keys(texts).filter((path) => texts[path] !== alone.texts[path])
    expect(changed).toEqual(["traefik/dynamic/api.yml", "traefik/dynamic/site.yml", "traefik/dynamic/wide.yml"])
    expect(texts["traefik/dynamic/wide.yml"]).not.toContain("x.example.com")
  })

  it("keeps the hostnames of rules that are in labels, too", async () => {
    const inLabels = await declared({
      name: "shop",
      rules: [
        {
          match: { hostname: "shop.example.com", path: "/api" },
          target: { url: "http://10.0.0.1" },
          tls: true,
          redirectHttp: true,
        },
      ],
    })
    const wide = {
      name: "wide",
      rules: [{ match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.2" }, tls: true }],
    }
    const { files } = await exported([wide], { labelled: [inLabels] })
    expect(files.map(({ path }) => path)).toEqual([
      "traefik/dynamic/shop.yml",
      "traefik/dynamic/wide.yml",
      "traefik/traefik.yml",
    ])
    const traefik = traefikOf(files)
    // `/api` is taken by the labels' router, which is not here.
    expect(traefik(visitTo({ host: "shop.example.com" }))).toEqual({ status: 404 })
    expect(traefik(visitTo({ host: "other.example.com" }))).toMatchObject({ to: [["http://10.0.0.2:80/", 1]] })
  })

  it("closes connections by TCP whose target has no address, and gives them to nobody else", async () => {
    const ingresses = await Promise.all(
      [
        {
          name: "gone",
          rules: [
            {
              match: { protocol: "tcp" as const, hostname: "a.example.com" },
              target: { machine: "m", port: 1 },
              passthrough: true,
            },
          ],
        },
        {
          name: "wide",
          rules: [{ match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.2" }, tls: true }],
        },
      ].map((document, at) => declared(document, at)),
    )
    const { files, problems } = exportTraefik({ ingresses, address: () => undefined })
    expect(problems).toMatchObject([{ kind: "unresolved", ingress: "gone", field: "rules.0.targets.0" }])
    const traefik = traefikOf(files)
    expect(traefik(visitTo({ host: "a.example.com" }))).toEqual({ status: 403 })
    expect(traefik(visitTo({ host: "b.example.com" }))).toMatchObject({ to: [["http://10.0.0.2:80/", 1]] })
  })

  it("gives a name to TCP before HTTP, and the others on that port to HTTP", async () => {
    const { files, problems } = await exported([
      {
        name: "raw",
        rules: [
          {
            match: { protocol: "tcp", hostname: "raw.example.com" },
            target: { url: "tcp://10.0.0.1:443" },
            passthrough: true,
          },
        ],
      },
      { name: "web", rules: [{ match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.2" }, tls: true }] },
    ])
    expect(problems).toEqual([])
    const traefik = traefikOf(files)
    expect(traefik(visitTo({ host: "raw.example.com" }))).toMatchObject({ to: [["10.0.0.1:443", 1]] })
    expect(traefik(visitTo({}))).toMatchObject({ to: [["http://10.0.0.2:80/", 1]] })
  })

  it.each([
    ["all of a port in plain text", { protocol: "tcp", port: 80 }, {}, { hostname: "a.example.com" }, {}],
    [
      "a name that is an HTTP rule's too",
      { protocol: "tcp", hostname: "a.example.com" },
      { passthrough: true },
      { hostname: "a.example.com" },
      { tls: true },
    ],
    [
      "a pattern over an HTTP rule's name",
      { protocol: "tcp", hostname: "*.example.com" },
      { passthrough: true },
      { hostname: "a.example.com" },
      { tls: true },
    ],
    [
      "a port where redirects are",
      { protocol: "tcp", port: 80 },
      {},
      { hostname: "a.example.com" },
      { tls: true, redirectHttp: true },
    ],
  ] as const)("refuses TCP of %s", async (_, tcp, settings, http, others) => {
    const { problems, texts } = await exported([
      { name: "raw", rules: [{ match: tcp, target: { url: "tcp://10.0.0.1:443" }, ...settings }] },
      { name: "web", rules: [{ match: http, target: { url: "http://10.0.0.2" }, ...others }] },
    ])
    expect(problems).toMatchObject([{ kind: "unsupported", ingress: "raw", field: "rules.0.match.port" }])
    expect(Object.keys(texts)).toEqual(["traefik/dynamic/web.yml", "traefik/traefik.yml"])
  })
})
