import { checkTraefik, exportTraefik, TraefikInvalid } from "@project-ingress/ingress/traefik"
import { describe, expect, it } from "vitest"
import { yamlText } from "../../src/documents/yaml-text.ts"

const statics = {
  entryPoints: { web: { address: ":80" }, "web-secure": { address: ":443" }, "udp-53": { address: ":53/udp" } },
  certificatesResolvers: { le: { acme: { email: "a@example.com", httpChallenge: { entryPoint: "web" } } } },
  ping: { entryPoint: "web" },
}
const router = { entryPoints: ["web"], rule: "Host(`a.example.com`)", service: "s" }
const service = { loadBalancer: { servers: [{ url: "http://10.0.0.1:80/" }] } }
const stream = { loadBalancer: { servers: [{ address: "10.0.0.1:80" }] } }

const check = (dynamic: unknown, others: Record<string, unknown> = {}) =>
  checkTraefik(
    Object.entries({ "traefik/traefik.yml": statics, "traefik/dynamic/a.yml": dynamic, ...others }).map(
      ([path, document]) => ({
        path,
        text: yamlText(document),
      }),
    ),
  ).map(({ kind, file, path, reason }) => `${kind} ${file.split("/").at(-1)} ${path}: ${reason}`)

const http = (change: object, rest: object = {}) => ({
  http: { routers: { r: { ...router, ...change } }, services: { s: service }, ...rest },
})
const tcp = (change: object, rest: object = {}) => ({
  tcp: {
    routers: { r: { entryPoints: ["web"], rule: "HostSNI(`*`)", service: "s", ...change } },
    services: { s: stream },
    ...rest,
  },
})

