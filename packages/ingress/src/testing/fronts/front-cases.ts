import type { Ingress, IngressMatch, IngressRule } from "../../resource/ingress.ts"
import type { FrontAsk, FrontCase, FrontRequest } from "./front-case.ts"

/** The value that `RequireHeader` asks for. No secret. */
export const REQUIRED_VALUE = "a-value-of-more-than-32-characters"

const ingress = (name: string, ...rules: readonly IngressRule[]): Ingress => ({ name, rules })
const to = (target: string, request: FrontRequest): FrontAsk => ({ request, expect: { target } })
const refused = (status: number, request: FrontRequest): FrontAsk => ({ request, expect: { status } })

type Url = Parameters<FrontCase["ingresses"]>[0]
/** Rules of one ingress, each to the target of its name. */
const rules =
  (matches: Readonly<Record<string, IngressMatch>>) =>
  (url: Url): readonly Ingress[] => [
    ingress("one", ...Object.entries(matches).map(([name, match]) => ({ match, target: { url: url(name) } }))),
  ]

const host = "app.example.com"

/** All features, the core first. */
export const frontCases: readonly FrontCase[] = [
  {
    feature: "ExactHostname",
    level: "core",
    claim: "a hostname leads to its target, in any case, with a root dot and with a port",
    ingresses: rules({ a: { hostname: host }, b: { hostname: "other.example.com" } }),
    asks: [
      to("a", { host }),
      to("b", { host: "other.example.com" }),
      to("a", { host: "APP.example.com" }),
      to("a", { host: "app.example.com:80" }),
      to("a", { host, path: "/x/y?z" }),
    ],
  },
  {
    feature: "UnmatchedHostname",
    level: "core",
    claim: "a hostname that is not declared is 404, and no target gets its request",
    ingresses: rules({ a: { hostname: host } }),
    asks: [
      refused(404, { host: "example.com" }),
      refused(404, { host: "x.app.example.com" }),
      refused(404, { host: "appXexample.com" }),
      refused(404, { host: "app.example.com.evil.org" }),
    ],
  },
  {
    feature: "WildcardOneLabel",
    level: "core",
    claim: "a star is exactly one label",
    ingresses: rules({ a: { hostname: "*.dev.example.com" } }),
    asks: [
      to("a", { host: "x.dev.example.com" }),
      refused(404, { host: "dev.example.com" }),
      refused(404, { host: "y.x.dev.example.com" }),
      refused(404, { host: "x.dev.example.org" }),
    ],
  },
  {
    feature: "ExactBeforeWildcard",
    level: "core",
    claim: "a hostname comes before a pattern, however they were declared",
    ingresses: rules({
      a: { hostname: "*.example.com" },
      b: { hostname: "x.example.com" },
      c: { hostname: "*.x.example.com" },
    }),
    asks: [
      to("b", { host: "x.example.com" }),
      to("a", { host: "y.example.com" }),
      to("c", { host: "y.x.example.com" }),
    ],
  },
  {
    feature: "HostnameOwnsItsPaths",
    level: "core",
    claim: "a request that no rule of its hostname takes is 404, and not passed on to a wider pattern",
    ingresses: rules({ a: { hostname: "*.example.com" }, b: { hostname: "x.example.com", path: "/api" } }),
    asks: [
      to("b", { host: "x.example.com", path: "/api/1" }),
      refused(404, { host: "x.example.com", path: "/other" }),
      to("a", { host: "y.example.com", path: "/other" }),
    ],
  },
  {
    feature: "PortInKey",
    level: "core",
    claim: "a hostname has its own rules on each port",
    ingresses: rules({
      a: { hostname: host },
      b: { hostname: host, port: 8080 },
      c: { hostname: "*.example.com", port: 8080 },
    }),
    asks: [
      to("a", { host }),
      to("b", { host, port: 8080 }),
      to("c", { host: "x.example.com", port: 8080 }),
      refused(404, { host: "x.example.com" }),
    ],
  },
  {
    feature: "PathPrefix",
    level: "core",
    claim: "a prefix takes whole segments, in its case, and the longest comes first",
    ingresses: rules({
      a: { hostname: host },
      b: { hostname: host, path: "/api" },
      c: { hostname: host, path: { prefix: "/api/v2/" } },
    }),
    asks: [
      to("b", { host, path: "/api" }),
      to("b", { host, path: "/api/" }),
      to("b", { host, path: "/api/v1?q=/api/v2" }),
      to("c", { host, path: "/api/v2" }),
      to("c", { host, path: "/api/v2/x" }),
      to("a", { host, path: "/apix" }),
      to("a", { host, path: "/API/x" }),
      to("a", { host, path: "/" }),
    ],
  },
  {
    feature: "PathExact",
    level: "core",
    claim: "an exact path takes that path alone, and comes before prefixes",
    ingresses: rules({ a: { hostname: host, path: "/api" }, b: { hostname: host, path: { exact: "/api" } } }),
    asks: [
      to("b", { host, path: "/api" }),
      to("b", { host, path: "/api?x=1" }),
      to("a", { host, path: "/api/" }),
      to("a", { host, path: "/api/x" }),
    ],
  },
  {
    feature: "MethodMatch",
    level: "core",
    claim: "a method takes requests of that method, after the path has been compared",
    ingresses: rules({
      a: { hostname: host },
      b: { hostname: host, method: "POST" },
      c: { hostname: host, path: "/x" },
    }),
    asks: [to("a", { host }), to("b", { host, method: "POST" }), to("c", { host, method: "POST", path: "/x" })],
  },
  {
    feature: "HeaderMatch",
    level: "core",
    claim: "fields are equal as a whole, and more of them come first",
    ingresses: rules({
      a: { hostname: host },
      b: { hostname: host, headers: { "x-kind": "one" } },
      c: { hostname: host, headers: { "x-kind": "one", "x-more": "yes" } },
    }),
    asks: [
      to("a", { host }),
      to("b", { host, headers: { "x-kind": "one" } }),
      to("c", { host, headers: { "x-more": "yes", "x-kind": "one" } }),
      to("a", { host, headers: { "x-kind": "one-more" } }),
      to("a", { host, headers: { "x-kind": "One" } }),
    ],
  },
  {
    feature: "OldestFirst",
    level: "core",
    claim: "of two rules that are equally specific, the older one takes the request",
    ingresses: (url) => [
      ingress("zebra", { match: { hostname: host, headers: { "x-a": "1" } }, target: { url: url("a") } }),
      ingress("ant", { match: { hostname: host, headers: { "x-b": "1" } }, target: { url: url("b") } }),
    ],
    asks: [to("a", { host, headers: { "x-a": "1", "x-b": "1" } }), to("b", { host, headers: { "x-b": "1" } })],
  },
  {
    feature: "Weights",
    level: "extended",
    claim: "requests are shared by weight, and a weight of 0 gets none",
    ingresses: (url) => [
      ingress("one", {
        match: { hostname: host },
        targets: [
          { url: url("a"), weight: 1 },
          { url: url("b"), weight: 3 },
          { url: url("c"), weight: 0 },
        ],
      }),
    ],
    asks: Array.from({ length: 8 }, (_, at) => ({
      request: { host, client: `10.0.0.${at + 1}` },
      expect: { target: ["a", "b"] },
    })),
  },
  {
    feature: "Tls",
    level: "extended",
    claim: "a rule with tls is served on port 443 and not on port 80",
    ingresses: (url) => [
      ingress("one", { match: { hostname: host }, target: { url: url("a") }, tls: true }),
      // Without it nobody listens on port 80.
      ingress("two", { match: { hostname: "other.example.com" }, target: { url: url("b") } }),
    ],
    asks: [to("a", { host, tls: true }), refused(404, { host })],
  },
  {
    feature: "RedirectHttp",
    level: "extended",
    claim: "plain requests are redirected to https with path and query, and a redirect asks for no header",
    ingresses: (url) => [
      ingress("one", {
        match: { hostname: host },
        target: { url: url("a") },
        tls: true,
        redirectHttp: true,
        requireHeader: { name: "x-key", value: REQUIRED_VALUE },
      }),
    ],
    asks: [
      { request: { host, path: "/a?b=c" }, expect: { status: 301, location: `https://${host}/a?b=c` } },
      to("a", { host, tls: true, headers: { "x-key": REQUIRED_VALUE } }),
    ],
  },
  {
    feature: "AllowCidrs",
    level: "extended",
    claim: "visitors from other networks are 403",
    ingresses: (url) => [
      ingress("one", { match: { hostname: host }, target: { url: url("a") }, allowCidrs: ["127.0.0.0/8"] }),
      ingress("two", {
        match: { hostname: "no.example.com" },
        target: { url: url("b") },
        allowCidrs: ["192.0.2.0/24"],
      }),
    ],
    asks: [to("a", { host }), refused(403, { host: "no.example.com" })],
  },
  {
    feature: "RequireHeader",
    level: "extended",
    claim: "requests without the field are 403, and the target does not see it",
    ingresses: (url) => [
      ingress("one", {
        match: { hostname: host },
        target: { url: url("a") },
        requireHeader: { name: "x-key", value: REQUIRED_VALUE },
      }),
      ingress("two", { match: { hostname: "*.example.com" }, target: { url: url("b") } }),
    ],
    asks: [
      {
        request: { host, headers: { "x-key": REQUIRED_VALUE } },
        expect: { target: "a", seen: { "x-key": undefined } },
      },
      refused(403, { host }),
      refused(403, { host, headers: { "x-key": `${REQUIRED_VALUE}x` } }),
      to("b", { host: "y.example.com" }),
    ],
  },
  {
    feature: "ResponseHeaders",
    level: "extended",
    claim: "fields of responses are set and removed",
    ingresses: (url) => [
      ingress("one", {
        match: { hostname: host },
        target: { url: url("a") },
        responseHeaders: { set: { "x-frame-options": "DENY" }, remove: ["x-powered-by"] },
      }),
    ],
    asks: [
      {
        request: { host },
        expect: { target: "a", headers: { "x-frame-options": "DENY", "x-powered-by": undefined } },
      },
    ],
  },
  {
    feature: "TcpByPort",
    level: "extended",
    claim: "connections to a port go to its target",
    ingresses: (url) => [ingress("one", { match: { protocol: "tcp", port: 5432 }, target: { url: url("a", "tcp") } })],
    asks: [to("a", { protocol: "tcp", port: 5432 })],
  },
  {
    feature: "TlsPassthrough",
    level: "extended",
    claim: "TLS connections go on by the name in their ClientHello, and nobody ends them",
    ingresses: (url) => [
      ingress(
        "one",
        { match: { protocol: "tcp", hostname: host, port: 8443 }, target: { url: url("a", "tcp") }, passthrough: true },
        {
          match: { protocol: "tcp", hostname: "*.example.com", port: 8443 },
          target: { url: url("b", "tcp") },
          passthrough: true,
        },
      ),
    ],
    asks: [
      to("a", { protocol: "tcp", port: 8443, tls: true, host }),
      to("b", { protocol: "tcp", port: 8443, tls: true, host: "x.example.com" }),
    ],
  },
  {
    feature: "UdpByPort",
    level: "extended",
    claim: "datagrams to a port go to its target",
    ingresses: (url) => [ingress("one", { match: { protocol: "udp", port: 5353 }, target: { url: url("a", "udp") } })],
    asks: [to("a", { protocol: "udp", port: 5353 })],
  },
]