describe("a check of Traefik's files", () => {
  it("finds nothing in files that hold together", () => {
    expect(check(http({ priority: 5, tls: { certResolver: "le", options: "default" } }))).toEqual([])
    expect(check(tcp({ tls: { passthrough: true }, rule: "HostSNI(`a.example.com`) && ALPN(`h2`)" }))).toEqual([])
  })

  it.each<[string, unknown, RegExp]>([
    [
      "an entry point",
      http({ entryPoints: ["http-9000"] }),
      /^undeclared a\.yml http\.routers\.r\.entryPoints: names the entry point "tcp http-9000"/,
    ],
    ["a UDP entry point for HTTP", http({ entryPoints: ["udp-53"] }), /entry point "tcp udp-53"/],
    ["a middleware", http({ middlewares: ["waf"] }), /the http middleware "waf", which is not declared/],
    ["a middleware of files", http({ middlewares: ["waf@file"] }), /the http middleware "waf"/],
    ["a service", http({ service: "other" }), /the http service "other"/],
    [
      "a service of a weighted one",
      http({}, { services: { s: { weighted: { services: [{ name: "x", weight: 1 }] } } } }),
      /the http service "x"/,
    ],
    [
      "a service of a chain's kin",
      http({ middlewares: ["m"] }, { middlewares: { m: { errors: { status: ["500"], service: "e", query: "/" } } } }),
      /http service "e"/,
    ],
    [
      "a middleware of a chain",
      http({ middlewares: ["m"] }, { middlewares: { m: { chain: { middlewares: ["n"] } } } }),
      /http middleware "n"/,
    ],
    [
      "a servers transport",
      http({}, { services: { s: { loadBalancer: { ...service.loadBalancer, serversTransport: "t" } } } }),
      /http servers transport "t"/,
    ],
    [
      "a servers transport of TCP",
      tcp({}, { services: { s: { loadBalancer: { ...stream.loadBalancer, serversTransport: "t" } } } }),
      /tcp servers transport "t"/,
    ],
    ["a TLS option", http({ tls: { options: "strict" } }), /the TLS option "strict"/],
    ["a resolver", http({ tls: { certResolver: "letsencrypt" } }), /the certificate resolver "letsencrypt"/],
    ["a middleware of TCP", tcp({ middlewares: ["allow"] }), /tcp middleware "allow"/],
  ])("finds what is named and not declared: %s", (_, document, problem) => {
    const found = check(document)
    expect(
      found.some((each) => each.startsWith("undeclared") && problem.test(each)),
      found.join("\n"),
    ).toBe(true)
  })

  it.each<[string, unknown, string]>([
    [
      "a middleware",
      http({}, { middlewares: { waf: { compress: {} } } }),
      "http.middlewares.waf: is a http middleware that nothing uses",
    ],
    [
      "a service",
      http({}, { services: { s: service, t: service } }),
      "http.services.t: is a http service that nothing uses",
    ],
    [
      "a servers transport",
      http({}, { serversTransports: { t: { serverName: "x" } } }),
      "http.serversTransports.t: is a http servers transport that nothing uses",
    ],
  ])("finds what has no effect: %s", (_, document, problem) => {
    expect(check(document)).toEqual([`unused a.yml ${problem}`])
  })

  it.each<[string, unknown, RegExp]>([
    [
      "a UDP router for all ports",
      { udp: { routers: { r: { service: "s" } }, services: { s: stream } } },
      /would take every UDP port/,
    ],
    [
      "a rule on UDP",
      {
        udp: { routers: { r: { entryPoints: ["udp-53"], rule: "Host(`a`)", service: "s" } }, services: { s: stream } },
      },
      /routers\.r\.rule: is a key/,
    ],
    ["a rule that ends early", http({ rule: "Host(`a`" }), /routers\.r\.rule: has no values of the matcher Host/],
    ["a rule without an operator", http({ rule: "Host(`a`) Path(`/`)" }), /goes on after its end/],
    ["a matcher of version 2", http({ rule: "Headers(`a`, `b`)" }), /the matcher Headers/],
    ["two values of a matcher of version 2", http({ rule: "Host(`a`, `b`)" }), /has 2 values of the matcher Host/],
    [
      "a path in a TCP rule",
      tcp({ rule: "HostSNI(`*`) && PathPrefix(`/`)" }),
      /the matcher PathPrefix, which rules of tcp do not have/,
    ],
    ["a name without TLS", tcp({ rule: "HostSNI(`a.example.com`)" }), /without tls no connection says one/],
    [
      "a key that is not known",
      http({ entrypoint: "web" }),
      /routers\.r\.entrypoint: is a key that Traefik 3 does not know/,
    ],
    [
      "an allow list of version 2",
      http({ middlewares: ["m"] }, { middlewares: { m: { ipWhiteList: {} } } }),
      /ipWhiteList: is a key/,
    ],
    [
      "a key of a TCP middleware",
      tcp({ middlewares: ["m"] }, { middlewares: { m: { headers: {} } } }),
      /m\.headers: is a key/,
    ],
    [
      "a key of a server",
      http({}, { services: { s: { loadBalancer: { servers: [{ url: "http://a/", port: 1 }] } } } }),
      /loadBalancer\.port: is a key/,
    ],
    ["no servers", http({}, { services: { s: { loadBalancer: { servers: [] } } } }), /has no servers/],
    [
      "an address without a port",
      tcp({}, { services: { s: { loadBalancer: { servers: [{ address: "10.0.0.1" }] } } } }),
      /without a valid address/,
    ],
    ["a priority that is too high", http({ priority: 2n ** 63n - 1n }), /is not an integer up to 9223372036854774807/],
    [
      "two kinds of a middleware",
      http({ middlewares: ["m"] }, { middlewares: { m: { compress: {}, retry: {} } } }),
      /has not exactly one kind/,
    ],
    ["an empty section", { http: {} }, /http: is empty/],
    [
      "a name with @",
      http({ middlewares: ["m@x@file"] }, { middlewares: { "m@x": { compress: {} } } }),
      /has @ in its name/,
    ],
  ])("finds what Traefik would refuse, or read as something else: %s", (_, document, problem) => {
    const found = check(document)
    expect(
      found.some((each) => each.startsWith("invalid") && problem.test(each)),
      found.join("\n"),
    ).toBe(true)
  })

  it("finds a name that two files declare", () => {
    expect(check(http({}), { "traefik/dynamic/b.yml": http({}) })).toContain(
      "invalid b.yml http.routers.r: is declared in traefik/dynamic/a.yml too, and Traefik takes neither",
    )
  })

  it("finds placeholders and templates, with file and path of the key", () => {
    expect(check(http({ rule: "Host(`${DOMAIN}`)" }))).toContain(
      "placeholder a.yml http.routers.r.rule: holds the placeholder ${DOMAIN}",
    )
    expect(check(http({ rule: 'Host(`{{ env "D" }}`)' })).join()).toContain(
      "placeholder a.yml http.routers.r.rule: holds {{",
    )
    const mail = { certificatesResolvers: { le: { acme: { email: "${LETSENCRYPT_EMAIL}" } } } }
    expect(check(http({}), { "traefik/traefik.yml": { ...statics, ...mail } })).toContain(
      "placeholder traefik.yml certificatesResolvers.le.acme.email: holds the placeholder ${LETSENCRYPT_EMAIL}",
    )
  })

  it.each<[string, object, RegExp]>([
    [
      "two entry points of one address",
      { entryPoints: { a: { address: ":80" }, web: { address: ":80/tcp" } } },
      /listens on the address of a/,
    ],
    [
      "a middleware without its provider",
      { entryPoints: { web: { address: ":80", http: { middlewares: ["waf"] } } } },
      /does not say its provider/,
    ],
    [
      "a middleware that is not there",
      { entryPoints: { web: { address: ":80", http: { middlewares: ["waf@file"] } } } },
      /http middleware "waf"/,
    ],
    ["health on an entry point that is not there", { ping: { entryPoint: "ping" } }, /entry point "tcp ping"/],
    ["a key of version 1", { entrypoints: {} }, /entrypoints: is no key of the static configuration/],
  ])("looks into the static configuration: %s", (_, change, problem) => {
    expect(check(http({}), { "traefik/traefik.yml": { ...statics, ...change } }).join("\n")).toMatch(problem)
  })

  it("counts a middleware of an entry point as used", () => {
    const entryPoints = { ...statics.entryPoints, web: { address: ":80", http: { middlewares: ["waf@file"] } } }
    expect(
      check(http({}, { middlewares: { waf: { compress: {} } } }), {
        "traefik/traefik.yml": { ...statics, entryPoints },
      }),
    ).toEqual([])
  })

  it.each<[string, unknown, RegExp]>([
    [
      "an entry point",
      ["traefik.enable=true", "traefik.http.routers.r.rule=Host(`a`)", "traefik.http.routers.r.entrypoints=https"],
      /entry point "tcp https"/,
    ],
    [
      "a middleware",
      ["traefik.enable=true", "traefik.http.routers.r.rule=Host(`a`)", "traefik.http.routers.r.middlewares=waf@file"],
      /http middleware "waf"/,
    ],
    [
      "sans one by one",
      [
        "traefik.enable=true",
        "traefik.http.routers.r.rule=Host(`a`)",
        "traefik.http.routers.r.tls.domains[0].sans[0]=a",
      ],
      /is not read/,
    ],
    ["a name with @", { "traefik.enable": true, "traefik.http.routers.r@file.rule": "Host(`a`)" }, /has @ in its name/],
    ["no enable", ["traefik.http.routers.r.rule=Host(`a`)"], /does not have traefik\.enable/],
    ["a port", ["traefik.enable=true", "traefik.http.services.s.loadbalancer.server.port=http"], /has a port outside/],
    [
      "a middleware that nothing uses",
      ["traefik.enable=true", "traefik.http.middlewares.m.compress=true"],
      /middleware that nothing uses/,
    ],
  ])("reads the labels of a compose file: %s", (_, labels, problem) => {
    expect(check(http({}), { "docker-compose.yml": { services: { web: { image: "x", labels } } } }).join("\n")).toMatch(
      problem,
    )
  })

  it("says which files it cannot read", () => {
    expect(
      checkTraefik([
        { path: "a.toml", text: "" },
        { path: "b.yml", text: "a: [" },
      ]),
    ).toMatchObject([
      { kind: "invalid", file: "a.toml", reason: expect.stringContaining("not a file of YAML") },
      { kind: "invalid", file: "b.yml", reason: expect.stringContaining("not valid YAML") },
    ])
  })

  it("shows no value of a field", () => {
    const rule = "Host(`a`) && Header(`x-key`, `s3cr3t`) &&"
    expect(check(http({ rule })).join()).not.toContain("s3cr3t")
  })

  it("ends every export: an override that names what is not there is an error, and nothing is written", () => {
    const overrides = { static: { entryPoints: { web: { http: { middlewares: ["waf@file"] } } } } }
    const run = () =>
      exportTraefik(
        { ingresses: [], address: () => undefined },
        { overrides, documents: { own: { http: { middlewares: { other: { compress: {} } } } } } },
      )
    expect(run).toThrow(TraefikInvalid)
    expect(run).toThrow(
      'traefik/traefik.yml: entryPoints.web.http.middlewares.0 names the http middleware "waf", which is not declared',
    )
  })
})

describe("the options of an export", () => {
  it.each<[object, string]>([
    [{ version: "2.11" }, "version must be"],
    [{ listen: { 0: ":80" } }, "listen must be"],
    [{ listen: { 80: "80" } }, "listen must be"],
    [{ ports: [70_000] }, "ports must be"],
    [{ acme: { email: "a@b.c" } }, "acme.challenge must be"],
    [{ acme: { email: "a@b.c", challenge: "http", certificates: [{ main: "*.b.c" }] } }, "the only one for wildcards"],
    [
      { acme: { email: "a@b.c", challenge: { dns: "x" }, certificates: [{ main: "a`" }] } },
      "acme.certificates[0].main must be",
    ],
    [{ trustedIps: { forwardedHeaders: ["0.0.0.0/0"] } }, "trustedIps.forwardedHeaders must be"],
    [{ documents: { "../x": {} } }, "documents must be"],
    [{ compose: { services: { traefik: {} } } }, "compose.services must be"],
    [{ overrides: { compose: {} } }, "overrides.compose must be absent"],
    [
      { docker: { endpoint: "tcp://dockerproxy:2375" }, compose: { network: "host", services: { dockerproxy: {} } } },
      "must be a published address",
    ],
    [{ dashboard: true }, "dashboard is not an option"],
  ])("are checked: %j", (options, message) => {
    expect(() => exportTraefik({ ingresses: [], address: () => undefined }, options)).toThrow(message)
  })
})
